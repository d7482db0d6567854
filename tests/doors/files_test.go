//go:build unix

package doors

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/tests/program"
)

// Phone numbers are in the ledger's records, in the failures, and in whatever a config
// writes. Who else may read them is for whoever runs the program to say.
func TestFilesAreTheUsersAlone(t *testing.T) {
	sim := program.StartCallsim(t)
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o755)) // as a home folder may be
	leads := write(t, "leads.jsonl", `{"id":"a","phone":"+1 202 555 0101","name":"Ada"}`+"\n"+`{"id":"b","phone":"12","name":"Bob"}`+"\n")
	settings := append(environ(t, sim.BaseURL()),
		"LEADS_FILE="+leads, "STATE_DIR="+filepath.Join(dir, "state"), "FAILED_FILE="+filepath.Join(dir, "out", "failed.jsonl"))
	extra := write(t, "extra.yaml", strings.ReplaceAll(`
input: { generate: { count: 1, mapping: 'root = {"phone":"+12025550101"}' } }
output: { broker: { outputs: [ { file: { path: DIR/out/new.jsonl } }, { file: { path: DIR/open.jsonl } }, { cache: { target: files, key: k } }, { cache: { target: shared, key: k } } ] } }
cache_resources: [ { label: files, file: { directory: DIR } }, { label: shared, bbolt: { path: DIR/shared/s.db, file_mode: "0640" } } ]
`, "DIR", dir))
	// Files that are there keep their permissions, for those who want others to read them.
	require.NoError(t, os.WriteFile(filepath.Join(dir, "open.jsonl"), nil, 0o644))
	for _, args := range [][]string{
		{"run", "-s", "http.enabled=false", "-r", "resources/local.yaml", "config/quickstart.yaml"},
		{"run", "-s", "http.enabled=false", extra},
	} {
		out, err := program.Run(t, settings, args...)
		require.NoError(t, err, out)
	}
	modes := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		require.NoError(t, err)
		info, err := entry.Info()
		require.NoError(t, err)
		if name, err := filepath.Rel(dir, path); assert.NoError(t, err) && name != "." {
			modes[name] = info.Mode().String()
		}
		return nil
	}))
	assert.Equal(t, map[string]string{
		"state": "drwx------", "state/ledger.db": "-rw-------",
		"out": "drwx------", "out/failed.jsonl": "-rw-------", "out/new.jsonl": "-rw-------",
		"shared": "drwxr-x---", "shared/s.db": "-rw-r-----",
		"k": "-rw-------", "open.jsonl": "-rw-r--r--",
	}, modes)
}
