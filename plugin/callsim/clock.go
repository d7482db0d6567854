package callsim

import (
	"net/http"
	"time"
)

// The pretend API has two times.
//
// The calendar is the wall's, but for Options.ClockSkew and SetClock. It stamps calls with created, bounds lists (from,
// to, Visibility, Hide) and ends faults, because clients compare all of that
// with their own clock. It never goes back from one call to the next, so that
// the order of creation is the order of created.
//
// Simulated time is a clock of its own that only runs forward: Speed times as
// fast as the wall, and by leaps with Advance. A call remembers its reading at
// creation, so a call placed after a leap starts at age 0. Whatever is counted
// from a call's creation is simulated: its stages, its duration, the delay of its
// transcript, and the time until the moment it was scheduled for. A call
// scheduled in an hour therefore rings after a simulated hour, and created plus
// duration can lie ahead of the client's clock, as with any clock that runs fast.

// now reads the simulated clock; only differences of readings mean anything. The
// caller holds the lock.
func (s *Sim) now() time.Duration {
	return time.Duration(float64(time.Since(s.epoch))*s.opts.Speed) + s.advanced
}

// today reads the calendar. The caller holds the lock.
func (s *Sim) today() time.Time {
	now := time.Now().Round(0) // without the monotonic reading: what clients see must not go back
	if now.Before(s.newest) {
		return s.newest
	}
	return now
}

// Advance leaps simulated time forward. It panics when told to go back: calls
// that have ended cannot ring again.
func (s *Sim) Advance(d time.Duration) {
	if d < 0 {
		panic("callsim: simulated time does not go back")
	}
	s.mu.Lock()
	s.advanced += d
	s.mu.Unlock()
}

// SetClock sets the API's clock to be skew ahead of the wall's. It stamps calls from then
// on, and what list requests ask for is compared with those stamps.
func (s *Sim) SetClock(skew time.Duration) {
	s.mu.Lock()
	s.skew, s.clockSet = skew, true
	s.mu.Unlock()
}

// dateHeader sets the Date of an answer.
func (s *Sim) dateHeader(h http.Header) {
	switch s.opts.Date {
	case "":
		s.mu.Lock()
		now := time.Now().Add(s.skew)
		s.mu.Unlock()
		h.Set("Date", now.UTC().Format(http.TimeFormat))
	case "wall": // which net/http sets
	case "none":
		h["Date"] = nil
	default:
		h.Set("Date", s.opts.Date)
	}
}
