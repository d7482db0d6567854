// Package pipelines runs the distribution as a program, with the configs that
// the repository ships, against callsim as a program of its own.
package pipelines

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The programs under test, built once.
var distribution, simulator string

const root = "../.."

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "pipelines-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		distribution, simulator = filepath.Join(dir, "benthos-happyrobot"), filepath.Join(dir, "callsim")
		for program, source := range map[string]string{distribution: "./cmd/benthos-happyrobot", simulator: "./cmd/callsim"} {
			build := exec.Command("go", "build", "-o", program, source)
			build.Dir = root
			if out, err := build.CombinedOutput(); err != nil {
				fmt.Fprintf(os.Stderr, "building %s: %v\n%s", source, err, out)
				return 1
			}
		}
		return m.Run()
	}())
}

// settings are the environment of a pipeline.
func settings(t *testing.T, more ...string) []string {
	t.Helper()
	dir := t.TempDir()
	return append(append(os.Environ(),
		"HAPPYROBOT_API_KEY=test-key", "HAPPYROBOT_NUMBER_ID=64f0c0de00000000000000c1",
		"HAPPYROBOT_REQUESTS_PER_SECOND=1000", "HAPPYROBOT_SETTLE=1s", "POLL_INTERVAL=100ms",
		"STATE_DIR="+dir, "FAILED_FILE="+dir+"/failed.jsonl"), more...)
}

// cli runs the distribution to its end.
func cli(t *testing.T, env []string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, distribution, args...)
	cmd.Dir, cmd.Env = root, env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// startCallsim runs the simulator and tells where it listens.
func startCallsim(t *testing.T, args ...string) (host string) {
	t.Helper()
	cmd := exec.Command(simulator, append([]string{"--address", "127.0.0.1:0"}, args...)...)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		assert.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
		assert.NoError(t, cmd.Wait())
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	_, after, ok := strings.Cut(line, "http://")
	require.True(t, ok, line)
	host, _, _ = strings.Cut(after, "/")
	return "http://" + host
}

// startPipeline runs a config until the test ends.
func startPipeline(t *testing.T, env []string, config string) {
	t.Helper()
	cmd := exec.Command(distribution, "run", "-s", "http.enabled=false", "-r", "resources/local.yaml", config)
	cmd.Dir, cmd.Env = root, env
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	require.NoError(t, err)
	cmd.Stdout, cmd.Stderr = log, log
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		assert.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
		_ = cmd.Wait()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("%s:\n%s", config, text)
		}
	})
}

func configs(t *testing.T, pattern string) (files []string) {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(root, pattern))
	require.NoError(t, err)
	for _, f := range all {
		if !strings.HasSuffix(f, "_benthos_test.yaml") {
			rel, err := filepath.Rel(root, f)
			require.NoError(t, err)
			files = append(files, rel)
		}
	}
	require.NotEmpty(t, files)
	return files
}

func TestEveryConfigLints(t *testing.T) {
	for _, file := range append(configs(t, "config/*.yaml"), configs(t, "resources/*.yaml")...) {
		t.Run(file, func(t *testing.T) {
			out, err := cli(t, settings(t), "lint", "-r", "resources/local.yaml", file)
			assert.NoError(t, err, out)
		})
	}
}

func TestEveryConfigPassesItsOwnTests(t *testing.T) {
	for _, file := range configs(t, "config/*.yaml") {
		t.Run(file, func(t *testing.T) {
			assert.FileExists(t, filepath.Join(root, strings.TrimSuffix(file, ".yaml")+"_benthos_test.yaml"))
			out, err := cli(t, settings(t), "test", "-r", "resources/local.yaml", file)
			assert.NoError(t, err, out)
			assert.Contains(t, out, "succeeded")
		})
	}
}

func TestAMissingSecretIsRefusedAtStart(t *testing.T) {
	out, err := cli(t, append(settings(t), "HAPPYROBOT_API_KEY="), "run", "-r", "resources/local.yaml", "config/quickstart.yaml")
	require.Error(t, err)
	assert.Contains(t, out, "api_key")
}

func TestTheDistributionKnowsItsComponents(t *testing.T) {
	for kind, names := range map[string][]string{
		"inputs":           {"redpanda", "nats", "sql_select"},
		"outputs":          {"happyrobot_dial", "redpanda", "sql_insert"},
		"processors":       {"happyrobot_dial", "happyrobot_call"},
		"caches":           {"bbolt", "redis"},
		"metrics":          {"prometheus"},
		"bloblang-methods": {"parse_phone_number"},
	} {
		out, err := cli(t, os.Environ(), "list", kind)
		require.NoError(t, err, out)
		for _, name := range names {
			assert.Contains(t, out, name)
		}
	}
	out, err := cli(t, os.Environ(), "create", "stdin/happyrobot_call/happyrobot_dial")
	require.NoError(t, err, out)
	assert.Contains(t, out, "dedupe_key")
}

// get reads from the simulator's control.
func get(t *testing.T, url string) *http.Response {
	t.Helper()
	res, err := http.Get(url)
	require.NoError(t, err)
	t.Cleanup(func() { res.Body.Close() })
	return res
}
