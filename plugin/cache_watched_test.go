package plugin

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
)

// counted is a foreign cache that counts what it is asked for.
type counted struct {
	mu    sync.Mutex
	items map[string][]byte
	gets  int
	marks int // of those, of the mark
	sets  int // of the mark
	fails error
}

func (c *counted) Get(_ context.Context, key string) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gets++
	if key == store.MarkKey {
		c.marks++
	}
	value, ok := c.items[key]
	if !ok {
		return nil, service.ErrKeyNotFound
	}
	return value, c.fails
}

func (c *counted) Set(_ context.Context, key string, value []byte, _ *time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if key == store.MarkKey {
		c.sets++
	}
	c.items[key] = value
	return c.fails
}

func (c *counted) Add(_ context.Context, key string, value []byte, _ *time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, there := c.items[key]; there {
		return service.ErrKeyAlreadyExists
	}
	c.items[key] = value
	return c.fails
}

func (c *counted) Delete(_ context.Context, key string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.items, key)
	return c.fails
}

func (c *counted) Close(context.Context) error { return nil }

func (c *counted) forget(keys ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, key := range keys {
		delete(c.items, key)
	}
}

// restart counts from 0 again.
func (c *counted) restart() (gets, marks, sets int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	gets, marks, sets = c.gets, c.marks, c.sets
	c.gets, c.marks, c.sets = 0, 0, 0
	return gets, marks, sets
}

// told is a pause.Logger.
type told struct {
	mu    sync.Mutex
	lines []string
}

func (l *told) Warnf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, fmt.Sprintf(format, args...))
}

func (l *told) Infof(format string, args ...any) { l.Warnf(format, args...) }

func (l *told) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.lines...)
}

// watchCounted is a ledger's cache, of another's, before it was used.
func watchCounted(t *testing.T) (*watchedCache, *counted, *told) {
	t.Helper()
	cache, log := &counted{items: map[string][]byte{}}, &told{}
	env := service.NewEnvironment()
	require.NoError(t, env.RegisterCache("counted", service.NewConfigSpec(),
		func(*service.ParsedConfig, *service.Resources) (service.Cache, error) { return cache, nil }))
	b := env.NewResourceBuilder()
	require.NoError(t, b.AddCacheYAML("label: ledger\ncounted: {}"))
	res, stop, err := b.BuildSuspended()
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, stop(context.Background())) })
	w := newWatchedCache(res, "ledger", ledgerRole(168*time.Hour))
	w.log = log
	return w, cache, log
}

func claimsOf(batch string, n int) (items []store.Item) {
	for i := range n {
		items = append(items, store.Item{Key: fmt.Sprint(batch, i), Value: []byte("claimed")})
	}
	return items
}

func added(t *testing.T, w *watchedCache, items []store.Item) {
	t.Helper()
	for _, err := range w.AddAll(t.Context(), items) {
		require.NoError(t, err)
	}
}

// The mark costs one read for each batch of claims, and one a second for what comes of them.
func TestAMarkIsReadOnceForABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, cache, log := watchCounted(t)
		require.NoError(t, w.check())
		cache.restart()
		for batch := range 10 {
			items := claimsOf(fmt.Sprint("batch", batch, "-"), 20)
			added(t, w, items)
			require.ErrorIs(t, w.SetAll(t.Context(), items), store.ErrAlone)
			for _, item := range items {
				require.NoError(t, w.Set(t.Context(), item.Key, []byte("called"), nil))
			}
		}
		gets, marks, sets := cache.restart()
		assert.Equal(t, []int{10, 10, 1}, []int{gets, marks, sets}, "it was old, perhaps, so it is written again once")

		time.Sleep(2 * markRest)
		for range 20 {
			require.NoError(t, w.Set(t.Context(), "batch0-0", []byte("called"), nil))
		}
		_, marks, _ = cache.restart()
		assert.Equal(t, 1, marks)
		assert.Empty(t, log.all())
	})
}

func TestAMarkIsKeptFromExpiringAndWhenItDoesNothingIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, cache, log := watchCounted(t)
		require.NoError(t, w.check())
		for hour := range 48 {
			added(t, w, claimsOf(fmt.Sprint("hour", hour, "-"), 1))
			time.Sleep(time.Hour)
		}
		_, _, sets := cache.restart()
		assert.InDelta(t, 48, sets, 1)

		time.Sleep(20 * 24 * time.Hour) // idle
		cache.forget(store.MarkKey)
		added(t, w, claimsOf("late", 1))
		assert.Empty(t, log.all(), "a mark that nobody has read for so long may have expired")

		cache.forget(store.MarkKey)
		added(t, w, claimsOf("next", 2))
		added(t, w, claimsOf("after", 2))
		require.Len(t, log.all(), 1)
		assert.Contains(t, log.all()[0], `Ledger replaced: cache "ledger" has lost its mark:`)
		assert.Contains(t, log.all()[0], "Leads that were called before are not known there")
	})
}

// Each of many batches meets another cache, and one of them tries it out.
func TestManyBatchesMeetAnotherCache(t *testing.T) {
	w, cache, log := watchCounted(t)
	require.NoError(t, w.check())
	cache.restart()
	cache.forget(store.MarkKey)
	var all sync.WaitGroup
	for batch := range 32 {
		all.Go(func() {
			for _, err := range w.AddAll(t.Context(), claimsOf(fmt.Sprint(batch, "-"), 20)) {
				assert.NoError(t, err)
			}
		})
	}
	all.Wait()
	assert.Len(t, log.all(), 1)
	gets, _, _ := cache.restart()
	assert.LessOrEqual(t, gets, 32+32+10, "a mark for each batch, and one trial")
}

func TestWhileAMarkCannotBeReadNothingIsAdded(t *testing.T) {
	w, cache, log := watchCounted(t)
	require.NoError(t, w.check())
	away := errors.New("away")
	cache.fails = away
	for _, err := range w.AddAll(t.Context(), claimsOf("a", 2)) {
		require.ErrorIs(t, err, away)
	}
	assert.NotContains(t, cache.items, "a0")
	cache.fails = nil
	added(t, w, claimsOf("a", 2))
	assert.Empty(t, log.all())
}
