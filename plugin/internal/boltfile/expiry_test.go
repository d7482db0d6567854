package boltfile

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
)

func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cache := openTest(t, withDefaultTTL)
		second, keep := time.Second+300*time.Microsecond, time.Duration(0)
		require.NoError(t, cache.Set(t.Context(), "short", []byte("1"), &second))
		require.NoError(t, cache.Set(t.Context(), "default", []byte("1"), nil))
		require.NoError(t, cache.Set(t.Context(), "kept", []byte("1"), &keep))
		require.NoError(t, cache.Set(t.Context(), "longer", []byte("1"), &second))
		require.NoError(t, cache.Set(t.Context(), "longer", []byte("2"), nil))
		require.NoError(t, cache.Set(t.Context(), "deleted", []byte("1"), nil))
		require.NoError(t, cache.Delete(t.Context(), "deleted"))
		assert.Equal(t, [2]int{4, 3}, storedRecords(t, cache), "what is replaced or deleted leaves the expiry index")

		time.Sleep(second - 1)
		assertValue(t, cache, "short", "1")
		require.ErrorIs(t, cache.Add(t.Context(), "short", []byte("2"), nil), store.ErrExists)
		time.Sleep(time.Millisecond)
		assertAbsent(t, cache, "short")
		require.NoError(t, cache.Add(t.Context(), "short", []byte("2"), nil), "an expired record is no obstacle")

		time.Sleep(time.Minute) // sweeps must not touch what replaced an expired record
		assertValue(t, cache, "short", "2")
		assertValue(t, cache, "longer", "2")
		time.Sleep(time.Hour)
		assertAbsent(t, cache, "default")
		assertAbsent(t, cache, "short")
		assertValue(t, cache, "kept", "1")
		assert.Equal(t, [2]int{1, 0}, storedRecords(t, cache), "the sweeper has removed the rest")
	})
}

func storedRecords(t *testing.T, cache *Bucket) (counts [2]int) {
	t.Helper()
	require.NoError(t, cache.file.shared.read(func(tx *bbolt.Tx) error {
		trees := cache.name.open(tx)
		counts = [2]int{trees.fresh.Stats().KeyN + trees.records.Stats().KeyN, trees.index.Stats().KeyN}
		return nil
	}))
	return counts
}

func TestSpaceOfExpiredRecordsIsUsedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cache := openTest(t, withDefaultTTL)
		// A second bucket has nothing to expire and must not be touched.
		other := openTest(t, atPath(cache.file.shared.path), inBucket("other"))
		require.NoError(t, other.Set(t.Context(), "kept", []byte("1"), nil))

		const perRound = 3*sweepStep + 1
		used := make([]int64, 12)
		for round := range used {
			items := make([]store.Item, perRound)
			for i := range items {
				items[i] = store.Item{Key: fmt.Sprintf("%d-%d", i*7919%perRound, round), Value: make([]byte, 500)}
			}
			require.NoError(t, cache.SetAll(t.Context(), items))
			assert.Equal(t, [2]int{perRound, perRound}, storedRecords(t, cache))
			time.Sleep(time.Hour + 2*sweepInterval)
			assert.Equal(t, [2]int{0, 0}, storedRecords(t, cache))
			require.NoError(t, cache.file.shared.read(func(tx *bbolt.Tx) error { used[round] = tx.Size(); return nil }))
		}
		assertValue(t, other, "kept", "1")
		assert.Less(t, used[len(used)-1], used[0]*11/10, "the file grows no more: %v", used)
		checkFile(t, cache)
	})
}

func checkFile(t *testing.T, cache *Bucket) {
	t.Helper()
	require.NoError(t, cache.file.shared.read(func(tx *bbolt.Tx) error {
		for err := range tx.Check() {
			t.Error(err)
		}
		return nil
	}))
}

func TestSweepKeepsARecordWhoseIndexEntryIsStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cache := openTest(t)
		require.NoError(t, cache.Set(t.Context(), "a", []byte("live"), nil))
		require.NoError(t, cache.file.shared.write(t.Context(), func(tx *bbolt.Tx) error {
			index := cache.name.open(tx).index
			return errors.Join(
				index.Put(indexKey(1, []byte("a")), nil),
				index.Put([]byte{0}, nil),
			)
		}))
		time.Sleep(steadyFor + time.Minute)
		assertValue(t, cache, "a", "live")
		assert.Equal(t, [2]int{1, 0}, storedRecords(t, cache))
	})
}

// told is a log that a test reads.
type told struct {
	mu    sync.Mutex
	lines []string
}

func (l *told) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
}

func (l *told) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.lines)
}

func (l *told) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = nil
}

func (l *told) Warnf(format string, args ...any) { l.add("WARN " + fmt.Sprintf(format, args...)) }
func (l *told) Infof(format string, args ...any) { l.add("INFO " + fmt.Sprintf(format, args...)) }

func TestTroubleWithRemovingWhatHasExpiredIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &told{}
		file, err := Open(Options{Path: filepath.Join(t.TempDir(), "test.db"), Mode: 0o600, Log: log})
		require.NoError(t, err)
		cache, err := file.Bucket("cache", 0)
		require.NoError(t, err)
		changeIndex := func(change func(index *bbolt.Bucket) error) {
			require.NoError(t, file.shared.write(t.Context(), func(tx *bbolt.Tx) error { return change(cache.name.open(tx).index) }))
		}
		time.Sleep(steadyFor + time.Second) // between two sweeps
		log.forget()
		stuck := indexKey(1, []byte("a")) // a bucket where a key should be cannot be removed
		changeIndex(func(index *bbolt.Bucket) error { _, err := index.CreateBucket(stuck); return err })

		time.Sleep(time.Minute)
		require.Len(t, log.all(), 1, "told once")
		assert.Contains(t, log.all()[0], "WARN Removing expired cache records failed; retrying every 10s: writing to")
		require.NoError(t, cache.Set(t.Context(), "b", []byte("1"), nil), "writes go on")
		time.Sleep(5 * time.Minute)
		require.Len(t, log.all(), 2)
		assert.Contains(t, log.all()[1], "WARN Removing expired cache records still fails, since 2000-01-01T01:00:10Z: ")

		changeIndex(func(index *bbolt.Bucket) error { return index.DeleteBucket(stuck) })
		time.Sleep(time.Minute)
		require.Len(t, log.all(), 3)
		assert.Equal(t, "INFO Expired cache records are removed again, after 6m0s.", log.all()[2])

		changeIndex(func(index *bbolt.Bucket) error { _, err := index.CreateBucket(stuck); return err })
		time.Sleep(time.Minute)
		require.NoError(t, file.Close(t.Context()))
		time.Sleep(time.Hour)
		assert.Len(t, log.all(), 4, "a closed file logs nothing")
	})
}
