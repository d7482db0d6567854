package plugin

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
)

func openTestBbolt(t *testing.T, change ...func(*bboltConfig)) *bboltCache {
	t.Helper()
	conf := bboltConfig{path: filepath.Join(t.TempDir(), "test.db"), bucket: "cache", fileMode: 0o600}
	for _, c := range change {
		c(&conf)
	}
	cache, err := newBboltCache(conf, nil)
	require.NoError(t, err)
	t.Cleanup(func() { closeTestBbolt(t, cache) })
	return cache
}

func closeTestBbolt(t *testing.T, cache *bboltCache) {
	t.Helper()
	require.NoError(t, cache.Close(context.WithoutCancel(t.Context())))
}

func atPath(path string) func(*bboltConfig) { return func(c *bboltConfig) { c.path = path } }

func inBucket(bucket string) func(*bboltConfig) { return func(c *bboltConfig) { c.bucket = bucket } }

func withDefaultTTL(ttl time.Duration) func(*bboltConfig) {
	return func(c *bboltConfig) { c.defaultTTL = ttl }
}

func assertValue(t *testing.T, cache service.Cache, key, want string) {
	t.Helper()
	value, err := cache.Get(t.Context(), key)
	if assert.NoError(t, err, key) {
		assert.Equal(t, want, string(value), key)
	}
}

func assertAbsent(t *testing.T, cache service.Cache, key string) {
	t.Helper()
	_, err := cache.Get(t.Context(), key)
	assert.ErrorIs(t, err, service.ErrKeyNotFound, key)
}

func TestBboltStoresReplacesAndDeletes(t *testing.T) {
	cache := openTestBbolt(t)
	ctx := t.Context()

	assertAbsent(t, cache, "a")
	require.NoError(t, cache.Set(ctx, "a", []byte("1"), nil))
	require.NoError(t, cache.Set(ctx, "a", []byte("2"), nil))
	assertValue(t, cache, "a", "2")
	require.ErrorIs(t, cache.Add(ctx, "a", []byte("3"), nil), service.ErrKeyAlreadyExists)
	assertValue(t, cache, "a", "2")

	require.NoError(t, cache.Delete(ctx, "a"))
	require.NoError(t, cache.Delete(ctx, "a"), "an absent key is no error")
	assertAbsent(t, cache, "a")
	require.NoError(t, cache.Add(ctx, "a", nil, nil))
	assertValue(t, cache, "a", "")
}

func TestBboltSetMultiStoresAllOrNothing(t *testing.T) {
	cache := openTestBbolt(t)
	require.NoError(t, cache.SetMulti(t.Context()))
	require.NoError(t, cache.SetMulti(t.Context(),
		service.CacheItem{Key: "a", Value: []byte("1")},
		service.CacheItem{Key: "b", Value: []byte("2")},
	))
	assertValue(t, cache, "a", "1")
	assertValue(t, cache, "b", "2")

	require.ErrorContains(t, cache.SetMulti(t.Context(),
		service.CacheItem{Key: "c", Value: []byte("3")},
		service.CacheItem{Key: "", Value: []byte("4")},
	), "key is empty")
	assertAbsent(t, cache, "c")
}

func TestBboltRefusesItemsItCannotStore(t *testing.T) {
	cache := openTestBbolt(t)
	negative := -time.Second
	assert.ErrorContains(t, cache.Set(t.Context(), "", nil, nil), "key is empty")
	assert.ErrorContains(t, cache.Add(t.Context(), strings.Repeat("k", boltMaxKeyLen+1), nil, nil), "at most")
	assert.ErrorContains(t, cache.Add(t.Context(), "k", nil, &negative), "ttl is negative")

	long, hour := strings.Repeat("k", boltMaxKeyLen), time.Hour
	require.NoError(t, cache.Add(t.Context(), long, []byte("1"), &hour), "the longest key fits the expiry index too")
	assertValue(t, cache, long, "1")
}

func TestBboltAddIsWonByExactlyOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shared.db")
	caches := []*bboltCache{openTestBbolt(t, atPath(path)), openTestBbolt(t, atPath(path))}
	for round := range 20 {
		key := fmt.Sprint("lead-", round)
		var won atomic.Int32
		var winner atomic.Value
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				owner := fmt.Sprint("owner-", i)
				switch err := caches[i%2].Add(t.Context(), key, []byte(owner), nil); {
				case err == nil:
					won.Add(1)
					winner.Store(owner)
				case !errors.Is(err, service.ErrKeyAlreadyExists):
					t.Error(err)
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 1, won.Load())
		assertValue(t, caches[0], key, winner.Load().(string))
	}
}

// A group is formed by hand here, so that the writes are certain to share a transaction.
func TestBboltWriteThatFailsLeavesItsNeighboursAlone(t *testing.T) {
	cache := openTestBbolt(t)
	require.NoError(t, cache.Set(t.Context(), "taken", []byte("first"), nil))
	ended, cancel := context.WithCancel(t.Context())
	cancel()

	group := []*boltWrite{}
	queue := func(ctx context.Context, key string) {
		group = append(group, &boltWrite{ctx: ctx, done: make(chan error, 1), apply: func(tx *bbolt.Tx) error {
			if _, exists := cache.bucket.get(tx, key, time.Now()); exists {
				return service.ErrKeyAlreadyExists
			}
			record, err := newBoltRecord(key, []byte("second"), 0, time.Now())
			if err != nil {
				return err
			}
			return cache.bucket.put(tx, record)
		}})
	}
	queue(t.Context(), "before")
	queue(t.Context(), "taken")
	queue(t.Context(), "before")
	queue(ended, "given up")
	queue(t.Context(), "after")
	cache.file.commit(group)

	assert.NoError(t, <-group[0].done)
	assert.ErrorIs(t, <-group[1].done, service.ErrKeyAlreadyExists)
	assert.ErrorIs(t, <-group[2].done, service.ErrKeyAlreadyExists, "a neighbour's key counts")
	assert.ErrorIs(t, <-group[3].done, context.Canceled)
	assert.NoError(t, <-group[4].done)
	assertValue(t, cache, "before", "second")
	assertValue(t, cache, "taken", "first")
	assertAbsent(t, cache, "given up")
	assertValue(t, cache, "after", "second")
}

func TestBboltWritesThatWaitShareACommit(t *testing.T) {
	cache := openTestBbolt(t)
	release := holdWriter(t, cache)
	before := committed(t, cache)
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() { assert.NoError(t, cache.Add(t.Context(), fmt.Sprint("lead-", i), nil, nil)) })
	}
	require.Eventually(t, func() bool { return len(cache.file.writes) == 200 }, 10*time.Second, time.Millisecond)
	release()
	wg.Wait()
	assert.LessOrEqual(t, committed(t, cache)-before, 2, "one for what held the writer, one for all that waited")
}

// holdWriter keeps the writer inside a transaction, as a slow disk would, until the returned function is called.
func holdWriter(t *testing.T, cache *bboltCache) (release func()) {
	t.Helper()
	holding, released := make(chan struct{}), make(chan struct{})
	release = sync.OnceFunc(func() { close(released) })
	t.Cleanup(release)
	go func() {
		_ = cache.file.write(context.Background(), func(*bbolt.Tx) error {
			close(holding)
			<-released
			return nil
		})
	}()
	<-holding
	return release
}

func committed(t *testing.T, cache *bboltCache) (id int) {
	t.Helper()
	require.NoError(t, cache.file.read(func(tx *bbolt.Tx) error { id = tx.ID(); return nil }))
	return id
}

func TestBboltAddsThatOnlyMeetDuplicatesCostNoCommit(t *testing.T) {
	cache := openTestBbolt(t)
	require.NoError(t, cache.Add(t.Context(), "a", nil, nil))
	before := committed(t, cache)
	require.ErrorIs(t, cache.Add(t.Context(), "a", nil, nil), service.ErrKeyAlreadyExists)
	assert.Equal(t, before, committed(t, cache))
}

func TestBboltWaitEndsWithItsContext(t *testing.T) {
	cache := openTestBbolt(t)
	release := holdWriter(t, cache)

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, cache.Set(ctx, "a", []byte("1"), nil), context.DeadlineExceeded)
	for range boltMaxGroup { // the queue is full: waiting for room ends with the context too
		cache.file.writes <- &boltWrite{ctx: ctx, done: make(chan error, 1)}
		if len(cache.file.writes) == boltMaxGroup {
			break
		}
	}
	full, cancelFull := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancelFull()
	require.ErrorIs(t, cache.Set(full, "b", nil, nil), context.DeadlineExceeded)

	release()
	require.NoError(t, cache.Set(t.Context(), "c", nil, nil))
	assertAbsent(t, cache, "a")
	_, err := cache.Get(ctx, "c")
	assert.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestBboltCloseFinishesWritesThatWait(t *testing.T) {
	for range 10 { // the writer may see the writes or the end first
		cache := openTestBbolt(t)
		release := holdWriter(t, cache)
		results := make(chan error, 50)
		for i := range cap(results) {
			go func() { results <- cache.Add(context.Background(), fmt.Sprint("lead-", i), nil, nil) }()
		}
		require.Eventually(t, func() bool { return len(cache.file.writes) == cap(results) }, 10*time.Second, time.Millisecond)

		impatient, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		require.ErrorIs(t, cache.Close(impatient), context.DeadlineExceeded)
		cancel()
		release()
		closeTestBbolt(t, cache)
		for range cap(results) {
			require.NoError(t, <-results)
		}
		again := openTestBbolt(t, atPath(cache.file.path))
		for i := range cap(results) {
			assertValue(t, again, fmt.Sprint("lead-", i), "")
		}
	}
}

func TestBboltSaysThatItIsClosed(t *testing.T) {
	cache := openTestBbolt(t)
	file := cache.file
	closeTestBbolt(t, cache)
	closeTestBbolt(t, cache)

	_, err := cache.Get(t.Context(), "a")
	assert.ErrorIs(t, err, errBboltClosed)
	assert.ErrorIs(t, cache.Set(t.Context(), "a", nil, nil), errBboltClosed)
	assert.ErrorIs(t, cache.SetMulti(t.Context()), errBboltClosed)
	assert.ErrorIs(t, cache.Add(t.Context(), "a", nil, nil), errBboltClosed)
	assert.ErrorIs(t, cache.Delete(t.Context(), "a"), errBboltClosed)

	// An operation that began just before Close.
	assert.ErrorIs(t, file.write(t.Context(), func(*bbolt.Tx) error { return nil }), errBboltClosed)
	assert.ErrorIs(t, file.read(func(*bbolt.Tx) error { return nil }), errBboltClosed)
}

func TestBboltOperationsThatRaceWithCloseEnd(t *testing.T) {
	for range 20 {
		cache := openTestBbolt(t)
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				for n := 0; ; n++ {
					key := fmt.Sprint(i, "-", n)
					if err := cache.Add(context.Background(), key, nil, nil); err != nil {
						assert.ErrorIs(t, err, errBboltClosed)
						return
					}
					if _, err := cache.Get(context.Background(), key); err != nil {
						assert.ErrorIs(t, err, errBboltClosed)
						return
					}
				}
			})
		}
		require.NoError(t, cache.Set(t.Context(), "a", nil, nil))
		closeTestBbolt(t, cache)
		wg.Wait()
	}
}

func TestBboltReturnsDamagedRecordsAsTheyAre(t *testing.T) {
	cache := openTestBbolt(t)
	damaged := map[string]string{
		"empty":          "",
		"only format":    "\x02",
		"cut short":      "\x02\x00\x00\x00\x01",
		"foreign":        "a plain value of some other program",
		"absurd expiry":  "\x02" + strings.Repeat("\xff", 8) + strings.Repeat("\x00", 8) + "value",
		"absurd place":   "\x02" + strings.Repeat("\x00", 8) + strings.Repeat("\xff", 8) + "value",
		"unknown format": "\x01" + strings.Repeat("\x00", 16) + "value",
	}
	trees := func(tx *bbolt.Tx) []*bbolt.Bucket {
		found := cache.bucket.open(tx)
		return []*bbolt.Bucket{found.fresh, found.records}
	}
	for which := range 2 {
		testDamagedRecords(t, cache, damaged, func(tx *bbolt.Tx) *bbolt.Bucket { return trees(tx)[which] })
	}
}

func testDamagedRecords(t *testing.T, cache *bboltCache, damaged map[string]string, tree func(*bbolt.Tx) *bbolt.Bucket) {
	t.Helper()
	require.NoError(t, cache.file.write(t.Context(), func(tx *bbolt.Tx) error {
		for key, stored := range damaged {
			if err := tree(tx).Put([]byte(key), []byte(stored)); err != nil {
				return err
			}
		}
		return nil
	}))
	for key, stored := range damaged {
		assertValue(t, cache, key, stored)
		assert.ErrorIs(t, cache.Add(t.Context(), key, nil, nil), service.ErrKeyAlreadyExists, "%s: in doubt it is present", key)
		require.NoError(t, cache.Set(t.Context(), key, []byte("repaired"), nil))
		assertValue(t, cache, key, "repaired")
		require.NoError(t, cache.Delete(t.Context(), key))
		assertAbsent(t, cache, key)
	}
}

func TestBboltAddAllAnswersForEachItemAsAddWould(t *testing.T) {
	cache := openTestBbolt(t)
	hour, negative := time.Hour, -time.Hour
	require.NoError(t, cache.Add(t.Context(), "there", []byte("1"), &hour))

	errs := cache.AddAll(t.Context(), []store.Item{
		{Key: "new", Value: []byte("2"), TTL: &hour}, {Key: "there", Value: []byte("2"), TTL: &hour},
		{Key: "", Value: []byte("2"), TTL: &hour}, {Key: "wrong", Value: []byte("2"), TTL: &negative}, {Key: "new", Value: []byte("3"), TTL: &hour},
	})

	require.Len(t, errs, 5)
	require.NoError(t, errs[0])
	require.ErrorIs(t, errs[1], store.ErrExists)
	require.ErrorContains(t, errs[2], "key is empty")
	require.ErrorContains(t, errs[3], "ttl is negative")
	require.ErrorIs(t, errs[4], store.ErrExists, "the first of two equal keys wins")
	assertValue(t, cache, "new", "2")
	assertValue(t, cache, "there", "1")
	assertAbsent(t, cache, "wrong")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	assert.ErrorIs(t, cache.AddAll(ctx, []store.Item{{Key: "late"}})[0], context.Canceled)
	require.NoError(t, cache.Close(t.Context()))
	assert.ErrorIs(t, cache.AddAll(t.Context(), []store.Item{{Key: "late"}})[0], errBboltClosed)
}
