package boltfile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
)

// testConfig says what a test opens.
type testConfig struct {
	path, bucket string
	defaultTTL   time.Duration
	fileMode     fs.FileMode
	mustExist    bool
	log          pause.Logger
	wall         func() time.Time
	rewrites     time.Duration
	backup       Backup
}

// silent is a log that nobody reads.
type silent struct{}

func (silent) Warnf(string, ...any) {}
func (silent) Infof(string, ...any) {}

func open(conf testConfig) (*Bucket, error) {
	if conf.fileMode == 0 {
		conf.fileMode = 0o600
	}
	if conf.log == nil {
		conf.log = silent{}
	}
	file, err := Open(Options{Path: conf.path, Mode: conf.fileMode, MustExist: conf.mustExist, Log: conf.log, wall: conf.wall, rewrites: conf.rewrites, Backup: conf.backup})
	if err != nil {
		return nil, err
	}
	bucket, err := file.Bucket(cmp.Or(conf.bucket, "cache"), conf.defaultTTL)
	if err != nil {
		return nil, errors.Join(err, file.Close(context.Background()))
	}
	_ = file.shared.write(context.Background(), func(*bbolt.Tx) error { return errors.New("waits for the rewrite at the start") })
	return bucket, nil
}

func openTest(t *testing.T, change ...func(*testConfig)) *Bucket {
	t.Helper()
	conf := testConfig{path: filepath.Join(t.TempDir(), "test.db")}
	for _, c := range change {
		c(&conf)
	}
	bucket, err := open(conf)
	require.NoError(t, err)
	t.Cleanup(func() { closeTest(t, bucket) })
	return bucket
}

func closeTest(t *testing.T, cache *Bucket) {
	t.Helper()
	require.NoError(t, cache.file.Close(context.WithoutCancel(t.Context())))
}

func atPath(path string) func(*testConfig) { return func(c *testConfig) { c.path = path } }

func inBucket(bucket string) func(*testConfig) { return func(c *testConfig) { c.bucket = bucket } }

func withDefaultTTL(c *testConfig) { c.defaultTTL = time.Hour }

func assertValue(t *testing.T, cache store.Store, key, want string) {
	t.Helper()
	value, err := cache.Get(t.Context(), key)
	if assert.NoError(t, err, key) {
		assert.Equal(t, want, string(value), key)
	}
}

func assertAbsent(t *testing.T, cache store.Store, key string) {
	t.Helper()
	_, err := cache.Get(t.Context(), key)
	assert.ErrorIs(t, err, store.ErrNotFound, key)
}

func TestStoresReplacesAndDeletes(t *testing.T) {
	cache := openTest(t)
	ctx := t.Context()

	assertAbsent(t, cache, "a")
	require.NoError(t, cache.Set(ctx, "a", []byte("1"), nil))
	require.NoError(t, cache.Set(ctx, "a", []byte("2"), nil))
	assertValue(t, cache, "a", "2")
	require.ErrorIs(t, cache.Add(ctx, "a", []byte("3"), nil), store.ErrExists)
	assertValue(t, cache, "a", "2")

	require.NoError(t, cache.Delete(ctx, "a"))
	require.NoError(t, cache.Delete(ctx, "a"), "an absent key is no error")
	assertAbsent(t, cache, "a")
	require.NoError(t, cache.Add(ctx, "a", nil, nil))
	assertValue(t, cache, "a", "")
}

func TestSetAllStoresAllOrNothing(t *testing.T) {
	cache := openTest(t)
	require.NoError(t, cache.SetAll(t.Context(), nil))
	require.NoError(t, cache.SetAll(t.Context(), []store.Item{
		{Key: "a", Value: []byte("1")},
		{Key: "b", Value: []byte("2")},
	}))
	assertValue(t, cache, "a", "1")
	assertValue(t, cache, "b", "2")

	require.ErrorContains(t, cache.SetAll(t.Context(), []store.Item{
		{Key: "c", Value: []byte("3")},
		{Key: "", Value: []byte("4")},
	}), "key is empty")
	assertAbsent(t, cache, "c")
}

func TestRefusesItemsItCannotStore(t *testing.T) {
	cache := openTest(t)
	negative := -time.Second
	require.ErrorContains(t, cache.Set(t.Context(), "", nil, nil), "key is empty")
	require.ErrorContains(t, cache.Add(t.Context(), strings.Repeat("k", maxKeyLen+1), nil, nil), "at most")
	require.ErrorContains(t, cache.Add(t.Context(), "k", nil, &negative), "ttl is negative")

	long, hour := strings.Repeat("k", maxKeyLen), time.Hour
	require.NoError(t, cache.Add(t.Context(), long, []byte("1"), &hour), "the longest key fits the expiry index too")
	assertValue(t, cache, long, "1")
}

func TestAddIsWonByExactlyOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shared.db")
	caches := []*Bucket{openTest(t, atPath(path)), openTest(t, atPath(path))}
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
				case !errors.Is(err, store.ErrExists):
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
func TestWriteThatFailsLeavesItsNeighboursAlone(t *testing.T) {
	cache := openTest(t)
	require.NoError(t, cache.Set(t.Context(), "taken", []byte("first"), nil))
	ended, cancel := context.WithCancel(t.Context())
	cancel()

	group := []*change{}
	queue := func(ctx context.Context, key string) {
		group = append(group, &change{ctx: ctx, done: make(chan error, 1), apply: func(tx *bbolt.Tx) error {
			if _, exists := cache.name.get(tx, key, cache.file.shared.clock.now()); exists {
				return store.ErrExists
			}
			record, err := newRecord(key, []byte("second"), 0, cache.file.shared.clock.now())
			if err != nil {
				return err
			}
			return cache.name.put(tx, record)
		}})
	}
	queue(t.Context(), "before")
	queue(t.Context(), "taken")
	queue(t.Context(), "before")
	queue(ended, "given up")
	queue(t.Context(), "after")
	cache.file.shared.commit(group)

	require.NoError(t, <-group[0].done)
	require.ErrorIs(t, <-group[1].done, store.ErrExists)
	require.ErrorIs(t, <-group[2].done, store.ErrExists, "a neighbour's key counts")
	require.ErrorIs(t, <-group[3].done, context.Canceled)
	require.NoError(t, <-group[4].done)
	assertValue(t, cache, "before", "second")
	assertValue(t, cache, "taken", "first")
	assertAbsent(t, cache, "given up")
	assertValue(t, cache, "after", "second")
}

func TestWritesThatWaitShareACommit(t *testing.T) {
	cache := openTest(t)
	release := holdWriter(t, cache)
	before := committed(t, cache)
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() { assert.NoError(t, cache.Add(t.Context(), fmt.Sprint("lead-", i), nil, nil)) })
	}
	require.Eventually(t, func() bool { return len(cache.file.shared.writes) == 200 }, time.Minute, time.Millisecond)
	release()
	wg.Wait()
	assert.LessOrEqual(t, committed(t, cache)-before, 2, "one for what held the writer, one for all that waited")
}

// holdWriter keeps the writer inside a transaction, as a slow disk would, until the returned function is called.
func holdWriter(t *testing.T, cache *Bucket) (release func()) {
	t.Helper()
	holding, released := make(chan struct{}), make(chan struct{})
	release = sync.OnceFunc(func() { close(released) })
	t.Cleanup(release)
	go func() {
		_ = cache.file.shared.write(context.Background(), func(*bbolt.Tx) error {
			close(holding)
			<-released
			return nil
		})
	}()
	<-holding
	return release
}

func committed(t *testing.T, cache *Bucket) (id int) {
	t.Helper()
	require.NoError(t, cache.file.shared.read(func(tx *bbolt.Tx) error { id = tx.ID(); return nil }))
	return id
}

func TestAddsThatOnlyMeetDuplicatesCostNoCommit(t *testing.T) {
	cache := openTest(t)
	require.NoError(t, cache.Add(t.Context(), "a", nil, nil))
	before := committed(t, cache)
	require.ErrorIs(t, cache.Add(t.Context(), "a", nil, nil), store.ErrExists)
	assert.Equal(t, before, committed(t, cache))
}

func TestWaitEndsWithItsContext(t *testing.T) {
	cache := openTest(t)
	release := holdWriter(t, cache)

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, cache.Set(ctx, "a", []byte("1"), nil), context.DeadlineExceeded)
	for range maxGroup { // the queue is full: waiting for room ends with the context too
		cache.file.shared.writes <- &change{ctx: ctx, done: make(chan error, 1)}
		if len(cache.file.shared.writes) == maxGroup {
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

func TestCloseFinishesWritesThatWait(t *testing.T) {
	for range 10 { // the writer may see the writes or the end first
		cache := openTest(t)
		release := holdWriter(t, cache)
		results := make(chan error, 50)
		for i := range cap(results) {
			go func() { results <- cache.Add(context.Background(), fmt.Sprint("lead-", i), nil, nil) }()
		}
		require.Eventually(t, func() bool { return len(cache.file.shared.writes) == cap(results) }, time.Minute, time.Millisecond)

		impatient, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		require.ErrorIs(t, cache.file.Close(impatient), context.DeadlineExceeded)
		cancel()
		release()
		closeTest(t, cache)
		for range cap(results) {
			require.NoError(t, <-results)
		}
		again := openTest(t, atPath(cache.file.shared.path))
		for i := range cap(results) {
			assertValue(t, again, fmt.Sprint("lead-", i), "")
		}
	}
}

func TestSaysThatItIsClosed(t *testing.T) {
	cache := openTest(t)
	file := cache.file.shared
	closeTest(t, cache)
	closeTest(t, cache)

	_, err := cache.Get(t.Context(), "a")
	require.ErrorIs(t, err, ErrClosed)
	require.ErrorIs(t, cache.Set(t.Context(), "a", nil, nil), ErrClosed)
	require.ErrorIs(t, cache.SetAll(t.Context(), nil), ErrClosed)
	require.ErrorIs(t, cache.Add(t.Context(), "a", nil, nil), ErrClosed)
	require.ErrorIs(t, cache.Delete(t.Context(), "a"), ErrClosed)

	_, err = cache.file.Bucket("another", 0)
	require.ErrorIs(t, err, ErrClosed)

	// An operation that began just before Close.
	require.ErrorIs(t, file.write(t.Context(), func(*bbolt.Tx) error { return nil }), ErrClosed)
	assert.ErrorIs(t, file.read(func(*bbolt.Tx) error { return nil }), ErrClosed)
}

func TestOperationsThatRaceWithCloseEnd(t *testing.T) {
	for range 20 {
		cache := openTest(t)
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				for n := 0; ; n++ {
					key := fmt.Sprint(i, "-", n)
					if err := cache.Add(context.Background(), key, nil, nil); err != nil {
						assert.ErrorIs(t, err, ErrClosed)
						return
					}
					if _, err := cache.Get(context.Background(), key); err != nil {
						assert.ErrorIs(t, err, ErrClosed)
						return
					}
				}
			})
		}
		require.NoError(t, cache.Set(t.Context(), "a", nil, nil))
		closeTest(t, cache)
		wg.Wait()
	}
}

func TestAddAllAnswersForEachItemAsAddWould(t *testing.T) {
	cache := openTest(t)
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
	require.ErrorIs(t, cache.AddAll(ctx, []store.Item{{Key: "late"}})[0], context.Canceled)
	require.NoError(t, cache.file.Close(t.Context()))
	assert.ErrorIs(t, cache.AddAll(t.Context(), []store.Item{{Key: "late"}})[0], ErrClosed)
}
