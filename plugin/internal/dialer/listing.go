package dialer

import (
	"context"
	"errors"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
)

// Shared is what the dialers of one API and key have in common: its clock, and the
// listings that look calls up. Listing is expensive where many calls are created, so one serves
// all who look for calls at the time. Safe for concurrent use; the zero Shared is ready.
type Shared struct {
	Clock Clock

	heard atomic.Int64 // when a listing went on last, in Unix nanoseconds

	mu    sync.Mutex
	lanes map[laneKey]*lane
}

// laneKey tells apart looks that must not wait for each other: a look at the last minutes
// is not delayed by one at a week. A look waits for no limit but its own. And a page that may be asked for once only is not asked
// for as one that may be repeated.
type laneKey struct {
	span  int // how far back the look goes, in powers of four
	once  bool
	limit string // that its requests wait for
}

// lane has one listing at a time, for all who waited when it began. So it began late
// enough for each of them, and goes back far enough. Later arrivals wait for the next listing.
type lane struct {
	busy    bool // somebody leads, or was asked to
	waiting []*look
	next    time.Time // no listing begins before
	calls   int       // that the last one went through
}

// look is what somebody looks for, and then what the list says of it.
type look struct {
	calls []sought
	since time.Time     // by our clock, when the first of them was created at the earliest
	limit string        // Options.ListLimit
	until time.Time     // a list that begins then, or later, says which calls were not created
	lead  chan struct{} // closed: it is your turn to list for all
	done  chan struct{} // closed: the rest is known
	gone  bool          // nobody waits for it any more
	asked func(error)   // see Listing; of whoever leads

	began  time.Time // the listing did not begin before
	listed int       // calls that it went through
	partly bool      // with err: the list was given in part
	err    error
}

// sought is a call that somebody looks for, and then what the list says of it.
type sought struct {
	refs   []string  // that it may have at the API
	number string    // in digits
	from   time.Time // when it was created at the earliest, by the API's clock

	found    *PlacedCall
	shown    bool // it is listed, without an id
	unmarked bool // a call to its number, or to none that can be read, is listed without a reference
	noRef    error
}

const (
	// A listing of many calls is not followed by the next at once: listedAtMost calls a
	// second is what ten pages a second have. Meanwhile others come to share it.
	listedAtMost = 10_000
	// gatherFor is how long a listing waits at least for those whose time has come at the
	// same moment, as part of that.
	gatherFor = 10
	// heardEach is after how many calls a listing is noted to go on.
	heardEach = 100
)

// list looks for calls in a listing that begins from now on, made with api by whoever's
// turn it is. With an error of ctx the look is not over, and must not be read.
func (s *Shared) list(ctx context.Context, api API, l *look, once bool) error {
	l.lead, l.done = make(chan struct{}), make(chan struct{})
	key := laneKey{span: spanOf(time.Since(l.since)), once: once, limit: l.limit}
	s.mu.Lock()
	if s.lanes == nil {
		s.lanes = map[laneKey]*lane{}
	}
	at := s.lanes[key]
	if at == nil {
		at = &lane{}
		s.lanes[key] = at
	}
	at.waiting = append(at.waiting, l)
	if !at.busy {
		at.appoint()
	}
	s.mu.Unlock()

	select {
	case <-l.done:
		return l.err
	case <-l.lead:
		return s.leadFor(ctx, api, at, l, once)
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l.gone = true
	at.leave(l)
	select {
	case <-l.lead: // another's turn, then
		at.appoint()
	default:
	}
	return context.Cause(ctx)
}

// leadFor lists for all who wait. If the leader has to leave, another one begins anew.
func (s *Shared) leadFor(ctx context.Context, api API, at *lane, leader *look, once bool) error {
	s.mu.Lock()
	wait := max(time.Until(at.next), time.Duration(at.calls)*time.Second/listedAtMost/gatherFor)
	s.mu.Unlock()
	s.hear(time.Now().Add(wait)) // nothing is asked for until then
	err := pause.Sleep(ctx, wait)
	s.mu.Lock()
	group := at.waiting
	at.waiting = nil
	s.mu.Unlock()
	var began time.Time
	var calls int
	if err == nil {
		began = time.Now()
		calls, err = s.goThrough(ctx, api, group, once)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	left := ctx.Err() != nil && err != nil
	for _, l := range group {
		switch {
		case !left:
			l.began, l.listed, l.err = began, calls, err
			close(l.done)
		case l != leader && !l.gone:
			l.forget()
			at.waiting = append(at.waiting, l)
		}
	}
	if !left && err == nil {
		at.calls, at.next = calls, began.Add(time.Duration(calls)*time.Second/listedAtMost)
	}
	at.appoint()
	if left {
		return context.Cause(ctx)
	}
	return err
}

// appoint gives the lead to the first who waits. The lock is held.
func (at *lane) appoint() {
	at.busy = len(at.waiting) > 0
	if at.busy {
		close(at.waiting[0].lead)
	}
}

// leave takes a look off. In a listing that is under way it stays, for nobody. The lock
// is held.
func (at *lane) leave(gone *look) {
	for i, l := range at.waiting {
		if l == gone {
			at.waiting = append(at.waiting[:i:i], at.waiting[i+1:]...)
			return
		}
	}
}

// hear notes that listings went on at a time.
func (s *Shared) hear(at time.Time) { s.heard.Store(at.UnixNano()) }

// quiet is for how long no listing has gone on.
func (s *Shared) quiet() time.Duration { return time.Since(time.Unix(0, s.heard.Load())) }

// spanOf is about how often a minute is to be multiplied by four to be a span.
func spanOf(span time.Duration) int { return bits.Len64(uint64(max(span, 0)/time.Minute)) / 2 }

// forget makes a look begin anew.
func (l *look) forget() {
	l.partly = false
	for i := range l.calls {
		l.calls[i].found, l.calls[i].shown, l.calls[i].unmarked, l.calls[i].noRef = nil, false, false, nil
	}
}

var errNobodyLooks = errors.New("nobody looks for a call")

// goThrough goes through the list once, for all looks. No filter of the API reaches our
// reference, so it is compared here. Nothing is kept of calls that nobody looks for. It
// ends when all are found.
func (s *Shared) goThrough(ctx context.Context, api API, looks []*look, once bool) (calls int, err error) {
	if len(looks) == 0 {
		return 0, errNobodyLooks
	}
	open, now := 0, time.Now()
	byRef, byNumber := map[string][]*sought{}, map[string][]*sought{}
	for _, l := range looks {
		for i := range l.calls {
			one := &l.calls[i]
			for _, ref := range one.refs {
				byRef[ref] = append(byRef[ref], one)
			}
			byNumber[one.number] = append(byNumber[one.number], one)
			open++
		}
	}
	want := Listing{
		From:  func(newest time.Time) time.Time { return s.since(looks, newest) },
		Ours:  func(text string) bool { return byRef[text] != nil },
		Final: slices.ContainsFunc(looks, func(l *look) bool { return !l.until.After(now) }),
		Once:  once,
		Asked: func(err error) {
			if err == nil || happyrobot.ClassOf(err).Declined() {
				s.hear(time.Now())
			}
			for _, l := range looks {
				l.asked(err)
			}
		},
	}
	for call, err := range api.List(ctx, want) {
		if err != nil {
			return calls, err
		}
		if calls%heardEach == 0 {
			s.hear(time.Now())
		}
		calls++
		if calls == 1 {
			for _, l := range looks {
				l.partly = true
			}
		}
		if call.Ref == "" {
			// Perhaps ours without its reference, perhaps somebody else's: from now on a
			// call to this number cannot be ruled out, nor any if there is no number.
			number := digits(call.Number)
			unmark(byNumber[number], call)
			if number == "" {
				for _, all := range byNumber {
					unmark(all, call)
				}
			}
			continue
		}
		for _, one := range byRef[call.Ref] {
			if !call.named() {
				one.shown = true
			} else if one.found == nil {
				found := call // not the loop's: that would put each listed call on the heap
				one.found = &found
				open--
			}
		}
		if open == 0 {
			break
		}
	}
	return calls, nil
}

// unmark notes that calls cannot be ruled out: those that may have been created when a
// call without a reference was. The list goes back further, for others who look for calls
// in it, and since the API is not bound to heed the time from which it is asked. Where the
// reference cannot be read, calls do not show the API's clock either: only a proxy's Date
// may be known, so their time rules out nothing.
func unmark(calls []*sought, by PlacedCall) {
	for _, one := range calls {
		if by.NoRef != nil || by.Created.IsZero() || !by.Created.Before(one.from) {
			one.unmarked, one.noRef = true, by.NoRef
		}
	}
}

// since is from when on a list has every call that these looks are for. What the API has
// are times of its own clock. A call that was created since a time of ours is no further
// from the API's newest call than that time is from now, whatever the clock shows. So the
// list goes back from there, where that is further. But a clock that was seen says which
// calls without a reference are older than what is looked for.
func (s *Shared) since(looks []*look, newest time.Time) (from time.Time) {
	s.hear(time.Now())
	seen := s.Clock.seen() // perhaps by that answer only
	for _, l := range looks {
		created := l.since.Add(-lookBack - s.Clock.behind(l.since))
		listed := created
		if back := newest.Add(-time.Since(created)); !newest.IsZero() && back.Before(created) {
			listed = back
		}
		if !seen {
			created = listed
		}
		for i := range l.calls {
			l.calls[i].from = created
		}
		if from.IsZero() || listed.Before(from) {
			from = listed
		}
	}
	return from
}
