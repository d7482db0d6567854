package pipelines

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/benthos-happyrobot/benthos-happyrobot/tests/program"
)

// All shipped pipelines as streams of one process, which share the files of
// resources/local.yaml: leads are called, redialed, and told in every table.
func TestAllPipelinesRunInOneProcess(t *testing.T) {
	broker, err := kfake.NewCluster(kfake.NumBrokers(1))
	require.NoError(t, err)
	t.Cleanup(broker.Close)
	c := newCRM(t, broker.ListenAddrs()[0])
	createTopics(t, broker.ListenAddrs()[0], "call_events", "finished_calls", "call_events_failed", "session_events", "crm_events", "crm_events_enriched", "crm_events_failed")
	c.insert(t, 1, 41)
	streams := []string{"-r", "resources/local.yaml"}
	for _, file := range configs(t, "config/*.yaml") {
		switch {
		case file == "config/quickstart.yaml": // it ends with its file
		case strings.HasPrefix(file, "config/platform_") && file != "config/platform_callback_to_kafka.yaml":
			// Of the other generation: it reads the same topics.
		default:
			streams = append(streams, file)
		}
	}
	require.Greater(t, len(streams), 8)
	pipelines := program.StartStreams(t, append(c.env, "BATCH_PERIOD=50ms", "REDIAL_PAUSE=1s", "USAGE_INTERVAL=100ms", fmt.Sprintf("WEBHOOK_ADDRESS=127.0.0.1:%d", freePort(t)), fmt.Sprintf("PLATFORM_WEBHOOK_ADDRESS=127.0.0.1:%d", freePort(t))), streams...)

	// Each lead's last call, once there is none to redial.
	last := map[string]shownCall{}
	require.Eventually(t, func() bool {
		settled := c.count(t, "outcome") == 40
		for lead, calls := range shownCalls(t, c.sim) {
			last[lead] = calls[len(calls)-1]
			settled = settled && (last[lead].answered() || last[lead].unanswered() && len(calls) == 3) && table(t, c.db, "leads", "id")[lead].values["call_id"] == last[lead].ID
		}
		return settled
	}, time.Minute, 100*time.Millisecond)
	calls := c.sim.Calls(t)
	require.Eventually(t, func() bool {
		return len(table(t, c.db, "call_outcomes", "call_id")) == len(calls) &&
			table(t, c.db, "usage_report", "period")["all"].values["calls"] == float64(len(calls))
	}, time.Minute, 100*time.Millisecond)
	pipelines.Stop(t)

	assert.Len(t, c.sim.Calls(t), len(calls))
	assert.Greater(t, len(calls), len(last), "some did not answer")
	outcomes := table(t, c.db, "call_outcomes", "call_id")
	for _, call := range calls {
		assert.Equal(t, call.EndsAs, outcomes[call.ID].values["status"])
		assert.Equal(t, call.Custom["lead_id"], outcomes[call.ID].values["lead_id"])
	}
	for id, lead := range table(t, c.db, "leads", "id") {
		if lead.values["phone"] != "nobody" {
			assert.Equal(t, last[id].Status, lead.values["outcome"])
		}
	}
}
