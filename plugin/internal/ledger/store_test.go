package ledger

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
)

const (
	window = 24 * time.Hour
	lease  = 40 * time.Second
)

var errStoreDown = errors.New("store down")

// fragile is a Store over a Memory that misbehaves as its hooks say. A hook
// answers whether the operation is carried out, and the error that is told.
type fragile struct {
	*Memory

	mu       sync.Mutex
	down     bool
	onAdd    func(key string) (carriedOut bool, told error)
	onDelete func(key string) (carriedOut bool, told error)
}

func newFragile() *fragile { return &fragile{Memory: NewMemory()} }

func (f *fragile) setDown(down bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = down
}

func (f *fragile) trouble() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down {
		return errStoreDown
	}
	return nil
}

func (f *fragile) Get(ctx context.Context, key string) ([]byte, error) {
	if err := f.trouble(); err != nil {
		return nil, err
	}
	return f.Memory.Get(ctx, key)
}

func (f *fragile) Set(ctx context.Context, key string, value []byte, ttl *time.Duration) error {
	if err := f.trouble(); err != nil {
		return err
	}
	return f.Memory.Set(ctx, key, value, ttl)
}

func (f *fragile) Add(ctx context.Context, key string, value []byte, ttl *time.Duration) error {
	if err := f.trouble(); err != nil {
		return err
	}
	if f.onAdd == nil {
		return f.Memory.Add(ctx, key, value, ttl)
	}
	carriedOut, told := f.onAdd(key)
	if carriedOut {
		if err := f.Memory.Add(ctx, key, value, ttl); err != nil && told == nil {
			return err
		}
	}
	return told
}

func (f *fragile) Delete(ctx context.Context, key string) error {
	if err := f.trouble(); err != nil {
		return err
	}
	if f.onDelete == nil {
		return f.Memory.Delete(ctx, key)
	}
	carriedOut, told := f.onDelete(key)
	if carriedOut {
		if err := f.Memory.Delete(ctx, key); err != nil {
			return err
		}
	}
	return told
}

// once strikes the first time only; from then on operations are carried out.
func once(carriedOut bool, told error) func(string) (bool, error) {
	struck := false
	return func(string) (bool, error) {
		if struck {
			return true, nil
		}
		struck = true
		return carriedOut, told
	}
}

func open(t *testing.T, mem store.Store, change ...func(*Options)) *Ledger {
	t.Helper()
	opts := Options{Window: window, Lease: lease, InitialInterval: time.Second, MaxInterval: 10 * time.Second}
	for _, c := range change {
		c(&opts)
	}
	l, err := New(mem, opts)
	require.NoError(t, err)
	return l
}

func dialOf(key string) Dial { return Dial{Key: key, Fingerprint: "print"} }

// claim takes a dial that must be free.
func claim(t *testing.T, l *Ledger, ref string) Claim {
	t.Helper()
	c, standing := ask(t, l, ref)
	require.Equal(t, Claimed, standing.Kind)
	return c
}

func ask(t *testing.T, l *Ledger, ref string) (Claim, Standing) {
	t.Helper()
	c, standing, err := l.Claim(t.Context(), dialOf(ref))
	require.NoError(t, err)
	return c, standing
}

// stale waits until another process' claim is in doubt.
func stale(t *testing.T, l *Ledger, key string) Standing {
	t.Helper()
	_, standing := ask(t, l, key)
	require.Equal(t, Busy, standing.Kind)
	time.Sleep(time.Until(standing.Owner.Until))
	_, standing = ask(t, l, key)
	require.Equal(t, InDoubt, standing.Kind)
	return standing
}

// put writes a record as another program would have.
func put(t *testing.T, mem store.Store, key string, value []byte) {
	t.Helper()
	ttl := window
	require.NoError(t, mem.Set(t.Context(), key, value, &ttl))
}

// foreign is a claim made by another process.
func foreign(at time.Time) record {
	return record{Version: recordVersion, State: stateClaimed, Token: "elsewhere-1", Fingerprint: "print", At: at}
}

func stored(t *testing.T, mem store.Store, key string) record {
	t.Helper()
	value, err := mem.Get(t.Context(), key)
	require.NoError(t, err)
	r, err := decodeRecord(value)
	assert.NoError(t, err)
	return r
}
