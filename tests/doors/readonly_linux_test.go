package doors

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/tests/program"
)

// readOnly runs a command where nothing can be written but the folder that comes first,
// as in a container with --read-only and a volume. What was in the folder is put back.
const readOnly = `set -e
data=$1; shift
mount --make-rprivate /
kept=$(cat "$data/leads.jsonl")
mount -t tmpfs tmpfs "$data"
echo "$kept" >"$data/leads.jsonl"
mount -o remount,bind,ro /
if touch /tmp/written 2>/dev/null; then echo "the root is writable"; exit 99; fi
"$@"
cat "$data/failed.jsonl"; find "$data" -type f`

func TestTheImagesCommandWritesToDataOnly(t *testing.T) {
	unshare := []string{"unshare", "--mount"}
	if os.Getuid() != 0 {
		unshare = append(unshare, "--map-root-user")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, unshare[0], append(unshare[1:], "true")...).CombinedOutput(); err != nil {
		t.Skipf("this machine has no mount namespaces: %v: %s", err, out)
	}
	sim := program.StartCallsim(t)
	data := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(data, "leads.jsonl"),
		[]byte(`{"id":"a","phone":"+1 202 555 0101","name":"Ada"}`+"\n"+`{"id":"b","phone":"12","name":"Bob"}`+"\n"), 0o600))
	entrypoint, command := image(t)
	args := append(slices.Clone(unshare[1:]), "sh", "-c", readOnly, "sh", data, program.Distribution())
	for _, arg := range slices.Concat(entrypoint[1:], command) {
		if strings.HasPrefix(arg, "http.address=") {
			arg = "http.address=" + freeAddress(t) // tests run side by side
		}
		args = append(args, imagePath.ReplaceAllString(arg, "$1/"))
	}
	run := exec.CommandContext(ctx, unshare[0], args...)
	run.Dir = program.Root
	run.Env = append(environ(t, sim.BaseURL()), "STATE_DIR="+data+"/state", "LEADS_FILE="+data+"/leads.jsonl", "FAILED_FILE="+data+"/failed.jsonl", "TMPDIR=/tmp")
	out, err := run.CombinedOutput()
	require.NoError(t, err, string(out))
	assert.Contains(t, string(out), `"outcome":"accepted"`)
	assert.Contains(t, string(out), "invalid_phone_number")
	assert.Contains(t, string(out), data+"/state/ledger.db\n")
	assert.Len(t, sim.Calls(t), 1)
}
