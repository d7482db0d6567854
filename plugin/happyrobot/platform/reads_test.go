package platform_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot/platform"
)

func at(t *testing.T, stamp string) time.Time {
	t.Helper()
	parsed, err := time.Parse(time.RFC3339, stamp)
	require.NoError(t, err)
	return parsed
}

// part is a member of an example as it stands there.
func part(t *testing.T, name string, path ...string) string {
	t.Helper()
	raw := json.RawMessage(example(t, name))
	for _, member := range path {
		var m map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(raw, &m))
		raw = m[member]
	}
	return string(raw)
}

// Which test reads each example of the description. Requests are what the client sends.
func TestEveryExampleOfTheDescriptionIsRead(t *testing.T) {
	used := map[string]string{
		"api-key.describe": "TestTheKeyIsRead", "contact.resolve": "not of this client: happyrobot_request answers it as it is",
		"error.message-only": "TestErrorsAreReadInEveryForm", "error.missing-bearer": "TestErrorsAreReadInEveryForm",
		"error.validation": "TestErrorsAreReadInEveryForm", "error.workflow-not-found": "TestA404OnATriggerIsLookedAtTwice",
		"hook.request": "TestAHookSendsTheBarePayload", "hook.response": "TestAHookSendsTheBarePayload",
		"run.cancel": "TestARunIsCanceled", "run.get.completed": "TestARunIsRead", "run.nodes": "TestNodesOfARunAreRead",
		"run.output.extract": "TestOutputsAreReadByNameOrID", "run.output.trigger.incoming-hook": "TestAReferenceIsFoundInTheOutputOfATrigger",
		"run.output.trigger.predefined-request": "TestAReferenceIsFoundInTheOutputOfATrigger", "run.recordings": "TestRecordingsAreRead",
		"run.sessions.redialed": "TestTheLastSessionIsTheOutcome", "runs.backlog": "TestTheQueueIsCounted", "runs.list": "TestRunsAreListed",
		"session.messages": "TestWhatWasSaidIsRead", "sessions.by-caller": "TestSessionsOfACallerAreListed",
		"trigger.request": "TestATriggerSendsThePayloadInItsEnvelope", "trigger.response.no-id": "TestAnAnswerWithoutARunIsUnknown",
		"trigger.response.queued": "TestBothFormsOfTheAnswerToATriggerAreRead", "trigger.response.run-id": "TestBothFormsOfTheAnswerToATriggerAreRead",
		"usage.totals": "TestUsageIsRead", "version.nodes": "TestTheTriggerOfAVersionIsFound",
		"webhook.session-status-changed": "TestEventsOfThePlatformAreRead", "webhook.workflow-callback": "TestEventsOfThePlatformAreRead", "workflow.get": "TestAWorkflowIsRead",
	}
	files, err := os.ReadDir("testdata")
	require.NoError(t, err)
	examples := 0
	for _, file := range files {
		if name, is := strings.CutSuffix(file.Name(), ".json"); is {
			examples++
			assert.Contains(t, used, name)
		}
	}
	assert.Len(t, used, examples)
}

func TestARunIsRead(t *testing.T) {
	a, c := serve(t, map[string]answer{"GET /runs/" + runID: {body: example(t, "run.get.completed")}})
	run, err := c.GetRun(t.Context(), runID)
	require.NoError(t, err)
	assert.JSONEq(t, example(t, "run.get.completed"), string(run.Raw))
	run.Raw = nil
	assert.Equal(t, platform.Run{
		ID: runID, OrgID: "00000000-0000-7001-8000-000000000001", WorkflowID: workflowID, VersionID: versionID, Status: platform.RunCompleted,
		Created: at(t, "2026-09-20T10:02:01Z"), Completed: at(t, "2026-09-20T10:06:40Z"), Environment: platform.Production,
	}, run)
	assert.True(t, run.Status.Over())
	assert.Equal(t, "Bearer "+key, a.requests()[0].Header.Get("Authorization"))
}

func TestAMemberOfAnUnexpectedFormDoesNotLoseTheRest(t *testing.T) {
	_, c := serve(t, map[string]answer{"GET /runs/" + runID: {body: `{"id":"` + runID + `","status":"Cancelled ","org_id":17,"timestamp":"soon","completed_at":[],"is_e2e_test":"TRUE","execution_environment":{},"annotation":null,"new":{"member":[1e400]}}`}})
	run, err := c.GetRun(t.Context(), runID)
	require.NoError(t, err)
	assert.True(t, run.Status.Is(platform.RunCanceled))
	assert.Equal(t, platform.RunCanceled, run.Status.Canonical())
	assert.Equal(t, "17", run.OrgID)
	assert.True(t, run.E2ETest)
	assert.Zero(t, run.Created)
	assert.Zero(t, run.Completed)
	assert.Empty(t, run.Environment)
	assert.Contains(t, string(run.Raw), `"new":{"member":[1e400]}`)
}

func TestRunsAreListed(t *testing.T) {
	a, c := serve(t, map[string]answer{"GET /workflows/" + workflowID + "/runs": {body: example(t, "runs.list")}})
	with := true
	runs, err := collect(c.ListRuns(t.Context(), workflowID, platform.RunQuery{
		Status: "Cancelled", From: at(t, "2026-09-20T12:00:00.0009+02:00"), To: at(t, "2026-09-20T12:00:00.0001+02:00"),
		CompletedFrom: at(t, "2026-09-20T10:00:00Z"), CompletedTo: at(t, "2026-09-20T10:00:00.123Z"),
		Annotation: "correct", E2ETests: &with, Sort: platform.Ascending, PageSize: 500,
	}))
	require.NoError(t, err)
	require.Len(t, runs, 5)
	assert.Equal(t, map[string][]string{
		"status": {"canceled"}, "start_date": {"2026-09-20T10:00:00.000Z"}, "end_date": {"2026-09-20T10:00:00.001Z"},
		"completed_start_date": {"2026-09-20T10:00:00.000Z"}, "completed_end_date": {"2026-09-20T10:00:00.123Z"},
		"annotation": {"correct"}, "is_e2e_test": {"true"}, "sort": {"asc"}, "page": {"1"}, "page_size": {"500"},
	}, map[string][]string(a.requests()[0].URL.Query()))
	require.Len(t, a.requests(), 1, "five of five, and no next page")

	var over []string
	for _, run := range runs {
		assert.Equal(t, workflowID, run.WorkflowID, "which a list calls use_case_id")
		if run.Status.Over() {
			over = append(over, string(run.Status))
		}
	}
	assert.Equal(t, []string{"completed", "canceled", "failed"}, over)
	assert.Zero(t, runs[3].Completed, "canceled before it began")
	assert.True(t, platform.Holds(runs[0].Columns, reference))
	assert.False(t, platform.Holds(runs[1].Columns, reference))
}

func TestTheQueueIsCounted(t *testing.T) {
	a, c := script(t, map[string][]answer{"GET /workflows/reminders/runs": {
		{body: example(t, "runs.backlog")},
		{body: `{"data":[],"pagination":{"page":1,"page_size":1,"total_pages":0,"total_records":"0","has_next_page":false}}`},
		{body: `{"data":[]}`},
	}}, nil)
	n, err := c.CountRuns(t.Context(), "reminders", platform.RunQuery{Status: platform.RunScheduled})
	require.NoError(t, err)
	assert.Equal(t, 412, n)
	assert.Equal(t, "page=1&page_size=1&status=scheduled", a.requests()[0].URL.RawQuery)
	n, err = c.CountRuns(t.Context(), "reminders", platform.RunQuery{Status: platform.RunScheduled})
	require.NoError(t, err)
	assert.Zero(t, n)
	_, err = c.CountRuns(t.Context(), "reminders", platform.RunQuery{})
	assert.Equal(t, happyrobot.ClassUnreadable, happyrobot.ClassOf(err))
}

func TestARunIsCanceled(t *testing.T) {
	a, c := script(t, map[string][]answer{"POST /runs/" + runID + "/cancel": {{body: example(t, "run.cancel")}, {}, {body: "<html>Log in"}, {status: 400, body: `{"error":"over"}`}}}, nil)
	status, err := c.CancelRun(t.Context(), runID)
	require.NoError(t, err)
	assert.Equal(t, platform.RunCanceled, status)
	assert.Empty(t, a.bodies()[0])
	_, err = c.CancelRun(t.Context(), runID)
	require.NoError(t, err, "an empty answer")
	_, err = c.CancelRun(t.Context(), runID)
	assert.Equal(t, happyrobot.ClassUnknown, happyrobot.ClassOf(err), "a page")
	_, err = c.CancelRun(t.Context(), runID)
	assert.Equal(t, happyrobot.ClassRefused, happyrobot.ClassOf(err))
}

func TestNodesOfARunAreRead(t *testing.T) {
	a, c := serve(t, map[string]answer{"GET /runs/" + runID + "/nodes": {body: example(t, "run.nodes")}})
	nodes, err := c.ListRunNodes(t.Context(), runID, "")
	require.NoError(t, err)
	require.Len(t, nodes, 3)
	nodes[0].Raw = nil
	assert.Equal(t, platform.RunNode{
		OutputID: "00000000-0000-700b-8000-000000000001", RunID: runID, NodeID: "00000000-0000-7005-8000-000000000001", PersistentID: triggerID,
		Name: "Incoming hook", Type: "action", Status: "succeeded", Created: at(t, "2026-09-20T10:02:01Z"),
	}, nodes[0])
	_, err = c.ListRunNodes(t.Context(), runID, triggerID)
	require.NoError(t, err)
	assert.Empty(t, a.requests()[0].URL.RawQuery, "which is declared required, and left out by others")
	assert.Equal(t, "node_persistent_id="+triggerID, a.requests()[1].URL.RawQuery)
}

func TestOutputsAreReadByNameOrID(t *testing.T) {
	const again = "00000000-0000-700b-8000-0000000000aa"
	nodes := strings.Replace(example(t, "run.nodes"), `{
      "output_id": "`+extractID+`"`, `{"output_id":"`+again+`","run_id":"`+runID+`","name":"AI Extract"},{
      "output_id": "`+extractID+`"`, 1)
	require.Contains(t, nodes, again)
	a, c := serve(t, map[string]answer{
		"GET /runs/" + runID + "/nodes":                                        {body: nodes},
		"GET /runs/" + runID + "/outputs/" + extractID:                         {body: example(t, "run.output.extract")},
		"GET /runs/" + runID + "/outputs/00000000-0000-700b-8000-000000000001": {body: example(t, "run.output.trigger.predefined-request")},
		"GET /runs/" + runID + "/outputs/00000000-0000-700b-8000-000000000002": {status: 404, body: example(t, "error.message-only")},
	})
	outputs, err := c.Outputs(t.Context(), runID, []string{"AI Extract", strings.ToUpper(triggerID), "Outbound Voice Agent", "AI Classify"})
	require.NoError(t, err)
	assert.Len(t, outputs, 2, "what did not run, or has no output yet, is absent")
	assert.JSONEq(t, `{"confirmed":"true","new_time":""}`, string(outputs["AI Extract"]), "the last of two, without its envelope")
	assert.JSONEq(t, example(t, "hook.request"), string(outputs[strings.ToUpper(triggerID)]))
	assert.Len(t, a.requests(), 4)

	found, err := c.GetRunOutput(t.Context(), runID, extractID)
	require.NoError(t, err)
	assert.JSONEq(t, part(t, "run.output.extract", "data"), string(found.Raw))
	found.Raw, found.Data = nil, nil
	assert.Equal(t, platform.NodeOutput{
		ID: extractID, RunID: runID, NodeID: "00000000-0000-7005-8000-000000000003", PersistentID: "00000000-0000-7004-8000-000000000003",
		Name: "AI Extract", Type: "action", Status: "succeeded", Created: at(t, "2026-09-20T10:06:40Z"),
	}, found)
}

func TestAnOutputThatRetentionTookSaysSo(t *testing.T) {
	for _, body := range []string{
		`{"data":{"id":"` + extractID + `","run_id":"` + runID + `","data":null,"data_deleted":true}}`,
		`{"id":"` + extractID + `","run_id":"` + runID + `","data":null,"data_deleted":1}`,
	} {
		_, c := serve(t, map[string]answer{"GET /runs/" + runID + "/outputs/" + extractID: {body: body}})
		found, err := c.GetRunOutput(t.Context(), runID, extractID)
		require.NoError(t, err)
		assert.True(t, found.Deleted)
		assert.Nil(t, found.Data)
		assert.Nil(t, found.Value())
	}
}

func TestTheLastSessionIsTheOutcome(t *testing.T) {
	a, c := serve(t, map[string]answer{"GET /runs/" + runID + "/sessions": {body: example(t, "run.sessions.redialed")}})
	sessions, err := collect(c.ListRunSessions(t.Context(), runID))
	require.NoError(t, err)
	require.Len(t, sessions, 2)
	assert.Equal(t, "page=1&page_size=100&sort=asc", a.requests()[0].URL.RawQuery)
	last, ok := platform.LastSession(sessions)
	require.True(t, ok)
	assert.Equal(t, platform.SessionCompleted, last.Status)
	platform.SortSessions(sessions)
	assert.Equal(t, []string{firstCall, sessionID}, []string{sessions[0].ID, sessions[1].ID})
	last, ok = platform.LastSession(sessions)
	require.True(t, ok)
	assert.Equal(t, sessionID, last.ID, "in any order")
	last.Raw = nil
	assert.Equal(t, platform.Session{
		ID: sessionID, OrgID: "00000000-0000-7001-8000-000000000001", WorkflowID: workflowID, VersionID: versionID, RunID: runID, UserNumber: "+14155550100",
		Status: platform.SessionCompleted, Type: "outbound", Duration: 71, Created: at(t, "2026-09-20T10:05:00Z"), Connected: at(t, "2026-09-20T10:05:09Z"),
		SIPCode: "200", SIPReason: "OK", Languages: []string{"en-US"},
	}, last)
	assert.Equal(t, "sip_user_unavailable", sessions[0].FailureReason)
	_, ok = platform.LastSession(nil)
	assert.False(t, ok)
}

func TestSessionsOfACallerAreListed(t *testing.T) {
	a, c := serve(t, map[string]answer{"GET /sessions/": {body: example(t, "sessions.by-caller")}})
	sessions, err := collect(c.ListSessionsByCaller(t.Context(), "+14155550100", at(t, "2026-09-20T10:00:00Z")))
	require.NoError(t, err)
	require.Len(t, sessions, 1)
	assert.Equal(t, runID, sessions[0].RunID)
	assert.Contains(t, a.requests()[0].URL.RawQuery, "caller_id=%2B14155550100")
	assert.Contains(t, a.requests()[0].URL.RawQuery, "start_date=2026-09-20T10%3A00%3A00.000Z")

	a, c = serve(t, map[string]answer{"GET /workflows/reminders/sessions": {body: example(t, "sessions.by-caller")}})
	sessions, err = collect(c.ListWorkflowSessions(t.Context(), "reminders", platform.Descending))
	require.NoError(t, err)
	require.Len(t, sessions, 1)
	assert.Equal(t, "page=1&page_size=100&sort=desc", a.requests()[0].URL.RawQuery)
}

func TestASessionIsRead(t *testing.T) {
	_, c := serve(t, map[string]answer{"GET /sessions/" + sessionID: {body: `{"id":"` + sessionID + `","status":"in progress","duration":"71.5","sip_code":486,"user_number":14155550100,"languages":"en"}`}})
	session, err := c.GetSession(t.Context(), sessionID)
	require.NoError(t, err)
	assert.True(t, session.Status.Is(platform.SessionInProgress))
	assert.False(t, session.Status.Over())
	assert.InDelta(t, 71.5, session.Duration, 0)
	assert.Equal(t, "486", session.SIPCode)
	assert.Equal(t, "14155550100", session.UserNumber)
	assert.Nil(t, session.Languages)
}

func TestRecordingsAreRead(t *testing.T) {
	a, c := script(t, map[string][]answer{"GET /runs/" + runID + "/recordings": {{body: example(t, "run.recordings")}, {body: `{"recordings":[]}`}, {body: `{"recordings":[{"session_id":"x","url":null},7]}`}}}, nil)
	recordings, err := c.ListRecordings(t.Context(), runID, 7)
	require.NoError(t, err)
	require.Len(t, recordings, 1)
	assert.Equal(t, "url_expires_in_days=7", a.requests()[0].URL.RawQuery)
	assert.Equal(t, sessionID, recordings[0].SessionID)
	assert.Contains(t, recordings[0].URL, "signature=example")
	for _, logged := range []string{recordings[0].String(), recordings[0].GoString()} {
		assert.Equal(t, "recording of session "+sessionID, logged)
	}
	for range 2 {
		recordings, err = c.ListRecordings(t.Context(), runID, 0)
		require.NoError(t, err)
		assert.Empty(t, recordings, "none may mean not yet")
	}
	assert.Empty(t, a.requests()[1].URL.RawQuery)
}

func TestAWorkflowIsRead(t *testing.T) {
	_, c := serve(t, map[string]answer{
		"GET /workflows/k3x9example1":  {body: example(t, "workflow.get")},
		"GET /workflows/" + workflowID: {body: `{"data":` + example(t, "workflow.get") + `}`},
	})
	bySlug, err := c.GetWorkflow(t.Context(), "k3x9example1")
	require.NoError(t, err)
	assert.JSONEq(t, example(t, "workflow.get"), string(bySlug.Raw))
	byID, err := c.GetWorkflow(t.Context(), workflowID)
	require.NoError(t, err)
	assert.JSONEq(t, string(bySlug.Raw), string(byID.Raw), "one client unwraps either")
	byID.Raw = nil
	assert.Equal(t, platform.Workflow{
		ID: workflowID, OrgID: "00000000-0000-7001-8000-000000000001", Name: "Appointment reminders", Slug: "k3x9example1", Created: at(t, "2026-08-01T09:00:00Z"),
		Latest: &platform.Version{
			ID: versionID, Name: "v4", Slug: "v4example", Number: 4, Published: true, Live: true, Environment: platform.Production, Engine: 3,
			PublishedAt: at(t, "2026-09-01T09:00:00Z"), Created: at(t, "2026-09-01T08:59:00Z"),
		},
	}, byID)
}

func TestWhetherAWorkflowIsLiveIsToldAsFarAsTheAPIDoes(t *testing.T) {
	for version, want := range map[string]map[platform.Environment]platform.Liveness{
		`null`: {"": platform.NotLive, "staging": platform.NotLive},
		`{"is_live":true,"is_published":true,"environment":"Production"}`: {"": platform.Live, "production": platform.Live, "staging": platform.NotTold},
		`{"is_live":"true","environment":"staging"}`:                      {"": platform.NotTold, "staging": platform.Live},
		`{"is_live":true}`:                              {"": platform.NotTold},
		`{"is_live":false,"is_published":false}`:        {"": platform.NotLive, "staging": platform.NotLive},
		`{"is_published":true,"environment":"staging"}`: {"": platform.NotTold, "staging": platform.NotTold},
	} {
		var w platform.Workflow
		require.NoError(t, json.Unmarshal([]byte(`{"latest_version":`+version+`}`), &w))
		for environment, live := range want {
			assert.Equal(t, live, w.LiveIn(environment), "%s in %q", version, environment)
		}
	}
}

func TestTheTriggerOfAVersionIsFound(t *testing.T) {
	_, c := serve(t, map[string]answer{"GET /versions/" + versionID + "/nodes": {body: example(t, "version.nodes")}})
	nodes, err := c.ListVersionNodes(t.Context(), versionID)
	require.NoError(t, err)
	require.Len(t, nodes, 3)
	trigger, ok := platform.FindTrigger(nodes)
	require.True(t, ok)
	assert.False(t, trigger.Groups())
	trigger.Raw = nil
	assert.Equal(t, platform.VersionNode{
		ID: "00000000-0000-7005-8000-000000000001", PersistentID: triggerID, VersionID: versionID, WorkflowID: workflowID, Type: "action", Name: "Incoming hook",
		EventID: "00000000-0000-7008-8000-000000000001", MultiEvent: "parallel", Created: at(t, "2026-09-01T08:59:00Z"),
	}, trigger)
	assert.True(t, platform.VersionNode{MultiEvent: "Group "}.Groups())
	_, ok = platform.FindTrigger(append(nodes, platform.VersionNode{ID: "another root"}))
	assert.False(t, ok, "which of them it is nobody knows")
	_, ok = platform.FindTrigger(nil)
	assert.False(t, ok)
}

func TestTheKeyIsRead(t *testing.T) {
	_, c := serve(t, map[string]answer{"GET /api-key/describe": {body: example(t, "api-key.describe")}})
	k, err := c.DescribeKey(t.Context())
	require.NoError(t, err)
	k.Raw = nil
	assert.Equal(t, platform.Key{
		ID: "00000000-0000-7009-8000-000000000001", OrgID: "00000000-0000-7001-8000-000000000001", OrgSlug: "example-freight", OrgName: "Example Freight",
		Name: "stream-connector", Created: at(t, "2026-09-20T10:00:00Z"), Expires: at(t, "2026-12-19T10:00:00Z"), LastUsed: at(t, "2026-09-20T10:01:00Z"),
	}, k)
}

func TestUsageIsRead(t *testing.T) {
	a, c := serve(t, map[string]answer{
		"GET /billing/usage/totals":        {body: example(t, "usage.totals")},
		"GET /billing/usage/runs/" + runID: {body: `{"run_id":"` + runID + `","workflow_id":"x","unit":"credits","total_credits":"1.25","components":[]}`},
	})
	u, err := c.GetUsage(t.Context(), at(t, "2026-09-01T00:00:00+02:00"), at(t, "2026-09-30T23:59:59Z"))
	require.NoError(t, err)
	assert.InDelta(t, 1840.5, u.Minutes, 0)
	assert.InDelta(t, 12, u.Texts, 0)
	assert.Equal(t, "end=2026-09-30T23%3A59%3A59.000Z&start=2026-08-31T22%3A00%3A00.000Z", a.requests()[0].URL.RawQuery)
	credits, err := c.GetRunCredits(t.Context(), runID)
	require.NoError(t, err)
	assert.InDelta(t, 1.25, credits.Total, 0)
	assert.Equal(t, "credits", credits.Unit)
}

func TestErrorsAreReadInEveryForm(t *testing.T) {
	for name, tc := range map[string]struct {
		answer
		message string
		class   happyrobot.Class
	}{
		"message only":   {answer{status: 404, body: example(t, "error.message-only")}, "Run not found", happyrobot.ClassNotFound},
		"missing bearer": {answer{status: 401, body: example(t, "error.missing-bearer")}, "missing bearer token", happyrobot.ClassSetup},
		"validation":     {answer{status: 400, body: example(t, "error.validation")}, "querystring/start_date must match pattern", happyrobot.ClassRefused},
		"a page":         {answer{status: 403, body: "<!DOCTYPE html><title>Blocked</title>", header: map[string]string{"Content-Type": "text/html; charset=utf-8"}}, "", happyrobot.ClassSetup},
		"an untold page": {answer{status: 403, body: "\n <HTML>"}, "", happyrobot.ClassSetup},
	} {
		_, c := serve(t, map[string]answer{"GET /runs/" + runID: tc.answer, "GET /api-key/describe": {body: example(t, "api-key.describe")}})
		_, err := c.GetRun(t.Context(), runID)
		var e *happyrobot.Error
		require.ErrorAs(t, err, &e, name)
		assert.Equal(t, tc.message, e.Message, name)
		assert.Equal(t, tc.class, e.Class(), name)
		assert.Equal(t, strings.Contains(name, "page"), e.HTML, name)
	}
}

// The webhook reads them; the client and it must agree on their ids.
func TestEventsOfThePlatformAreRead(t *testing.T) {
	event, err := happyrobot.ParseEvent([]byte(example(t, "webhook.session-status-changed")))
	require.NoError(t, err)
	assert.Equal(t, []string{runID, sessionID}, []string{event.RunID, event.SessionID})
	assert.True(t, platform.SessionStatus(event.Status).Over())
	assert.Equal(t, runID, strings.Trim(part(t, "webhook.workflow-callback", "run_id"), `"`))
}
