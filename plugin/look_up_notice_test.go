package plugin_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/words"
)

// A call in doubt waits for its look-up alone: others are dialed meanwhile.
func TestALookUpThatWaitsIsReported(t *testing.T) {
	t.Parallel()
	srv := startSim(t, callsim.Options{})
	srv.Sim.Inject(callsim.Fault{Kind: callsim.LoseAnswer, Times: 1})
	srv.Sim.Inject(callsim.Fault{Kind: callsim.Refuse, Operation: "listCalls", Status: http.StatusBadRequest})
	var send service.MessageBatchHandlerFunc
	w := watch(t, service.NewEnvironment(), func(b *service.StreamBuilder) {
		var err error
		send, err = b.AddBatchProducerFunc()
		require.NoError(t, err)
		require.NoError(t, b.AddOutputYAML("happyrobot_dial:\n  "+indent(2, dialYAML(srv.URL, "failures: {drop: {}}", "batching: {count: 3, period: 10ms}"))))
	})
	defer w.stop()
	doubt := make(chan error, 1)
	go func() { doubt <- send(soon(t), leadBatch(0, 3)) }()
	const says = "Cannot look up calls with an unknown outcome; they wait: "
	require.Eventually(t, func() bool { return strings.Contains(w.logs.String(), says) }, time.Minute, time.Millisecond)
	require.NoError(t, send(soon(t), leadBatch(3, 6)), "which ends the pause of the stream itself")
	require.Eventually(t, func() bool { return strings.Contains(w.logs.String(), "Dialing resumed (unanswered)") }, time.Minute, time.Millisecond)
	shown := func() int64 {
		values := w.seen.of(words.MetricPaused + " " + words.CauseUnanswered)
		return values[len(values)-1]
	}
	assert.EqualValues(t, 1, shown(), "the look-up waits still")
	_, line, _ := strings.Cut(w.logs.String(), says)
	line, _, _ = strings.Cut(line, "\n")
	assert.Contains(t, line, "status 400")
	assert.Contains(t, line, "("+srv.URL+"); 3 messages wait.")
	assert.Equal(t, 1, strings.Count(w.logs.String(), says))

	srv.Sim.ClearFaults()
	require.NoError(t, <-doubt)
	require.Eventually(t, func() bool { return shown() == 0 }, time.Minute, time.Millisecond)
	assert.Equal(t, 1, strings.Count(w.logs.String(), "Calls with an unknown outcome can be looked up again, after "))
	w.onlyCause(t, "happyrobot_dial", words.CauseUnanswered)
	assert.Len(t, srv.Sim.Calls(), 6)
}
