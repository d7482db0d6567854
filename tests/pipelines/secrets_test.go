package pipelines

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/tests/program"
)

// bare is an environment without a setting of any pipeline, as in CI.
func bare() (env []string) {
	for _, name := range []string{"PATH", "HOME", "TMPDIR"} {
		if value, set := os.LookupEnv(name); set {
			env = append(env, name+"="+value)
		}
	}
	return env
}

func TestEveryConfigLintsAndPassesItsTestsWithoutSecrets(t *testing.T) {
	for _, file := range append(configs(t, "config/*.yaml"), configs(t, "resources/*.yaml")...) {
		t.Run(file, func(t *testing.T) {
			out, err := program.Run(t, bare(), "lint", "--skip-env-var-check", "-r", "resources/local.yaml", file)
			require.NoError(t, err, out)
			if strings.HasPrefix(file, "config") {
				out, err = program.Run(t, bare(), "test", "-r", "resources/local.yaml", file)
				require.NoError(t, err, out)
				assert.Contains(t, out, "succeeded")
			}
		})
	}
}

// Whether a variable is not set, empty, or holds a line break and nothing else.
func TestAnEmptyKeyStopsTheStart(t *testing.T) {
	for _, file := range configs(t, "config/*.yaml") {
		for name, env := range map[string][]string{
			"unset":      bare(),
			"empty":      append(bare(), "HAPPYROBOT_API_KEY=", "HAPPYROBOT_NUMBER_ID=64f0c0de00000000000000c1", "HAPPYROBOT_WEBHOOK_SECRET=s"),
			"line break": append(bare(), "HAPPYROBOT_API_KEY=\n", "HAPPYROBOT_NUMBER_ID=64f0c0de00000000000000c1", "HAPPYROBOT_WEBHOOK_SECRET=s"),
		} {
			if name == "line break" && !strings.Contains(file, "quickstart") {
				continue
			}
			t.Run(file+" "+name, func(t *testing.T) {
				env := append(env, "STATE_DIR="+t.TempDir(), "KAFKA_BROKERS=127.0.0.1:1")
				out, err := program.Run(t, env, "run", "--chilled", "-s", "http.enabled=false", "-r", "resources/local.yaml", file)
				require.Error(t, err, out)
				if name == "unset" && (strings.Contains(file, "webhook") || strings.Contains(file, "callback")) {
					assert.Regexp(t, `(api_key|secret): must not be empty`, out) // whichever is built first
				} else {
					assert.Contains(t, out, "api_key: must not be empty")
				}
			})
		}
	}
	out, err := program.Run(t, append(bare(), "HAPPYROBOT_API_KEY=k", "HAPPYROBOT_WEBHOOK_SECRET=", "STATE_DIR="+t.TempDir()), "run", "--chilled", "-s", "http.enabled=false", "-r", "resources/local.yaml", "config/webhook_to_kafka.yaml")
	require.Error(t, err)
	assert.Contains(t, out, "secret: must not be empty")
}
