package doors

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
	"github.com/benthos-happyrobot/benthos-happyrobot/tests/program"
)

// stopQuickly stops a process in which no request is under way.
func stopQuickly(t *testing.T, process *program.Process) {
	t.Helper()
	began := time.Now()
	process.Stop(t)
	took := time.Since(began)
	t.Logf("stopped after %v", took.Round(10*time.Millisecond))
	assert.Less(t, took, 5*time.Second, "it is under three where nothing else runs")
	assert.NotContains(t, process.Log(), "Dialing resumed")
}

func TestAStopWhileCallsAreHeldUpIsQuick(t *testing.T) {
	program.Long(t, "it starts a process for each thing that is waited for")
	const ever = callsim.Duration(time.Hour)
	for name, tt := range map[string]struct {
		stream dialing
		faults []callsim.Fault
		killed bool // a process before was killed while its request was under way
		calls  int
		says   string
		asked  int // requests that the last of the faults met
	}{
		"the API refuses every call": {
			stream: dialing{more: "settle: 100ms", input: fmt.Sprintf("generate: {count: 60, batch_size: 20, interval: '', mapping: '%s'}", leadMapping)},
			faults: []callsim.Fault{{Kind: callsim.Refuse, Status: http.StatusGone}},
			says:   "Dialing paused (refusals)",
		},
		"no message makes a call": {
			stream: dialing{more: "max_rejects_in_a_row: 1", input: `generate: {count: 60, batch_size: 20, interval: '', mapping: 'root = {"id": counter(), "phone": "none"}'}`},
			says:   "Dialing paused (refusals)",
		},
		"another process has claimed the leads": {
			faults: []callsim.Fault{{Kind: callsim.Delay, Delay: ever}},
			stream: dialing{ledger: fmt.Sprintf("file: {directory: %q}", t.TempDir())}, // not of one process alone
			killed: true, says: "Dialing paused (claimed_elsewhere)",
		},
		"calls in doubt that are not listed": {
			stream: dialing{more: "settle: 10m"},
			faults: []callsim.Fault{{Kind: callsim.CutInBody}, {Kind: callsim.Delay, Delay: 1, Operation: "listCalls"}},
			says:   "now active", asked: 4,
		},
		"calls in doubt and a list that does not answer": {
			faults: []callsim.Fault{{Kind: callsim.LoseAnswer, Times: 1}, {Kind: callsim.Delay, Delay: ever, Operation: "listCalls"}},
			calls:  3, says: "Cannot look up calls with an unknown outcome",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim := program.StartCallsim(t)
			for _, f := range tt.faults {
				sim.Inject(t, f)
			}
			resources, stream := tt.stream.files(t, sim)
			if tt.killed {
				before := startStopping(t, false, resources, stream)
				require.Eventually(t, func() bool { return sim.Faults(t)[0].Matched > 0 }, patience, 10*time.Millisecond)
				before.Kill()
			}
			process := startStopping(t, false, resources, stream)
			require.Eventually(t, func() bool {
				faults := sim.Faults(t)
				log := process.Log()
				return strings.Contains(log, "Launching ") && strings.Contains(log, tt.says) && (tt.asked == 0 || faults[len(faults)-1].Injected >= tt.asked)
			}, patience, 10*time.Millisecond)
			stopQuickly(t, process)
			calls := sim.CallsByLead(t)
			if !tt.killed { // the API may still be at the request of a process that is gone
				assert.Len(t, calls, tt.calls)
			}
			for lead, n := range calls {
				assert.Equal(t, 1, n, lead)
			}
		})
	}
}

// freezingKafka is a broker that answers until it is told to freeze, and then never again.
type freezingKafka struct {
	address string
	frozen  atomic.Bool
	left    atomic.Int64 // requests that it does not answer
	after   atomic.Int64 // it freezes after so many writes; 0: it does not
	writes  atomic.Int64
}

func startFreezingKafka(t *testing.T) *freezingKafka {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "leads", "records"))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	thaws := make(chan struct{})
	t.Cleanup(func() { close(thaws) }) // before the cluster is closed
	k := &freezingKafka{address: cluster.ListenAddrs()[0]}
	cluster.Control(func(req kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		if req.Key() == kmsg.Produce.Int16() && k.after.Load() > 0 && k.writes.Add(1) > k.after.Load() {
			k.frozen.Store(true)
		}
		if k.frozen.Load() {
			k.left.Add(1)
			cluster.SleepControl(func() { <-thaws })
		}
		return nil, nil, false
	})
	return k
}

// write writes leads.
func (k *freezingKafka) write(t *testing.T, n int) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(k.address), kgo.DefaultProduceTopic("leads"))
	require.NoError(t, err)
	defer client.Close()
	for i := range n {
		lead := fmt.Sprintf(`{"id":%d,"phone":"+120255501%02d"}`, i, i)
		require.NoError(t, client.ProduceSync(t.Context(), kgo.StringRecord(lead)).FirstErr())
	}
}

// What a broker that hangs is asked at a stop is only good for fewer duplicates.
func TestAStopWhileKafkaIsFrozenIsQuick(t *testing.T) {
	program.Long(t, "it starts a process for each use of Kafka")
	const group = "redpanda: {seed_brokers: ['%s'], topics: [leads], consumer_group: g, commit_period: 1h}"
	const topic = "redpanda: {seed_brokers: ['%s'], topic: records}"
	endless := fmt.Sprintf("generate: {count: 90, batch_size: 3, interval: 50ms, mapping: '%s'}", leadMapping)
	for name, tt := range map[string]struct {
		stream dialing
		output string // in place of the stream's
		leads  int    // in the topic
		after  int64  // writes it freezes; 0: once all leads are called
	}{
		"as input with something to commit": {stream: dialing{input: group}, leads: 3},
		"as input and receipts":             {stream: dialing{input: group, receipts: topic}, leads: 3},
		"as receipts":                       {stream: dialing{input: endless, receipts: topic}, after: 2},
		"as failures":                       {stream: dialing{input: strings.Replace(endless, "+1202", "+9", 1), failures: topic}, after: 2},
		"as output":                         {stream: dialing{input: endless}, output: topic, after: 2},
		"as output and input":               {stream: dialing{input: strings.Replace(group, "1h", "1h, max_yield_batch_bytes: 1B", 1)}, output: topic, leads: 6, after: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, kafka := program.StartCallsim(t), startFreezingKafka(t)
			kafka.write(t, tt.leads)
			kafka.writes.Store(0)
			kafka.after.Store(tt.after)
			at := func(text string) string { return strings.ReplaceAll(text, "%s", kafka.address) }
			resources, stream := dialing{input: at(tt.stream.input), receipts: at(tt.stream.receipts), failures: at(tt.stream.failures)}.files(t, sim)
			if tt.output != "" {
				stream = write(t, "stream.yaml", fmt.Sprintf("input: { %s }\noutput: { %s }\n", at(tt.stream.input), at(tt.output)))
			}
			process := startStopping(t, false, resources, stream)
			if tt.after == 0 {
				sim.AwaitCalls(t, tt.leads)
				kafka.frozen.Store(true)
			}
			require.Eventually(t, func() bool { return kafka.left.Load() > 0 }, patience, time.Millisecond)
			stopQuickly(t, process)
		})
	}
}

// One process has a file at a time. The second says so, and ends by itself.
func TestAStartWithALockedCacheFileEndsSoon(t *testing.T) {
	program.Long(t, "it starts two processes")
	sim := program.StartCallsim(t)
	resources, stream := dialing{more: "call_rate_limit: hourly"}.files(t, sim)
	first := startStopping(t, false, resources, stream)
	sim.AwaitCalls(t, 1)
	for _, command := range []string{"run", "streams"} {
		began := time.Now()
		args := []string{"run", "-s", "http.enabled=false"}
		if command == "streams" {
			args = []string{"streams", "--no-api", "-s", "http.enabled=false"}
		}
		said, err := program.Run(t, os.Environ(), append(args, "-r", resources, stream)...)
		require.Error(t, err, said)
		assert.Contains(t, said, "another process has it open")
		t.Logf("%s: ended after %v", command, time.Since(began).Round(10*time.Millisecond))
		assert.Less(t, time.Since(began), 10*time.Second)
	}
	stopQuickly(t, first)
	assert.Len(t, sim.CallsByLead(t), 1)
}
