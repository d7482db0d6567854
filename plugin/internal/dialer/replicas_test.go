package dialer

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/ledger"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
)

func TestTwoReplicasCallEachLeadOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{onPost: func(int, []*Call) answer { return answer{takes: 3 * time.Second} }}
		calls, mem := leads(t, 50), ledger.NewMemory()
		var results [2][]Result
		var wg sync.WaitGroup
		for i := range results {
			d := open(t, api, mem)
			wg.Go(func() { results[i] = dial(t, d, calls...) })
		}
		wg.Wait()
		assertOneCallEach(t, api, calls)
		for i := range calls {
			a, b := results[0][i], results[1][i]
			assert.ElementsMatch(t, []Outcome{Accepted, Duplicate}, []Outcome{a.Outcome, b.Outcome})
			assert.Equal(t, a.CallID, b.CallID)
		}
	})
}

// claimAndDie is a replica that was killed after claiming.
func claimAndDie(t *testing.T, mem store.Store, c Call) {
	t.Helper()
	l, err := ledger.New(mem, ledger.Options{Window: window, Lease: timeout + settle})
	require.NoError(t, err)
	_, standing, err := l.Claim(t.Context(), c.dial())
	require.NoError(t, err)
	require.Equal(t, ledger.Claimed, standing.Kind)
}

func TestTheClaimOfAKilledReplicaIsSettledWhenItIsStale(t *testing.T) {
	const stale = timeout + settle + time.Minute
	tests := map[string]struct {
		created   bool
		onUnknown OnUnknown
		want      Outcome
		requests  int
	}{
		"after dialing":               {true, Hold, Accepted, 0},
		"after dialing, redial":       {true, RedialAbsent, Accepted, 0},
		"before dialing":              {false, Hold, Held, 0},
		"before dialing, with redial": {false, RedialAbsent, Accepted, 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api, mem, one, began := &fakeAPI{}, ledger.NewMemory(), lead(t, 1), time.Now()
				claimAndDie(t, mem, one)
				if tt.created {
					api.create([]*Call{&one}, answer{})
				}
				d := open(t, api, mem, func(o *Options) { o.OnUnknown = tt.onUnknown })
				assert.Equal(t, []Outcome{tt.want}, outcomes(dial(t, d, one)))
				assert.GreaterOrEqual(t, time.Since(began), stale, "the owner may be alive until then")
				assert.LessOrEqual(t, time.Since(began), stale+mostPatience)
				assert.Len(t, api.requests(), tt.requests)
			})
		})
	}
}

func TestWaitingForADeadReplicaSpendsNoRateLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, mem, calls := &fakeAPI{}, ledger.NewMemory(), leads(t, 3)
		for _, c := range calls {
			claimAndDie(t, mem, c)
		}
		asked := 0
		d := open(t, api, mem, redial, func(o *Options) {
			o.Wait = func(context.Context) error { asked++; return nil }
		})
		dial(t, d, calls...)
		assertOneCallEach(t, api, calls)
		assert.Equal(t, 3, asked, "to find the claims, to find them stale, and to dial")
	})
}

func TestARecordCutByACrashIsInDoubt(t *testing.T) {
	for _, onUnknown := range []OnUnknown{Hold, RedialAbsent} {
		synctest.Test(t, func(t *testing.T) {
			api, mem, one, ttl := &fakeAPI{}, ledger.NewMemory(), lead(t, 1), window
			require.NoError(t, mem.Set(t.Context(), one.Ref, nil, &ttl))
			began := time.Now()
			d := open(t, api, mem, func(o *Options) { o.OnUnknown = onUnknown })
			assert.Equal(t, []Outcome{Held}, outcomes(dial(t, d, one)), "no list proves that there is no call")
			assert.Empty(t, api.requests())
			assert.GreaterOrEqual(t, time.Since(began), timeout+settle, "it could be of a moment ago")
		})
	}
}

func TestOfManyReplicasOneSettlesADoubt(t *testing.T) {
	for _, created := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			api, mem, one := &fakeAPI{listTakes: time.Second}, ledger.NewMemory(), lead(t, 1)
			claimAndDie(t, mem, one)
			if created {
				api.create([]*Call{&one}, answer{})
			}
			results := make([]Result, 10)
			var wg sync.WaitGroup
			for i := range results {
				d := open(t, api, mem, redial)
				wg.Go(func() { results[i] = dial(t, d, one)[0] })
			}
			wg.Wait()
			assertOneCallEach(t, api, []Call{one})
			accepted := 0
			for _, r := range results {
				assert.Contains(t, []Outcome{Accepted, Duplicate}, r.Outcome)
				assert.Equal(t, "call-1", r.CallID)
				if r.Outcome == Accepted {
					accepted++
				}
			}
			assert.Equal(t, 1, accepted)
		})
	}
}

// witness is a replica that knows how old another process' claim is by now.
func witness(t *testing.T, mem store.Store, c Call) *ledger.Ledger {
	t.Helper()
	l, err := ledger.New(mem, ledger.Options{Window: window, Lease: timeout + settle})
	require.NoError(t, err)
	_, err = l.Known(t.Context(), c.key())
	require.NoError(t, err)
	return l
}

// takeOverDoubt begins the next attempt of a call in doubt.
func takeOverDoubt(t *testing.T, l *ledger.Ledger, c Call) ledger.Claim {
	t.Helper()
	_, standing, err := l.Claim(t.Context(), c.dial())
	require.NoError(t, err)
	claim, won, err := l.TakeOver(t.Context(), c.dial(), standing)
	require.NoError(t, err)
	require.True(t, won)
	return claim
}

// What a list said of one attempt says nothing of the next.
func TestAnAttemptThatSomebodyElseMadeSinceIsLookedUpToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, mem, one := &fakeAPI{}, ledger.NewMemory(), lead(t, 1)
		claimAndDie(t, mem, one)
		other := witness(t, mem, one)
		d := open(t, api, mem, redial, func(o *Options) {
			o.Wait = func(ctx context.Context) error {
				if len(api.lists()) == 1 { // the first attempt was just ruled out
					claim := takeOverDoubt(t, other, one)
					api.create([]*Call{&one}, answer{})
					require.NoError(t, other.Hold(ctx, claim, ledger.Finding{}))
				}
				return nil
			}
		})
		assert.Equal(t, []Outcome{Accepted}, outcomes(dial(t, d, one)))
		assert.Empty(t, api.requests())
		assertOneCallEach(t, api, []Call{one})
	})
}

func upTo(rng *rand.Rand, d time.Duration) time.Duration { return time.Duration(rng.Int64N(int64(d))) }

// bad draws what becomes of a request: mostly not well.
func bad(rng *rand.Rand) answer {
	a := answer{takes: upTo(rng, 5*time.Second)}
	if rng.IntN(2) == 0 {
		a.creates = func(c *Call) bool { return c.Number[len(c.Number)-1]%2 == 0 }
	}
	switch rng.IntN(10) {
	case 0, 1:
		a.err, a.listedIn = lost, upTo(rng, settle)
	case 2:
		a.err, a.creates = lost, none
	case 3:
		a.err, a.listedIn = status(500), upTo(rng, settle)
	case 4:
		a.err, a.creates = tooMany, none
	case 5:
		a.err, a.creates = status(401), none
	case 6:
		a.takes, a.listedIn = time.Hour, upTo(rng, timeout)-time.Hour
	case 7:
		a.omits = func(*Call) bool { return true }
	}
	return a
}

// Replicas that share a ledger are given the same leads in any order, are stopped
// at any moment and start again, while the API loses, delays and halves answers.
func TestNoLeadIsCalledTwiceWhateverHappens(t *testing.T) {
	for seed := range uint64(40) {
		for _, onUnknown := range []OnUnknown{Hold, RedialAbsent} {
			t.Run(fmt.Sprintf("seed %d %s", seed, onUnknown), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { underFire(t, seed, onUnknown) })
			})
		}
	}
}

func underFire(t *testing.T, seed uint64, onUnknown OnUnknown) {
	var mu sync.Mutex
	rng := rand.New(rand.NewPCG(seed, 0))
	api, mem, calls := &fakeAPI{}, ledger.NewMemory(), leads(t, 12)
	api.onPost = func(int, []*Call) answer {
		mu.Lock()
		defer mu.Unlock()
		return bad(rng)
	}
	api.onList = func(int) error {
		mu.Lock()
		defer mu.Unlock()
		if rng.IntN(3) == 0 {
			return status(503)
		}
		return nil
	}
	decided := replicasDecide(t, seed, api, calls, func(o *Options) { o.OnUnknown = onUnknown }, batching{mem}, mem, mem)
	assertNeverTwice(t, api, calls, decided, onUnknown)
}

// replicasDecide gives the leads to a replica on each of the stores, which are one.
func replicasDecide(t *testing.T, seed uint64, api API, calls []Call, change func(*Options), stores ...store.Store) [][]Result {
	decided := make([][]Result, len(stores))
	shared := &Shared{}
	var wg sync.WaitGroup
	for i, mem := range stores {
		own := rand.New(rand.NewPCG(seed, uint64(i)+1))
		inProcess := func(o *Options) {
			if i < 2 { // components of one process, and the third of another
				o.Shared = shared
			}
		}
		wg.Go(func() {
			decided[i] = insist(t, own, api, mem, calls, func(o *Options) { change(o); inProcess(o) })
		})
	}
	wg.Wait()
	return decided
}

// assertNeverTwice holds what replicas decided to what the API knows. Also are other
// outcomes that may be.
func assertNeverTwice(t *testing.T, api *fakeAPI, calls []Call, decided [][]Result, onUnknown OnUnknown, also ...Outcome) {
	t.Helper()
	for i, c := range calls {
		assert.LessOrEqual(t, api.callsOf(c), 1, "calls of lead %d", i)
		for _, results := range decided {
			switch r := results[i]; {
			// Two may say so of one call: a look that outlasts its claim is
			// repeated by whoever takes that over.
			case r.Outcome == Accepted, r.Outcome == Duplicate:
				assert.Equal(t, []string{r.CallID}, api.idsOf(c), "lead %d: what is acknowledged was called", i)
			case slices.Contains(also, r.Outcome):
			case slices.Contains(api.idsOf(c), ""):
				assert.Equal(t, Held, r.Outcome, "lead %d: it was called, and has no id", i)
			default:
				assert.Equal(t, Held, r.Outcome)
				assert.Equal(t, Hold, onUnknown, "lead %d: the list settles all", i)
			}
		}
	}
}

// insist dials the leads with one replica after another until each is decided.
func insist(t *testing.T, rng *rand.Rand, api API, mem store.Store, calls []Call, change func(*Options)) []Result {
	said := make([]Result, len(calls))
	for began := time.Now(); ; {
		var todo []Call
		var origin []int
		for _, i := range rng.Perm(len(calls)) {
			if said[i].Outcome == "" {
				todo, origin = append(todo, calls[i]), append(origin, i)
			}
		}
		if len(todo) == 0 {
			return said
		}
		require.Less(t, time.Since(began), window, "some calls are never decided")
		d := open(t, api, mem, change, func(o *Options) { o.MaxCallsPerRequest, o.MaxRedials = 1+rng.IntN(8), 1000 })
		ctx, stop := context.WithTimeout(t.Context(), upTo(rng, 10*time.Minute))
		results, _ := d.Dial(ctx, todo)
		stop()
		for j, r := range results {
			said[origin[j]] = r
		}
	}
}
