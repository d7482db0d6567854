package dialer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/ledger"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
)

// unsteady is a ledger's store that is slow, is down for minutes, and does what it
// then says it did not.
type unsteady struct {
	*ledger.Memory

	mu   sync.Mutex
	rng  *rand.Rand
	down time.Time // until then
}

var errUnsteady = errors.New("the mem is unsteady")

// access waits as long as this access takes, and says whether it is carried out and
// what is told of it.
func (u *unsteady) access(ctx context.Context) (done bool, told error) {
	u.mu.Lock()
	var slow time.Duration
	switch n := u.rng.IntN(40); {
	case n == 0:
		slow = 25 * time.Second
	case n < 6:
		slow = time.Second
	}
	fate := u.rng.IntN(60)
	outage := upTo(u.rng, 3*time.Minute)
	u.mu.Unlock()
	_ = pause.Sleep(ctx, slow) // what was sent arrives, whoever waits for it

	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case time.Now().Before(u.down), fate <= 2:
		if fate == 0 {
			u.down = time.Now().Add(outage)
		}
		return false, errUnsteady
	case fate <= 4:
		return true, errUnsteady
	}
	return true, nil
}

// write carries a change out, or not, and tells the truth of it, or not.
func (u *unsteady) write(ctx context.Context, change func() error) error {
	done, told := u.access(ctx)
	if !done {
		return told
	}
	return errors.Join(change(), told)
}

func (u *unsteady) Get(ctx context.Context, key string) ([]byte, error) {
	if _, err := u.access(ctx); err != nil {
		return nil, err
	}
	return u.Memory.Get(ctx, key)
}

func (u *unsteady) Set(ctx context.Context, key string, value []byte, ttl *time.Duration) error {
	return u.write(ctx, func() error { return u.Memory.Set(ctx, key, value, ttl) })
}

func (u *unsteady) Add(ctx context.Context, key string, value []byte, ttl *time.Duration) error {
	return u.write(ctx, func() error { return u.Memory.Add(ctx, key, value, ttl) })
}

func (u *unsteady) Delete(ctx context.Context, key string) error {
	return u.write(ctx, func() error { return u.Memory.Delete(ctx, key) })
}

// Three replicas, two of them in one process, an unsteady ledger, and an API whose clock is
// off, that now and then gives no ids, and that also refuses batches of which it has created a part. SOAK_SEEDS makes the run long, SOAK_FIRST says with which seed it
// begins.
func TestNoLeadIsCalledTwiceOnAnUnsteadyLedger(t *testing.T) {
	first, seeds := uint64(1), uint64(20)
	for name, into := range map[string]*uint64{"SOAK_FIRST": &first, "SOAK_SEEDS": &seeds} {
		if text := os.Getenv(name); text != "" {
			n, err := strconv.ParseUint(text, 10, 64)
			require.NoError(t, err, name)
			*into = n
		}
	}
	for seed := first; seed < first+seeds; seed++ {
		for _, onUnknown := range []OnUnknown{Hold, RedialAbsent} {
			t.Run(fmt.Sprintf("seed %d %s", seed, onUnknown), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { soak(t, seed, onUnknown) })
			})
		}
	}
}

func soak(t *testing.T, seed uint64, onUnknown OnUnknown) {
	var mu sync.Mutex
	rng := rand.New(rand.NewPCG(seed, 0))
	api, calls := &fakeAPI{}, leads(t, 12)
	skew := skews[rng.IntN(len(skews))]
	api.clock = func() time.Duration { return skew }
	mem := &unsteady{Memory: ledger.NewMemory(), rng: rand.New(rand.NewPCG(seed, 99))}
	api.onPost = func(_ int, batch []*Call) answer {
		mu.Lock()
		defer mu.Unlock()
		a := bad(rng)
		if rng.IntN(3) == 0 {
			a = refusedInPart(rng, len(batch))
		}
		a.dropsID = rng.IntN(12) == 0
		return a
	}
	api.onList = func(int) error {
		mu.Lock()
		defer mu.Unlock()
		switch rng.IntN(10) {
		case 0, 1:
			return status(503)
		case 3:
			return &happyrobot.Error{Op: "listCalls", Status: []int{400, 404, 408, 429}[rng.IntN(4)]}
		case 2:
			return lost
		}
		return nil
	}
	began := time.Now()
	decided := replicasDecide(t, seed, api, calls, func(o *Options) { o.OnUnknown = onUnknown }, mem, mem, mem)
	assert.Less(t, time.Since(began), 24*time.Hour, "trouble of minutes holds nobody for a day")
	// A call may be refused alone where another replica was not.
	assertNeverTwice(t, api, calls, decided, onUnknown, Rejected)
}

// refusedInPart is a 4xx for a batch of which up to two calls were created. A single
// call that is refused was not.
func refusedInPart(rng *rand.Rand, batch int) answer {
	codes := []int{400, 401, 402, 403, 404, 422, 429}
	left := rng.IntN(3)
	if batch == 1 {
		left = 0
	}
	return answer{
		err: status(codes[rng.IntN(len(codes))]), takes: upTo(rng, 5*time.Second),
		creates: func(*Call) bool { left--; return left >= 0 },
	}
}
