package contract

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	sim "github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim/platform"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

// One message goes through a happyrobot_request of each operation of the platform that is
// not refused.
func TestEveryRequestOfAnyOperationOfThePlatformKeepsTheContract(t *testing.T) {
	w, pretend, host := servePlatform(t, sim.Options{Seed: 7, Visibility: -1, Speed: 0.001, Workflows: []sim.Workflow{{Slug: "reminders"}}})
	over, err := pretend.Arrive(sim.Arrival{Payload: map[string]any{"phone_number": "+12025550101"}, Fate: sim.Fate{Sessions: []string{"completed"}}})
	require.NoError(t, err)
	pretend.Advance(2 * time.Hour)
	open, err := pretend.Arrive(sim.Arrival{Count: 2})
	require.NoError(t, err)

	type object = map[string]any
	run := object{"run_id": over[0]}
	flow := object{"workflow_id": "reminders"}
	steps := []struct {
		operation string
		args      object
	}{
		{"describeApiKey", nil},
		{"getUsageTotals", object{"query": object{"start": "2026-01-01T00:00:00Z", "end": "2026-12-31T00:00:00Z"}}},
		{"getRunCredits", object{"path": run}},
		{"listPhoneNumbers", nil},
		{"listWorkflows", object{"query": object{"page": 1, "page_size": 10}}},
		{"getWorkflow", object{"path": flow}},
		{"listVersionNodes", object{"path": object{"version_id": versionID}}},
		{"listRuns", object{"path": flow, "query": object{"status": "completed", "page_size": 2, "start_date": "2026-01-01T00:00:00Z"}}},
		{"listWorkflowSessions", object{"path": flow}},
		{"getRun", object{"path": run}},
		{"listRunSessions", object{"path": run}},
		{"listRunNodes", object{"path": run}},
		{"listRunRecordings", object{"path": run}},
		{"listSessionsByCaller", object{"query": object{"caller_id": "+12025550101"}}},
		{"resolveContact", object{"query": object{"type": "phone_number", "value": "+12025550101"}}},
		{"legacyListRuns", object{"query": object{"use_case_id": flowID, "limit": 1}}},
		{"cancelRun", object{"path": object{"run_id": open[0]}}},
		{"cancelWorkflowRuns", object{"path": flow}},
	}
	ask := func(results object, operation string, args object) object {
		t.Helper()
		base, headers := host+platformBase, "{}"
		if operation == "legacyListRuns" {
			base, headers = host+legacyBase, "{ x-organization-id: "+orgID+" }"
		}
		b := service.NewStreamBuilder()
		require.NoError(t, b.SetLoggerYAML("level: none"))
		require.NoError(t, b.AddProcessorYAML(fmt.Sprintf(`
happyrobot_request:
  api_key: %s
  base_url: %s
  operation: %s
  headers: %s
  retry: {initial_interval: 5ms, max_interval: 50ms, max_elapsed_time: 1s}
  args_mapping: root = this
`, key, base, operation, headers)))
		send, err := b.AddProducerFunc()
		require.NoError(t, err)
		require.NoError(t, b.AddConsumerFunc(func(_ context.Context, msg *service.Message) error {
			assert.NoError(t, msg.GetError(), operation)
			answer, err := msg.AsStructured()
			results[operation] = answer
			return err
		}))
		stream, err := b.Build()
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		ended := make(chan error, 1)
		go func() { ended <- stream.Run(ctx) }()
		if args == nil {
			args = object{}
		}
		message, err := json.Marshal(args)
		require.NoError(t, err)
		require.NoError(t, send(ctx, service.NewMessage(message)))
		require.NoError(t, stream.Stop(ctx))
		require.NoError(t, <-ended)
		answer, _ := results[operation].(object)
		return answer
	}
	results := object{}
	for _, step := range steps {
		answer := ask(results, step.operation, step.args)
		switch step.operation { // what the later steps ask for
		case "listRunSessions":
			session := answer["data"].([]any)[0].(object)["id"]
			ask(results, "getSession", object{"path": object{"session_id": session}})
			ask(results, "listSessionMessages", object{"path": object{"session_id": session}, "query": object{"page_size": 100}})
		case "listRunNodes":
			output := answer["data"].([]any)[0].(object)["output_id"]
			ask(results, "getRunOutput", object{"path": object{"run_id": over[0], "output_id": output}})
		}
	}

	answered := w.keeps(t)
	for _, op := range happyrobot.PlatformOperations() {
		if op.Refusal() == "" {
			assert.Equal(t, 1, answered[op.ID], op.ID)
			assert.Contains(t, results, op.ID)
		} else {
			assert.Zero(t, answered[op.ID], op.ID)
		}
	}
	for _, r := range pretend.Runs() {
		assert.True(t, r.Over, "all that were open are canceled")
	}
	ask(results, "getWorkflow", object{"path": flow})
	assert.Equal(t, true, results["getWorkflow"].(object)["latest_version"].(object)["is_live"], "and the workflow is still on the air")
}
