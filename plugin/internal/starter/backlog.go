package starter

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot/platform"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/dialer"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/words"
)

// Backlog is a guard that starts no run while too many wait to begin. The platform takes a
// million leads in an hour, and dials a hundred at a time.
type Backlog struct {
	s     *Starter
	most  int
	every time.Duration

	turn chan struct{} // holds one token, whose owner asks

	mu      sync.Mutex
	asked   time.Time // zero: never
	waiting int       // runs that waited then
	since   int       // runs that were started since, or are about to be
	failed  error     // why nobody knows
}

// NewBacklog makes a guard that lets nothing start while more than most runs wait. It asks
// every so often at most, and counts what is started in between.
func (s *Starter) NewBacklog(most int, every time.Duration) *Backlog {
	b := &Backlog{s: s, most: most, every: every, turn: make(chan struct{}, 1)}
	b.turn <- struct{}{}
	return b
}

var _ dialer.Guard = (*Backlog)(nil)

// fresh says whether what was answered last still counts. The lock is held.
func (b *Backlog) fresh(now time.Time) bool { return !b.asked.IsZero() && now.Sub(b.asked) < b.every }

// verdict is what follows from the last answer. The lock is held.
func (b *Backlog) verdict() dialer.Verdict {
	switch {
	case b.failed != nil:
		return dialer.Verdict{
			Ruling: dialer.Pause, Cause: dialer.CauseOf(happyrobot.ClassOf(b.failed)),
			Why: fmt.Errorf("max_backlog: the length of the queue is not known: %w", b.failed),
		}
	case b.waiting+b.since > b.most:
		return dialer.Verdict{
			Ruling: dialer.Pause, Cause: words.CauseBacklog,
			Why: fmt.Errorf("%d runs wait to begin, and %d were started since that was asked, more than max_backlog (%d)", b.waiting, b.since, b.most),
		}
	}
	return dialer.Verdict{}
}

// Check implements dialer.Guard.
func (b *Backlog) Check(now time.Time, _ *dialer.Call) dialer.Verdict {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.fresh(now) {
		return dialer.Verdict{}
	}
	return b.verdict()
}

// LookUp implements dialer.Guard. It asks, if the last answer is too old.
func (b *Backlog) LookUp(ctx context.Context, _ time.Time, calls []*dialer.Call) ([]dialer.Verdict, error) {
	if err := b.refresh(ctx); err != nil {
		return nil, err
	}
	b.mu.Lock()
	v := b.verdict()
	b.mu.Unlock()
	if v.Ruling == dialer.Allow {
		return nil, nil
	}
	verdicts := make([]dialer.Verdict, len(calls))
	for i := range verdicts {
		verdicts[i] = v
	}
	return verdicts, nil
}

func (b *Backlog) refresh(ctx context.Context) error {
	select {
	case <-b.turn:
		defer func() { b.turn <- struct{}{} }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	b.mu.Lock()
	fresh, before := b.fresh(time.Now()), b.since
	b.mu.Unlock()
	if fresh {
		return nil
	}
	n, err := b.s.opts.Asks.CountRuns(ctx, b.s.opts.Workflow, platform.RunQuery{Status: platform.RunScheduled})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.asked, b.failed = time.Now(), err; err == nil {
		b.waiting, b.since = n, b.since-before // what left meanwhile may not be counted
	}
	return nil
}

// Reserve implements dialer.Guard: what is about to be started will wait.
func (b *Backlog) Reserve(_ context.Context, _ time.Time, calls []*dialer.Call) ([]dialer.Verdict, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.since += len(calls)
	return nil, nil
}

// Commit implements dialer.Guard.
func (b *Backlog) Commit(context.Context, []*dialer.Call) {}

// Release implements dialer.Guard.
func (b *Backlog) Release(_ context.Context, calls []*dialer.Call) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.since = max(b.since-len(calls), 0)
}
