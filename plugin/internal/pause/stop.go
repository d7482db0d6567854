package pause

import (
	"context"
	"errors"
	"time"
)

// stopWaits is how long a wait may still last when the process stops: what is nearly done
// gets done.
const stopWaits = 500 * time.Millisecond

var errStopping = errors.New("the process is stopping")

// A Stop ends waits before the process ends. Benthos stops inputs first and outputs last, and
// tells an output that waits only when three quarters of `shutdown_timeout` have passed.
type Stop struct {
	ctx   context.Context //nolint:containedctx // of the stop itself, not of a caller
	begin context.CancelFunc
}

// OfOutput is what ends the waits of an output early, which is at a path of a config: only
// where the output is the stream's own, which gives its messages back to the input. What is
// around any other one may take an error for something else, as `fallback` and `drop_on` do,
// and does so for a resource, too, whose path does not show it.
func OfOutput(path []string) *Stop {
	if len(path) == 1 && path[0] == "output" {
		return Process
	}
	return nil
}

// NewStop makes a Stop that has not begun.
func NewStop() *Stop {
	ctx, begin := context.WithCancel(context.Background())
	return &Stop{ctx, begin}
}

// Process is the Stop of this process.
var Process = NewStop()

// Begin begins to stop. Further calls do nothing.
func (s *Stop) Begin() { s.begin() }

// Begun reports whether the stop has begun. That of a nil Stop never has.
func (s *Stop) Begun() bool { return s != nil && s.ctx.Err() != nil }

// Bound is a context for work that may wait: it ends with ctx, or shortly after the stop
// began. A nil Stop never begins.
func (s *Stop) Bound(ctx context.Context) (context.Context, context.CancelFunc) {
	bound, cancel := context.WithCancelCause(ctx)
	done := func() { cancel(context.Canceled) }
	if s == nil {
		return bound, done
	}
	unregister := context.AfterFunc(s.ctx, func() {
		if Sleep(bound, stopWaits) == nil {
			cancel(errStopping)
		}
	})
	return bound, func() { unregister(); done() }
}
