package plugin_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
)

// onFile is a stream that dials with a ledger in a file.
func onFile(t *testing.T, url, path string) *stream {
	t.Helper()
	p := dialParts(url, "ledger: ledger")
	p.resources = fmt.Sprintf("cache_resources:\n  - label: ledger\n    bbolt: {path: %q}\n", path)
	return run(t, p)
}

func (s *stream) awaitLog(text string) {
	s.t.Helper()
	require.Eventually(s.t, func() bool { return strings.Contains(s.logs.String(), text) }, time.Minute, time.Millisecond, text)
}

func TestALedgerFileThatIsRemovedIsNoticed(t *testing.T) {
	t.Parallel()
	for name, remove := range map[string]func(path string) error{
		"removed":  os.Remove,
		"replaced": func(path string) error { return os.Rename(path+".other", path) },
		"folder":   func(path string) error { return os.RemoveAll(filepath.Dir(path)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv, path := startSim(t, callsim.Options{}), filepath.Join(t.TempDir(), "state", "ledger.db")
			s := onFile(t, srv.URL, path)
			require.NoError(t, s.deliver(lead("a", "+12025550101")))
			require.NoError(t, os.WriteFile(path+".other", []byte("another file"), 0o600))

			require.NoError(t, remove(path))
			stopped := make(chan struct{})
			go func() {
				defer close(stopped)
				_ = s.deliver(lead("b", "+12025550102")) // it is not decided before the test ends
			}()
			s.awaitLog("Dialing paused (ledger)")
			s.awaitLog("Cache file unusable, nothing is written to it: ")
			assert.Contains(t, s.logs.String(), path)
			select {
			case <-stopped:
				assert.Fail(t, "the lead must wait")
			default:
			}
			assert.Len(t, srv.Sim.Calls(), 1, "no call that another process could place, too")
			assert.Empty(t, s.out.all(), "the lead waits and does not fail")
		})
	}
}

func TestALedgerFileThatIsPutBackIsUsedAgain(t *testing.T) {
	t.Parallel()
	srv, path := startSim(t, callsim.Options{}), filepath.Join(t.TempDir(), "ledger.db")
	s := onFile(t, srv.URL, path)
	require.NoError(t, s.deliver(lead("a", "+12025550101")))
	require.NoError(t, os.Rename(path, path+".aside"))
	delivered := make(chan error, 1)
	go func() { delivered <- s.deliver(lead("a", "+12025550101"), lead("b", "+12025550102")) }()
	s.awaitLog("Dialing paused (ledger)")
	s.awaitLog("Cache file unusable")
	require.NoError(t, os.Rename(path+".aside", path))
	require.NoError(t, <-delivered)
	s.awaitLog("Cache file usable again")
	assert.Equal(t, map[string]int{"a": 1, "b": 1}, srv.Sim.CallsBy("metadata.lead_id"))
}

func TestALedgerFileThatIsDamagedPausesTheDial(t *testing.T) {
	t.Parallel()
	srv, path := startSim(t, callsim.Options{}), filepath.Join(t.TempDir(), "ledger.db")
	s := onFile(t, srv.URL, path)
	require.NoError(t, s.deliver(lead("a", "+12025550101")))
	require.NoError(t, os.Truncate(path, 8192))
	go func() { _ = s.deliver(lead("a", "+12025550101"), lead("b", "+12025550102")) }()
	s.awaitLog("Dialing paused (ledger)")
	s.awaitLog("is damaged: ")
	assert.Contains(t, s.logs.String(), path)
	assert.Len(t, srv.Sim.Calls(), 1)
	assert.Empty(t, s.out.all())
}

func TestTheLogSaysWhatALedgerFileHas(t *testing.T) {
	t.Parallel()
	srv, path := startSim(t, callsim.Options{}), filepath.Join(t.TempDir(), "ledger.db")
	t.Run("first", func(t *testing.T) {
		s := onFile(t, srv.URL, path)
		require.NoError(t, s.deliver(lead("a", "+12025550101"), lead("b", "+12025550102")))
		s.awaitLog("has no records: it is new.")
	})
	t.Run("again", func(t *testing.T) {
		s := onFile(t, srv.URL, path)
		s.awaitLog("has 2 records; the newest was written ")
	})
}

func TestALedgersBackupIsWrittenWhileItDials(t *testing.T) {
	t.Parallel()
	srv, folder := startSim(t, callsim.Options{}), t.TempDir()
	p := dialParts(srv.URL, "ledger: ledger")
	path, copied := filepath.Join(folder, "ledger.db"), filepath.Join(folder, "copy.db")
	p.resources = fmt.Sprintf("cache_resources:\n  - label: ledger\n    bbolt: {path: %q, backup: {path: %q, interval: 50ms}}\n", path, copied)
	t.Run("dials", func(t *testing.T) {
		s := run(t, p)
		require.NoError(t, s.deliver(lead("a", "+12025550101"), lead("b", "+12025550102")))
		first, err := os.Stat(path)
		require.NoError(t, err)
		require.Eventually(t, func() bool {
			info, err := os.Stat(copied)
			return err == nil && info.ModTime().After(first.ModTime())
		}, time.Minute, time.Millisecond)
	})
	s := onFile(t, srv.URL, copied)
	require.NoError(t, s.deliver(lead("a", "+12025550101"), lead("b", "+12025550102"), lead("c", "+12025550103")))
	assert.Equal(t, map[string]int{"a": 1, "b": 1, "c": 1}, srv.Sim.CallsBy("metadata.lead_id"), "the copy knows what was called")
}
