package happyrobot_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

// What is changed at the platform must be canceled, whichever API the operation is of.
func TestAPlaceOfThePlatformIsJudgedAsOne(t *testing.T) {
	const us, hooks = "https://platform.happyrobot.ai/api/v2", "https://workflows.platform.happyrobot.ai"
	for _, tc := range []struct {
		id, base, path string
		good           bool
	}{
		{"addNote", us, "/workflows/{w}/test", false},
		{"addNote", us, "/workflows/{w}/publish", false},
		{"addNote", us, "/workflows/{w}/invoke", false},
		{"addNote", us, "/workflows/{w}/runs/batch", false},
		{"addNote", us, "/workflows/{w}/{x}", false},
		{"addNote", us, "/contacts/{w}/call", false},
		{"addNote", us, "/voice/outbound", false},
		{"addNote", us, "/calls/{id}/notes", false}, // its own path, at the wrong API
		{"addNote", us + "/workflows/x/runs", "/{x}", false},
		{"addNote", "https://proxy.example.com/workflows/x/runs", "/{x}", false},
		{"addNote", hooks, "/{x}", false},
		{"addNote", hooks, "/webhooks/{x}", false},
		{"addNote", "https://PLATFORM.eu.happyrobot.ai:443", "/notes", false},
		{"addNote", "https://api.platform.happyrobot.ai", "/notes", false},
		{"addNote", "https://proxy.example.com/%61pi/v2/", "/notes", false},
		{"addNote", "https://proxy.example.com/API//V2", "/notes", false},
		{"addNote", "https://proxy.example.com/api", "/v2/notes", false},
		{"deleteCall", us, "/runs/{id}", false},
		{"addNote", us, "/runs/{w}/cancel", true},
		{"addNote", "https://app.happyrobot.ai/api/v1", "/calls/{id}/notes", true},
		{"addNote", "https://proxy.platform.example.com/api/v1", "/calls/{id}/comments", true},
		{"getCall", us, "/workflows/{w}/publish", true}, // reads
		{"getCall", "https://proxy.example.com/x/hooks", "/{x}", false},
		{"cancelRun", us, "/runs/{run_id}/cancel", true},
		{"cancelWorkflowRuns", us, "/workflows/{workflow_id}/cancel-runs", true},
	} {
		op, err := operation(t, tc.id).At(tc.path)
		require.NoError(t, err, "%v", tc)
		if err = op.ValidateBaseURL(tc.base); err == nil {
			err = op.ValidatePlace(tc.base)
		}
		assert.Equal(t, tc.good, err == nil, "%v: %v", tc, err)
	}
	for base, good := range map[string]bool{
		"http://platform.happyrobot.ai/api/v1": false, "http://workflows.platform.happyrobot.ai": false, "http://proxy.example.com/api/v2": false,
		"http://proxy.example.com/api/v1": true, "http://127.0.0.1:8080/api/v2": true,
	} {
		assert.Equal(t, good, operation(t, "getCall").ValidateBaseURL(base) == nil, base)
	}
}

func TestAClientSendsNoChangeToAPlaceOfThePlatform(t *testing.T) {
	a, client := answering(t, reply{body: `{}`})
	there := client(func(o *happyrobot.Options) { o.BaseURL = o.BaseURL[:len(o.BaseURL)-len("v1")] + "v2" })
	for path, args := range map[string]map[string]string{
		"/workflows/{w}/test": {"w": "x"},
		"/{a}/{b}":            {"a": "contacts", "b": "call"},
	} {
		op, err := operation(t, "addNote").At(path)
		require.NoError(t, err)
		_, err = there.Do(t.Context(), op, happyrobot.Arguments{Path: args})
		var f *happyrobot.FieldError
		require.ErrorAs(t, err, &f, path)
		assert.Equal(t, "path", f.Field)
	}
	assert.Empty(t, a.requests)
}

func TestNoChangeBelowWorkflowsTakesOneOffTheAir(t *testing.T) {
	a, client := answering(t, reply{body: `{"status":"canceled"}`})
	for _, tc := range []struct {
		id, path, below string
		args            map[string]string
	}{
		{"cancelRun", "/workflows/{w}/cancel", "", map[string]string{"w": workflowID}},
		{"cancelRun", "/Workflows/{w}/runs/cancel-all", "", map[string]string{"w": workflowID}},
		{"cancelRun", "/{a}/{w}/cancel", "", map[string]string{"a": "workflows", "w": workflowID}},
		{"cancelRun", "/{w}/cancel", "/workflows", map[string]string{"w": workflowID}},
	} {
		op, err := operation(t, tc.id).At(tc.path)
		require.NoError(t, err)
		_, err = client(func(o *happyrobot.Options) { o.BaseURL += tc.below }).Do(t.Context(), op, happyrobot.Arguments{Path: tc.args, Body: json.RawMessage(`{"a":1}`)})
		require.NoError(t, err)
		assert.JSONEq(t, `{"a":1,"unpublish_workflow":false}`, sentBody(t, a), tc.path)
	}
}
