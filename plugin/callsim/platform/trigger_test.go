package platform_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim/platform"
)

func TestAnswersHaveAllTheirForms(t *testing.T) {
	forms := func(opts platform.Options) []string {
		srv := listen(t, opts)
		seen := map[string]bool{}
		for i := range 40 {
			status, answer := ask(t, "POST", srv.URL+"/workflows/"+platform.DefaultWorkflow+"/runs", `{"payload":`+lead(i)+`}`)
			require.Equal(t, 200, status)
			form := ""
			if _, ok := answer["run_id"]; ok {
				form = "run_id "
			}
			if ids, ok := answer["queued_run_ids"].([]any); ok {
				form += fmt.Sprint("queued ", len(ids))
			}
			seen[form] = true
		}
		assert.Len(t, srv.Sim.Runs(), 40)
		return slices.Sorted(maps.Keys(seen))
	}
	assert.Equal(t, []string{"queued 1", "run_id ", "run_id queued 1"}, forms(platform.Options{}))
	assert.Equal(t, []string{"", "queued 2"}, forms(platform.Options{Answers: []platform.Answer{platform.AnswerNone, platform.AnswerTwo}}))
}

func TestAKeyThatMayNotIsToldSo(t *testing.T) {
	const flow = "/workflows/" + platform.DefaultWorkflow
	for name, tc := range map[string]struct {
		opts   platform.Options
		header http.Header
		method string
		status int
		says   string
	}{
		"no key":               {platform.Options{}, http.Header{"Authorization": nil}, "GET", 401, "missing bearer token"},
		"another clusters key": {platform.Options{APIKey: "eu"}, nil, "GET", 401, "invalid or revoked API key"},
		"an expired key":       {platform.Options{KeyExpires: time.Now().Add(-time.Hour)}, nil, "GET", 401, "invalid or revoked API key"},
		"a viewer reads":       {platform.Options{Role: platform.Viewer}, nil, "GET", 200, "data"},
		"a viewer starts":      {platform.Options{Role: platform.Viewer}, nil, "POST", 403, "permissions"},
	} {
		srv := listen(t, tc.opts)
		body := map[string]string{"GET": "", "POST": `{"payload":{}}`}[tc.method]
		status, _, reply := askRaw(t, tc.method, srv.URL+flow+"/runs", body, tc.header)
		assert.Equal(t, tc.status, status, name)
		assert.Contains(t, reply, tc.says, name)
		assert.Empty(t, srv.Sim.Runs(), name)
	}
	expires := time.Now().Add(time.Hour)
	srv := listen(t, platform.Options{KeyExpires: expires})
	_, key := ask(t, "GET", srv.URL+"/api-key/describe", "")
	assert.Equal(t, expires.UTC().Format("2006-01-02T15:04:05.000Z"), key["expiresAt"])
}

func TestHooksAreAtTheirHostOnly(t *testing.T) {
	srv := listen(t, platform.Options{Workflows: []platform.Workflow{
		{Slug: "open", Environments: []string{"production", "staging"}}, {Slug: "locked", HookKey: "hook-key"}, {Slug: "flat", Trigger: platform.PredefinedRequest},
	}})
	base := strings.TrimSuffix(srv.URL, "/api/v2")
	for _, tc := range []struct {
		url    string
		key    string
		status int
	}{
		{base + "/hooks/open", "", 307}, {srv.HooksURL + "/open", "", 200}, {srv.HooksURL + "/staging/open", "", 200}, {srv.HooksURL + "/development/open", "", 404},
		{srv.HooksURL + "/none", "", 404}, {srv.HooksURL + "/locked", "", 401}, {srv.HooksURL + "/locked", "hook-key", 200}, {srv.HooksURL + "/flat", "", 404},
	} {
		status, header, reply := askRaw(t, "POST", tc.url, lead(1), http.Header{"X-Api-Key": {tc.key}, "Authorization": nil})
		assert.Equal(t, tc.status, status, "%s: %s", tc.url, reply)
		if status == 307 {
			status, _, reply = askRaw(t, "POST", base+header.Get("Location"), lead(1), nil)
			assert.Equal(t, 200, status, "who follows takes it for a success: %s", reply)
		}
	}
	assert.Equal(t, map[string]int{"ref-1": 3}, srv.Sim.RunsBy("dial_ref"))
	environments := []string{}
	for _, run := range srv.Sim.Runs() {
		environments = append(environments, run.Environment)
	}
	assert.Equal(t, []string{"production", "staging", "production"}, environments)
}

// triggerOutput is the data of a run's first node.
func triggerOutput(t *testing.T, srv *platform.Server, id string) object {
	t.Helper()
	_, nodes := ask(t, "GET", srv.URL+"/runs/"+id+"/nodes", "")
	_, output := ask(t, "GET", srv.URL+"/runs/"+id+"/outputs/"+nodes["data"].([]any)[0].(object)["output_id"].(string), "")
	data, _ := output["data"].(object)["data"].(object)
	return data
}

func TestATriggersOutputIsNestedOrFlat(t *testing.T) {
	srv := listen(t, platform.Options{Visibility: -1, Workflows: []platform.Workflow{{Slug: "hook", HookKey: "hook-key"}, {Slug: "flat", Trigger: platform.PredefinedRequest}}})
	_, answer := ask(t, "POST", srv.URL+"/workflows/flat/runs", `{"payload":`+lead(1)+`}`)
	assert.Equal(t, "ref-1", triggerOutput(t, srv, idOf(t, answer))["dial_ref"])
	_, _, reply := askRaw(t, "POST", srv.HooksURL+"/hook", lead(2), http.Header{"X-Api-Key": {"hook-key"}})
	require.NotEmpty(t, reply)
	runs := srv.Sim.Runs()
	output := triggerOutput(t, srv, runs[1].ID)
	assert.Equal(t, "ref-2", output["data"].(object)["dial_ref"])
	assert.Equal(t, "hook-key", output["headers"].(object)["x-api-key"], "a key that was sent stands readable in the run")
}

func TestAGroupFoldsTwoTriggersIntoOneRun(t *testing.T) {
	srv := listen(t, platform.Options{Speed: 0.0001, Visibility: -1, Workflows: []platform.Workflow{{Slug: platform.DefaultWorkflow, MultiEvent: platform.Group}}})
	ids := map[string]bool{}
	for i := range 3 {
		ids[start(t, srv, lead(i))] = true
	}
	assert.Len(t, ids, 2)
	runs := srv.Sim.Runs()
	assert.Len(t, runs, 2)
	assert.Len(t, runs[0].Payloads, 2)
	assert.Equal(t, map[string]int{"ref-0": 1, "ref-1": 1, "ref-2": 1}, srv.Sim.RunsBy("dial_ref"))
	_, nodes := ask(t, "GET", srv.URL+"/versions/v4-"+platform.DefaultWorkflow+"/nodes", "")
	assert.Equal(t, "group", nodes["data"].([]any)[0].(object)["multi_event_behavior"])
}

func TestAWorkflowThatIsNotLiveOrCannotBeStarted(t *testing.T) {
	srv := listen(t, platform.Options{Workflows: []platform.Workflow{{Slug: "a"}, {Slug: "function", Trigger: platform.FunctionRequest}}})
	try := func(flow string) (int, object) {
		return ask(t, "POST", srv.URL+"/workflows/"+flow+"/runs", `{"payload":{}}`)
	}
	status, answer := try("function")
	assert.Equal(t, 404, status)
	assert.Equal(t, "Workflow not found upstream", answer["error"])
	srv.Sim.SetLive("a", platform.Staging)
	status, answer = try("a")
	assert.Equal(t, 404, status)
	assert.Equal(t, "Workflow not found upstream", answer["error"])
	_, flow := ask(t, "GET", srv.URL+"/workflows/a", "")
	assert.Equal(t, "staging", flow["latest_version"].(object)["environment"])
	srv.Sim.SetLive("a")
	_, flow = ask(t, "GET", srv.URL+"/workflows/a", "")
	assert.Equal(t, false, flow["latest_version"].(object)["is_live"])
	srv.Sim.SetLive("a", platform.Production)
	status, _ = try("a")
	assert.Equal(t, 200, status)
	assert.Panics(t, func() { srv.Sim.SetLive("none") })
}

func TestWhatComesBeyondTheRateIsRefused(t *testing.T) {
	srv := listen(t, platform.Options{RateLimit: 3})
	statuses := map[int]int{}
	for range 10 {
		status, header, _ := askRaw(t, "GET", srv.URL+"/api-key/describe", "", nil)
		statuses[status]++
		if status == 429 {
			assert.Equal(t, "1", header.Get("Retry-After"))
		}
	}
	assert.GreaterOrEqual(t, statuses[200], 3)
	assert.Positive(t, statuses[429])
}

func TestStrictUnlessLenient(t *testing.T) {
	const odd = `{"payload":{},"colour":"red"}`
	strict, lenient := listen(t, platform.Options{}), listen(t, platform.Options{Lenient: true, Visibility: -1})
	const flow = "/workflows/" + platform.DefaultWorkflow
	status, answer := ask(t, "POST", strict.URL+flow+"/runs", odd)
	assert.Equal(t, 400, status)
	assert.Equal(t, "body/colour must NOT have additional properties", answer["message"])
	status, _ = ask(t, "POST", lenient.URL+flow+"/runs", odd)
	assert.Equal(t, 200, status)
	for query, want := range map[string][2]int{"?colour=red": {400, 200}, "?page_size=2001": {400, 400}, "?start_date=2026-01-01T00:00:00%2B00:00": {400, 400}, "?start_date=": {200, 200}} {
		for i, srv := range []*platform.Server{strict, lenient} {
			status, answer := ask(t, "GET", srv.URL+flow+"/runs"+query, "")
			assert.Equal(t, want[i], status, "%s: %v", query, answer)
		}
	}
	status, _, _ = askRaw(t, "POST", strict.URL+flow+"/runs", `{"payload":{}}`, http.Header{"Content-Type": {"text/plain"}})
	assert.Equal(t, 415, status)
	for _, bad := range []platform.Options{
		{Role: "boss"}, {Answers: []platform.Answer{"ids"}}, {Workflows: []platform.Workflow{{Trigger: "hook"}}}, {Workflows: []platform.Workflow{{Environments: []string{"prod"}}}},
	} {
		_, err := platform.Listen("127.0.0.1:0", bad)
		assert.Error(t, err)
	}
}
