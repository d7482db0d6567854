package callfeed

import (
	"context"
	"fmt"
	"slices"
	"time"
)

const (
	// passPages and passCalls are how deep into a list a pass goes, whichever is
	// deeper, before the next one begins where it came to: offsets get slow with depth.
	passPages = 100
	passCalls = 10_000
	// maxRestarts is how often in a row a pass begins anew because its pages do not join.
	maxRestarts = 3
	// handful is how many of a page's calls are looked after between two looks at open ones.
	handful = 100
)

// pass lists, oldest first, the calls created since the book's start, and hands
// out what they ask for. It answers whether more is known to follow.
//
// A page begins with calls that the page before it ended with, see turnPage. Its first
// was therefore seen in this pass, so none was skipped when calls before it vanished;
// else the pass steps back. Calls that appear where the pass has been already are found
// by the next one, see reach.
func (f *Feed) pass(ctx context.Context) (more bool, err error) {
	p := pass{feed: f, seen: map[string]bool{}, began: time.Now()}
	defer func() { p.note(ctx, err) }()
	p.from = f.book.beginPass()
	p.query.From = listFrom(p.from)
	if f.opts.Parts != nil && f.opts.Relist > 0 && f.clock.moment.IsZero() {
		p.askNewest(ctx) // so that it is known what is long over
	}
	for !p.broken {
		answer, err := p.read(ctx)
		if err != nil {
			return false, err
		}
		page := answer.Items
		if answer.Gaps {
			if done, more, err := p.takeWithGaps(ctx, answer); done || err != nil {
				return more, err
			}
			continue
		}
		if p.tied(page) || p.skipped(page) {
			continue
		}
		if p.broken {
			break
		}
		if p.ended(page) {
			if p.incomplete(page) {
				continue
			}
			p.end(ctx)
			return false, nil
		}
		if err := p.take(ctx, page); err != nil {
			return false, err
		}
		if p.incomplete(page) {
			continue
		}
		if f.book.full(time.Now()) || p.deep(page) && p.cuttable(ctx) {
			return true, nil
		}
		p.turnPage(page)
	}
	return false, nil
}

type pass struct {
	feed      *Feed
	query     Query
	room      int       // of the last page
	from      time.Time // where the list begins
	began     time.Time
	took      time.Duration   // until the last page came
	seen      map[string]bool // in this pass
	ends      [2]string       // of the page before
	repeated  int             // how often in a row it was the one before
	before    int             // how many calls the page before had, if it was shorter than asked for
	tie       time.Time       // the date of its last
	overlaps  bool            // whether the page begins with calls of the one before
	anchored  bool            // and the first of them has another date than its last
	ties      int             // from the last call of the page before back to one of another date; 0 when it has none
	crowd     *crowd          // calls of one date for which no page has room; nil for none
	doubt     bool            // some of a crowd may not have been seen
	marks     []mark          // where the pages began
	restarts  int
	furthest  int // where in the list a pass stood when it last began anew
	broken    bool
	asked     bool      // for the newest call
	last      time.Time // the latest date of creation since the pass began or stepped back
	newest    time.Time
	opening   time.Time // the first date since then
	sorted    bool      // later dates came later, as far as the list was read
	unordered bool      // the list is not sorted by creation: only all of it proves anything
}

// mark is where a page began, and the date of its first call.
type mark struct {
	skip    int
	created time.Time
}

// read asks for the next page, for a smaller one if a large one fails.
func (p *pass) read(ctx context.Context) (Page, error) {
	size := &p.feed.size
	for {
		p.query.Limit = size.calls
		page, err := p.feed.opts.API.List(ctx, p.query)
		p.took, p.room = time.Since(p.began), page.Room
		if err == nil || ctx.Err() != nil || !size.shrink(err, time.Now()) {
			return page, err
		}
	}
}

// tied steps back to before the calls that share a date, when some of them stand on
// each side of a page's end: nobody says that their order is the same in two
// answers, and a page that holds all of them needs none.
func (p *pass) tied(page []Item) bool {
	if p.ties == 0 || len(page) < 2 || !page[0].Created.Equal(p.tie) || !page[1].Created.Equal(p.tie) {
		return false
	}
	p.feed.size.capped(p.before) // for more follow
	p.back(p.query.Skip - p.ties)
	p.overlaps, p.anchored = true, true
	return true
}

// back moves to an earlier place of the list. What comes now was seen before.
func (p *pass) back(skip int) {
	p.query.Skip = max(skip, 0)
	p.overlaps, p.anchored = p.query.Skip > 0, false
	p.ties, p.before = 0, 0
	p.ends, p.last, p.opening = [2]string{}, time.Time{}, time.Time{}
}

// skipped steps back when calls may have been skipped between two pages.
func (p *pass) skipped(page []Item) bool {
	if !p.overlaps || len(page) == 0 && p.query.Skip == 0 || len(page) > 0 && p.joins(&page[0]) {
		return false
	}
	if p.query.Skip > p.furthest { // the last time, beginning anew helped
		p.restarts = 0
	}
	p.furthest = max(p.furthest, p.query.Skip)
	p.restarts++
	p.drop()
	switch {
	case p.restarts > maxRestarts:
		p.feed.notices.warn(reorderedWarning)
		p.broken = true
		return false
	case p.restarts > 1:
		p.back(0)
	default:
		p.back(p.query.Skip - p.query.Limit)
	}
	return true
}

// joins says whether a page that begins with this call follows the one before without
// a gap. Among calls of one date, any may come first when calls before them vanish.
func (p *pass) joins(first *Item) bool {
	key := keyOf(first)
	if c := p.crowd; c.has(first) {
		c.steady = c.steady && key == p.ends[1]
		return true
	}
	return p.seen[key] && (!p.anchored || !first.Created.Equal(p.tie))
}

// ended says whether a page is the end. A page may be shorter than asked for, if
// the API caps it. Among calls with the same date, a different one may come last.
func (p *pass) ended(page []Item) bool {
	return len(page) == 0 || p.overlaps && !p.anchored && len(page) == 1 && p.seen[keyOf(&page[0])]
}

// repeats says whether a page is the one before it again. An API that ignores skip
// would be listed for ever.
func (p *pass) repeats(page []Item) bool {
	return p.query.Skip > 0 && endsOf(page) == p.ends &&
		!slices.ContainsFunc(page, func(c Item) bool { return !p.seen[keyOf(&c)] })
}

// endsOf is by what a page is known again.
func endsOf(page []Item) [2]string {
	return [2]string{keyOf(&page[0]), keyOf(&page[len(page)-1])}
}

// take hands out what a page's calls ask for.
func (p *pass) take(ctx context.Context, page []Item) error {
	if !p.repeats(page) {
		p.repeated = 0
	} else if p.repeated++; p.repeated > 1 {
		return p.feed.opts.Unit.SamePage
	} else { // as many calls may have come before it as it moved on
		return ctx.Err()
	}
	if p.query.Skip >= p.feed.failedAt {
		p.feed.notices.listing.over()
	}
	f, now, fresh := p.feed, time.Now(), false
	p.marks = append(p.marks, mark{p.query.Skip, page[0].Created})
	var events []*Event
	for i := range page {
		call := &page[i]
		key := keyOf(call)
		again := p.seen[key]
		p.seen[key], fresh = true, fresh || !again
		p.crowd.add(call, key)
		if !again {
			p.date(call.Created, now)
		}
		if call.Foreign {
			continue
		}
		// The start may have moved by now, which calls that stand out of order must
		// not fall behind; but what was emitted before that is no longer known.
		if again && call.Created.Before(f.book.start()) {
			continue
		}
		if e := f.act(key, call, f.book.listed(key, call, p.from, now)); e != nil {
			events = append(events, e)
		}
	}
	if fresh {
		f.size.capped(p.before) // for more followed
	}
	// All of the page is in the book by now, so what follows may fail or be cut short.
	// A list that is not sorted shows that only when dates differ.
	if p.sorted && !p.unordered {
		p.reach()
	}
	f.progress(p.newest)
	f.saver.nudge()
	return p.deliver(ctx, events)
}

// deliver hands events out, a handful at a time. A long backfill must not keep calls
// waiting that have ended meanwhile. Sooner than this, most open calls are about to be
// listed anyway.
func (p *pass) deliver(ctx context.Context, events []*Event) error {
	f := p.feed
	for {
		some := events[:min(handful, len(events))]
		f.hand(ctx, f.complete(ctx, slices.Clone(some)))
		if time.Since(f.lookedAt) >= f.opts.Poll {
			f.lookAtDue(ctx)
		}
		if events = events[len(some):]; len(events) == 0 || ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// reach moves the start of the next pass. A call that was not listed yet when this
// pass went by its date had been created less than Lag before, so after the time that
// the API's clock showed when the pass began, less Lag. All others were listed, up to
// the newest, but for a crowd that was not fully seen. No clock of this machine is
// compared with one of the API's: see apiClock.
func (p *pass) reach() {
	if p.crowd != nil || p.doubt {
		return
	}
	f := p.feed
	from, edge := f.clock.at(p.began).Add(-f.opts.Lag), p.newest.Add(-dateSlack)
	if from.After(edge) {
		from = edge
	}
	f.book.advance(from.Add(-dateSlack), f.opts.Lag)
}

// date notes when a call was created.
func (p *pass) date(created, now time.Time) {
	if created.IsZero() {
		p.feed.notices.warn(undatedWarning)
		return
	}
	if ahead := created.Sub(now); ahead > 0 {
		// A date to come says nothing about which calls were listed by now.
		if ahead > time.Minute {
			p.feed.notices.warn(clockWarning)
		}
		return
	}
	if created.Before(p.last.Add(-dateSlack)) && !created.Before(p.from) && !p.unordered {
		p.unordered = true
		p.feed.notices.warn(unsortedWarning)
	}
	if created.After(p.last) {
		p.last = created
	}
	if p.opening.IsZero() {
		p.opening = created
	}
	p.sorted = p.sorted || created.Sub(p.opening) > dateSlack
	if created.After(p.newest) {
		p.newest = created
		p.feed.clock.shows(created, now)
	}
}

// deep says whether the next pass had better begin here.
func (p *pass) deep(page []Item) bool {
	depth := p.query.Skip + len(page)
	return p.sorted && !p.unordered &&
		(depth >= max(passCalls, passPages*p.feed.opts.PageSize) || time.Since(p.began) >= p.feed.opts.Lag)
}

// cuttable says whether the next pass would begin later than half of what this one
// listed: less is not worth listing the rest again.
func (p *pass) cuttable(ctx context.Context) bool {
	if !p.asked {
		p.asked = true
		p.askNewest(ctx)
		p.reach()
	}
	start, left := p.feed.book.start(), 0
	for _, m := range p.marks {
		if !m.created.IsZero() && m.created.Before(start) {
			left = m.skip
		}
	}
	return start.After(p.from) && left > 0 && left >= p.query.Skip/2
}

// askNewest learns from the newest call what time it is by the API's clock. Without an
// answer, or where the API sorts otherwise, less is known, and nothing wrong.
func (p *pass) askNewest(ctx context.Context) {
	q := p.query
	q.Newest, q.Limit, q.Skip, q.Once = true, 1, 0, true
	page, err := p.feed.opts.API.List(ctx, q)
	if now := time.Now(); err == nil && len(page.Items) > 0 && !page.Items[0].Created.After(now) {
		p.feed.clock.shows(page.Items[0].Created, now)
	}
}

// turnPage moves to the next page, which begins before all calls that share the date of
// this page's last: some may stand on the next page, in another order. A page that is
// shorter than asked for may be the last one, and so the next one begins with its last
// call, to see whether more follow; see tied.
func (p *pass) turnPage(page []Item) {
	f, last := p.feed, len(page)-1
	p.tie, p.ties, p.before = page[last].Created, 0, 0
	other := last // the last call of another date
	if !p.tie.IsZero() {
		for other >= 0 && page[other].Created.Equal(p.tie) {
			other--
		}
	}
	full := f.size.full(len(page), p.room)
	if !full {
		p.before = len(page)
	}
	grown := len(page) >= p.room && f.size.grow(time.Now())
	p.overlaps, p.anchored = len(page) > 1, false
	switch {
	case other < 1 && grown: // the next page may have room for all of them
		p.back(p.query.Skip)
		return
	case full && other >= 1 && other < last:
		p.anchored, p.ends, p.last = true, endsOf(page), page[other].Created
		p.query.Skip += other
		return
	case other >= 1 && other < last:
		p.ties = last - other
	case other < 1 && last > 0 && !p.tie.IsZero() && p.crowd == nil:
		p.crowd = newCrowd(p.tie, p.query.Skip+other+1, page[other+1:])
	}
	p.ends = endsOf(page)
	p.query.Skip += max(1, last)
}

// note reports how the pass ended. What fails deep in the list each time is one
// trouble, though the pages before it are read: see take.
func (p *pass) note(ctx context.Context, err error) {
	p.feed.lists = err == nil
	switch {
	case ctx.Err() != nil:
	case err != nil:
		p.feed.failedAt = p.query.Skip
		cause := p.feed.cause(err)
		p.feed.notices.listing.met(cause, fmt.Errorf("(%s): %w", cause, err))
	default:
		p.feed.notices.listing.over()
	}
}

// end notes that the whole list was read, unless some of it may not have been seen.
func (p *pass) end(ctx context.Context) {
	f := p.feed
	if ctx.Err() != nil || p.doubt {
		return
	}
	p.reach()
	f.book.endPass()
	f.saver.nudge()
	f.caughtUp = time.Now()
}
