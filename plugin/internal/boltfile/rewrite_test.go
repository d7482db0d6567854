package boltfile

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
)

// legible reports which of some texts stand in the bytes of a cache's file.
func legible(t *testing.T, cache *Bucket, texts ...string) (found []string) {
	t.Helper()
	content, err := os.ReadFile(cache.file.shared.path)
	require.NoError(t, err)
	for _, text := range texts {
		if bytes.Contains(content, []byte(text)) {
			found = append(found, text)
		}
	}
	return found
}

func TestWhatIsDeletedIsNotLegibleAfterTheNextStart(t *testing.T) {
	cache := openTest(t)
	path := cache.file.shared.path
	var gone []string
	for i := range 300 {
		gone = append(gone, fmt.Sprintf("deleted-%d.", i))
		require.NoError(t, cache.Set(t.Context(), "key-of-"+gone[i], []byte(gone[i]+strings.Repeat("x", 200)), nil))
		require.NoError(t, cache.Set(t.Context(), fmt.Sprintf("kept-%d", i), fmt.Appendf(nil, "first-%d.", i), nil))
		require.NoError(t, cache.Set(t.Context(), fmt.Sprintf("kept-%d", i), fmt.Appendf(nil, "second-%d.", i), nil))
	}
	for i := range gone {
		require.NoError(t, cache.Delete(t.Context(), "key-of-"+gone[i]))
	}
	require.NotEmpty(t, legible(t, cache, gone...), "bbolt leaves them")
	id := cache.ID()
	closeTest(t, cache)

	log := &told{}
	cache, err := open(testConfig{path: path, log: log, fileMode: 0o644})
	require.NoError(t, err)
	defer closeTest(t, cache)
	assert.Empty(t, legible(t, cache, append(gone, "key-of", "first-")...))
	assert.Equal(t, id, cache.ID(), "its contents are the same")
	for i := range gone {
		assertValue(t, cache, fmt.Sprintf("kept-%d", i), fmt.Sprintf("second-%d.", i))
		assertAbsent(t, cache, "key-of-"+gone[i])
	}
	assertMode(t, path, 0o600)
	assert.Contains(t, strings.Join(log.all(), "\n"), "INFO Cache file rewritten without what was deleted or has expired: ")
	require.NoError(t, cache.Set(t.Context(), "after", []byte("1"), nil))
	checkFile(t, cache)
	names, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	assert.Len(t, names, 1, "nothing is left beside it")
}

func TestWhatHasExpiredIsNotLegibleADayLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &told{}
		cache := openTest(t, withDefaultTTL, func(c *testConfig) { c.log = log })
		keep := time.Duration(0)
		items := make([]store.Item, 2000)
		for i := range items {
			items[i] = store.Item{Key: fmt.Sprintf("expiring-%d", i), Value: fmt.Appendf(nil, "transcript-%d", i)}
		}
		require.NoError(t, cache.SetAll(t.Context(), items))
		require.NoError(t, cache.Set(t.Context(), "kept", []byte("for good"), &keep))
		other := openTest(t, atPath(cache.file.shared.path), inBucket("other"))
		require.NoError(t, other.Set(t.Context(), "elsewhere", []byte("kept, too"), nil))
		time.Sleep(day + time.Minute)
		assert.Empty(t, legible(t, cache, "expiring-", "transcript-"))
		assertValue(t, cache, "kept", "for good")
		assertValue(t, other, "elsewhere", "kept, too")
		require.NoError(t, other.Set(t.Context(), "after", nil, nil), "all caches of the file write to the new one")
		assertValue(t, other, "after", "")

		time.Sleep(day)
		log.forget()
		time.Sleep(3 * day)
		assert.Empty(t, log.all(), "a file that nobody writes to is not rewritten")
	})
}

func TestWhatMayNotExpireSurvivesARewrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		system := &wrongClock{}
		cache := openTest(t, system.both()...)
		path := cache.file.shared.path
		set(t, cache, "lead")
		steadyDays(t, cache, 1)
		closeTest(t, cache)
		system.set(8 * day)
		for range 3 {
			cache = openTest(t, append(system.both(), atPath(path))...)
			assertKept(t, cache, "lead")
			set(t, cache, "another")
			closeTest(t, cache)
		}
		system.set(0)
		cache = openTest(t, append(system.both(), atPath(path))...)
		assertKept(t, cache, "lead")
		assertKept(t, cache, "another")
		steadyDays(t, cache, 8)
		assert.Equal(t, [2]int{1, 1}, storedRecords(t, cache))
	})
}

func TestWhatOtherProgramsKeepInTheFileSurvivesARewrite(t *testing.T) {
	cache := openTest(t)
	path := cache.file.shared.path
	set(t, cache, "a")
	closeTest(t, cache)
	db, err := bbolt.Open(path, 0o600, nil)
	require.NoError(t, err)
	require.NoError(t, db.Update(func(tx *bbolt.Tx) error {
		foreign, err := tx.CreateBucket([]byte("foreign"))
		require.NoError(t, err)
		require.NoError(t, foreign.SetSequence(7))
		within, err := foreign.CreateBucket([]byte("records"))
		require.NoError(t, err)
		require.NoError(t, within.Put([]byte("x"), []byte("y")))
		return tx.Bucket([]byte("cache")).Put([]byte("later"), []byte("a key of a later version"))
	}))
	require.NoError(t, db.Close())
	cache = openTest(t, atPath(path))
	require.NoError(t, cache.file.shared.read(func(tx *bbolt.Tx) error {
		foreign := tx.Bucket([]byte("foreign"))
		assert.EqualValues(t, 7, foreign.Sequence())
		assert.Equal(t, "y", string(foreign.Bucket([]byte("records")).Get([]byte("x"))))
		assert.Equal(t, "a key of a later version", string(tx.Bucket([]byte("cache")).Get([]byte("later"))))
		return nil
	}))
}

func TestARewriteThatWasCutOffIsForgotten(t *testing.T) {
	cache := openTest(t)
	path := cache.file.shared.path
	set(t, cache, "a")
	closeTest(t, cache)
	for _, left := range [][]byte{nil, []byte("half"), make([]byte, 100<<10)} {
		require.NoError(t, os.WriteFile(path+rewriteSuffix, left, 0o600))
		cache = openTest(t, atPath(path))
		assertValue(t, cache, "a", "1")
		set(t, cache, "b")
		assert.NoFileExists(t, path+rewriteSuffix)
		closeTest(t, cache)
	}
}

func TestAFileThatCannotBeRewrittenIsUsedAllTheSame(t *testing.T) {
	cache := openTest(t)
	path := cache.file.shared.path
	set(t, cache, "a")
	closeTest(t, cache)
	require.NoError(t, os.MkdirAll(filepath.Join(path+rewriteSuffix, "in the way"), 0o700))
	log := &told{}
	cache, err := open(testConfig{path: path, log: log})
	require.NoError(t, err)
	defer closeTest(t, cache)
	assertValue(t, cache, "a", "1")
	set(t, cache, "b")
	assert.Contains(t, strings.Join(log.all(), "\n"), "WARN Rewriting a cache file failed, so what was deleted from it or has expired is still legible in it; next try in 24h0m0s: ")
}

// Each try copies everything, and writes wait meanwhile.
func TestARewriteThatFailsIsTriedAgainADayLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &told{}
		cache := openTest(t, func(c *testConfig) { c.log = log })
		require.NoError(t, os.MkdirAll(filepath.Join(cache.file.shared.path+rewriteSuffix, "in the way"), 0o700))
		set(t, cache, "a")
		time.Sleep(3*day + time.Hour)
		failed := 0
		for _, line := range log.all() {
			if strings.HasPrefix(line, "WARN Rewriting a cache file failed") {
				failed++
			}
		}
		assert.Equal(t, 3, failed)
	})
}

func TestABucketOfAnyNameSurvivesARewrite(t *testing.T) {
	for _, name := range []string{"expiry", "undated", "fresh", "records", "id"} {
		cache := openTest(t, inBucket(name))
		set(t, cache, "a")
		closeTest(t, cache)
		log := &told{}
		again := openTest(t, inBucket(name), atPath(cache.file.shared.path), func(c *testConfig) { c.log = log })
		assert.Equal(t, cache.ID(), again.ID(), name)
		assertValue(t, again, "a", "1")
		closeTest(t, again)
		third := openTest(t, inBucket(name), atPath(cache.file.shared.path), func(c *testConfig) { c.log = log })
		assert.Equal(t, cache.ID(), third.ID(), name)
		assert.Contains(t, log.all()[len(log.all())-1], "has 1 records; the newest was written", name)
	}
}

// A version before opens the file, waits a second for its lock, and does not look at the path again.
func TestNobodyGetsTheFileThatWasReplaced(t *testing.T) {
	cache := openTest(t, func(c *testConfig) { c.rewrites = 300 * time.Millisecond })
	path := cache.file.shared.path
	for i := range 3 {
		set(t, cache, fmt.Sprint(i))
		before := cache.file.shared.handle.Load()
		_, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockTimeout})
		require.ErrorIs(t, err, bolterrors.ErrTimeout)
		assert.NotSame(t, before, cache.file.shared.handle.Load(), "it was rewritten meanwhile")
	}
}

func TestWhatAFileWasBeforeARewriteIsClosedSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cache := openTest(t)
		set(t, cache, "a")
		before := cache.file.shared.handle.Load()
		time.Sleep(day + formerFor + 2*watchInterval)
		assert.NotSame(t, before, cache.file.shared.handle.Load())
		assert.ErrorIs(t, before.read(func(*bbolt.Tx) error { return nil }), bolterrors.ErrDatabaseNotOpen)
	})
}

// A large file takes longer to rewrite than a start waits for it.
func TestWhatIsMissingIsToldBeforeTheRewrite(t *testing.T) {
	cache := openTest(t)
	set(t, cache, "a")
	held, release := make(chan struct{}), make(chan struct{})
	go func() { // as a rewrite
		_ = cache.file.shared.write(context.Background(), func(*bbolt.Tx) error { close(held); <-release; return nil })
	}()
	<-held
	late := time.AfterFunc(20*time.Second, func() { close(release) })
	defer func() {
		if assert.True(t, late.Stop(), "it waited for the rewrite") {
			close(release)
		}
	}()
	file, err := Open(Options{Path: cache.file.shared.path, Mode: 0o600, MustExist: true, Log: silent{}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, file.Close(context.Background())) })
	_, err = file.Bucket("typo", 0)
	require.ErrorContains(t, err, "it has no such bucket, and `must_exist` is set")
	there, err := file.Bucket("cache", 0)
	require.NoError(t, err)
	assert.Equal(t, cache.ID(), there.ID())
	assertValue(t, there, "a", "1")
}

func TestReadsAndWritesGoOnWhileTheFileIsRewritten(t *testing.T) {
	cache := openTest(t, func(c *testConfig) { c.rewrites = time.Millisecond })
	begin, err := os.Stat(cache.file.shared.path)
	require.NoError(t, err)
	var wg sync.WaitGroup
	for writer := range 8 {
		wg.Go(func() {
			for n := range 100 {
				key := fmt.Sprintf("%d-%d", writer, n)
				if err := cache.Add(t.Context(), key, []byte(key), nil); err != nil {
					t.Error(err)
					return
				}
				value, err := cache.Get(t.Context(), key)
				if err != nil {
					t.Error(err)
				}
				assert.Equal(t, key, string(value))
				assert.ErrorIs(t, cache.Add(t.Context(), key, nil, nil), store.ErrExists)
			}
		})
	}
	wg.Wait()
	end, err := os.Stat(cache.file.shared.path)
	require.NoError(t, err)
	assert.False(t, os.SameFile(begin, end))
	checkFile(t, cache)
}
