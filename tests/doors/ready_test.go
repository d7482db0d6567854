package doors

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/tests/program"
)

// pausable is a pipeline of twelve leads in batches of three.
type pausable struct {
	dir, address, api string
	fallback          bool
}

func newPausable(t *testing.T, api string) *pausable {
	t.Helper()
	p := &pausable{dir: t.TempDir(), address: freeAddress(t), api: api}
	p.setKey(t, "right")
	return p
}

func (p *pausable) setKey(t *testing.T, key string) {
	t.Helper()
	require.NoError(t, os.WriteFile(p.dir+"/key", []byte(key), 0o600))
}

func (p *pausable) start(t *testing.T) *program.Process {
	t.Helper()
	dial := fmt.Sprintf(`
happyrobot_dial:
  api_key_file: %[1]s/key
  base_url: %[2]s
  ledger: ledger
  dedupe_key: ${! json("id") }
  default_region: US
  number_id: 64f0c0de00000000000000c1
  batching: {count: 3, period: 100ms}
  call_mapping: |
    root.phone_number = this.phone
    root.metadata.lead_id = this.id.string()
  receipts:
    file: {path: %[1]s/receipts.jsonl, codec: lines}
    processors: [{mapping: 'root = {"id": this.lead.id, "source": @source}'}]`, p.dir, p.api)
	failed := fmt.Sprintf(`file: {path: %s/failed.jsonl, codec: lines}`, p.dir)
	output := "output:" + strings.ReplaceAll(dial, "\n", "\n  ") + "\n    failures: { " + failed + " }\n"
	if p.fallback {
		output = "output:\n  fallback:\n    -" + strings.ReplaceAll(dial, "\n", "\n      ") + "\n    - " + failed + "\n"
	}
	return program.Start(t, os.Environ(), "run", write(t, "config.yaml", fmt.Sprintf(`
http: {address: %s}
shutdown_timeout: 60s
metrics: {prometheus: {}}
input:
  broker:
    inputs:
    - generate: {count: 12, batch_size: 3, interval: "", mapping: 'root = {"id": counter(), "phone": "+120255501%%02v".format(counter())}'}
    - generate: {interval: 1h, mapping: 'root = deleted()'}
pipeline: {processors: [{mapping: 'meta source = "list"'}]}
cache_resources:
  - label: ledger
    bbolt: {path: %q}
`, p.address, p.dir+"/ledger.db")+output))
}

// await waits until /ready answers with a status and a text.
func (p *pausable) await(t *testing.T, process *program.Process, status int, says string) {
	t.Helper()
	waitUntilItListens(t, process, p.address)
	require.Eventually(t, func() bool {
		got, body := get(t, p.address, "/ready")
		return got == status && strings.Contains(body, says)
	}, patience, 20*time.Millisecond, "%d %q", status, says)
}

// receipts are the ids of the receipts, and the metadata that came with each.
func (p *pausable) receipts(t *testing.T) (by map[string]int) {
	t.Helper()
	text, err := os.ReadFile(p.dir + "/receipts.jsonl")
	if err != nil {
		return nil
	}
	by = map[string]int{}
	for line := range strings.Lines(string(text)) {
		var r struct {
			ID     int
			Source string
		}
		require.NoError(t, json.Unmarshal([]byte(line), &r))
		assert.Equal(t, "list", r.Source)
		by[fmt.Sprint(r.ID)]++
	}
	return by
}

func once() map[string]int {
	by := map[string]int{}
	for i := range 12 {
		by[fmt.Sprint(i+1)] = 1
	}
	return by
}

func TestReadinessShowsAPauseAndItsEnd(t *testing.T) {
	for name, tt := range map[string]struct{ fallback, away bool }{
		"a wrong key":                  {},
		"a wrong key below a fallback": {fallback: true},
		"nobody answers":               {away: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			host := freeAddress(t)
			p := newPausable(t, "http://"+host+"/api/v1")
			p.fallback = tt.fallback
			start := func() *program.Callsim { return program.StartCallsim(t, "--address", host, "--api-key", "right") }
			cause, sim := "unanswered", (*program.Callsim)(nil)
			if !tt.away {
				cause, sim = "setup", start()
				p.setKey(t, "wrong")
			}
			process := p.start(t)
			p.await(t, process, http.StatusServiceUnavailable, "dialing paused ("+cause+"): ")
			assert.Empty(t, p.receipts(t))
			if tt.away {
				sim = start()
			}
			p.setKey(t, "right")
			p.await(t, process, http.StatusOK, "")
			require.Eventually(t, func() bool { return len(p.receipts(t)) == 12 }, patience, 20*time.Millisecond)

			assert.Equal(t, once(), sim.CallsByLead(t))
			assert.Equal(t, once(), p.receipts(t))
			failed, _ := os.ReadFile(p.dir + "/failed.jsonl")
			assert.Empty(t, string(failed))
			for _, said := range []string{"Dialing paused (" + cause, "Failed to connect to happyrobot_dial: dialing paused (" + cause, "Dialing resumed (" + cause} {
				assert.Equal(t, 1, strings.Count(process.Log(), said), "%s\n%s", said, process.Log())
			}
			assert.Equal(t, 1, strings.Count(process.Log(), "level=error"), process.Log())
			_, metrics := get(t, p.address, "/metrics")
			assert.Regexp(t, `(?m)^output_connection_lost\{.*\} 1$`, metrics)
		})
	}
}

func TestAStopWhileNotReadyIsQuickAndDecidesNothing(t *testing.T) {
	sim := program.StartCallsim(t, "--api-key", "right")
	p := newPausable(t, sim.BaseURL())
	p.setKey(t, "wrong")
	process := p.start(t)
	p.await(t, process, http.StatusServiceUnavailable, "dialing paused (setup): ")
	began := time.Now()
	process.Stop(t)
	assert.Less(t, time.Since(began), 10*time.Second) // of 45
	assert.Empty(t, sim.CallsByLead(t))
	assert.Empty(t, p.receipts(t))

	p.setKey(t, "right")
	again := p.start(t)
	require.Eventually(t, func() bool { return len(p.receipts(t)) == 12 }, patience, 20*time.Millisecond, again.Log())
	assert.Equal(t, once(), sim.CallsByLead(t))
	assert.Equal(t, once(), p.receipts(t))
}
