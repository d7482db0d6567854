package boltfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func backedUp(path string) func(*testConfig) {
	return func(c *testConfig) { c.backup = Backup{Path: path, Interval: time.Hour} }
}

func TestABackupHasWhatTheFileHadThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		copied := filepath.Join(t.TempDir(), "copy.db")
		cache := openTest(t, backedUp(copied))
		set(t, cache, "a")
		time.Sleep(time.Hour - time.Minute)
		assert.NoFileExists(t, copied, "what was there before the start is kept for a while")
		time.Sleep(2 * time.Minute)
		set(t, cache, "b")
		assertMode(t, copied, 0o600)
		content, err := os.ReadFile(copied)
		require.NoError(t, err)
		time.Sleep(time.Hour)
		second, err := os.ReadFile(copied)
		require.NoError(t, err)
		for content, keys := range map[string]string{string(content): "a", string(second): "ab"} {
			path := filepath.Join(t.TempDir(), "restored.db")
			require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
			restored := openTest(t, atPath(path))
			assert.Equal(t, cache.ID(), restored.ID())
			assert.Equal(t, len(keys), storedRecords(t, restored)[0])
			checkFile(t, restored)
			closeTest(t, restored)
		}
		names, err := os.ReadDir(filepath.Dir(copied))
		require.NoError(t, err)
		assert.Len(t, names, 1, "nothing else is left there")
	})
}

func TestABackupIsConsistentWhileTheFileIsWrittenTo(t *testing.T) {
	cache := openTest(t)
	set(t, cache, "first")
	copied := filepath.Join(t.TempDir(), "copy.db")
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for writer := range 4 {
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
					assert.NoError(t, cache.Add(t.Context(), fmt.Sprintf("%d-%d", writer, n), []byte("1"), nil))
				}
			}
		})
	}
	before := 0
	for range 10 {
		require.NoError(t, cache.file.shared.copyTo(Backup{Path: copied}, nil))
		require.NoError(t, checkIsWhole(copied))
		h, err := openHandle(copied, 0o600)
		require.NoError(t, err)
		bucket := &Bucket{file: &File{shared: newOpenFile(copied, Options{Log: silent{}})}, name: cache.name}
		bucket.file.shared.handle.Store(h)
		records := storedRecords(t, bucket)[0]
		assert.GreaterOrEqual(t, records, before)
		before = records
		require.NoError(t, h.close())
	}
	close(stop)
	wg.Wait()
	assert.Positive(t, before)
}

// blocked is a disk that hangs.
type blocked struct{ reached, release chan struct{} }

func (b blocked) Write([]byte) (int, error) {
	close(b.reached)
	<-b.release
	return 0, errors.New("released")
}

func TestADiskThatHangsUnderABackupStopsNoWrite(t *testing.T) {
	log, hangs := &told{}, blocked{make(chan struct{}), make(chan struct{})}
	cache := openTest(t, func(c *testConfig) { c.rewrites, c.log = time.Second, log })
	set(t, cache, "a")
	copied := make(chan error, 1)
	go func() {
		to := Backup{Path: filepath.Join(t.TempDir(), "copy.db"), through: func(io.Writer) io.Writer { return hangs }}
		copied <- cache.file.shared.copyTo(to, nil)
	}()
	<-hangs.reached
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	before := cache.file.shared.handle.Load()
	var size int64
	for i := 0; size < 4<<20 || cache.file.shared.handle.Load() == before; i++ { // it grows, and is rewritten
		require.NoError(t, cache.Set(ctx, fmt.Sprint(i), make([]byte, 100<<10), nil))
		size = sizeOf(cache.file.shared.handle.Load())
	}
	names, err := os.ReadDir(filepath.Dir(cache.file.shared.path))
	require.NoError(t, err)
	for _, entry := range names {
		assert.NotContains(t, entry.Name(), ".new-", "what is copied has no name that a kill could leave")
	}
	close(hangs.release)
	require.ErrorContains(t, <-copied, "released")
}

func TestTroubleWithABackupIsReportedAndStopsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, folder := &told{}, filepath.Join(t.TempDir(), "away")
		cache := openTest(t, backedUp(filepath.Join(folder, "copy.db")), func(c *testConfig) { c.log = log })
		set(t, cache, "a")
		log.forget()
		time.Sleep(time.Hour + time.Minute)
		require.Len(t, log.all(), 1)
		assert.Contains(t, log.all()[0], "WARN Backup of a cache file failed; retrying in 5m0s at most: writing ")
		set(t, cache, "b")
		time.Sleep(5 * time.Minute)
		require.GreaterOrEqual(t, len(log.all()), 2)
		assert.Contains(t, log.all()[1], "WARN Backup of a cache file still fails, since 2000-01-01T01:00:00Z: ")
		require.NoError(t, os.Mkdir(folder, 0o700))
		time.Sleep(5 * time.Minute)
		assert.Contains(t, log.all()[len(log.all())-1], "INFO Backup of a cache file works again, after ")
	})
}

func TestABackupThatDoesNotEndIsReportedAndHoldsUpNoClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, hangs := &told{}, blocked{make(chan struct{}), make(chan struct{})}
		cache := openTest(t, backedUp(filepath.Join(t.TempDir(), "copy.db")), func(c *testConfig) {
			c.log = log
			c.backup.through = func(io.Writer) io.Writer { return hangs }
		})
		set(t, cache, "a")
		log.forget()
		<-hangs.reached
		time.Sleep(backupPatience - time.Second)
		synctest.Wait()
		assert.Empty(t, log.all(), "a large file takes its time")
		time.Sleep(time.Second)
		synctest.Wait()
		require.Len(t, log.all(), 1)
		assert.Contains(t, log.all()[0], "WARN Backup of a cache file does not end, and nothing else waits for it: writing ")
		set(t, cache, "b")
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		require.Len(t, log.all(), 2)
		assert.Contains(t, log.all()[1], "WARN Backup of a cache file still does not end, since 2000-01-01T01:00:00Z: ")

		began := time.Now()
		closeTest(t, cache)
		assert.Equal(t, backupEnding, time.Since(began))
		close(hangs.release)
		<-cache.file.backedUp
	})
}

func TestABackupReplacesOnlyABackupOfTheSameContents(t *testing.T) {
	copied := filepath.Join(t.TempDir(), "copy.db")
	lost := openTest(t)
	set(t, lost, "called long ago")
	require.NoError(t, lost.file.shared.copyTo(Backup{Path: copied}, nil))
	require.NoError(t, lost.file.shared.copyTo(Backup{Path: copied}, nil), "its own is replaced")
	good, err := os.ReadFile(copied)
	require.NoError(t, err)

	began := openTest(t) // as an empty one, in place of the one that was lost
	require.ErrorContains(t, began.file.shared.copyTo(Backup{Path: copied}, nil), "no earlier backup of this file")
	kept, err := os.ReadFile(copied)
	require.NoError(t, err)
	assert.Equal(t, good, kept)

	require.NoError(t, os.WriteFile(copied, []byte("somebody's text"), 0o600))
	require.ErrorContains(t, lost.file.shared.copyTo(Backup{Path: copied}, nil), "no earlier backup of this file")
}

func TestADamagedFileDoesNotReplaceItsBackup(t *testing.T) {
	content, pageSize := wholeFile(t)
	path, copied := filepath.Join(t.TempDir(), "ledger.db"), filepath.Join(t.TempDir(), "copy.db")
	require.NoError(t, os.WriteFile(path, content, 0o600))
	cache := openTest(t, atPath(path))
	require.NoError(t, cache.file.shared.copyTo(Backup{Path: copied}, nil))
	good, err := os.ReadFile(copied)
	require.NoError(t, err)
	now, err := os.ReadFile(path) // it was rewritten at the start
	require.NoError(t, err)
	leaf := pagesInUse(t, now, pageSize, leafPage)
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	_, err = file.WriteAt(make([]byte, pageSize), int64(leaf[len(leaf)/2]*pageSize))
	require.NoError(t, err)
	require.NoError(t, file.Close())
	require.ErrorContains(t, cache.file.shared.copyTo(Backup{Path: copied}, nil), "is damaged")
	kept, err := os.ReadFile(copied)
	require.NoError(t, err)
	assert.Equal(t, good, kept)
}

func TestABackupIsNotTheFileItself(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	for range 2 {
		_, err := open(testConfig{path: path, backup: Backup{Path: path, Interval: time.Hour}})
		require.ErrorContains(t, err, "is the file itself")
	}
}
