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

// missingFor is how long the API must not know a call until it is given up: in an
// outage, something in front of it may know none.
const missingFor = time.Hour

// book holds the calls that are known, and nothing else touches them: callers name a
// call by its key. A method is one transition. It is safe for concurrent use, and
// neither waits nor logs: what its caller is to do about it is the answer.
//
// A call that is open is in one of these states:
//
//	watched     It is looked at when next comes. A listing may show it sooner.
//	being read  It is out, to a look.
//	handed out  It is out, as an event that is neither acknowledged nor refused.
//	put off     It is watched, but not before a moment: its parts are not there
//	            yet, or its event was refused.
//
// What moves it:
//
//	listed          new or watched -> handed out, watched, or done
//	due             watched -> being read
//	looked          being read -> handed out, watched, or done
//	missing         being read -> watched; after an hour handed out as it was when
//	                it was seen over, or forgotten
//	unread          being read -> watched; done if it is too old and refused
//	withoutParts    handed out -> put off; it stays when its parts were waited for in vain
//	acknowledged    handed out -> done, or watched if the call is not over
//	refused         handed out -> put off
//
// A call that is out when the process ends is open in the state, and so read again.
type book struct {
	rules rules

	mu      sync.Mutex
	from    time.Time // calls created before this are no longer listed
	pruned  time.Time // done entries older than this were dropped
	kept    int       // how many were left
	open    map[string]*openCall
	done    map[string]doneCall
	failing [failures]int // how many open calls could not be read at the last try
	early   time.Time     // when a call was looked at before its time
	pass    uint64        // the number of the pass that runs
	changes uint64        // counts what a saved state would have to tell
}

// openCall is a call that is not done with.
type openCall struct {
	key        string
	created    time.Time // zero when the API does not say
	known      time.Time // its creation, or when it was met first
	since      time.Time // what its age counts from: its creation, or when it is due
	later      bool      // it was scheduled for then when it was observed last
	queued     bool      // it waited for its turn then
	sinceSaved time.Time
	emitted    happyrobot.Status // the last status acknowledged, when changes are emitted
	ended      time.Time         // when it was first seen over, if it waits for its parts
	unread     time.Time         // since when its parts cannot be read; zero when they can, or it is not known
	barred     time.Time         // likewise, when no parts can be read
	out        bool              // being read or handed out
	next       time.Time         // when it is looked at
	notBefore  time.Time         // when it may be handed out again
	failed     [failures]bool    // what could not be read at the last try
	missed     time.Time         // since when the API does not know it; zero when it does
	seen       *Event            // emitted if the call vanishes: it was over, and not acknowledged
}

// failure is what could not be read.
type failure uint8

const (
	callUnread failure = iota
	partsUnread
	failures
)

type doneCall struct {
	created time.Time
	pass    uint64 // in which it was listed last
}

// finding is what the caller of a transition has to act on.
type finding struct {
	event    *Event // to be handed out
	dropped  string // why the call was given up; "" if it was not
	nameless bool   // the call has no id
	unknown  bool   // its status is not documented
}

func newBook(r rules, from time.Time) *book {
	return &book{rules: r, from: from, open: map[string]*openCall{}, done: map[string]doneCall{}, changes: 1}
}

// listed notes a call that a pass over those created since from shows.
func (b *book) listed(key string, call *Item, from, now time.Time) finding {
	b.mu.Lock()
	defer b.mu.Unlock()
	if d, done := b.done[key]; done {
		if d.pass != b.pass {
			d.pass = b.pass
			b.done[key] = d
		}
		return finding{}
	}
	c := b.open[key]
	if c == nil {
		// The bounds of a list are not documented: what was asked for is compared here.
		if !call.Created.IsZero() && call.Created.Before(from) {
			return finding{}
		}
		// One that cannot be looked at would never be seen to end.
		if call.ID == "" && !call.Over {
			return finding{nameless: true}
		}
		c = &openCall{key: key, created: call.Created, since: call.Created}
		if c.since.IsZero() {
			c.since = now
		}
		c.known, c.sinceSaved = c.since, c.since
		b.open[key] = c
		b.changes++
	}
	if c.out || c.notBefore.After(now) {
		return finding{}
	}
	found := b.observe(c, call, now)
	found.nameless = call.ID == ""
	return found
}

// due answers with the calls that it is time to look at, longest waiting first. They
// are out until one of looked, missing and unread. Those that passes list are left to
// them for a grace. Of those that wait for their time, one is looked at in each Poll,
// since it may have been canceled.
func (b *book) due(now time.Time, most int, grace time.Duration) []dueCall {
	b.mu.Lock()
	defer b.mu.Unlock()
	var calls []*openCall
	var early *openCall
	for _, c := range b.open {
		switch {
		case c.out || c.next.After(now):
		case b.rules.waits(c, now):
			if early == nil || c.next.Before(early.next) {
				early = c
			}
		case c.created.Before(b.from) || !c.next.Add(grace).After(now):
			calls = append(calls, c)
		}
	}
	slices.SortFunc(calls, func(x, y *openCall) int { return cmp.Or(x.next.Compare(y.next), cmp.Compare(x.key, y.key)) })
	calls = calls[:min(most, len(calls))]
	if early != nil && now.Sub(b.early) >= b.rules.poll {
		b.early = now
		calls = append(calls, early)
	}
	due := make([]dueCall, len(calls))
	for i, c := range calls {
		c.out = true
		due[i] = dueCall{key: c.key, created: c.created}
	}
	return due
}

// dueCall is an open call that it is time to look at.
type dueCall struct {
	key     string
	created time.Time // zero when the API does not say
}

// looked notes what a look at a call read.
func (b *book) looked(key string, call *Item, now time.Time) finding {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.open[key]
	if c == nil {
		return finding{}
	}
	c.out = false
	return b.observe(c, call, now)
}

// shown notes what a list shows of a call. Only open ones that may be handed out are
// looked after: what is new is for passes, which know how far they have come.
func (b *book) shown(key string, call *Item, now time.Time) finding {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.open[key]
	if c == nil || c.out || c.notBefore.After(now) {
		return finding{}
	}
	return b.observe(c, call, now)
}

// observe does with an observed call what the rules decide. The caller holds the lock.
func (b *book) observe(c *openCall, call *Item, now time.Time) finding {
	c.missed, c.seen = time.Time{}, nil
	b.fail(c, callUnread, false)
	v := b.rules.judge(c.known, c.since, c.emitted, call, now)
	c.later, c.queued = v.later, v.queued
	// A saved state need not follow each look at a call that is due some day.
	if c.since = v.since; c.since.Sub(c.sinceSaved).Abs() > 10*time.Minute {
		c.sinceSaved = c.since
		b.changes++
	}
	found := finding{unknown: !call.Known}
	switch {
	case call.Foreign: // which nothing showed before
		b.finish(c)
	case v.outcome != "":
		c.out = true
		found.event = &Event{Item: *call, Outcome: v.outcome, Previous: c.emitted, key: c.key}
	case v.finished:
		b.finish(c)
		if v.expired {
			found.dropped = dropExpired
		}
	default:
		b.fail(c, partsUnread, false)
		if c.unread, c.barred = (time.Time{}), (time.Time{}); !c.ended.IsZero() { // it goes on
			c.ended = time.Time{}
			b.changes++
		}
		if c.next = v.next; v.emitted != c.emitted {
			c.emitted = v.emitted
			b.changes++
		}
	}
	return found
}

// lost says whether missing would give a call up by now without an event.
func (b *book) lost(key string, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.open[key]
	return c != nil && c.seen == nil && !c.missed.IsZero() && now.Sub(c.missed) >= missingFor
}

// missing notes that the API does not know a call. One that was seen over before it
// vanished is emitted as it was then.
func (b *book) missing(key string, now time.Time) finding {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.open[key]
	if c == nil {
		return finding{}
	}
	b.fail(c, callUnread, false)
	if c.missed.IsZero() {
		c.missed = now
	}
	if now.Sub(c.missed) < missingFor {
		c.out, c.next = false, now.Add(missingFor/4)
		return finding{}
	}
	if c.seen != nil {
		return finding{event: c.seen} // it stays out
	}
	b.forget(c)
	return finding{dropped: dropDeleted}
}

// unread puts off a call that could not be read, for a wait at least. It is lost only
// if the API keeps refusing to show it.
func (b *book) unread(key string, wait time.Duration, refused bool, now time.Time) finding {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.open[key]
	if c == nil {
		return finding{}
	}
	if refused && now.Sub(c.since) > b.rules.maxAge {
		b.finish(c)
		return finding{dropped: dropExpired}
	}
	b.fail(c, callUnread, true)
	c.unread = time.Time{} // nobody asked for its parts
	c.out, c.next = false, now.Add(max(b.rules.interval(c.since, now), wait))
	return finding{}
}

// acknowledged ends an event, and answers which change has to be saved for that.
func (b *book) acknowledged(e *Event, now time.Time) uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.open[e.key]
	switch {
	case c == nil:
	case e.Item.Over || e.Outcome == Expired:
		b.finish(c)
	default:
		c.emitted, c.out, c.next = e.Item.Status, false, now.Add(b.rules.interval(c.since, now))
		b.changes++
	}
	return b.changes
}

// refused takes an event back, whose call is looked at and handed out again, but not
// before next.
func (b *book) refused(e *Event, next time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.open[e.key]
	if c == nil {
		return
	}
	c.out, c.next, c.notBefore = false, next, next
	if c.seen = nil; e.Outcome == Complete || e.Item.Over {
		c.seen = e
	}
}

// finish moves a call from open to done. The caller holds the lock.
func (b *book) finish(c *openCall) {
	b.forget(c)
	b.done[c.key] = doneCall{created: c.created, pass: b.pass}
}

// forget drops an open call. If it is ever listed again, it is a new one. The
// caller holds the lock.
func (b *book) forget(c *openCall) {
	b.fail(c, callUnread, false)
	b.fail(c, partsUnread, false)
	delete(b.open, c.key)
	b.changes++
}

// fail notes whether the last try to read something of a call failed. The caller
// holds the lock.
func (b *book) fail(c *openCall, what failure, failed bool) {
	if failed == c.failed[what] {
		return
	}
	if c.failed[what] = failed; failed {
		b.failing[what]++
	} else {
		b.failing[what]--
	}
}
