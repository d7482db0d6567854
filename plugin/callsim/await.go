package callsim

import (
	"context"
	"errors"
	"fmt"
)

// Tests wait here for what a client under test does, rather than for a while.

var errClosed = errors.New("the Sim was closed")

// AwaitStruck waits until a rule, by the number that Inject returned, has struck n times.
// The client may not have noticed yet. It fails when ctx ends, and at once when the rule
// is gone or cannot strike so often.
func (s *Sim) AwaitStruck(ctx context.Context, rule, n int) error {
	return s.await(ctx, func() (bool, string, error) {
		for _, f := range s.faults {
			if f.ID != rule {
				continue
			}
			if f.Times > 0 && f.Times < n {
				return false, "", fmt.Errorf("rule %d strikes %d times at most, not %d", rule, f.Times, n)
			}
			return f.Injected >= n, fmt.Sprintf("rule %d struck %d of %d times", rule, f.Injected, n), nil
		}
		return false, "", fmt.Errorf("there is no rule %d", rule)
	})
}

// AwaitRequests waits until n requests of an operation were answered or cut off, as
// RequestsOf counts them. It fails when ctx ends, and at once for an operation that does
// not exist.
func (s *Sim) AwaitRequests(ctx context.Context, operation string, n int) error {
	if !s.operations[operation] {
		return fmt.Errorf("unknown operation %q", operation)
	}
	return s.await(ctx, func() (bool, string, error) {
		got := s.requestsOf(operation)
		return got >= n, fmt.Sprintf("%d of %d requests of %s", got, n, operation), nil
	})
}

// AwaitCalls waits until there are n calls, however they came to be. It fails when ctx
// ends. The client may not have its answer yet.
func (s *Sim) AwaitCalls(ctx context.Context, n int) error {
	return s.await(ctx, func() (bool, string, error) {
		return len(s.calls) >= n, fmt.Sprintf("%d of %d calls", len(s.calls), n), nil
	})
}

// await asks, under the lock, whether something holds: now, and whenever something
// happened. What there is so far goes into the error when ctx ends first.
func (s *Sim) await(ctx context.Context, ask func() (holds bool, sofar string, err error)) error {
	for {
		s.mu.Lock()
		holds, sofar, err := ask()
		if s.happened == nil {
			s.happened = make(chan struct{})
		}
		happened := s.happened
		s.mu.Unlock()
		if holds || err != nil {
			return err
		}
		select {
		case <-happened:
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", sofar, context.Cause(ctx))
		case <-s.done:
			return fmt.Errorf("%s: %w", sofar, errClosed)
		}
	}
}

// wake lets all who wait look again. The caller holds the lock.
func (s *Sim) wake() {
	if s.happened != nil {
		close(s.happened)
		s.happened = nil
	}
}
