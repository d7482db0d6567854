package callsim

import (
	"context"
	"fmt"
)

// Tests wait here for what a client under test does, rather than for a while.

// AwaitStruck waits until a rule, by the number that Inject returned, has struck n times.
// The client may not have noticed yet. It fails when ctx ends, and at once when the rule
// is gone or cannot strike so often.
func (s *Sim) AwaitStruck(ctx context.Context, rule, n int) error {
	return s.rig.AwaitStruck(ctx, rule, n)
}

// AwaitRequests waits until n requests of an operation were answered or cut off, as
// RequestsOf counts them. It fails when ctx ends, and at once for an operation that does
// not exist.
func (s *Sim) AwaitRequests(ctx context.Context, operation string, n int) error {
	return s.rig.AwaitRequests(ctx, operation, n)
}

// AwaitCalls waits until there are n calls, however they came to be. It fails when ctx
// ends. The client may not have its answer yet.
func (s *Sim) AwaitCalls(ctx context.Context, n int) error {
	return s.rig.Await(ctx, func() (bool, string, error) {
		return len(s.calls) >= n, fmt.Sprintf("%d of %d calls", len(s.calls), n), nil
	})
}
