package plugin_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
)

func leadBatch(from, to int) (batch service.MessageBatch) {
	for i := from; i < to; i++ {
		batch = append(batch, service.NewMessage([]byte(lead(fmt.Sprintf("lead-%d", i), fmt.Sprintf("+1202555%04d", i)))))
	}
	return batch
}

func TestALimitOfCallsIsKeptWhateverTheBatches(t *testing.T) {
	t.Parallel()
	const each = 20 * time.Millisecond
	srv := startSim(t, callsim.Options{})
	s := run(t, parts{
		resources: fmt.Sprintf("rate_limit_resources: [ { label: calls, local: { count: 1, interval: %v } } ]", each),
		output:    "happyrobot_dial:\n  " + indent(2, dialYAML(srv.URL, "call_rate_limit: calls", "failures: {collect: {}}", "batching: {count: 20, period: 10ms}")),
	})
	began := time.Now()
	require.NoError(t, s.send(soon(t), leadBatch(0, 20)))
	require.NoError(t, s.send(soon(t), leadBatch(20, 30)))
	assert.GreaterOrEqual(t, time.Since(began), 29*each)
	assert.Len(t, srv.Sim.Calls(), 30)
	assert.Equal(t, 30, srv.Sim.RequestsOf("createOutboundCallsBatched"), "one call in each request")
	assert.Empty(t, s.out.all())

	require.NoError(t, s.send(soon(t), leadBatch(0, 30)), "duplicates")
	assert.Equal(t, 30, srv.Sim.RequestsOf("createOutboundCallsBatched"))
}

// Both limits have nothing left after the first time: whoever asked one then would wait
// for an hour.
func TestLeadsThatTheLedgerKnowsNeedNoPermit(t *testing.T) {
	t.Parallel()
	n, each := sized(10_000, 1000), 20
	srv := startSim(t, callsim.Options{})
	s := run(t, parts{
		resources: fmt.Sprintf(`
cache_resources: [ { label: kept, bbolt: { path: %q } } ]
rate_limit_resources:
  - { label: calls, local: { count: %d, interval: 1h } }
  - { label: requests, local: { count: %d, interval: 1h } }
`, filepath.Join(t.TempDir(), "ledger.db"), n, n/each),
		output: "happyrobot_dial:\n  " + indent(2, dialYAML(srv.URL, "ledger: kept", "call_rate_limit: calls", "rate_limit: requests",
			"failures: {collect: {}}", fmt.Sprintf("batching: {count: %d, period: 1m}", each))),
	})
	dialAll := func() {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began, batches := time.Now(), make(chan int)
		var senders sync.WaitGroup
		for range 4 {
			senders.Go(func() {
				for from := range batches {
					var batch service.MessageBatch
					for i := range each {
						batch = append(batch, service.NewMessage([]byte(goodLead(from+i))))
					}
					assert.NoError(t, s.send(ctx, batch))
				}
			})
		}
		for from := 0; from < n; from += each {
			batches <- from
		}
		close(batches)
		senders.Wait()
		t.Logf("%d leads in %v", n, time.Since(began).Round(time.Millisecond))
	}
	dialAll()
	require.Equal(t, n, len(srv.Sim.Calls())) //nolint:testifylint // a failure would print all of them
	requests := srv.Sim.RequestsOf("createOutboundCallsBatched")
	require.Equal(t, n/each, requests)
	dialAll()
	assert.Equal(t, n, len(srv.Sim.Calls())) //nolint:testifylint // likewise
	assert.Equal(t, requests, srv.Sim.RequestsOf("createOutboundCallsBatched"))
	assert.Empty(t, s.out.all())
}

func TestALimitOfCallsIsNotThatOfRequests(t *testing.T) {
	t.Parallel()
	b := service.NewStreamBuilder()
	require.NoError(t, b.AddResourcesYAML("rate_limit_resources: [ { label: r, local: {} } ]"))
	require.NoError(t, b.AddInputYAML(`generate: {mapping: "root = {}", count: 1}`))
	require.NoError(t, b.AddOutputYAML(`happyrobot_dial: {api_key: k, rate_limit: r, call_rate_limit: r, failures: {drop: {}}}`))
	stream, err := b.Build()
	if err == nil {
		err = stream.Run(soon(t))
	}
	require.ErrorContains(t, err, "call_rate_limit: \"r\" is the rate_limit of requests already")
}
