package contract

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	_ "github.com/redpanda-data/benthos/v4/public/components/pure"

	_ "github.com/benthos-happyrobot/benthos-happyrobot/plugin"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

func TestTheTableOfOperationsIsTheDescriptions(t *testing.T) {
	c := loaded(t)
	table, evidence := map[string]string{}, map[string]string{}
	for _, op := range happyrobot.Operations() {
		table[op.Method+" /api/v1"+op.Path] = op.ID
		evidence[op.ID] = string(op.Evidence)
		assert.NotEmpty(t, op.Summary, op.ID)
	}
	assert.Equal(t, c.operations, table)
	assert.Equal(t, c.evidence, evidence)
}

// One message goes through a happyrobot_request of each operation.
func TestEveryRequestOfAnyOperationKeepsTheContract(t *testing.T) {
	w, sim, url := serve(t, callsim.Options{Seed: 7})
	c, err := happyrobot.New(happyrobot.Options{APIKey: key, BaseURL: url, Transport: &http.Transport{}})
	require.NoError(t, err)
	place(t, c, 40)
	sim.Advance(2 * time.Hour)
	var call string // only a talk has a recording
	for _, placed := range sim.Calls() {
		if placed.Status == "Completed" {
			call = placed.ID
		}
	}
	require.NotEmpty(t, call)

	type object = map[string]any
	id := func(id string) object { return object{"id": id} }
	reviewer := object{"email": "reviewer@example.com"}
	steps := []struct {
		operation string
		args      object
	}{
		{"listCalls", object{"query": object{"limit": 2, "statuses": []string{"No answer", "Busy"}, "type": "Outbound", "sort": "asc"}}},
		{"getCurrentPage", object{"query": object{"callId": call, "limit": 2}}},
		{"listCallTags", nil},
		{"exportCalls", object{"body": object{"type": "Outbound"}}},
		{"getCall", object{"path": id(call)}},
		{"getTranscript", object{"path": id(call)}},
		{"getRecordingUrl", object{"path": id(call)}},
		{"getCallLogs", object{"path": id(call)}},
		{"addNote", object{"path": id(call), "body": object{"id": "mine", "content": "Gate code is on file.", "flagged": true}}},
		{"updateNote", object{"path": object{"id": call, "noteId": "mine"}, "body": object{"content": "Gate is open."}}},
		{"deleteNote", object{"path": object{"id": call, "noteId": "mine"}}},
		{"setCallViewed", object{"path": id(call), "body": reviewer}},
		{"setCallRating", object{"path": id(call), "body": object{"emoji": "✅", "email": "reviewer@example.com", "operation": "add"}}},
		{"stopCall", object{"path": id(call)}},
		{"cancelCall", object{"path": id(call)}},
		{"getUsage", object{"query": object{"timeframe": "weekly"}}},
		{"listUseCases", nil},
		{"createUseCase", object{"body": object{"name": "Second", "language": "de-DE"}}},
		{"updateUseCase", object{"path": id(useCaseID), "body": object{"name": "Renamed"}}},
		{"getUseCase", object{"path": id(useCaseID)}},
		{"listAgents", nil},
		{"createAgent", object{"body": object{"name": "Lee", "languages": []string{"german"}}}},
		{"updateAgent", object{"path": id(agentID), "body": object{"voice_id": "voice-2"}}},
		{"listNumbers", nil},
		{"buyNumber", object{"body": object{"area_code": "202"}}},
		{"updateNumberRoutes", object{"path": id(numberID), "body": object{"use_case_id": useCaseID}}},
		{"updateNumberTitle", object{"path": id(numberID), "body": object{"title": "Deliveries"}}},
		{"getNumber", object{"path": id(numberID)}},
		{"updateMember", object{"body": object{"email": "reviewer@example.com", "role": "Viewer"}}},
		{"removeMember", object{"body": reviewer}},
		{"updateUser", object{"path": id(userID), "body": object{"first_name": "Dana"}}},
		{"deleteCall", object{"path": id(call)}},
	}
	b := service.NewStreamBuilder()
	require.NoError(t, b.SetLoggerYAML("level: none"))
	args := object{}
	for _, step := range steps {
		args[step.operation] = step.args
		require.NoError(t, b.AddProcessorYAML(fmt.Sprintf(`
happyrobot_request:
  api_key: %s
  base_url: %s
  operation: %s
  retry: {initial_interval: 5ms, max_interval: 50ms, max_elapsed_time: 1s}
  args_mapping: root = this.args.%[3]s | {}
  result_map: root.results.%[3]s = this
`, key, url, step.operation)))
	}
	send, err := b.AddProducerFunc()
	require.NoError(t, err)
	var results object
	require.NoError(t, b.AddConsumerFunc(func(_ context.Context, msg *service.Message) error {
		assert.NoError(t, msg.GetError())
		whole, err := msg.AsStructured()
		if err != nil {
			return err
		}
		results, _ = whole.(object)["results"].(object)
		return nil
	}))
	stream, err := b.Build()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- stream.Run(ctx) }()
	message, err := json.Marshal(object{"args": args})
	require.NoError(t, err)
	require.NoError(t, send(ctx, service.NewMessage(message)))
	require.NoError(t, stream.Stop(ctx))
	require.NoError(t, <-ended)

	answered := w.keeps(t)
	for _, op := range happyrobot.Operations() {
		if !op.PlacesCalls() {
			assert.Equal(t, 1, answered[op.ID], op.ID)
			assert.Contains(t, results, op.ID)
		}
	}
	assert.Equal(t, "Renamed", results["getUseCase"].(object)["name"])
	assert.Nil(t, results["setCallRating"])
}
