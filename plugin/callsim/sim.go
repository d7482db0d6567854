package callsim

import (
	"fmt"
	"net/http"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim/internal/rig"
)

// Options of a Sim. The zero value is usable.
type Options struct {
	APIKey            string        // "" takes any bearer token
	Seed              uint64        // 0 draws one
	Speed             float64       // how much faster than the wall calls live; default 60
	KeepOrder         bool          // replies are shuffled otherwise
	MaxBatch          int           // larger requests are refused with 413; default 100, negative for no limit
	Visibility        time.Duration // until a new call is listed
	TranscriptDelay   time.Duration // simulated time from a call's end to its transcript; default 20s
	Latency           time.Duration // of every answer
	ClockSkew         time.Duration // the API's clock less the wall's, see SetClock
	Date              string        // the header of every answer: "" is the API's clock, "wall" a proxy's, "none" leaves it out, else as it is
	CreatedResolution time.Duration // created is cut to it, for what is shown and for from and to alike; 0 cuts nothing
	Webhooks          Webhooks      // who is told of changes of calls
}

// Sim is the pretend API, an http.Handler. It is safe for concurrent use. A Sim has
// goroutines of its own only while Options.Webhooks names a receiver; Close ends them.
type Sim struct {
	opts   Options
	rig    *rig.Rig
	table  *rig.Table
	mux    *http.ServeMux
	teller *teller // nil when nobody is told

	// Guarded by the rig's lock.
	calls   []*call // in order of creation
	byID    map[string]*call
	largest struct{ calls, bytes int }
}

// call is one call. Its life is computed from the time passed.
type call struct {
	id          string
	seq         uint64
	asked       *dialRequest
	arranged    *Arrival // nil for a call that was dialed
	echoDropped bool
	idDropped   bool
	canceled    bool
	deleted     bool
	created     time.Time     // on the calendar
	listedAt    time.Time     // likewise
	starts      time.Duration // on the simulated clock
}

// kind is the call's type.
func (c *call) kind() string {
	if c.arranged != nil {
		return c.arranged.Type
	}
	return outbound
}

// New returns a Sim without calls or faults.
func New(opts Options) *Sim {
	if opts.Speed == 0 {
		opts.Speed = 60
	}
	if opts.MaxBatch == 0 {
		opts.MaxBatch = 100
	}
	if opts.TranscriptDelay == 0 {
		opts.TranscriptDelay = 20 * time.Second
	}
	s := &Sim{opts: opts, table: newTable(), byID: map[string]*call{}}
	s.rig = rig.New(rig.Options{Seed: opts.Seed, Speed: opts.Speed, Skew: opts.ClockSkew, Date: opts.Date, Table: s.table})
	s.route()
	if opts.Webhooks.wanted() {
		s.teller = startTelling(s, opts.Webhooks)
	}
	return s
}

// Seed returns the seed, which Options.Seed takes to repeat a run. Requests that come at
// the same time are repeated in the order in which they arrive then.
func (s *Sim) Seed() uint64 { return s.rig.Seed() }

// Close ends delays and waits (AwaitCalls and the like), and returns when the last
// webhook has ended. The Sim still answers requests afterwards. Close may be called twice.
func (s *Sim) Close() {
	s.rig.Close()
	if s.teller != nil {
		s.teller.Stop()
	}
}

// Advance leaps simulated time forward. It panics when told to go back: calls
// that have ended cannot ring again.
func (s *Sim) Advance(d time.Duration) { s.rig.Advance(d) }

// SetClock sets the API's clock to be skew ahead of the wall's. It stamps calls from then
// on, and what list requests ask for is compared with those stamps.
func (s *Sim) SetClock(skew time.Duration) { s.rig.SetClock(skew) }

// create places calls. The caller holds the lock.
func (s *Sim) create(requests []dialRequest, hide time.Duration, fault Kind) []*call {
	today, now := s.rig.Today(), s.rig.Now()
	made := make([]*call, len(requests))
	for i := range requests {
		made[i] = s.enter(&requests[i], today, now)
		made[i].listedAt = made[i].listedAt.Add(hide)
		made[i].echoDropped, made[i].idDropped = fault == DropEcho, fault == DropID
	}
	return made
}

// enter creates a call at a moment of the calendar, not before that of the newest,
// and a reading of the simulated clock. The caller holds the lock.
func (s *Sim) enter(asked *dialRequest, at time.Time, now time.Duration) *call {
	seq := uint64(len(s.calls)) + 1
	c := &call{
		id: fmt.Sprintf("%08x%016x", uint32(s.Seed()), seq), seq: seq, asked: asked,
		created: at.Add(s.rig.Skew()).Truncate(s.opts.CreatedResolution), listedAt: at.Add(s.opts.Visibility), starts: now,
	}
	if asked.scheduled.After(at) {
		c.starts += asked.scheduled.Sub(at)
	}
	s.rig.Created(at)
	s.calls = append(s.calls, c)
	s.byID[c.id] = c
	s.rig.Wake()
	return c
}
