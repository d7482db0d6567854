package rig

import (
	"net/http"
	"time"
)

// A pretend API has two times.
//
// The calendar is the wall's, but for Options.Skew and SetClock. It stamps what is created,
// bounds lists and visibility, and ends faults, because clients compare all of that
// with their own clock. It never goes back from one creation to the next, so that
// the order of creation is the order of the stamps.
//
// Simulated time is a clock of its own that only runs forward: Speed times as
// fast as the wall, and by leaps with Advance. What is created remembers its reading,
// so it starts at age 0 also after a leap. Whatever is counted from a creation is
// simulated, so a stamp plus a duration can lie ahead of the client's clock, as with any
// clock that runs fast.

// Now reads the simulated clock; only differences of readings mean anything. The
// caller holds the lock.
func (r *Rig) Now() time.Duration {
	return time.Duration(float64(time.Since(r.epoch))*r.opts.Speed) + r.advanced
}

// Today reads the calendar, without the skew. The caller holds the lock.
func (r *Rig) Today() time.Time {
	now := time.Now().Round(0) // without the monotonic reading: what clients see must not go back
	if now.Before(r.newest) {
		return r.newest
	}
	return now
}

// Newest is the latest creation so far.
func (r *Rig) Newest() time.Time { return r.newest }

// Created notes a creation. The caller holds the lock.
func (r *Rig) Created(at time.Time) { r.newest = at }

// Skew is how far the API's clock is ahead of the wall's. The caller holds the lock.
func (r *Rig) Skew() time.Duration { return r.skew }

// ClockSet says whether the calendar was moved while running, so that the order of stamps is
// not that of creation. The caller holds the lock.
func (r *Rig) ClockSet() bool { return r.clockSet }

// Advance leaps simulated time forward. It panics when told to go back: what has ended
// cannot begin again.
func (r *Rig) Advance(d time.Duration) {
	if d < 0 {
		panic("callsim: simulated time does not go back")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leaps = append(r.leaps, leap{time.Now(), r.Now()})
	r.advanced += d
}

// leap is where simulated time left off, and when.
type leap struct {
	at      time.Time
	reading time.Duration
}

// Wall is when the simulated clock showed a reading that is not ahead of it. What was leapt
// over happened at the time of the leap. The caller holds the lock.
func (r *Rig) Wall(reading time.Duration) time.Time {
	at, behind := time.Now(), r.Now()
	for i := len(r.leaps); i >= 0; i-- {
		var from time.Time
		if i > 0 {
			from = r.leaps[i-1].at
		} else {
			from = r.epoch
		}
		was := at.Add(-time.Duration(float64(behind-reading) / r.opts.Speed))
		if i == 0 || !was.Before(from) {
			return was.Round(0)
		}
		if reading >= r.leaps[i-1].reading {
			return from.Round(0)
		}
		at, behind = from, r.leaps[i-1].reading
	}
	return at.Round(0)
}

// SetClock sets the API's clock to be skew ahead of the wall's.
func (r *Rig) SetClock(skew time.Duration) {
	r.mu.Lock()
	r.skew, r.clockSet = skew, true
	r.mu.Unlock()
}

// DateHeader sets the Date of an answer.
func (r *Rig) DateHeader(h http.Header) {
	switch r.opts.Date {
	case "":
		r.mu.Lock()
		now := time.Now().Add(r.skew)
		r.mu.Unlock()
		h.Set("Date", now.UTC().Format(http.TimeFormat))
	case "wall": // which net/http sets
	case "none":
		h["Date"] = nil
	default:
		h.Set("Date", r.opts.Date)
	}
}
