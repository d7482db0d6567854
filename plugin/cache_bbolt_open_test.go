package plugin

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"
)

func TestBboltCachesOfOneProcessShareAFile(t *testing.T) {
	folder := t.TempDir()
	real, link := filepath.Join(folder, "real.db"), filepath.Join(folder, "link.db")
	first := openTestBbolt(t, atPath(real))
	require.NoError(t, os.Symlink(real, link))
	same := openTestBbolt(t, atPath(link))
	other := openTestBbolt(t, atPath(real), inBucket("other"))

	require.NoError(t, first.Set(t.Context(), "a", []byte("1"), nil))
	assertValue(t, same, "a", "1")
	assertAbsent(t, other, "a")

	closeTestBbolt(t, first)
	closeTestBbolt(t, first) // twice: the others' hold on the file must not be given up
	require.NoError(t, other.Set(t.Context(), "a", []byte("2"), nil))
	assertValue(t, same, "a", "1")
	_, err := first.Get(t.Context(), "a")
	assert.ErrorIs(t, err, errBboltClosed)
	closeTestBbolt(t, same)
	closeTestBbolt(t, other)

	again := openTestBbolt(t, atPath(link))
	assertValue(t, again, "a", "1")
}

func TestBboltOpensWhileItsLastUserCloses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "busy.db")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for n := range 20 {
				cache, err := newBboltCache(bboltConfig{path: path, bucket: "cache", fileMode: 0o600}, nil)
				if !assert.NoError(t, err) {
					return
				}
				assert.NoError(t, cache.Set(context.Background(), "a", []byte{byte(n)}, nil))
				assert.NoError(t, cache.Close(context.Background()))
			}
		})
	}
	wg.Wait()
	openBoltFiles.mu.Lock()
	defer openBoltFiles.mu.Unlock()
	assert.NotContains(t, openBoltFiles.byPath, path)
}

func TestBboltCreatesTheFileAndItsFolders(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "some", "state")
	cache := openTestBbolt(t, atPath(filepath.Join(folder, "ledger.db")))
	require.NoError(t, cache.Set(t.Context(), "a", nil, nil))
	assertMode(t, cache.file.path, 0o600)
	assertMode(t, folder, 0o700)

	group := openTestBbolt(t, atPath(filepath.Join(t.TempDir(), "state", "ledger.db")), func(c *bboltConfig) { c.fileMode = 0o640 })
	assertMode(t, group.file.path, 0o640)
	assertMode(t, filepath.Dir(group.file.path), 0o750)
}

func assertMode(t *testing.T, path string, want os.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, want.String(), info.Mode().Perm().String(), path)
}

func TestBboltPathIsResolvedFromTheWorkingDirectory(t *testing.T) {
	t.Chdir(t.TempDir())
	openTestBbolt(t, atPath("ledger.db"))
	assert.FileExists(t, "ledger.db")
}

func TestBboltNamesThePathItCannotUse(t *testing.T) {
	folder := t.TempDir()
	inFolder := func(name string, content []byte) string {
		path := filepath.Join(folder, name)
		require.NoError(t, os.WriteFile(path, content, 0o600))
		return path
	}
	cases := []struct {
		name, path, reason string
	}{
		{"a folder", folder, "is a directory"},
		{"a device", os.DevNull, "not a regular file"},
		{"a file where a folder should be", filepath.Join(inFolder("file", nil), "ledger.db"), "not a directory"},
		{"a short text", inFolder("short", []byte("hello")), "not a usable bbolt file"},
		{"a long text", inFolder("long", bytes.Repeat([]byte("hello"), 20_000)), "not a usable bbolt file"},
		{"a file cut after its head", inFolder("cut", boltFileOf(t, 8<<10)), "not a usable bbolt file"},
		{"a file cut in the middle", inFolder("half", boltFileOf(t, 200<<10)), "not a usable bbolt file"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			for range 2 { // a failure must not leave the file locked or remembered
				_, err := newBboltCache(bboltConfig{path: tc.path, bucket: "cache", fileMode: 0o600}, nil)
				require.ErrorContains(t, err, "field path: ")
				assert.ErrorContains(t, err, tc.path)
				assert.ErrorContains(t, err, tc.reason)
			}
		})
	}
}

// boltFileOf returns the first bytes of a proper file that is larger.
func boltFileOf(t *testing.T, size int) []byte {
	t.Helper()
	cache := openTestBbolt(t)
	for range 3 {
		require.NoError(t, cache.Set(t.Context(), "a", make([]byte, 300<<10), nil))
	}
	closeTestBbolt(t, cache)
	content, err := os.ReadFile(cache.file.path)
	require.NoError(t, err)
	return content[:size]
}

func TestBboltSaysWhichFileItMayNotOpen(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may open any file")
	}
	cache := openTestBbolt(t)
	closeTestBbolt(t, cache)
	require.NoError(t, os.Chmod(cache.file.path, 0))
	_, err := newBboltCache(bboltConfig{path: cache.file.path, bucket: "cache", fileMode: 0o600}, nil)
	require.ErrorContains(t, err, "field path: ")
	assert.ErrorContains(t, err, "may not read and write")
}

func TestBboltNamesABucketThatIsSomethingElse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "foreign.db")
	db, err := bbolt.Open(path, 0o600, nil)
	require.NoError(t, err)
	require.NoError(t, db.Update(func(tx *bbolt.Tx) error {
		foreign, err := tx.CreateBucket([]byte("cache"))
		if err != nil {
			return err
		}
		return foreign.Put(boltRecords, []byte("a value"))
	}))
	require.NoError(t, db.Close())
	_, err = newBboltCache(bboltConfig{path: path, bucket: "cache", fileMode: 0o600}, nil)
	assert.ErrorContains(t, err, "field bucket")
	assert.ErrorContains(t, err, path)
}
