package main

import (
	"context"
	"debug/buildinfo"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
)

// connectors are the modules that the distribution has for them. Whoever embeds the
// plugin chooses connectors of their own.
var connectors = []string{
	"github.com/twmb/franz-go", "github.com/redis/go-redis", "github.com/jackc/pgx", "github.com/lib/pq",
	"github.com/prometheus/client_golang", "github.com/nats-io/", "github.com/redpanda-data/connect", "/plugin/connectors/",
}

const pipeline = `
http: { enabled: false }
input:
  generate:
    count: 3
    interval: ""
    mapping: |
      let n = counter()
      root = { "id": "lead-%v".format($n), "phone": if $n < 3 { "+1202555010%v".format($n) } else { "unknown" } }
output:
  happyrobot_dial:
    api_key: any-key
    base_url: ${BASE_URL}
    number_id: 64f0c0de00000000000000c1
    dedupe_key: ${! this.id }
    ledger: ledger
    call_mapping: |
      root.phone_number = this.phone
      root.metadata.lead_id = this.id
    failures: { file: { path: "${DIR}/failed.jsonl" } }
cache_resources:
  - { label: ledger, bbolt: { path: "${DIR}/ledger.db" } }
`

func TestPlainBenthosWithThePluginCallsLeads(t *testing.T) {
	program := build(t)
	api, err := callsim.Listen("127.0.0.1:0", callsim.Options{})
	require.NoError(t, err)
	defer api.Close()
	dir := t.TempDir()
	config := filepath.Join(dir, "config.yaml")
	require.NoError(t, os.WriteFile(config, []byte(pipeline), 0o600))
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for range 2 { // the second time nobody is called
		run := exec.CommandContext(ctx, program, "run", config)
		run.Env = append(os.Environ(), "BASE_URL="+api.URL, "DIR="+dir)
		out, err := run.CombinedOutput()
		require.NoError(t, err, string(out))
	}
	assert.Equal(t, map[string]int{"lead-1": 1, "lead-2": 1}, api.Sim.CallsBy("metadata.lead_id"))
	failed, err := os.ReadFile(filepath.Join(dir, "failed.jsonl"))
	require.NoError(t, err)
	assert.Contains(t, string(failed), "invalid_phone_number")
}

func TestNoConnectorIsLinked(t *testing.T) {
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", ".")
	packages, err := list.Output()
	require.NoError(t, err)
	assert.Contains(t, string(packages), "/plugin\n")
	info, err := buildinfo.ReadFile(build(t))
	require.NoError(t, err)
	modules := ""
	for _, m := range info.Deps {
		modules += m.Path + "\n"
	}
	assert.Contains(t, modules, "github.com/redpanda-data/benthos/v4\n")
	t.Logf("%d modules are linked", len(info.Deps)+1)
	for _, connector := range connectors {
		assert.NotContains(t, string(packages), connector)
		assert.NotContains(t, modules, connector)
	}
}

// What the distribution says of components that it does not have is its own: another
// build may have them.
func TestTheDistributionsExplanationsAreNotInThePlugin(t *testing.T) {
	config := filepath.Join(t.TempDir(), "config.yaml")
	require.NoError(t, os.WriteFile(config, []byte("input: { kafka_franz: {} }\noutput: { drop: {} }\n"), 0o600))
	out, err := exec.CommandContext(t.Context(), build(t), "lint", config).CombinedOutput()
	require.Error(t, err)
	assert.Contains(t, string(out), "kafka_franz")
	assert.NotContains(t, string(out), "not in this program")
}

// build makes the program; after the first time it is in Go's cache.
func build(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "embed")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".").CombinedOutput()
	require.NoError(t, err, strings.TrimSpace(string(out)))
	return program
}
