// Package program builds this repository's programs and runs them in tests, as
// processes of their own that can be killed.
//
//	program.go  the distribution as a command
//	build.go    both programs, linked once for all packages
//	process.go  a running process and its end
//	callsim.go  the simulator, its faults and its ground truth
package program

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"
)

// Root is the repository, as seen from the packages under tests/.
const Root = "../.."

// The programs, once Main has built them.
var distribution, simulator string

// Main builds the programs, runs a package's tests and ends the process: call it
// from TestMain. Unless a flag says how many, more tests run side by side than there are
// processors, since most of the time they wait for something.
func Main(m *testing.M) {
	flag.Parse()
	if parallel := flag.Lookup("test.parallel"); parallel.Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) {
		_ = parallel.Value.Set(strconv.Itoa(2 * runtime.GOMAXPROCS(0)))
	}
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "programs-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() { _ = os.RemoveAll(dir) }()
		distribution, simulator = filepath.Join(dir, "benthos-happyrobot"), filepath.Join(dir, "callsim")
		if err := build(map[string]string{distribution: "./cmd/benthos-happyrobot", simulator: "./cmd/callsim"}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// Long leaves a test to the full lane: run by go test, but not by go test -short.
func Long(t testing.TB, why string) {
	t.Helper()
	if testing.Short() {
		t.Skip("the fast lane leaves this out: " + why)
	}
}

// Settings are the environment of a shipped pipeline, with its state in a folder
// of the test's own. Of settings given twice the last one counts.
func Settings(t *testing.T, more ...string) []string {
	t.Helper()
	dir := t.TempDir()
	return append(append(os.Environ(),
		"HAPPYROBOT_API_KEY=test-key", "HAPPYROBOT_NUMBER_ID=64f0c0de00000000000000c1", "HAPPYROBOT_WEBHOOK_SECRET=test-secret",
		// The real platform is never asked: a test that wants one names it after these.
		"HAPPYROBOT_WORKFLOW=appointment-reminders", "HAPPYROBOT_PLATFORM_URL=http://127.0.0.1:1/api/v2", "HAPPYROBOT_PLATFORM_REQUESTS_PER_SECOND=1000",
		"HAPPYROBOT_REQUESTS_PER_SECOND=1000", "HAPPYROBOT_SETTLE=1s", "POLL_INTERVAL=100ms",
		"STATE_DIR="+dir, "FAILED_FILE="+dir+"/failed.jsonl"), more...)
}

// Distribution is the path of the program, for tests that start it in their own way.
func Distribution() string { return distribution }

// Run runs the distribution to its end.
func Run(t *testing.T, env []string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, distribution, args...) //nolint:gosec // the program under test
	cmd.Dir, cmd.Env = Root, env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// StartPipeline runs a config until the test ends, or somebody ends it before:
// args are those of the distribution's run.
func StartPipeline(t *testing.T, env []string, args ...string) *Process {
	t.Helper()
	return start(t, env, distribution, append([]string{"run", "-s", "http.enabled=false"}, args...)...)
}

// StartAnother is StartPipeline for another build of the distribution.
func StartAnother(t *testing.T, path string, env []string, args ...string) *Process {
	t.Helper()
	return start(t, env, path, append([]string{"run", "-s", "http.enabled=false"}, args...)...)
}

// StartStreams runs several configs in one process, likewise.
func StartStreams(t *testing.T, env []string, args ...string) *Process {
	t.Helper()
	return start(t, env, distribution, append([]string{"streams", "--no-api", "-s", "http.enabled=false"}, args...)...)
}

// Start runs the distribution with just these arguments until the test ends.
func Start(t *testing.T, env []string, args ...string) *Process {
	t.Helper()
	return start(t, env, distribution, args...)
}
