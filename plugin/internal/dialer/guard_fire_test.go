package dialer

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/ledger"
)

// fickle is a guard that changes its mind at any moment, and knows what is reserved.
type fickle struct {
	mu       sync.Mutex
	rng      *rand.Rand
	reserved map[string]bool
}

func (g *fickle) verdict() Verdict {
	switch g.rng.IntN(20) {
	case 0:
		return outside(time.Time{})
	case 1, 2:
		return Verdict{Ruling: Later, NotBefore: time.Now().Add(upTo(g.rng, time.Minute)), Cause: "evening", Why: errTooLate}
	case 3:
		return Verdict{Ruling: Pause, Cause: "switch", Why: errTooLate}
	}
	return Verdict{}
}

func (g *fickle) Check(time.Time, *Call) Verdict {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.verdict()
}

func (g *fickle) LookUp(ctx context.Context, _ time.Time, calls []*Call) ([]Verdict, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := make([]Verdict, len(calls))
	for i := range all {
		all[i] = g.verdict()
	}
	return all, ctx.Err()
}

func (g *fickle) Reserve(ctx context.Context, _ time.Time, calls []*Call) ([]Verdict, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := make([]Verdict, len(calls))
	for i, c := range calls {
		all[i] = g.verdict()
		g.reserved[c.Ref] = g.reserved[c.Ref] || all[i].Ruling == Allow
	}
	return all, ctx.Err()
}

func (g *fickle) Commit(context.Context, []*Call) {}

func (g *fickle) Release(_ context.Context, calls []*Call) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range calls {
		delete(g.reserved, c.Ref)
	}
}

// Whatever guards, replicas and the API do, no lead rings twice, and none rings for
// which nothing is reserved.
func TestGuardsUnderFire(t *testing.T) {
	for seed := range uint64(20) {
		for _, onUnknown := range []OnUnknown{Hold, RedialAbsent} {
			t.Run(fmt.Sprintf("seed %d %s", seed, onUnknown), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					rng, g := rand.New(rand.NewPCG(seed, 0)), &fickle{rng: rand.New(rand.NewPCG(seed, 77)), reserved: map[string]bool{}}
					api, mem, calls := &fakeAPI{}, ledger.NewMemory(), leads(t, 12)
					api.onPost = func(_ int, batch []*Call) answer {
						g.mu.Lock()
						defer g.mu.Unlock()
						for _, c := range batch {
							assert.True(t, g.reserved[c.Ref], "placed without a reservation")
						}
						return bad(rng)
					}
					change := func(o *Options) { o.OnUnknown, o.Guards = onUnknown, []Guard{g} }
					decided := replicasDecide(t, seed, api, calls, change, batching{mem}, mem, mem)
					assertNeverTwice(t, api, calls, decided, onUnknown, "outside_hours")
					for i, c := range calls {
						if api.callsOf(c) > 0 {
							assert.True(t, g.reserved[c.Ref], "the place of lead %d was given away", i)
						}
					}
				})
			})
		}
	}
}
