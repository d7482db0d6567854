package plugin_test

import (
	"fmt"
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
