package dialer

import (
	"sync"
	"time"
)

// Clock is how far the API's clock is from ours, as its answers show it: their Date, and
// the time of calls that it just created. What counts is how far it may be behind, since
// a call is stamped by it and looked for by ours. Safe for concurrent use; the zero Clock
// is one that nothing is known of.
type Clock struct {
	mu      sync.Mutex
	skew    time.Duration // the API's time less ours, about
	known   bool          // skew is of a created call
	created history
	dated   history
	date    reading // the last Date
	foreign bool    // Date is of another clock than created: of a proxy, say
}

// reading is that the API's clock less ours is from least to most.
type reading struct {
	least, most time.Duration
	at          time.Time // by our clock
}

const (
	// dateStep is the resolution of both: a Date has whole seconds, and created may.
	dateStep = time.Second
	// clockStep is the resolution of what is remembered.
	clockStep = 10 * time.Second
	// mostDateSkew is how far a Date may be from our time, to be taken for one.
	mostDateSkew = 7 * 24 * time.Hour
	mostHistory  = 32
)

// read makes a reading of a stamp that the API made between two moments.
func read(stamp, sent, received time.Time) reading {
	return reading{stamp.Sub(received), stamp.Add(dateStep).Sub(sent), received}
}

// SawDate takes the Date of an answer to a request that was sent and answered then.
func (c *Clock) SawDate(date, sent, received time.Time) {
	r := read(date, sent, received)
	if r.least > mostDateSkew || r.most < -mostDateSkew {
		return // no clock is off as far
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.date = r
	if c.foreign {
		return
	}
	c.dated.add(r)
	if !c.known {
		c.skew = r.nearest(c.skew)
	}
}

// sawCreated takes the time of a call that was created by a request.
func (c *Clock) sawCreated(created, sent, received time.Time) {
	r := read(created, sent, received)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.skew, c.known = r.nearest(c.skew), true
	c.created.add(r)
	// The stamps of calls are what is compared. A Date that disagrees is of no use.
	if !c.date.at.IsZero() && c.date.at.Sub(r.at).Abs() < time.Minute {
		c.foreign = c.date.least > r.most+dateStep || r.least > c.date.most+dateStep
	}
}

// nearest is the skew within a reading that is nearest to one thought of so far.
func (r reading) nearest(skew time.Duration) time.Duration {
	return min(max(skew, r.least), r.most)
}

// Skew is the API's clock less ours, 0 while nothing is known.
func (c *Clock) Skew() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.skew
}

// seen reports whether the API has shown its clock.
func (c *Clock) seen() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.created) > 0 || !c.foreign && len(c.dated) > 0
}

// behind is how far the API's clock may have been behind ours at a time or later.
func (c *Clock) behind(since time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	most := c.created.behind(since)
	if !c.foreign {
		most = max(most, c.dated.behind(since))
	}
	return most
}

// history is what a clock was behind, and when: the older, the more. An entry that a
// later one exceeds tells nothing more, so it is gone.
type history []struct {
	behind time.Duration
	last   time.Time // when it was read
}

// add notes a reading. In doubt the clock is as far behind as the reading allows.
func (h *history) add(r reading) {
	behind := max(-r.least, 0)
	if past := behind % clockStep; past > 0 {
		behind += clockStep - past
	}
	all := *h
	for len(all) > 0 && all[len(all)-1].behind <= behind {
		all = all[:len(all)-1]
	}
	all = append(all, struct {
		behind time.Duration
		last   time.Time
	}{behind, r.at})
	if len(all) > mostHistory { // the two oldest become one, as far behind as either
		all[1].behind = all[0].behind
		all = append(all[:0], all[1:]...)
	}
	*h = all
}

// behind is the most since a time. The reading before it counts: it was the clock's then.
func (h history) behind(since time.Time) (most time.Duration) {
	for i := len(h) - 1; i >= 0; i-- {
		if most = h[i].behind; h[i].last.Before(since) {
			break
		}
	}
	return most
}
