package doors

import (
	"cmp"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/tests/program"
)

// deaf is the address of a server that takes connections and never answers.
func deaf(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}

// dialing is a stream that calls leads. What is empty has a value that works.
type dialing struct{ input, api, ledger, more, receipts, failures string }

// files are its resources and the stream itself.
func (d dialing) files(t *testing.T, sim *program.Callsim) (resources, stream string) {
	t.Helper()
	stream = write(t, "stream.yaml", fmt.Sprintf(`
input:
  %s
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
    failures: { %s }
`, cmp.Or(d.input, fmt.Sprintf("generate: {count: 3, batch_size: 3, interval: '', mapping: '%s'}", leadMapping)),
		cmp.Or(d.api, sim.BaseURL()), d.more, cmp.Or(d.receipts, "drop: {}"), cmp.Or(d.failures, "drop: {}")))
	resources = write(t, "resources.yaml", fmt.Sprintf(`
cache_resources:
  - label: ledger
    %s
rate_limit_resources:
  - label: hourly
    local: {count: 1, interval: 1h}
  - label: none
    redis: {url: 'redis://127.0.0.1:1', count: 1, interval: 1h, key: k}
`, cmp.Or(d.ledger, fmt.Sprintf("bbolt: {path: %q}", t.TempDir()+"/l.db"))))
	return resources, stream
}

const leadMapping = `root = {"id": counter(), "phone": "+120255501%02d".format(counter())}`

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
			t.Parallel()
			sim, broken := program.StartCallsim(t), deaf(t)
			at := func(text string) string { return strings.ReplaceAll(text, "%s", broken) }
			resources, stream := dialing{api: tt.api, ledger: at(tt.ledger), more: tt.more, receipts: at(tt.receipts)}.files(t, sim)
			process := startStopping(t, tt.streams, resources, stream)
			require.Eventually(t, func() bool {
				return strings.Contains(process.Log(), tt.says) && len(sim.CallsByLead(t)) >= tt.calls
			}, patience, 10*time.Millisecond)
			stopQuickly(t, process)
			assert.Len(t, sim.CallsByLead(t), tt.calls)
		})
	}
}

// Whoever listens for a signal takes its default effect away. A stop that Benthos does not
// hear would let the process go on calling.
func TestAStopDuringTheStartIsNeverLost(t *testing.T) {
	program.Long(t, "it starts twenty processes")
	const tries = 20
	sim := program.StartCallsim(t)
	moments := []string{"Running ", "Cache file opened", "Launching ", "now active"}
	signals := []os.Signal{syscall.SIGTERM, os.Interrupt}
	for try := range tries {
		resources := write(t, "resources.yaml", fmt.Sprintf(`
cache_resources:
  - label: ledger
    bbolt: {path: %q}
`, t.TempDir()+"/l.db"))
		stream := write(t, "leads.yaml", fmt.Sprintf(`
input:
  generate: {interval: 20ms, mapping: 'root = {"id": "%d-%%v".format(counter()), "phone": "+1202555010%%v".format(counter() %% 10)}'}
output:
  happyrobot_dial:
    api_key: k
    base_url: %s
    ledger: ledger
    dedupe_key: ${! json("id") }
    default_region: US
    number_id: 64f0c0de00000000000000c1
    call_mapping: |
      root.phone_number = this.phone
      root.metadata.lead_id = this.id
    receipts: { drop: {} }
    failures: { drop: {} }
`, try, sim.BaseURL()))
		moment, sent := moments[try%len(moments)], signals[try/len(moments)%len(signals)]
		start := program.StartPipeline
		if try%3 == 0 {
			start = program.StartStreams
		}
		process := start(t, os.Environ(), "-r", resources, stream)
		told := func() error {
			deadline := time.Now().Add(patience)
			for !strings.Contains(process.Log(), moment) {
				if time.Now().After(deadline) {
					return fmt.Errorf("it never said %q", moment)
				}
				time.Sleep(time.Millisecond)
			}
			self, err := os.FindProcess(process.PID())
			if err != nil {
				return err
			}
			return self.Signal(sent)
		}
		require.NoError(t, told())
		select {
		case <-process.Ended():
		case <-time.After(15 * time.Second):
			process.Kill()
			t.Errorf("%v at %q: the process went on, and placed calls", sent, moment)
		}
	}
}
