package dialer

import (
	"context"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/words"
)

// Cause is why the stream is paused. Only Refusals fail calls: one for each try.
type Cause string

// Causes of the dialer's own.
const (
	Setup            Cause = words.CauseSetup            // the key or the URL is refused
	RateLimited      Cause = words.CauseRateLimited      // the API asked to slow down
	Unanswered       Cause = words.CauseUnanswered       // the API cannot be reached, or gives no answer
	ClaimedElsewhere Cause = words.CauseClaimedElsewhere // another process may be dialing the calls that wait
)

// CauseOf is what is waited for after an answer of a class that is no success.
func CauseOf(c happyrobot.Class) Cause {
	switch c {
	case happyrobot.ClassSetup,
		happyrobot.ClassRefused, happyrobot.ClassNotFound, happyrobot.ClassOther: // only a feed waits after these
		return Setup
	case happyrobot.ClassThrottled:
		return RateLimited
	}
	return Unanswered
}

// trouble is why no request may leave, and how the gate is tried again.
type trouble struct {
	cause  Cause
	single bool // a probe carries one call
	silent bool // no probe before the API has answered anything
}

// Troubles of the API as a whole.
var (
	unreachable = trouble{cause: CauseOf(happyrobot.ClassNotSent)} // the request certainly did not arrive
	unanswered  = trouble{cause: CauseOf(happyrobot.ClassUnknown), single: true, silent: true}
	// A limit may be reached in the middle of a batch, but not of a single call.
	rateLimited = trouble{cause: CauseOf(happyrobot.ClassThrottled), single: true}
	setupWrong  = trouble{cause: CauseOf(happyrobot.ClassSetup), single: true}
)

// gate lets dial requests out while the API works. In trouble it closes, and
// after a pause lets one request out at a time as a probe; the first that is
// answered opens it for all. The probe carries one call only, unless requests do
// not arrive at all. After an unanswered request the gate stays closed until the
// API has answered anything. This bounds how many calls an outage leaves in doubt,
// and avoids a thundering herd.
type gate struct {
	notice func(Cause) *pause.Notice

	bell
	cause   Cause // "": the gate is open
	why     error
	until   time.Time // no probe before
	silent  bool      // no answer of any kind since an unanswered request
	single  bool      // the probe carries one call
	probing bool
	pause   *pause.Growing

	// What the notices know. Whoever is reporting owns the last two.
	changes, reported int
	reporting         bool
	shown             Cause
	waiter            *pause.Waiter
}

// turn is the right to send one request, or to leave without.
type turn struct {
	probe bool
	try   bool // while the brake is on: leave it afterwards
	limit int  // most calls the request may carry
}

const fullGroup = int(^uint(0) >> 1) // no limit of the gate's own

func newGate(opts Options) *gate {
	return &gate{
		bell:   newBell(),
		pause:  pause.NewGrowing(opts.InitialInterval, opts.MaxInterval),
		notice: opts.notice,
	}
}

// enter waits until a request may leave.
func (g *gate) enter(ctx context.Context) (turn, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.cause != "" {
		wait := time.Until(g.until)
		if g.silent || g.probing {
			wait = untilRung
		} else if wait <= 0 {
			g.probing = true
			limit := fullGroup
			if g.single {
				limit = 1
			}
			return turn{probe: true, limit: limit}, nil
		}
		if err := g.await(ctx, wait); err != nil {
			return turn{}, err
		}
	}
	return turn{limit: fullGroup}, ctx.Err()
}

// closed says why no request may leave, nil while the gate is open.
func (g *gate) closed() *Paused {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.cause == "" {
		return nil
	}
	return &Paused{g.cause, g.why}
}

// valid says whether a turn is still good: the gate may have closed since.
func (g *gate) valid(t turn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return t.probe || g.cause == ""
}

// leave gives a turn back unused.
func (g *gate) leave(t turn) {
	if !t.probe {
		return
	}
	g.mu.Lock()
	g.probing = false
	g.ring()
	g.mu.Unlock()
}

// answered reports that a dial request was answered, whatever the answer says of its
// calls. Only a probe opens a closed gate: a request that left before the trouble says
// nothing about now.
func (g *gate) answered(t turn) {
	g.mu.Lock()
	if !t.probe && !g.silent {
		g.mu.Unlock()
		return
	}
	g.silent = false
	if t.probe {
		g.probing = false
		if g.cause != "" {
			g.cause, g.why, g.single = "", nil, false
			g.changes++
			g.pause.Reset()
		}
	}
	g.ring()
	g.report()
}

// heard reports that the API answered a question about calls, or that nobody asks one
// any longer.
func (g *gate) heard() {
	g.mu.Lock()
	if g.silent {
		g.silent = false
		g.ring()
	}
	g.mu.Unlock()
}

// close reports trouble. The next probe leaves after the wait that the API asked
// for, or else after a pause that grows from probe to probe.
func (g *gate) close(t turn, met trouble, asked time.Duration, why error) {
	g.mu.Lock()
	wait := asked
	if t.probe || g.cause == "" {
		if next := g.pause.Next(); wait == 0 {
			wait = next
		}
	}
	g.cause, g.why = met.cause, why
	g.changes++
	if t.probe {
		g.probing = false
	}
	g.silent = g.silent || met.silent
	g.single = g.single || met.single
	if until := time.Now().Add(wait); until.After(g.until) {
		g.until = until
	}
	g.ring()
	g.report()
}

// report brings the notices up to date. The lock is held, and given up: one goroutine
// reports at a time, and again if the gate changed meanwhile, so that what is reported
// last is what is the case.
func (g *gate) report() {
	if g.reporting {
		g.mu.Unlock()
		return
	}
	g.reporting = true
	for g.reported != g.changes {
		g.reported = g.changes
		cause, why := g.cause, g.why
		g.mu.Unlock()
		if cause != g.shown {
			g.waiter.Recovered()
			g.waiter, g.shown = nil, cause
			if cause != "" {
				g.waiter = g.notice(cause).Waiter()
			}
		}
		if cause != "" {
			g.waiter.Trouble(why)
		}
		g.mu.Lock()
	}
	g.reporting = false
	g.mu.Unlock()
}
