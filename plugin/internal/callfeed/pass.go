package callfeed

import (
	"context"
	"slices"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

const (
	// passPages is how deep into a list a pass goes before the next one begins
	// where it came to: offsets get slow with depth.
	passPages = 100
	// maxRestarts is how often a pass begins anew because its pages do not join.
	maxRestarts = 3
)

// pass lists, oldest first, the calls created since the book's start, and hands
// out what they ask for. It answers whether more is known to follow.
//
// Pages overlap by one call. The first of a page was seen in this pass, so none
// was skipped when calls before it vanished; else the pass steps back. Where calls
// of one date stand on both sides they overlap by all of those, see tied. Calls that
// appear where the pass has been already are found by the next one, see reach.
func (f *Feed) pass(ctx context.Context) (more bool, err error) {
	p := pass{feed: f, seen: map[string]bool{}, began: time.Now()}
	defer func() { p.note(ctx, err) }()
	p.from, p.query = f.book.beginPass(), f.opts.Filter
	// The bound is sent a little earlier, since nobody says whether it is inclusive or
	// how exact it is.
	p.query.From = p.from.Add(-time.Second).Truncate(time.Second)
	p.query.Sort, p.query.Limit = "asc", max(f.opts.PageSize, 2) // pages overlap by one
	for pages := 1; ; pages++ {
		page, err := f.opts.API.ListCallsPage(ctx, p.query)
		p.took = time.Since(p.began)
		if err != nil {
			return false, err
		}
		if p.tied(page) || p.skipped(page) {
			continue
		}
		if p.broken {
			return false, nil
		}
		if p.ended(page) {
			p.end(ctx)
			return false, nil
		}
		if err := p.take(ctx, page); err != nil {
			return false, err
		}
		if cut := pages >= passPages || time.Since(p.began) >= f.opts.Lag; cut && p.cuttable() {
			return true, nil
		}
		p.turnPage(page)
	}
}

type pass struct {
	feed      *Feed
	query     happyrobot.ListCallsQuery
	from      time.Time // where the list begins
	began     time.Time
	took      time.Duration   // until the last page came
	seen      map[string]bool // in this pass
	first     string          // of the page before
	tie       time.Time       // the date of its last
	overlaps  bool            // whether the page begins with the last of the one before
	ties      int             // from the last call of the page before back to one of another date; 0 when it has none
	restarts  int
	broken    bool
	last      time.Time // the latest date of creation since the pass began or stepped back
	newest    time.Time
	opening   time.Time // the first date
	unordered bool      // the list is not sorted by creation: only all of it proves anything
}

// tied steps back to before the calls that share a date, when some of them stand on
// each side of a page's end: nobody says that their order is the same in two
// answers, and a page that holds all of them needs none. If more calls share a date
// than fit on a page, those that swap places between requests may be missed.
func (p *pass) tied(page []happyrobot.Call) bool {
	if p.ties == 0 || len(page) < 2 || !page[0].Created.Equal(p.tie) || !page[1].Created.Equal(p.tie) {
		return false
	}
	p.query.Skip -= p.ties
	p.ties = 0
	p.first, p.last = "", time.Time{} // what comes now was seen before
	return true
}

// skipped steps back when calls may have been skipped between two pages.
func (p *pass) skipped(page []happyrobot.Call) bool {
	if !p.overlaps || len(page) == 0 && p.query.Skip == 0 || len(page) > 0 && p.seen[keyOf(&page[0])] {
		return false
	}
	p.restarts++
	if p.restarts > maxRestarts {
		p.feed.notices.facts.warn(reorderedWarning)
		p.broken = true
		return false
	}
	if p.query.Skip -= p.query.Limit; p.restarts > 1 {
		p.query.Skip = 0
	}
	p.query.Skip = max(p.query.Skip, 0)
	p.overlaps, p.ties = p.query.Skip > 0, 0
	p.first, p.last = "", time.Time{} // what comes now was seen before
	return true
}

// ended says whether a page is the end. A page may be shorter than asked for, if
// the API caps it. Among calls with the same date, a different one may come last.
func (p *pass) ended(page []happyrobot.Call) bool {
	return len(page) == 0 || p.overlaps && len(page) == 1 && p.seen[keyOf(&page[0])]
}

// repeats says whether a page is the one before it again. An API that ignores skip
// would be listed for ever.
func (p *pass) repeats(page []happyrobot.Call) bool {
	return p.query.Skip > 0 && keyOf(&page[0]) == p.first &&
		!slices.ContainsFunc(page, func(c happyrobot.Call) bool { return !p.seen[keyOf(&c)] })
}

// take hands out what a page's calls ask for.
func (p *pass) take(ctx context.Context, page []happyrobot.Call) error {
	if p.repeats(page) {
		return happyrobot.ErrSamePage
	}
	if p.query.Skip >= p.feed.failedAt {
		p.feed.notices.listing.Recovered()
	}
	f, now := p.feed, time.Now()
	var events []*Event
	for i := range page {
		call := &page[i]
		key := keyOf(call)
		again := p.seen[key]
		p.seen[key] = true
		if t := f.opts.Filter.Type; t != "" && call.Type != "" && call.Type != t {
			continue
		}
		p.date(call.Created, now)
		// The start may have moved by now, which calls that stand out of order must
		// not fall behind; but what was emitted before that is no longer known.
		if again && call.Created.Before(f.book.start()) {
			continue
		}
		if e := f.act(key, call, f.book.listed(key, call, p.from, now)); e != nil {
			events = append(events, e)
		}
	}
	// All of the page is in the book by now, so what follows may fail or be cut short.
	// A list that is not sorted shows that only when dates differ.
	if !p.unordered && p.newest.Sub(p.opening) > dateSlack {
		p.reach()
	}
	f.progress(p.newest)
	f.saver.nudge()
	f.hand(ctx, f.complete(ctx, events))
	// A long backfill must not keep calls waiting that have ended meanwhile. Sooner
	// than this, most open calls are about to be listed anyway.
	if time.Since(f.lookedAt) >= f.opts.Poll {
		f.lookAtDue(ctx)
	}
	return ctx.Err()
}

// reach moves the start of the next pass. A call that was not listed yet when this
// pass went by its date had been created less than Lag before. That was after the
// pass began, and the newest call was created before the last page came; so the
// next pass must begin as long before the newest call as this one took, and Lag
// more. No clock of this machine is compared with one of the API's.
func (p *pass) reach() {
	p.feed.book.advance(p.newest, p.took+p.feed.opts.Lag+dateSlack)
}

// date notes when a call was created.
func (p *pass) date(created, now time.Time) {
	if created.IsZero() {
		p.feed.notices.facts.warn(undatedWarning)
		return
	}
	if ahead := created.Sub(now); ahead > 0 {
		// A date to come says nothing about which calls were listed by now.
		if ahead > time.Minute {
			p.feed.notices.facts.warn(clockWarning)
		}
		return
	}
	if created.Before(p.last.Add(-dateSlack)) && !created.Before(p.from) && !p.unordered {
		p.unordered = true
		p.feed.notices.facts.warn(unsortedWarning)
	}
	if created.After(p.last) {
		p.last = created
	}
	if p.opening.IsZero() {
		p.opening = created
	}
	if created.After(p.newest) {
		p.newest = created
	}
}

// cuttable says whether the next pass would begin later than this one did.
func (p *pass) cuttable() bool { return p.feed.book.start().After(p.from) }

// turnPage moves to the next page.
func (p *pass) turnPage(page []happyrobot.Call) {
	p.first = keyOf(&page[0])
	last := len(page) - 1
	p.tie, p.ties = page[last].Created, 0
	for i := last - 1; i > 0 && p.ties == 0 && !p.tie.IsZero(); i-- {
		if !page[i].Created.Equal(p.tie) {
			p.ties = last - i
		}
	}
	p.overlaps = len(page) > 1
	p.query.Skip += max(1, len(page)-1)
}

// note reports how the pass ended. What fails deep in the list each time is one
// trouble, though the pages before it are read: see take.
func (p *pass) note(ctx context.Context, err error) {
	switch {
	case ctx.Err() != nil:
	case err != nil:
		p.feed.failedAt = p.query.Skip
		p.feed.notices.listing.Trouble(err)
	default:
		p.feed.notices.listing.Recovered()
	}
}

// end notes that the whole list was read.
func (p *pass) end(ctx context.Context) {
	f := p.feed
	if ctx.Err() != nil {
		return
	}
	p.reach()
	f.book.endPass()
	f.saver.nudge()
	f.caughtUp = time.Now()
}
