package callfeed

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

// dateSlack is more than what comparing dates of creation may be off by: saved
// ones are whole milliseconds, and the API may compare whole seconds.
const dateSlack = 2 * time.Second

// book holds the calls that are known. Its methods are safe for concurrent use
// and never wait.
type book struct {
	mu      sync.Mutex
	from    time.Time // calls created before it are listed no more
	newest  time.Time // of creation, among the calls listed
	pruned  time.Time // done was, of calls before it
	open    map[string]*openCall
	done    map[string]doneCall
	pass    uint64 // the number of the listing that runs
	changes uint64 // counts what a saved state would have to tell
}

// openCall is a call that is not done with.
type openCall struct {
	id         string
	created    time.Time // zero when the API does not tell
	since      time.Time // what its age counts from: its creation, or when it is due
	sinceSaved time.Time
	told       happyrobot.Status // the last status acknowledged, when changes are told
	ended      time.Time         // when it was first seen over, if it waits for its parts
	claimed    bool              // being read, or handed out and not acknowledged
	next       time.Time         // when it is looked at by itself
	hold       time.Time         // not handed out before
	fails      bool              // reading it failed, which was logged
	missed     time.Time         // since when the API does not know it; zero when it does
	seen       *Event            // what is told if it vanishes: it was over, and not acknowledged
}

type doneCall struct {
	created time.Time
	pass    uint64 // in which it was listed last
}

func newBook(from time.Time) *book {
	return &book{from: from, open: map[string]*openCall{}, done: map[string]doneCall{}, changes: 1}
}

func bookFrom(s state) *book {
	b := newBook(fromMillis(s.From))
	for _, r := range s.Open {
		c := &openCall{id: r.ID, created: fromMillis(r.Created), told: r.Told, ended: fromMillis(r.Ended)}
		if c.since = c.created; r.Since != 0 {
			c.since = fromMillis(r.Since)
		}
		c.sinceSaved = c.since
		b.open[r.ID] = c
	}
	for i, id := range s.Done.IDs {
		b.done[id] = doneCall{created: fromMillis(s.Done.Created[i])}
	}
	return b
}

// snapshot is what to save, and how many changes it covers.
func (b *book) snapshot(owner string) (state, uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := state{Version: stateVersion, Owner: owner, From: millis(b.from), Open: make([]openRec, 0, len(b.open))}
	for _, c := range b.open {
		r := openRec{ID: c.id, Created: millis(c.created), Told: c.told, Ended: millis(c.ended)}
		if !c.since.Equal(c.created) {
			r.Since = millis(c.since)
		}
		s.Open = append(s.Open, r)
	}
	s.Done.IDs, s.Done.Created = make([]string, 0, len(b.done)), make([]int64, 0, len(b.done))
	for id, d := range b.done {
		s.Done.IDs = append(s.Done.IDs, id)
		s.Done.Created = append(s.Done.Created, millis(d.created))
	}
	return s, b.changes
}

// changed counts the changes so far.
func (b *book) changed() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.changes
}

// touch makes the state worth saving again.
func (b *book) touch() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.changes++
}

// finish moves a call from open to done. The caller holds the lock.
func (b *book) finish(c *openCall) {
	delete(b.open, c.id)
	b.done[c.id] = doneCall{created: c.created, pass: b.pass}
	b.changes++
}

// forget drops an open call. If it is ever listed again, it is a new one. The
// caller holds the lock.
func (b *book) forget(c *openCall) {
	delete(b.open, c.id)
	b.changes++
}

// advance notes that all calls created up to newest were listed, and moves the
// start of the next listing to lookback before that. What is done with and will
// be listed no more is forgotten; of calls without a date nobody knows whether
// they will be, except that they were not.
func (b *book) advance(newest time.Time, lookback time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !newest.After(b.newest) {
		return
	}
	b.newest = newest
	from := newest.Add(-lookback)
	if !from.After(b.from) {
		return
	}
	b.from = from
	b.changes++
	if from.Sub(b.pruned) < lookback/8 { // going through all of them takes its time
		return
	}
	b.pruned = from
	for id, d := range b.done {
		if !d.created.IsZero() && d.created.Before(from.Add(-dateSlack)) {
			delete(b.done, id)
		}
	}
}

// endPass forgets calls without a date that a whole listing did not show.
func (b *book) endPass() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, d := range b.done {
		if d.created.IsZero() && d.pass != b.pass {
			delete(b.done, id)
			b.changes++
		}
	}
}

// due claims the calls that it is time to look at, longest waiting first.
func (b *book) due(now time.Time, most int) []*openCall {
	b.mu.Lock()
	defer b.mu.Unlock()
	var calls []*openCall
	for _, c := range b.open {
		if !c.claimed && !c.next.After(now) {
			calls = append(calls, c)
		}
	}
	slices.SortFunc(calls, func(x, y *openCall) int { return cmp.Or(x.next.Compare(y.next), cmp.Compare(x.id, y.id)) })
	calls = calls[:min(most, len(calls))]
	for _, c := range calls {
		c.claimed = true
	}
	return calls
}

// release gives the call of a refused event back, to be looked at and handed out
// no sooner than next.
func (b *book) release(e *Event, next time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := e.open
	c.claimed, c.next, c.hold = false, next, next
	if c.seen = nil; e.Outcome == Complete || e.Call.Status.Final() {
		c.seen = e
	}
}

// start is where the next listing begins.
func (b *book) start() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.from
}

// watched counts the open calls.
func (b *book) watched() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.open)
}
