// Package pause is how everything here waits: one pause that grows from try to try,
// one sleep that watches a context, and one notice that reports trouble.
package pause

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// Growing is a pause between tries of one thing. It doubles from try to try, up to
// its longest. It is not safe for concurrent use.
type Growing struct{ interval *backoff.ExponentialBackOff }

// NewGrowing makes a pause whose interval grows from first to longest.
func NewGrowing(first, longest time.Duration) *Growing {
	return &Growing{backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(first),
		backoff.WithMaxInterval(longest),
		backoff.WithRandomizationFactor(0), // Next draws from the whole interval
		backoff.WithMultiplier(2),
		backoff.WithMaxElapsedTime(0), // whoever waits decides when to give up
	)}
}

// Next draws a pause from the whole interval, so that clients that failed together do
// not come back together, and doubles the interval. It is never zero.
func (g *Growing) Next() time.Duration {
	return 1 + rand.N(max(g.interval.NextBackOff(), 1)) //nolint:gosec // spreads load, keeps no secret
}

// Reset begins again with the first interval: the last try succeeded.
func (g *Growing) Reset() { g.interval.Reset() }

// Sleep waits for d, or until ctx ends, and then answers its cause.
func Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return context.Cause(ctx)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// SleepUntil is Sleep to a moment.
func SleepUntil(ctx context.Context, at time.Time) error { return Sleep(ctx, time.Until(at)) }

// afterwards is the key under which a context of Afterwards keeps the one it outlives.
type afterwards struct{}

// Afterwards is a context for what must be finished although its own may end: it outlives
// ctx by a grace, and then ends.
func Afterwards(ctx context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	out, cancel := context.WithCancel(context.WithValue(context.WithoutCancel(ctx), afterwards{}, ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel()
		case <-out.Done():
		}
	})
	return out, func() { stop(); cancel() }
}

// Stopping reports whether ctx has ended, or the one that it outlives.
func Stopping(ctx context.Context) bool {
	outlived, _ := ctx.Value(afterwards{}).(context.Context)
	return ctx.Err() != nil || outlived != nil && outlived.Err() != nil
}
