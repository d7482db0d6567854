package boltfile

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func leave(t *testing.T, path string, age time.Duration) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte("left"), 0o600))
	require.NoError(t, os.Chtimes(path, time.Time{}, time.Now().Add(-age)))
}

func TestWhatAKilledProcessLeftIsRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		folder := t.TempDir()
		in := func(name string) string { return filepath.Join(folder, name) }
		for _, file := range []string{"a.db", "copy.db"} {
			leave(t, in(file+".new-123.tmp"), 2*time.Hour)
			leave(t, in(file+".new-124.tmp"), 0) // another process may be making it
			// Of others, whatever their age.
			leave(t, in(file+".new-20260101"), 48*time.Hour)
			leave(t, in(file+".new-.tmp"), 48*time.Hour)
			leave(t, in(file+".new-1a.tmp"), 48*time.Hour)
			leave(t, in("other-"+file+".new-1.tmp"), 48*time.Hour)
			require.NoError(t, os.Mkdir(in(file+".new-9.tmp"), 0o700))
			require.NoError(t, os.Chtimes(in(file+".new-9.tmp"), time.Time{}, time.Now().Add(-48*time.Hour)))
		}
		leave(t, in("a.db.rewrite"), 0)

		cache := openTest(t, atPath(in("a.db")), backedUp(in("copy.db")))
		set(t, cache, "a")
		assert.NoFileExists(t, in("a.db.new-123.tmp"))
		assert.NoFileExists(t, in("a.db.rewrite"))
		assert.FileExists(t, in("a.db.new-124.tmp"))
		assert.FileExists(t, in("copy.db.new-123.tmp"), "until a copy is written")
		time.Sleep(61 * time.Minute)
		assert.NoFileExists(t, in("copy.db.new-123.tmp"))
		assert.FileExists(t, in("copy.db"))
		for _, file := range []string{"a.db", "copy.db"} {
			for _, name := range []string{file + ".new-20260101", file + ".new-.tmp", file + ".new-1a.tmp", "other-" + file + ".new-1.tmp"} {
				assert.FileExists(t, in(name))
			}
			assert.DirExists(t, in(file+".new-9.tmp"))
		}
	})
}

// A second process that is refused the file touches nothing of the first.
func TestALeftoverIsRemovedUnderTheLockOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	startChild(t, path, "run")
	leave(t, path+rewriteSuffix, 48*time.Hour)
	_, err := open(testConfig{path: path})
	require.ErrorContains(t, err, "another process has it open")
	assert.FileExists(t, path+rewriteSuffix)
}
