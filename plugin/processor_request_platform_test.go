package plugin_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

// platformAPI answers as it is told, and keeps what it was asked.
type platformAPI struct {
	url string

	mu      sync.Mutex
	answers map[string][]platformAnswer // by method and path; the last one stays
	asked   []string                    // method, path with query, body
}

type platformAnswer struct {
	status int
	body   string
}

func startPlatform(t *testing.T, answers map[string][]platformAnswer) *platformAPI {
	t.Helper()
	api := &platformAPI{answers: answers}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		api.mu.Lock()
		defer api.mu.Unlock()
		api.asked = append(api.asked, strings.TrimSpace(req.Method+" "+req.URL.RequestURI()+" "+string(body)))
		queue := api.answers[req.Method+" "+req.URL.Path]
		if len(queue) == 0 {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		if len(queue) > 1 {
			api.answers[req.Method+" "+req.URL.Path] = queue[1:]
		}
		w.WriteHeader(queue[0].status)
		_, _ = io.WriteString(w, queue[0].body)
	}))
	t.Cleanup(srv.Close)
	api.url = srv.URL + "/api/v2"
	return api
}

func (api *platformAPI) requests() []string {
	api.mu.Lock()
	defer api.mu.Unlock()
	return append([]string(nil), api.asked...)
}

const runOfPlatform = "00000000-0000-7006-8000-000000000001"

func TestAnOperationOfThePlatformIsAskedThere(t *testing.T) {
	t.Parallel()
	api := startPlatform(t, map[string][]platformAnswer{
		"GET /api/v2/runs/" + runOfPlatform:      {{http.StatusBadGateway, "<html>"}, {http.StatusForbidden, `{"error":"x"}`}, {http.StatusOK, `{"id":"` + runOfPlatform + `","status":"completed"}`}},
		"GET /api/v2/workflows/reminders/runs":   {{http.StatusOK, `{"data":[],"pagination":{"totalRecords":7}}`}},
		"GET /api/v2/sessions/":                  {{http.StatusOK, `{"data":[],"pagination":{}}`}},
		"GET /api/v2/api-key/describe":           {{http.StatusOK, `{"id":"k"}`}},
		"POST /api/v2/workflows/x/cancel-runs":   {{http.StatusOK, `{"status":"canceled","workflow_toggle_result":null}`}},
		"POST /api/v2/runs/gone/cancel":          {{http.StatusNotFound, `{"message":"Run not found"}`}},
		"POST /api/v2/runs/unanswered/cancel":    {{http.StatusBadGateway, "<html>"}},
		"POST /api/v2/runs/slow-down/cancel":     {{http.StatusTooManyRequests, ""}, {http.StatusOK, `{"status":"canceled"}`}},
		"POST /api/v2/runs/finished/cancel":      {{http.StatusBadRequest, `{"error":"Bad Request","message":"run is over"}`}},
		"GET /api/v2/runs/run-that-was-not-here": {{http.StatusNotFound, `{"message":"Run not found"}`}},
	})
	for _, tc := range []struct {
		operation, args          string
		outcome, reason, content string
		asked                    []string
	}{
		{"getRun", `{"path":{"run_id":"` + runOfPlatform + `"}}`, "complete", "", `"status":"completed"`, []string{
			"GET /api/v2/runs/" + runOfPlatform, "GET /api/v2/runs/" + runOfPlatform, "GET /api/v2/runs/" + runOfPlatform}},
		{"listRuns", `{"path":{"workflow_id":"reminders"},"query":{"status":"scheduled","page_size":1}}`, "complete", "", `"totalRecords":7`, []string{"GET /api/v2/workflows/reminders/runs?page_size=1&status=scheduled"}},
		{"listSessionsByCaller", `{"query":{"caller_id":"+14155550100"}}`, "complete", "", `"data"`, []string{"GET /api/v2/sessions/?caller_id=%2B14155550100"}},
		{"cancelWorkflowRuns", `{"path":{"workflow_id":"x"}}`, "complete", "", "canceled", []string{`POST /api/v2/workflows/x/cancel-runs {"unpublish_workflow":false}`}},
		{"cancelWorkflowRuns", `{"path":{"workflow_id":"x"},"body":{"unpublish_workflow":true}}`, "complete", "", "canceled", []string{`POST /api/v2/workflows/x/cancel-runs {"unpublish_workflow":true}`}},
		{"cancelWorkflowRuns", `{"path":{"workflow_id":"x"},"body":{"unpublish_workflow":"no"}}`, "rejected", "invalid_field", "", nil},
		{"cancelRun", `{"path":{"run_id":"slow-down"}}`, "complete", "", "canceled", []string{"POST /api/v2/runs/slow-down/cancel", "POST /api/v2/runs/slow-down/cancel"}},
		{"cancelRun", `{"path":{"run_id":"unanswered"}}`, "unknown", "unanswered", "", []string{"POST /api/v2/runs/unanswered/cancel"}},
		{"cancelRun", `{"path":{"run_id":"finished"}}`, "rejected", "refused", "", []string{"POST /api/v2/runs/finished/cancel"}},
		{"cancelRun", `{"path":{"run_id":"gone"}}`, "not_found", "not_found", "", []string{"POST /api/v2/runs/gone/cancel", "GET /api/v2/api-key/describe"}},
		{"getRun", `{"path":{"run_id":"run-that-was-not-here"}}`, "not_found", "not_found", "", []string{"GET /api/v2/runs/run-that-was-not-here", "GET /api/v2/api-key/describe"}},
		{"getRun", `{"path":{"run_id":"../workflows"}}`, "rejected", "invalid_field", "", nil},
		{"getRun", `{"path":{"run_id":"a b"}}`, "rejected", "invalid_field", "", nil},
		{"getRun", `{}`, "rejected", "missing_field", "", nil},
	} {
		t.Run(tc.operation+tc.args, func(t *testing.T) {
			before := len(api.requests())
			s := run(t, requestYAML(api.url, tc.operation, "args_mapping: root = this"))
			require.NoError(t, s.deliver(tc.args))
			out := s.out.all()
			require.Len(t, out, 1)
			assert.Equal(t, tc.outcome, out[0]["@happyrobot_outcome"])
			if tc.reason == "" {
				assert.Nil(t, out[0]["error"])
				assert.Contains(t, out[0]["content"], tc.content)
			} else {
				assert.Equal(t, tc.reason, out[0]["@happyrobot_reason"])
				assert.Equal(t, tc.args, out[0]["content"], "a failed message stays as it was")
			}
			assert.Equal(t, tc.asked, append([]string(nil), api.requests()[before:]...))
		})
	}
}

func TestAWrongBaseURLOfThePlatformPausesAndSaysSo(t *testing.T) {
	t.Parallel()
	api := startPlatform(t, nil)
	p := requestYAML(api.url, "getRun", fmt.Sprintf("args_mapping: root.path.run_id = %q", runOfPlatform))
	p.processors[0] = strings.Replace(p.processors[0], "max_interval: 50ms", "max_interval: 50ms, max_elapsed_time: 60ms", 1)
	s := run(t, p)
	require.NoError(t, s.deliver(`{}`))
	require.Len(t, s.out.all(), 1)
	assert.Equal(t, "gave_up", s.out.all()[0]["@happyrobot_reason"])
	assert.Contains(t, s.out.all()[0]["error"], "neither this nor the description of the key is at base_url")
	assert.Contains(t, s.out.all()[0]["error"], "/api/v2")
}

// The trigger's output holds the request that started the run, its key included.
func TestAnswersOfThePlatformHoldNoKeyOfATrigger(t *testing.T) {
	t.Parallel()
	api := startPlatform(t, map[string][]platformAnswer{
		"GET /api/v2/runs/r/outputs/o":  {{http.StatusOK, `{"data":{"id":"o","data":{"data":{"phone":"x","headers":"mine"},"method":"POST","headers":{"x-api-key":"sk-secret"}}}}`}},
		"GET /api/v2/workflows/w/runs":  {{http.StatusOK, `{"data":[{"id":"r","data":{"t.headers.x-api-key":"sk-secret","t.data.phone":"x"}}]}`}},
		"GET /api/v2/runs/r/recordings": {{http.StatusOK, `{"recordings":[{"session_id":"s","url":"https://example.com/a?signature=x"}]}`}},
	})
	for operation, want := range map[string]string{
		"getRunOutput":      `{"data":{"id":"o","data":{"data":{"phone":"x","headers":"mine"},"method":"POST"}}}`,
		"listRuns":          `{"data":[{"id":"r","data":{"t.data.phone":"x"}}]}`,
		"listRunRecordings": `{"recordings":[{"session_id":"s","url":"https://example.com/a?signature=x"}]}`,
	} {
		op, _ := happyrobot.FindOperation(operation)
		known, path := map[string]string{"run_id": "r", "output_id": "o", "workflow_id": "w"}, map[string]string{}
		for _, name := range op.PathParameters() {
			path[name] = known[name]
		}
		args, err := json.Marshal(path)
		require.NoError(t, err)
		s := run(t, requestYAML(api.url, operation, "args_mapping: 'root.path = this'"))
		require.NoError(t, s.deliver(string(args)))
		require.Len(t, s.out.all(), 1)
		assert.Nil(t, s.out.all()[0]["error"])
		assert.JSONEq(t, want, s.out.all()[0]["content"].(string))
	}
}
