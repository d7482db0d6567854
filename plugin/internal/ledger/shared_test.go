package ledger

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
)

// replica is one of several processes on one store, which writes many records at once. Its
// batches are not atomic as a whole, and now and then their answer is lost.
type replica struct {
	store.Store

	mu  sync.Mutex
	rng *rand.Rand
}

func (r *replica) draw() float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rng.Float64()
}

var errLost = errors.New("the answer was lost")

func (r *replica) AddAll(ctx context.Context, items []store.Item) []error {
	errs := make([]error, len(items))
	for i, item := range items {
		switch luck := r.draw(); {
		case luck < 0.05:
			errs[i] = errLost // and nothing was written
		case luck < 0.1:
			_ = r.Add(ctx, item.Key, item.Value, item.TTL)
			errs[i] = errLost
		default:
			errs[i] = r.Add(ctx, item.Key, item.Value, item.TTL)
		}
		time.Sleep(time.Duration(r.draw() * float64(time.Millisecond)))
	}
	return errs
}

func (r *replica) SetAll(ctx context.Context, items []store.Item) error {
	switch luck := r.draw(); {
	case luck < 0.1:
		return errLost
	case luck < 0.2:
		return store.ErrAlone
	}
	for _, item := range items {
		if err := r.Set(ctx, item.Key, item.Value, item.TTL); err != nil {
			return err
		}
	}
	return nil
}

// attempts counts who holds which attempt, and which of them became calls.
type attempts struct {
	mu    sync.Mutex
	won   map[string]int
	calls map[string]int
}

func (a *attempts) note(in map[string]int, key string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	in[key]++
}

func TestReplicasThatWriteInBatchesRespectEachOthersClaims(t *testing.T) {
	histories := 200
	if testing.Short() {
		histories = 40
	}
	for seed := range uint64(histories) {
		synctest.Test(t, func(t *testing.T) { shareALedger(t, seed) })
	}
}

func shareALedger(t *testing.T, seed uint64) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 1))
	shared, a := NewMemory(), &attempts{won: map[string]int{}, calls: map[string]int{}}
	var all sync.WaitGroup
	for n := range 4 { // two processes would be two ledgers; each has two batches at work
		r := &replica{Store: shared, rng: rand.New(rand.NewPCG(seed, uint64(10+n)))}
		l := open(t, shared, func(o *Options) { o.Batch = r })
		orders := make([][]Dial, 3)
		for i := range orders {
			for _, ref := range rng.Perm(8)[:2+rng.IntN(6)] {
				orders[i] = append(orders[i], Dial{Key: fmt.Sprint("lead", ref), Fingerprint: "print"})
			}
		}
		all.Go(func() {
			for _, dials := range orders {
				workOn(t, l, r, a, dials)
			}
		})
	}
	all.Wait()
	for key, n := range a.won {
		assert.Equal(t, 1, n, "seed %d: %s has several owners", seed, key)
	}
	for ref, n := range a.calls {
		assert.Equal(t, 1, n, "seed %d: %s was called more than once", seed, ref)
	}
	l := open(t, shared)
	for ref := range a.calls {
		known, err := l.Known(t.Context(), ref)
		require.NoError(t, err)
		assert.Equal(t, Called, known.Kind, "seed %d: %s", seed, ref)
	}
}

// workOn claims dials and brings what it wins to one of the ends that there are.
func workOn(t *testing.T, l *Ledger, r *replica, a *attempts, dials []Dial) {
	t.Helper()
	var mine []Claim
	var ids []string
	for i, c := range l.ClaimAll(t.Context(), dials) {
		if !assert.NoError(t, c.Err) { //nolint:testifylint // not the test's goroutine
			return
		}
		switch c.Standing.Kind {
		case Claimed:
			switch luck := r.draw(); {
			case luck < 0.2: // refused: the next may claim it again, as the same attempt
				assert.NoError(t, l.Release(t.Context(), c.Claim)) //nolint:testifylint // not the test's goroutine
			default:
				a.note(a.won, key(dials[i].Key, c.Claim.attempt))
				a.note(a.calls, dials[i].Key)
				mine, ids = append(mine, c.Claim), append(ids, "call")
			}
		case Called, Busy:
		default:
			t.Errorf("%s: kind %d, though every claim is younger than its lease", dials[i].Key, c.Standing.Kind)
		}
	}
	time.Sleep(time.Duration(r.draw() * float64(10*time.Second)))
	for _, err := range l.CompleteAll(t.Context(), mine, ids) {
		assert.NoError(t, err)
	}
}

func TestAStoreThatWritesOneItemAtATimeIsWrittenSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &batcher{Store: NewMemory(), addErr: store.ErrAlone, setErrs: []error{store.ErrAlone}}
		l := openBatched(t, b)
		all := l.ClaimAll(t.Context(), dials("a", "b"))
		claims := []Claim{all[0].Claim, all[1].Claim}
		assert.Equal(t, []error{nil, nil}, l.CompleteAll(t.Context(), claims, []string{"call-1", "call-2"}))
		assert.Equal(t, 1, b.sets)
		for i, ref := range []string{"a", "b"} {
			assert.Equal(t, fmt.Sprint("call-", i+1), stored(t, b.Store, ref).CallID)
		}
	})
}
