package platform_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot/platform"
)

// start is a run to start with the payload of the examples.
func start(t testing.TB) platform.Trigger {
	return platform.Trigger{Payload: json.RawMessage(example(t, "hook.request"))}
}

const triggers = "POST /workflows/reminders/runs"

func TestATriggerSendsThePayloadInItsEnvelope(t *testing.T) {
	a, c := serve(t, map[string]answer{triggers: {body: example(t, "trigger.response.run-id")}})
	reply, err := c.Trigger(t.Context(), "reminders", start(t))
	require.NoError(t, err)
	assert.Equal(t, runID, reply.RunID())
	assert.JSONEq(t, example(t, "trigger.response.run-id"), string(reply.Raw))

	require.Len(t, a.requests(), 1)
	assert.JSONEq(t, example(t, "trigger.request"), a.bodies()[0])
	assert.Equal(t, "Bearer "+key, a.requests()[0].Header.Get("Authorization"))
	assert.Empty(t, a.requests()[0].URL.RawQuery)
}

func TestTheEnvironmentGoesIntoTheQueryOnlyWhereAskedFor(t *testing.T) {
	a, c := serve(t, map[string]answer{triggers: {body: example(t, "trigger.response.run-id")}})
	run := start(t)
	run.Environment, run.EnvironmentInQuery = platform.Staging, true
	_, err := c.Trigger(t.Context(), "reminders", run)
	require.NoError(t, err)
	assert.Equal(t, "environment=staging", a.requests()[0].URL.RawQuery)
	assert.Contains(t, a.bodies()[0], `"environment":"staging"`)
}

func TestBothFormsOfTheAnswerToATriggerAreRead(t *testing.T) {
	const other = "00000000-0000-7006-8000-000000000002"
	for name, tc := range map[string]struct {
		body string
		ids  []string
	}{
		"run_id":                  {example(t, "trigger.response.run-id"), []string{runID}},
		"queued_run_ids":          {example(t, "trigger.response.queued"), []string{runID}},
		"both":                    {`{"queued_run_ids":["` + other + `","` + runID + `"],"run_id":"` + runID + `"}`, []string{runID, other}},
		"several, one twice":      {`{"queued_run_ids":["` + runID + `","` + other + `","` + runID + `"]}`, []string{runID, other}},
		"null beside a list":      {`{"run_id":null,"queued_run_ids":["` + runID + `"]}`, []string{runID}},
		"an empty list":           {`{"run_id":"` + runID + `","queued_run_ids":[]}`, []string{runID}},
		"a text in place of list": {`{"queued_run_ids":"` + runID + `"}`, []string{runID}},
		"an odd item":             {`{"queued_run_ids":[null,{},"a b","` + runID + `"]}`, []string{runID}},
		"a number":                {`{"run_id":17}`, []string{"17"}},
	} {
		_, c := serve(t, map[string]answer{triggers: {body: tc.body}})
		reply, err := c.Trigger(t.Context(), "reminders", start(t))
		require.NoError(t, err, name)
		assert.Equal(t, tc.ids, reply.RunIDs, name)
		assert.Equal(t, tc.ids[0], reply.RunID(), name)
	}
}

func TestAnAnswerWithoutARunIsUnknown(t *testing.T) {
	for name, a := range map[string]answer{
		"no id":      {body: example(t, "trigger.response.no-id")},
		"empty":      {},
		"a page":     {body: "<html>Log in</html>", header: map[string]string{"Content-Type": "text/html"}},
		"cut short":  {body: `{"run_id":"` + runID},
		"a list":     {body: `["` + runID + `"]`},
		"null":       {body: `null`},
		"empty ids":  {body: `{"run_id":"","queued_run_ids":[""]}`},
		"created":    {status: http.StatusCreated, body: `{}`},
		"500":        {status: 500, body: `{"error":"x"}`},
		"502":        {status: 502, body: "<html>Bad gateway</html>"},
		"503":        {status: 503},
		"504":        {status: 504},
		"408":        {status: 408},
		"no content": {status: http.StatusNoContent},
	} {
		server, c := serve(t, map[string]answer{triggers: a})
		reply, err := c.Trigger(t.Context(), "reminders", start(t))
		require.Error(t, err, name)
		assert.Equal(t, happyrobot.ClassUnknown, happyrobot.ClassOf(err), "%s: %v", name, err)
		assert.Empty(t, reply.RunIDs, name)
		assert.Len(t, server.requests(), 1, "%s: a trigger is never repeated", name)
	}
	_, c := serve(t, map[string]answer{triggers: {body: example(t, "trigger.response.no-id")}})
	reply, err := c.Trigger(t.Context(), "reminders", start(t))
	require.ErrorContains(t, err, "names no run")
	assert.Equal(t, "ok", reply.Message, "what could be read is there")
}

func TestAPayloadThatIsNoObjectIsNotSent(t *testing.T) {
	a, c := serve(t, nil)
	for _, payload := range []string{"", "null", "[]", `"x"`, "1", `{"a":1`, `{},"environment":"staging"`, "{}{}"} {
		_, err := c.Trigger(t.Context(), "reminders", platform.Trigger{Payload: json.RawMessage(payload)})
		var field *happyrobot.FieldError
		require.ErrorAs(t, err, &field, payload)
	}
	assert.Empty(t, a.requests())
}
