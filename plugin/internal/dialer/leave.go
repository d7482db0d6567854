package dialer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/ledger"
)

// leaveAfter is how long calls wait before they may be given back.
const leaveAfter = 5 * time.Second

// Terms are how calls are dialed that may be given back during a pause of the stream.
type Terms struct {
	// Began is when they were dialed first: MaxElapsedTime counts from then.
	Began time.Time
	// Leave is asked once they have waited for the API, or for the brake, for a while. It
	// says whether DialOn may return without having decided anything.
	Leave func(*Paused) bool
}

// Paused is the error of calls that were given back.
type Paused struct {
	Cause Cause
	Why   error // fit for the log
}

func (p *Paused) Error() string { return fmt.Sprintf("dialing paused (%s): %v", p.Cause, p.Why) }

// Unwrap gives the reason.
func (p *Paused) Unwrap() error { return p.Why }

// waitsAt waits for what lies ahead of all requests: the gate, or the brake. closed says
// why they hold the stream up; nil: they do not.
//
// Only here are calls given back, so it is this run's own goroutine that looks at what
// became of them, while it does nothing else with them.
func (r *run) waitsAt(ctx context.Context, closed func() *Paused, wait func(context.Context) error) error {
	for {
		met := closed()
		if met == nil || r.terms.Leave == nil || !r.untouched() {
			return wait(ctx)
		}
		if r.leaveAt.IsZero() {
			r.leaveAt = time.Now().Add(leaveAfter)
		}
		bound, cancel := context.WithDeadlineCause(ctx, r.leaveAt, met)
		err := wait(bound)
		cancel()
		var paused *Paused
		if err == nil || ctx.Err() != nil || !errors.As(context.Cause(bound), &paused) {
			return err
		}
		if met = closed(); met == nil { // it opened just now
			continue
		}
		if r.terms.Leave(met) {
			return met
		}
		r.terms.Leave = nil // others were first
	}
}

// untouched says whether nothing became of this run's calls so far: none is decided, none
// is claimed and none may have been placed, as far as this process knows. A claim whose
// release failed stays one.
func (r *run) untouched() bool {
	for _, j := range r.jobs {
		if j.result.Outcome != "" || j.claimed || j.doubt.Kind != ledger.Free || j.ruledOut > 0 || j.later != nil {
			return false
		}
	}
	return true
}
