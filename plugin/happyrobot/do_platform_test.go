package happyrobot_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

const (
	runID      = "00000000-0000-7006-8000-000000000001"
	workflowID = "appointment-reminders"
)

func TestAnOperationsIDIsOfOneAPI(t *testing.T) {
	apis := map[happyrobot.API]int{}
	seen := map[string]bool{}
	for _, op := range append(happyrobot.Operations(), happyrobot.PlatformOperations()...) {
		assert.False(t, seen[op.ID], op.ID)
		seen[op.ID] = true
		apis[op.API]++
		found, ok := happyrobot.FindOperation(op.ID)
		require.True(t, ok, op.ID)
		assert.Equal(t, op, found)
	}
	assert.Equal(t, map[happyrobot.API]int{happyrobot.V1: 35, happyrobot.Platform: 25, happyrobot.PlatformV1: 1}, apis)
	for api, base := range map[happyrobot.API]string{
		happyrobot.V1: "https://app.happyrobot.ai/api/v1", happyrobot.Platform: "https://platform.happyrobot.ai/api/v2", happyrobot.PlatformV1: "https://platform.happyrobot.ai/api/v1",
	} {
		assert.Equal(t, base, api.BaseURL())
	}
}

func TestNoOperationOfThePlatformStartsRunsPastTheLedger(t *testing.T) {
	a, client := answering(t, reply{body: `{}`})
	var refused, starts []string
	for _, op := range happyrobot.PlatformOperations() {
		if op.PlacesCalls() {
			starts = append(starts, op.ID)
			assert.Contains(t, op.Refusal(), "happyrobot_workflow")
		}
		if op.Refusal() == "" {
			continue
		}
		refused = append(refused, op.ID)
		args := map[string]string{}
		for _, name := range op.PathParameters() {
			args[name] = "x"
		}
		_, err := client(nil).Do(t.Context(), op, happyrobot.Arguments{Path: args})
		require.ErrorContains(t, err, op.ID+" would ")
	}
	assert.Equal(t, []string{"triggerRun", "triggerHook", "triggerHookInEnvironment"}, starts)
	assert.Equal(t, []string{"triggerRun", "streamSession", "triggerHook", "triggerHookInEnvironment", "twinSql"}, refused)
	assert.Empty(t, a.requests)
}

func TestNoPathLeadsPastTheLedger(t *testing.T) {
	a, client := answering(t, reply{body: `{}`})
	for id, paths := range map[string][]string{
		"getRun": { // reads; a hook may be reached with any method
			"/hooks/slug", "/HOOKS/staging/slug", "/hook/slug", "/hooks;x/slug", "/hooks.json/slug", "/signals", "/signals/x", "/Signal", "/dial/outbound",
			"/sessions/{session_id}/stream", "/sessions/{session_id}/Streams", "/api/v2/hooks/slug",
			"/hooks//slug", "//hooks/slug", "/%68ooks/slug", "/hooks%2Fslug", "/runs?x=/hooks/y", "/x/../hooks/slug", "/runs#x", "/workflows/",
		},
		"cancelRun": { // changes
			"/workflows/{workflow_id}/runs", "/workflows/{workflow_id}/RUNS", "/runs", "/run", "/runs/{run_id}/restart", "/runs/{run_id}/re-run", "/runs/{run_id}/rerun", "/runs/{run_id}/retry", "/runs/{run_id}",
			"/signals", "/hooks/slug", "/twin/sql", "/Twin/tables/{table}/rows", "/workflows/{workflow_id}/trigger", "/workflows/{workflow_id}/{what}", "/x/uncancel", "/cancel/{what}", "/hooks/{slug}/cancel", "/twin/cancel",
			"/workflows//runs", "/workflows/{workflow_id}/%72uns", "/workflows/{workflow_id}/runs?a=b", "/workflows/{workflow_id}/runs/",
		},
		"exportCalls": { // of v1, whose base URL may be set to that of the platform
			"/workflows/{workflow_id}/runs", "/workflows/{workflow_id}/runs-now", "/workflows/{workflow_id}/Run", "/runs/{run_id}/restart", "/runs/{run_id}/resume", "/signals", "/hooks/slug", "/twin/sql", "/workflows/{workflow_id}/test-run",
		},
	} {
		for _, path := range paths {
			_, err := operation(t, id).At(path)
			require.Error(t, err, "%s at %s", id, path)
		}
	}
	for id, paths := range map[string][]string{
		"getRun":      {"/workflows/{workflow_id}/runs", "/runs/{run_id}/retries", "/twin/tables", "/workflows/{workflow_id}/webhooks", "/hooked/dialed"},
		"cancelRun":   {"/runs/{run_id}/cancel", "/v3/runs/{run_id}/cancel", "/workflows/{workflow_id}/cancel-runs", "/runs/{run_id}/cancel-now"},
		"exportCalls": {"/calls/csv-export", "/workflows/{workflow_id}/cancel-runs", "/calls/{id}/notes"},
	} {
		for _, path := range paths {
			_, err := operation(t, id).At(path)
			require.NoError(t, err, "%s at %s", id, path)
		}
	}

	// What is filled in is judged, too.
	for _, tc := range []struct {
		id, path string
		args     map[string]string
	}{
		{"getRun", "/{a}/slug", map[string]string{"a": "hooks"}},
		{"getRun", "/{a}/slug", map[string]string{"a": "HOOKS;x"}},
		{"getRun", "/sessions/{a}/{b}", map[string]string{"a": "x", "b": "stream"}},
		{"exportCalls", "/workflows/{a}/{b}", map[string]string{"a": "x", "b": "runs"}},
		{"exportCalls", "/workflows/{a}/{b}", map[string]string{"a": "x", "b": "runs:now"}},
		{"exportCalls", "/{a}/{b}", map[string]string{"a": "twin", "b": "sql"}},
	} {
		op, err := operation(t, tc.id).At(tc.path)
		require.NoError(t, err)
		_, err = client(nil).Do(t.Context(), op, happyrobot.Arguments{Path: tc.args})
		var f *happyrobot.FieldError
		require.ErrorAs(t, err, &f, "%v", tc)
		assert.Equal(t, "path", f.Field)
	}
	assert.Empty(t, a.requests)

	// A slug in the place of a slug leads nowhere.
	_, err := client(nil).Do(t.Context(), operation(t, "getWorkflow"), happyrobot.Arguments{Path: map[string]string{"workflow_id": "hooks"}})
	require.NoError(t, err)
	require.Len(t, a.requests, 1)
	assert.Equal(t, "/api/v1/workflows/hooks", a.requests[0].URL.Path)
}

func TestABaseURLLeadsNotPastTheLedger(t *testing.T) {
	for base, want := range map[string]string{
		"https://platform.happyrobot.ai/api/v2":                "",
		"https://platform.eu.happyrobot.ai/api/v2/":            "",
		"http://127.0.0.1:8080/api/v2":                         "",
		"http://[::1]:8080/api/v2":                             "",
		"http://localhost:8080/api/v2":                         "",
		"http://platform.happyrobot.ai/api/v2":                 "https",
		"https://workflows.platform.happyrobot.ai/hooks":       "hook",
		"https://workflows.platform.happyrobot.ai/%68ooks":     "hook",
		"https://platform.happyrobot.ai/api/v2/signals":        "signals",
		"https://app.happyrobot.ai/api/v1/dial":                "places calls",
		"https://platform.happyrobot.ai/api/v2/hooks/staging/": "hook",
	} {
		err := operation(t, "getRun").ValidateBaseURL(base)
		if want == "" {
			require.NoError(t, err, base)
			continue
		}
		require.ErrorContains(t, err, strings.Replace(want, "places calls", "place calls", 1), base)
	}
	assert.NoError(t, operation(t, "getUsage").ValidateBaseURL("http://app.example.com/api/v1"), "as ever")
}

// sentBody is the body of the last request.
func sentBody(t *testing.T, a *answers) string {
	t.Helper()
	body, err := io.ReadAll(a.requests[len(a.requests)-1].Body)
	require.NoError(t, err)
	return string(body)
}

func TestCancelingAllRunsKeepsTheWorkflowPublishedUnlessToldOtherwise(t *testing.T) {
	all := operation(t, "cancelWorkflowRuns")
	one, err := operation(t, "cancelRun").At("/workflows/{workflow_id}/cancel-runs")
	require.NoError(t, err)
	v1, err := operation(t, "exportCalls").At("/workflows/{workflow_id}/Cancel-Runs")
	require.NoError(t, err)
	a, client := answering(t, reply{body: `{"status":"canceled","workflow_toggle_result":null}`})
	for _, op := range []happyrobot.Operation{all, one, v1} {
		for body, want := range map[string]string{
			"":                             `{"unpublish_workflow":false}`,
			"null":                         `{"unpublish_workflow":false}`,
			"{}":                           `{"unpublish_workflow":false}`,
			`{"unpublish_workflow":null}`:  `{"unpublish_workflow":false}`,
			`{"unpublish_workflow":false}`: `{"unpublish_workflow":false}`,
			`{"unpublish_workflow":true}`:  `{"unpublish_workflow":true}`,
			`{"n":12345678901234567890}`:   `{"n":12345678901234567890,"unpublish_workflow":false}`,
		} {
			_, err := client(nil).Do(t.Context(), op, happyrobot.Arguments{Path: map[string]string{"workflow_id": workflowID}, Body: json.RawMessage(body)})
			require.NoError(t, err, body)
			assert.JSONEq(t, want, sentBody(t, a), body)
		}
		sent := len(a.requests)
		for _, body := range []string{`[]`, `"x"`, `true`, `{"unpublish_workflow":"false"}`, `{"unpublish_workflow":0}`} {
			_, err := client(nil).Do(t.Context(), op, happyrobot.Arguments{Path: map[string]string{"workflow_id": workflowID}, Body: json.RawMessage(body)})
			var f *happyrobot.FieldError
			require.ErrorAs(t, err, &f, body)
			assert.True(t, strings.HasPrefix(f.Field, "body"), f.Field)
		}
		assert.Len(t, a.requests, sent)
	}
	_, err = client(nil).Do(t.Context(), operation(t, "cancelRun"), happyrobot.Arguments{Path: map[string]string{"run_id": runID}})
	require.NoError(t, err)
	assert.Empty(t, sentBody(t, a), "one run has no workflow to take off")
}

// Whether a run is missing, or the base URL wrong, is told apart by what every key may read.
func TestAMissingRunIsNoWrongBaseURL(t *testing.T) {
	get := func(describe reply, op string, path map[string]string) (*answers, error) {
		a, client := answering(t, reply{status: http.StatusNotFound, body: `{"message":"Run not found"}`}, describe)
		once := func(o *happyrobot.Options) { o.Retry.MaxElapsedTime = 1 }
		_, err := client(once).Do(t.Context(), operation(t, op), happyrobot.Arguments{Path: path})
		return a, err
	}
	run := map[string]string{"run_id": runID}
	a, err := get(reply{body: `{"id":"k"}`}, "getRun", run)
	assert.Equal(t, happyrobot.ClassNotFound, happyrobot.ClassOf(err))
	require.Len(t, a.requests, 2)
	assert.Equal(t, "/api/v1/api-key/describe", a.requests[1].URL.Path)

	_, err = get(reply{status: http.StatusNotFound}, "getRun", run)
	assert.Equal(t, happyrobot.ClassSetup, happyrobot.ClassOf(err))
	require.ErrorContains(t, err, "/api/v2")
	_, err = get(reply{status: http.StatusNotFound}, "cancelRun", run)
	assert.Equal(t, happyrobot.ClassSetup, happyrobot.ClassOf(err))

	a, err = get(reply{status: http.StatusNotFound}, "legacyListRuns", nil)
	assert.Equal(t, happyrobot.ClassNotFound, happyrobot.ClassOf(err), "nothing is known to be always there")
	assert.Len(t, a.requests, 1)
}
