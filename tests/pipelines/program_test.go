// Package pipelines runs the distribution as a program, with the configs that
// the repository ships, against callsim as a program of its own.
package pipelines

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/tests/program"
)

func TestMain(m *testing.M) { program.Main(m) }

func configs(t *testing.T, pattern string) (files []string) {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(program.Root, pattern))
	require.NoError(t, err)
	for _, f := range all {
		if !strings.HasSuffix(f, "_benthos_test.yaml") {
			rel, err := filepath.Rel(program.Root, f)
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
			out, err := program.Run(t, program.Settings(t), "lint", "-r", "resources/local.yaml", file)
			assert.NoError(t, err, out)
		})
	}
}

func TestEveryConfigPassesItsOwnTests(t *testing.T) {
	for _, file := range configs(t, "config/*.yaml") {
		t.Run(file, func(t *testing.T) {
			assert.FileExists(t, filepath.Join(program.Root, strings.TrimSuffix(file, ".yaml")+"_benthos_test.yaml"))
			out, err := program.Run(t, program.Settings(t), "test", "-r", "resources/local.yaml", file)
			require.NoError(t, err, out)
			assert.Contains(t, out, "succeeded")
		})
	}
}

func TestAMissingSecretIsRefusedAtStart(t *testing.T) {
	out, err := program.Run(t, append(program.Settings(t), "HAPPYROBOT_API_KEY="), "run", "-r", "resources/local.yaml", "config/quickstart.yaml")
	require.Error(t, err)
	assert.Contains(t, out, "api_key")
}

func TestTheDistributionKnowsItsComponents(t *testing.T) {
	for kind, names := range map[string][]string{
		"inputs":           {"happyrobot_calls", "happyrobot_runs", "happyrobot_webhook", "redpanda"},
		"outputs":          {"happyrobot_dial", "redpanda", "sql_raw"},
		"processors":       {"happyrobot_dial", "happyrobot_call", "happyrobot_run", "happyrobot_request", "sql_raw"},
		"caches":           {"bbolt", "redis", "postgres"},
		"rate-limits":      {"redis"},
		"metrics":          {"prometheus"},
		"bloblang-methods": {"parse_phone_number", "parse_dial_error"},
	} {
		out, err := program.Run(t, os.Environ(), "list", kind)
		require.NoError(t, err, out)
		for _, name := range names {
			assert.Contains(t, out, name)
		}
	}
	out, err := program.Run(t, os.Environ(), "create", "stdin/happyrobot_call/happyrobot_dial")
	require.NoError(t, err, out)
	assert.Contains(t, out, "dedupe_key")
}

// A pipeline runs with either file of resources.
func TestResourcesDefineTheSameLabels(t *testing.T) {
	labels := regexp.MustCompile(`(?m)^(\w+_resources:|  - label: \w+)$`)
	defined := map[string][]string{}
	for _, file := range configs(t, "resources/*.yaml") {
		text, err := os.ReadFile(filepath.Join(program.Root, file))
		require.NoError(t, err)
		defined[file] = labels.FindAllString(string(text), -1)
	}
	assert.Contains(t, defined["resources/local.yaml"], "  - label: ledger")
	assert.Equal(t, defined["resources/local.yaml"], defined["resources/redis.yaml"])
	assert.Equal(t, defined["resources/local.yaml"], defined["resources/postgres.yaml"])
}
