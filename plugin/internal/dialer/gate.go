package dialer

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/words"
)

// Trouble is why no request may leave.
type Trouble string

// Troubles of the API as a whole. None of them ever fails a message.
const (
	Unreachable Trouble = "unreachable"          // requests cannot be sent
	RateLimited Trouble = words.CauseRateLimited // 429
	SetupWrong  Trouble = words.CauseSetup       // the key or the URL is refused
	Unanswered  Trouble = words.CauseUnanswered  // a request may have arrived and nobody knows
	noTrouble   Trouble = ""                     // the gate is open
	fullGroup           = int(^uint(0) >> 1)     // no limit of its own
)

// gate lets dial requests out while the API works. In trouble it closes, and
// after a pause lets one request out at a time as a probe; the first that is
// answered opens it for all. The probe carries one call only, unless requests do
// not arrive at all. After an unanswered request the gate stays closed until the
// API has answered anything. So an outage makes few calls unknown, and no storm.
type gate struct {
	mu       sync.Mutex
	trouble  Trouble
	until    time.Time // no probe before
	silent   bool      // no answer of any kind since an unanswered request
	single   bool      // the probe carries one call
	probing  bool
	wake     chan struct{} // closed and replaced at each change
	pause    *backoff.ExponentialBackOff
	onHold   func(Trouble, error)
	onResume func(Trouble)
}

// pass is the right to send one request, or to leave without.
type pass struct {
	probe bool
	limit int // most calls the request may carry
}

func newGate(opts Options) *gate {
	return &gate{
		wake:     make(chan struct{}),
		pause:    growingPause(opts),
		onHold:   opts.OnHold,
		onResume: opts.OnResume,
	}
}

// growingPause grows to the longest pause and never stops; callers draw the
// jitter with fullJitter.
func growingPause(opts Options) *backoff.ExponentialBackOff {
	return backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(opts.InitialInterval),
		backoff.WithMaxInterval(opts.MaxInterval),
		backoff.WithRandomizationFactor(0),
		backoff.WithMultiplier(2),
		backoff.WithMaxElapsedTime(0),
	)
}

// fullJitter draws a wait from the whole interval, so that clients that failed
// together do not come back together.
func fullJitter(interval time.Duration) time.Duration {
	return 1 + rand.N(max(interval, 1)) //nolint:gosec // spreads load, keeps no secret
}

// enter waits until a request may leave.
func (g *gate) enter(ctx context.Context) (pass, error) {
	for {
		g.mu.Lock()
		if g.trouble == noTrouble {
			g.mu.Unlock()
			return pass{limit: fullGroup}, ctx.Err()
		}
		wait := time.Until(g.until)
		if !g.silent && !g.probing && wait <= 0 {
			g.probing = true
			limit := fullGroup
			if g.single {
				limit = 1
			}
			g.mu.Unlock()
			return pass{probe: true, limit: limit}, nil
		}
		if g.silent || g.probing {
			wait = time.Hour // until woken
		}
		wake := g.wake
		g.mu.Unlock()

		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-wake:
			timer.Stop()
		case <-ctx.Done():
			timer.Stop()
			return pass{}, context.Cause(ctx)
		}
	}
}

// valid says whether a pass is still good: the gate may have closed since.
func (g *gate) valid(p pass) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return p.probe || g.trouble == noTrouble
}

// leave gives a pass back unused.
func (g *gate) leave(p pass) {
	if !p.probe {
		return
	}
	g.mu.Lock()
	g.probing = false
	g.wakeAll()
	g.mu.Unlock()
}

// answered reports that a dial request was answered, with whatever verdict on
// its calls. Only a probe opens a closed gate: a request that left before the
// trouble says nothing about now.
func (g *gate) answered(p pass) {
	g.mu.Lock()
	g.silent = false
	over := g.trouble
	resumed := p.probe && over != noTrouble
	if p.probe {
		g.probing = false
	}
	if resumed {
		g.trouble, g.single = noTrouble, false
		g.pause.Reset()
	}
	g.wakeAll()
	g.mu.Unlock()
	if resumed && g.onResume != nil {
		g.onResume(over)
	}
}

// heard reports that the API answered a question about calls, or that nobody is
// left to ask one.
func (g *gate) heard() {
	g.mu.Lock()
	if g.silent {
		g.silent = false
		g.wakeAll()
	}
	g.mu.Unlock()
}

// close reports trouble. The next probe leaves after the wait that the API asked
// for, or else after a jittered pause that grows from probe to probe.
func (g *gate) close(p pass, why Trouble, asked time.Duration, cause error) {
	g.mu.Lock()
	changed := g.trouble != why
	wait := asked
	if p.probe || g.trouble == noTrouble {
		if interval := g.pause.NextBackOff(); wait == 0 {
			wait = fullJitter(interval)
		}
	}
	g.trouble = why
	if p.probe {
		g.probing = false
	}
	switch why {
	case Unanswered:
		g.silent, g.single = true, true
	case RateLimited, SetupWrong:
		// A limit may be met in the middle of a batch, but not of a single call.
		g.single = true
	}
	if until := time.Now().Add(wait); until.After(g.until) {
		g.until = until
	}
	g.wakeAll()
	g.mu.Unlock()
	if changed && g.onHold != nil {
		g.onHold(why, cause)
	}
}

func (g *gate) wakeAll() {
	close(g.wake)
	g.wake = make(chan struct{})
}
