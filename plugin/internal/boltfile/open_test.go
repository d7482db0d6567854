package boltfile

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

func TestCachesOfOneProcessShareAFile(t *testing.T) {
	folder := t.TempDir()
	real, link := filepath.Join(folder, "real.db"), filepath.Join(folder, "link.db")
	first := openTest(t, atPath(real))
	require.NoError(t, os.Symlink(real, link))
	same := openTest(t, atPath(link))
	other := openTest(t, atPath(real), inBucket("other"))

	require.NoError(t, first.Set(t.Context(), "a", []byte("1"), nil))
	assertValue(t, same, "a", "1")
	assertAbsent(t, other, "a")

	closeTest(t, first)
	closeTest(t, first) // twice: the others' hold on the file must not be given up
	require.NoError(t, other.Set(t.Context(), "a", []byte("2"), nil))
	assertValue(t, same, "a", "1")
	_, err := first.Get(t.Context(), "a")
	require.ErrorIs(t, err, ErrClosed)
	closeTest(t, same)
	closeTest(t, other)

	again := openTest(t, atPath(link))
	assertValue(t, again, "a", "1")
}

func TestOpensWhileItsLastUserCloses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "busy.db")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for n := range 20 {
				cache, err := open(testConfig{path: path})
				if !assert.NoError(t, err) {
					return
				}
				assert.NoError(t, cache.Set(context.Background(), "a", []byte{byte(n)}, nil))
				assert.NoError(t, cache.file.Close(context.Background()))
			}
		})
	}
	wg.Wait()
	openFiles.mu.Lock()
	defer openFiles.mu.Unlock()
	assert.NotContains(t, openFiles.byPath, path)
}

func TestCreatesTheFileAndItsFolders(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "some", "state")
	cache := openTest(t, atPath(filepath.Join(folder, "ledger.db")))
	require.NoError(t, cache.Set(t.Context(), "a", nil, nil))
	assertMode(t, cache.file.shared.path, 0o600)
	assertMode(t, folder, 0o700)

	group := openTest(t, atPath(filepath.Join(t.TempDir(), "state", "ledger.db")), func(c *testConfig) { c.fileMode = 0o640 })
	assertMode(t, group.file.shared.path, 0o640)
	assertMode(t, filepath.Dir(group.file.shared.path), 0o750)
}

func TestCreatesWhatALinkLeadsTo(t *testing.T) {
	folder := t.TempDir()
	in := func(name string) string { return filepath.Join(folder, name) }
	require.NoError(t, os.Mkdir(in("volume"), 0o700))
	require.NoError(t, os.Symlink(filepath.Join("volume", "second.db"), in("first.db")))
	require.NoError(t, os.Symlink(in("real.db"), in("volume/second.db")))
	_, err := open(testConfig{path: in("first.db"), mustExist: true})
	require.ErrorContains(t, err, "does not exist, and `must_exist` is set")
	cache := openTest(t, atPath(in("first.db")))
	same := openTest(t, atPath(in("real.db")))
	set(t, cache, "a")
	assertValue(t, same, "a", "1")
	info, err := os.Lstat(in("real.db"))
	require.NoError(t, err)
	assert.True(t, info.Mode().IsRegular())

	require.NoError(t, os.Symlink("circle.db", in("circle.db")))
	_, err = open(testConfig{path: in("circle.db")})
	require.ErrorContains(t, err, "circle.db")
}

func assertMode(t *testing.T, path string, want os.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, want.String(), info.Mode().Perm().String(), path)
}

func TestPathIsResolvedFromTheWorkingDirectory(t *testing.T) {
	t.Chdir(t.TempDir())
	openTest(t, atPath("ledger.db"))
	assert.FileExists(t, "ledger.db")
}

func TestNamesThePathItCannotUse(t *testing.T) {
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
		{"a file cut after its head", inFolder("cut", bytesOfAFile(t, 8<<10)), "not a usable bbolt file"},
		{"a file cut in the middle", inFolder("half", bytesOfAFile(t, 200<<10)), "not a usable bbolt file"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			for range 2 { // a failure must not leave the file locked or remembered
				_, err := open(testConfig{path: tc.path})
				require.ErrorContains(t, err, tc.path)
				assert.ErrorContains(t, err, tc.reason)
			}
		})
	}
}

// bytesOfAFile returns the first bytes of a proper file that is larger.
func bytesOfAFile(t *testing.T, size int) []byte {
	t.Helper()
	cache := openTest(t)
	for range 3 {
		require.NoError(t, cache.Set(t.Context(), "a", make([]byte, 300<<10), nil))
	}
	closeTest(t, cache)
	content, err := os.ReadFile(cache.file.shared.path)
	require.NoError(t, err)
	return content[:size]
}

func TestSaysWhichFileItMayNotOpen(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may open any file")
	}
	cache := openTest(t)
	closeTest(t, cache)
	require.NoError(t, os.Chmod(cache.file.shared.path, 0))
	_, err := open(testConfig{path: cache.file.shared.path})
	assert.ErrorContains(t, err, "may not read and write")
}

func TestNamesABucketThatIsSomethingElse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "foreign.db")
	db, err := bbolt.Open(path, 0o600, nil)
	require.NoError(t, err)
	require.NoError(t, db.Update(func(tx *bbolt.Tx) error {
		foreign, err := tx.CreateBucket([]byte("cache"))
		if err != nil {
			return err
		}
		return foreign.Put(recordsTree, []byte("a value"))
	}))
	require.NoError(t, db.Close())
	_, err = open(testConfig{path: path})
	require.ErrorContains(t, err, `opening bucket "cache"`)
	assert.ErrorContains(t, err, path)
}
