package dialer

import (
	"context"
	"sync"
	"time"
)

// bell is a lock, and wakes those who wait for a change of what it guards.
type bell struct {
	mu   sync.Mutex
	wake chan struct{} // closed and replaced at each change
}

func newBell() bell { return bell{wake: make(chan struct{})} }

// untilRung is for how long somebody waits whom only a change can help.
const untilRung = time.Hour

// await gives up the lock until the bell rings, for a time at most. The lock is held when
// it returns, also with the error of ctx.
func (b *bell) await(ctx context.Context, most time.Duration) error {
	wake := b.wake
	b.mu.Unlock()
	defer b.mu.Lock()
	return awaitWake(ctx, wake, most)
}

// ring wakes all who wait. The lock is held.
func (b *bell) ring() {
	close(b.wake)
	b.wake = make(chan struct{})
}

// awaitWake waits until wake is closed, for a time at most.
func awaitWake(ctx context.Context, wake <-chan struct{}, most time.Duration) error {
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-wake:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}
