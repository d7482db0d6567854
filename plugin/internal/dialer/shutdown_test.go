package dialer

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/ledger"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
)

// dialUntil dials with a context that ends after a while.
func dialUntil(t *testing.T, d *Dialer, end time.Duration, calls []Call) ([]Result, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), end)
	defer cancel()
	return d.Dial(ctx, calls)
}

func TestAShutdownLetsARequestThatHasLeftFinish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, calls, mem := &fakeAPI{onPost: first(answer{takes: 10 * time.Second})}, leads(t, 4), ledger.NewMemory()
		two := func(o *Options) { o.MaxCallsPerRequest = 2 }
		results, err := dialUntil(t, open(t, api, mem, two), time.Second, calls)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, []Outcome{Accepted, Accepted, "", ""}, outcomes(results))

		again := dial(t, open(t, api, mem, two), calls...)
		assert.Equal(t, []Outcome{Duplicate, Duplicate, Accepted, Accepted}, outcomes(again))
		assert.Equal(t, results[0].CallID, again[0].CallID)
		assertOneCallEach(t, api, calls)
		assert.Len(t, api.requests(), 2)
	})
}

func TestAShutdownWhileLookingUpLeavesTheQuestionToTheNext(t *testing.T) {
	for name, a := range map[string]answer{
		"created": {err: lost, listedIn: settle / 2},
		"lost":    {err: lost, creates: none},
		"refused": {err: status(422), listedIn: settle / 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				api, calls, mem := &fakeAPI{onPost: first(a)}, leads(t, 2), ledger.NewMemory()
				api.onList = func(int) error {
					if time.Since(began) < 5*time.Second {
						return status(503)
					}
					return nil
				}
				results, err := dialUntil(t, open(t, api, mem, redial), time.Second, calls)
				require.ErrorIs(t, err, context.DeadlineExceeded)
				assert.Equal(t, []Outcome{"", ""}, outcomes(results))

				assert.Equal(t, []Outcome{Accepted, Accepted}, outcomes(dial(t, open(t, api, mem, redial), calls...)))
				assertOneCallEach(t, api, calls)
				assert.LessOrEqual(t, time.Since(began), timeout+settle+2*time.Second, "the claims need not grow stale first")
			})
		})
	}
}

func TestAShutdownWhileWaitingLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, calls, mem := &fakeAPI{onPost: first(answer{creates: none, err: tooMany})}, leads(t, 3), ledger.NewMemory()
		results, err := dialUntil(t, open(t, api, mem), 10*time.Second, calls)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, []Outcome{"", "", ""}, outcomes(results))
		began := time.Now()
		assert.Equal(t, []Outcome{Accepted, Accepted, Accepted}, outcomes(dial(t, open(t, api, mem), calls...)))
		assert.LessOrEqual(t, time.Since(began), timeout+settle, "a limit may be met in the middle of a batch, so the calls are looked up")
		assertOneCallEach(t, api, calls)
	})
}

func TestAnEndedContextSendsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		api := &fakeAPI{}
		results, err := open(t, api, ledger.NewMemory()).Dial(ctx, leads(t, 2))
		require.ErrorIs(t, err, context.Canceled)
		assert.Equal(t, []Outcome{"", ""}, outcomes(results))
		assert.Empty(t, api.requests())
	})
}

// brittle is a store that can be written to only while it is not broken.
type brittle struct {
	*ledger.Memory
	broken     atomic.Bool
	unwritable string // a key that is broken alone
}

func (b *brittle) Set(ctx context.Context, key string, value []byte, ttl *time.Duration) error {
	if b.broken.Load() || key == b.unwritable {
		return errors.New("disk full")
	}
	return b.Memory.Set(ctx, key, value, ttl)
}

func TestAnAcceptedCallIsRecordedUntilItSucceeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, calls, mem := &fakeAPI{}, leads(t, 3), &brittle{Memory: ledger.NewMemory()}
		mem.broken.Store(true)
		began := time.Now()
		time.AfterFunc(time.Hour, func() { mem.broken.Store(false) })
		d := open(t, api, mem)
		assert.Equal(t, []Outcome{Accepted, Accepted, Accepted}, outcomes(dial(t, d, calls...)))
		assert.GreaterOrEqual(t, time.Since(began), time.Hour)
		assert.Equal(t, []Outcome{Duplicate, Duplicate, Duplicate}, outcomes(dial(t, d, calls...)))
		assertOneCallEach(t, api, calls)
	})
}

func TestAShutdownDoesNotWaitForeverForTheLedger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, calls, mem := &fakeAPI{}, leads(t, 3), &brittle{Memory: ledger.NewMemory()}
		mem.broken.Store(true)
		began := time.Now()
		results, _ := dialUntil(t, open(t, api, mem), time.Second, calls)
		assert.Equal(t, []Outcome{"", "", ""}, outcomes(results), "undecided: what is not recorded did not happen")
		assert.InDelta(t, timeout+time.Second, time.Since(began), float64(time.Second))

		mem.broken.Store(false)
		assert.Equal(t, []Outcome{Accepted, Accepted, Accepted}, outcomes(dial(t, open(t, api, mem, redial), calls...)))
		assertOneCallEach(t, api, calls)
		assert.Len(t, api.requests(), 1)
	})
}

func TestClaimsTakenBeforeTheLedgerFailedAreGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := leads(t, 2)
		mem := &refusesKey{Memory: ledger.NewMemory(), key: calls[1].Ref}
		api := &fakeAPI{}
		_, err := dialUntil(t, open(t, api, mem), 10*time.Second, calls)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Empty(t, api.requests(), "no ledger, no call")
		_, err = mem.Get(t.Context(), calls[0].Ref)
		require.ErrorIs(t, err, store.ErrNotFound)
	})
}

// What keeps a whole batch from being claimed is one trouble, whose text a log has once.
func TestAStopSaysOnceWhatKeptTheLedger(t *testing.T) {
	for _, asks := range []bool{false, true} { // before a permit, or with the claim
		synctest.Test(t, func(t *testing.T) {
			calls := leads(t, 10)
			d := open(t, &fakeAPI{}, unreachableStore{ledger.NewMemory()}, func(o *Options) {
				if asks {
					o.Calls = &CallLimit{Ask: func(context.Context) (time.Duration, error) { return 0, nil }}
				}
			})
			_, err := dialUntil(t, d, 10*time.Second, calls)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			assert.Equal(t, 1, strings.Count(err.Error(), "shard down"), err)
		})
	}
}

type unreachableStore struct{ *ledger.Memory }

func (unreachableStore) Get(context.Context, string) ([]byte, error) {
	return nil, errors.New("shard down")
}

func (unreachableStore) Add(context.Context, string, []byte, *time.Duration) error {
	return errors.New("shard down")
}

// refusesKey cannot read or add one key.
type refusesKey struct {
	*ledger.Memory
	key string
}

func (r *refusesKey) Get(ctx context.Context, key string) ([]byte, error) {
	if key == r.key {
		return nil, errors.New("shard down")
	}
	return r.Memory.Get(ctx, key)
}

func (r *refusesKey) Add(ctx context.Context, key string, value []byte, ttl *time.Duration) error {
	if key == r.key {
		return errors.New("shard down")
	}
	return r.Memory.Add(ctx, key, value, ttl)
}
