package ledger

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
)

// batcher writes many records to a memory store at once.
type batcher struct {
	store.Store
	addErr  error   // told of every item, after all were written
	setErrs []error // told one after the other, before anything is written
	adds    int
	sets    int
}

func (b *batcher) AddAll(ctx context.Context, items []store.Item) []error {
	b.adds++
	errs := make([]error, len(items))
	for i, item := range items {
		errs[i] = b.Add(ctx, item.Key, item.Value, item.TTL)
		if b.addErr != nil {
			errs[i] = b.addErr
		}
	}
	return errs
}

func (b *batcher) SetAll(ctx context.Context, items []store.Item) error {
	b.sets++
	if len(b.setErrs) > 0 {
		err := b.setErrs[0]
		b.setErrs = b.setErrs[1:]
		return err
	}
	for _, item := range items {
		if err := b.Set(ctx, item.Key, item.Value, item.TTL); err != nil {
			return err
		}
	}
	return nil
}

func openBatched(t *testing.T, b *batcher) *Ledger {
	t.Helper()
	return open(t, b.Store, func(o *Options) { o.Batch = b })
}

func dials(refs ...string) []Dial {
	all := make([]Dial, len(refs))
	for i, ref := range refs {
		all[i] = Dial{Key: ref, Fingerprint: "print"}
	}
	return all
}

func TestManyDialsAreClaimedAndCompletedWithOneWriteEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &batcher{Store: NewMemory()}
		l := openBatched(t, b)
		require.NoError(t, l.Complete(t.Context(), claim(t, l, "called"), "call-0"))
		put(t, b.Store, "busy", foreign(time.Now()).encode())

		all := l.ClaimAll(t.Context(), dials("a", "called", "busy", "b"))

		var kinds []Kind
		var mine []Claim
		for _, c := range all {
			require.NoError(t, c.Err)
			kinds = append(kinds, c.Standing.Kind)
			if c.Standing.Kind == Claimed {
				mine = append(mine, c.Claim)
			}
		}
		assert.Equal(t, []Kind{Claimed, Called, Busy, Claimed}, kinds)
		assert.Equal(t, "call-0", all[1].Standing.CallID)
		assert.Equal(t, []error{nil, nil}, l.CompleteAll(t.Context(), mine, []string{"call-1", "call-2"}))
		assert.Equal(t, 1, b.adds)
		assert.Equal(t, 1, b.sets)
		for ref, id := range map[string]string{"a": "call-1", "b": "call-2"} {
			_, standing := ask(t, open(t, b.Store), ref)
			assert.Equal(t, Standing{Kind: Called, CallID: id, Refs: []string{ref}, Fingerprint: "print", Attempt: 1}, standing)
		}
	})
}

func TestClaimsThatWereWrittenAndReportedAsFailedAreOurs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &batcher{Store: NewMemory(), addErr: errors.New("the disk is full")}
		l := openBatched(t, b)
		for _, c := range l.ClaimAll(t.Context(), dials("a", "b")) {
			require.NoError(t, c.Err)
			assert.Equal(t, Claimed, c.Standing.Kind)
			assert.Equal(t, stateClaimed, stored(t, b.Store, c.Claim.dial.Key).State)
			assert.Equal(t, c.Claim.token, stored(t, b.Store, c.Claim.dial.Key).Token)
		}
	})
}

func TestCompletionsAreWrittenUntilTheyAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full := errors.New("the disk is full")
		b := &batcher{Store: NewMemory(), setErrs: []error{full, full, full}}
		l := openBatched(t, b)
		all := l.ClaimAll(t.Context(), dials("a", "b"))
		claims := []Claim{all[0].Claim, all[1].Claim}
		assert.Equal(t, []error{nil, nil}, l.CompleteAll(t.Context(), claims, []string{"call-1", "call-2"}))
		assert.Equal(t, 4, b.sets)

		b.setErrs = []error{full}
		ctx, stop := context.WithCancel(t.Context())
		stop()
		for _, err := range l.CompleteAll(ctx, claims, []string{"call-1", "call-2"}) {
			assert.ErrorIs(t, err, context.Canceled)
		}
	})
}

func TestACompletedLaterAttemptIsKnownByTheFirstRecordToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &batcher{Store: NewMemory()}
		l := openBatched(t, b)
		require.NoError(t, l.Hold(t.Context(), claim(t, l, "again"), Finding{}))
		_, doubt := ask(t, l, "again")
		second, won, err := l.TakeOver(t.Context(), dialOf("again"), doubt)
		require.NoError(t, err)
		require.True(t, won)
		first := claim(t, l, "new")
		assert.Equal(t, []error{nil, nil}, l.CompleteAll(t.Context(), []Claim{second, first}, []string{"call-2", "call-1"}))
		assert.Equal(t, "call-2", stored(t, b.Store, "again").CallID)
		assert.Equal(t, "call-2", stored(t, b.Store, "again/2").CallID)
		assert.Equal(t, "call-1", stored(t, b.Store, "new").CallID)
	})
}

// counted counts what single operations cost.
type counted struct {
	store.Store
	gets, adds atomic.Int64
}

func (c *counted) Get(ctx context.Context, key string) ([]byte, error) {
	c.gets.Add(1)
	return c.Store.Get(ctx, key)
}

func (c *counted) Add(ctx context.Context, key string, value []byte, ttl *time.Duration) error {
	c.adds.Add(1)
	return c.Store.Add(ctx, key, value, ttl)
}

func TestADuplicateCostsOneReadBesidesTheBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := NewMemory()
		for _, ref := range []string{"a", "b", "c"} {
			l := open(t, mem)
			require.NoError(t, l.Complete(t.Context(), claim(t, l, ref), "call-"+ref))
		}
		b, single := &batcher{Store: mem}, &counted{Store: mem}
		l := open(t, single, func(o *Options) { o.Batch = b })
		for _, c := range l.ClaimAll(t.Context(), dials("a", "b", "c")) {
			require.NoError(t, c.Err)
			assert.Equal(t, Called, c.Standing.Kind)
		}
		assert.Equal(t, 1, b.adds)
		assert.EqualValues(t, 3, single.gets.Load())
		assert.Zero(t, single.adds.Load())

		// A record that is there when it is added, and gone when it is read.
		require.NoError(t, mem.Set(t.Context(), "d", foreign(time.Now()).encode(), nil))
		gone := &vanishing{Store: single, key: "d"}
		l = open(t, gone, func(o *Options) { o.Batch = b })
		all := l.ClaimAll(t.Context(), dials("d", "e"))
		assert.Equal(t, Claimed, all[0].Standing.Kind)
		assert.Equal(t, all[0].Claim.token, stored(t, mem, "d").Token)
	})
}

// vanishing loses a record just before it is first read.
type vanishing struct {
	store.Store
	key  string
	once sync.Once
}

func (v *vanishing) Get(ctx context.Context, key string) ([]byte, error) {
	if key == v.key {
		v.once.Do(func() { _ = v.Delete(ctx, key) })
	}
	return v.Store.Get(ctx, key)
}
