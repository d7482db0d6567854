package doors

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/tests/program"
)

// deaf is the address of a server that takes connections and never answers.
func deaf(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it is closed with the test
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}

// Benthos lets an output that waits wait for three quarters of shutdown_timeout. With no
// request under way, nothing is gained by that.
func TestAStopWhileWaitingIsQuick(t *testing.T) {
	program.Long(t, "it starts a process for each thing that is waited for")
	for name, tt := range map[string]struct {
		api, ledger, more, receipts string
		calls                       int
		says                        string
		streams                     bool
	}{
		"the API is away":                 {api: "http://127.0.0.1:1/api/v1", says: "Dialing paused (unanswered)"},
		"the ledger does not answer":      {ledger: "redis: {url: 'redis://%s'}", says: "Dialing paused (ledger): the ledger does not answer"},
		"the ledger is away":              {ledger: "redis: {url: 'redis://127.0.0.1:1'}", says: "Dialing paused (ledger)"},
		"another ledger does not":         {ledger: "postgres: {dsn: 'postgres://u:p@%s/db?sslmode=disable', table: l}", says: "Dialing paused (ledger)"},
		"a limit of calls":                {more: "call_rate_limit: hourly", calls: 1, says: "now active"},
		"receipts that are not taken":     {receipts: "redpanda: {seed_brokers: ['%s'], topic: t}", calls: 3, says: "now active"},
		"the API is away from streams":    {api: "http://127.0.0.1:1/api/v1", says: "Dialing paused (unanswered)", streams: true},
		"a limit of requests and no call": {more: "rate_limit: none", says: "now active"},
	} {
		t.Run(name, func(t *testing.T) {
			sim, broken := program.StartCallsim(t), deaf(t)
			api := tt.api
			if api == "" {
				api = sim.BaseURL()
			}
			at := func(text, otherwise string) string {
				switch {
				case text == "":
					return otherwise
				case strings.Contains(text, "%s"):
					return fmt.Sprintf(text, broken)
				}
				return text
			}
			stream := write(t, "stream.yaml", fmt.Sprintf(`
input:
  generate: {count: 3, batch_size: 3, interval: "", mapping: 'root = {"id": counter(), "phone": "+1202555010%%v".format(counter())}'}
output:
  happyrobot_dial:
    api_key: k
    base_url: %s
    ledger: ledger
    %s
    dedupe_key: ${! json("id") }
    default_region: US
    number_id: 64f0c0de00000000000000c1
    call_mapping: |
      root.phone_number = this.phone
      root.metadata.lead_id = this.id.string()
    receipts: { %s }
    failures: { drop: {} }
`, api, tt.more, at(tt.receipts, "drop: {}")))
			resources := write(t, "resources.yaml", fmt.Sprintf(`
cache_resources:
  - label: ledger
    %s
rate_limit_resources:
  - label: hourly
    local: {count: 1, interval: 1h}
  - label: none
    redis: {url: 'redis://127.0.0.1:1', count: 1, interval: 1h, key: k}
`, at(tt.ledger, fmt.Sprintf("bbolt: {path: %q}", t.TempDir()+"/l.db"))))
			process := startStopping(t, tt.streams, resources, stream)
			require.Eventually(t, func() bool {
				return strings.Contains(process.Log(), tt.says) && len(sim.CallsByLead(t)) >= tt.calls
			}, patience, 10*time.Millisecond)
			began := time.Now()
			process.Stop(t)
			took := time.Since(began)
			t.Logf("stopped after %v", took.Round(10*time.Millisecond))
			assert.Less(t, took, 3*time.Second) // of 45
			assert.Equal(t, tt.calls, len(sim.CallsByLead(t)))
			assert.NotContains(t, process.Log(), "Dialing resumed")
		})
	}
}

// startStopping starts a stream that has a minute to stop.
func startStopping(t *testing.T, streams bool, resources, stream string) *program.Process {
	t.Helper()
	args := []string{"-s", "http.enabled=false", "-s", "shutdown_timeout=60s", "-r", resources, stream}
	if streams {
		return program.Start(t, os.Environ(), append([]string{"streams", "--no-api"}, args...)...)
	}
	return program.Start(t, os.Environ(), append([]string{"run"}, args...)...)
}

// Around an output that is not the stream's own, messages that are given back may be filed
// or dropped: there it waits as long as Benthos lets it.
func TestAStopWhileWaitingLosesNothing(t *testing.T) {
	program.Long(t, "it starts a process for each construct")
	for name, construct := range map[string]struct{ output, resources string }{
		"fallback":                  {output: "fallback: [ { %s }, { file: { path: %q } } ]"},
		"drop_on":                   {output: "drop_on: { error: true, output: { %s } }"},
		"fallback to a resource":    {output: "fallback: [ { resource: dial }, { file: { path: %q } } ]", resources: "output_resources: [ { label: dial, %s } ]"},
		"a resource within drop_on": {output: "drop_on: { error: true, output: { resource: dial } }", resources: "output_resources: [ { label: dial, %s } ]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim := program.StartCallsim(t)
			target, err := url.Parse(sim.Host)
			require.NoError(t, err)
			var works atomic.Bool
			proxy := httputil.NewSingleHostReverseProxy(target)
			api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if !works.Load() {
					http.Error(w, "{}", http.StatusUnauthorized)
					return
				}
				proxy.ServeHTTP(w, r)
			}))
			t.Cleanup(api.Close)
			filed := filepath.Join(t.TempDir(), "filed")
			dial := fmt.Sprintf(`happyrobot_dial: { api_key: k, base_url: %q, retry: { max_interval: 200ms }, ledger: ledger, dedupe_key: '${! json("id") }', number_id: 64f0c0de00000000000000c1, default_region: US, call_mapping: 'root = {"phone_number": this.phone, "metadata": {"lead_id": this.id.string()}}', failures: { file: { path: %q } } }`, api.URL+"/api/v1", filed)
			fill := func(text string) string {
				return strings.NewReplacer("%s", dial, "%q", strconv.Quote(filed)).Replace(text)
			}
			stream := write(t, "stream.yaml", `
input:
  generate: {count: 3, batch_size: 3, interval: "", mapping: 'root = {"id": counter(), "phone": "+1202555010%v".format(counter())}'}
output: { `+fill(construct.output)+` }
`)
			resources := write(t, "resources.yaml", "cache_resources: [ { label: ledger, memory: {} } ]\n"+fill(construct.resources)+"\n")
			process := startStopping(t, false, resources, stream)
			require.Eventually(t, func() bool { return strings.Contains(process.Log(), "Dialing paused (setup)") }, patience, 10*time.Millisecond)
			process.Terminate()
			select {
			case <-process.Ended():
				t.Error("it stopped although leads were not called: " + process.Log())
			case <-time.After(3 * time.Second): // of 45
			}
			works.Store(true)
			process.Stop(t)
			assert.Len(t, sim.CallsByLead(t), 3)
			assert.NoFileExists(t, filed)
		})
	}
}
