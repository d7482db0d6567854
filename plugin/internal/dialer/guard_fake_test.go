package dialer

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
)

// fakeGuard says what it is told to, nil allows, and keeps what it is asked.
type fakeGuard struct {
	check           func(now time.Time, c *Call) Verdict
	lookUp, reserve func(calls []*Call) []Verdict

	mu    sync.Mutex
	steps []string
}

func (g *fakeGuard) step(what string, calls ...*Call) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range calls {
		what += " " + c.Number[len(c.Number)-1:]
	}
	g.steps = append(g.steps, what)
}

func (g *fakeGuard) did() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return strings.Join(g.steps, ", ")
}

func (g *fakeGuard) Check(now time.Time, c *Call) Verdict {
	g.step("check", c)
	if g.check == nil {
		return Verdict{}
	}
	return g.check(now, c)
}

func (g *fakeGuard) LookUp(ctx context.Context, _ time.Time, calls []*Call) ([]Verdict, error) {
	g.step("look up", calls...)
	if g.lookUp == nil {
		return nil, ctx.Err()
	}
	return g.lookUp(calls), ctx.Err()
}

func (g *fakeGuard) Reserve(ctx context.Context, _ time.Time, calls []*Call) ([]Verdict, error) {
	g.step("reserve", calls...)
	if g.reserve == nil {
		return nil, ctx.Err()
	}
	return g.reserve(calls), ctx.Err()
}

func (g *fakeGuard) Commit(_ context.Context, calls []*Call)  { g.step("commit", calls...) }
func (g *fakeGuard) Release(_ context.Context, calls []*Call) { g.step("release", calls...) }

// guarded opens a dialer with guards.
func guarded(guards ...Guard) func(*Options) {
	return func(o *Options) { o.Guards = guards }
}

var errTooLate = errors.New("the recipient's day is over")

// outside refuses a call until a moment.
func outside(until time.Time) Verdict {
	return Verdict{Ruling: Refuse, Outcome: "outside_hours", Reason: "hours", Rule: "us", NextAllowed: until, Why: errTooLate}
}

// only gives a verdict on calls whose number ends so, one by one or all at once.
func only(end string, v Verdict) (func(time.Time, *Call) Verdict, func([]*Call) []Verdict) {
	one := func(_ time.Time, c *Call) Verdict {
		if strings.HasSuffix(c.Number, end) {
			return v
		}
		return Verdict{}
	}
	return one, func(calls []*Call) (all []Verdict) {
		for _, c := range calls {
			all = append(all, one(time.Time{}, c))
		}
		return all
	}
}

func unrecorded(t *testing.T, mem store.Store, c Call) {
	t.Helper()
	_, err := mem.Get(t.Context(), c.Ref)
	assert.ErrorIs(t, err, store.ErrNotFound, "a call that is not placed leaves no record")
}

// stuckGuard never comes to an end of its own.
type stuckGuard struct {
	fakeGuard
	lookUp, reserve func(context.Context)
	pause, later    bool
}

func (g *stuckGuard) Check(now time.Time, c *Call) Verdict {
	switch {
	case g.pause:
		return Verdict{Ruling: Pause, Cause: "switch", Why: errTooLate}
	case g.later:
		return Verdict{Ruling: Later, NotBefore: now.Add(time.Hour), Cause: "evening", Why: errTooLate}
	}
	return g.fakeGuard.Check(now, c)
}

func (g *stuckGuard) LookUp(ctx context.Context, now time.Time, calls []*Call) ([]Verdict, error) {
	if g.lookUp != nil {
		g.lookUp(ctx)
	}
	return g.fakeGuard.LookUp(ctx, now, calls)
}

func (g *stuckGuard) Reserve(ctx context.Context, now time.Time, calls []*Call) ([]Verdict, error) {
	if g.reserve != nil {
		g.reserve(ctx)
	}
	return g.fakeGuard.Reserve(ctx, now, calls)
}

// releaseGuard says when it is told to release.
type releaseGuard struct {
	fakeGuard
	released func()
}

func (g *releaseGuard) Release(ctx context.Context, calls []*Call) {
	g.released()
	g.fakeGuard.Release(ctx, calls)
}
