package contract

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pb33f/libopenapi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	sim "github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim/platform"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot/platform"
)

// platformClient is a client of a pretend platform, which gives up at the first failure.
func platformClient(t *testing.T, host string) *platform.Client {
	t.Helper()
	c, err := platform.New(platform.Options{Options: happyrobot.Options{
		APIKey: key, BaseURL: host + platformBase, Transport: &http.Transport{}, Retry: happyrobot.Retry{InitialInterval: 1, MaxInterval: 1, MaxElapsedTime: 1},
	}})
	require.NoError(t, err)
	return c
}

// all takes all of a list.
func all[T any](t *testing.T, list func(func(T, error) bool)) (items []T) {
	t.Helper()
	for item, err := range list {
		require.NoError(t, err)
		items = append(items, item)
	}
	return items
}

func TestEverythingThePlatformClientDoesKeepsTheContract(t *testing.T) {
	w, pretend, host := servePlatform(t, sim.Options{
		Seed: 7, Speed: 0.001, Visibility: -1, Concurrent: -1, Answers: []sim.Answer{sim.AnswerRunID, sim.AnswerQueued, sim.AnswerBoth, sim.AnswerTwo},
		Workflows: []sim.Workflow{{Slug: "reminders", Environments: []string{sim.Production, sim.Staging}}, {Slug: "predefined", Trigger: sim.PredefinedRequest, MultiEvent: sim.Group}},
	})
	c := platformClient(t, host)
	hook, err := platform.NewHook(host+"/hooks/reminders", platform.Options{Options: happyrobot.Options{APIKey: "the-triggers-own", Transport: &http.Transport{}}})
	require.NoError(t, err)
	staged, err := platform.NewHook(host+"/hooks/staging/reminders", platform.Options{Options: happyrobot.Options{Transport: &http.Transport{}}})
	require.NoError(t, err)
	began := time.Now().Add(-time.Hour)

	k, err := c.DescribeKey(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "Example Freight", k.OrgName)
	var triggers []platform.VersionNode
	for _, slug := range []string{"reminders", "predefined"} {
		flow, err := c.GetWorkflow(t.Context(), slug)
		require.NoError(t, err)
		assert.Equal(t, platform.Live, flow.LiveIn(platform.Production))
		nodes, err := c.ListVersionNodes(t.Context(), flow.Latest.ID)
		require.NoError(t, err)
		trigger, ok := platform.FindTrigger(nodes)
		require.True(t, ok)
		triggers = append(triggers, trigger)
	}
	assert.False(t, triggers[0].Groups())
	assert.True(t, triggers[1].Groups())

	// Runs of each way to start one, each with a reference of its own.
	payload := func(ref string) json.RawMessage {
		return json.RawMessage(`{"phone_number":"+12025550101","dial_ref":"` + ref + `","list":[1]}`)
	}
	started := map[string]string{} // the run of a reference
	start := func(ref string, reply platform.TriggerReply, err error) {
		t.Helper()
		require.NoError(t, err)
		started[ref] = reply.RunID()
	}
	for i, run := range []platform.Trigger{
		{Payload: payload("ref-0")}, {Payload: payload("ref-1"), Environment: platform.Staging}, {Payload: payload("ref-2"), EnvironmentInQuery: true},
		{Payload: payload("ref-3")}, {Payload: payload("ref-4")}, {Payload: payload("ref-5")}, {Payload: payload("ref-6")},
	} {
		reply, err := c.Trigger(t.Context(), "reminders", run)
		start("ref-"+string(rune('0'+i)), reply, err)
	}
	reply, err := c.Trigger(t.Context(), "predefined", platform.Trigger{Payload: payload("ref-flat")})
	start("ref-flat", reply, err)
	reply, err = hook.Trigger(t.Context(), payload("ref-hook"))
	start("ref-hook", reply, err)
	reply, err = staged.Trigger(t.Context(), payload("ref-staged"))
	start("ref-staged", reply, err)
	for ref, n := range pretend.RunsBy("dial_ref") {
		assert.Equal(t, 1, n, ref)
	}

	// Each stage of a run's life, to its last outputs.
	outcomes := map[platform.SessionStatus]int{}
	for _, advance := range []time.Duration{0, 5 * time.Second, 30 * time.Second, time.Minute, time.Hour} {
		pretend.Advance(advance)
		for _, id := range started {
			run, err := c.GetRun(t.Context(), id)
			require.NoError(t, err)
			sessions := all(t, c.ListRunSessions(t.Context(), id))
			platform.SortSessions(sessions)
			for _, session := range sessions {
				one, err := c.GetSession(t.Context(), session.ID)
				require.NoError(t, err)
				assert.Equal(t, session.Created, one.Created)
				all(t, c.ListMessages(t.Context(), session.ID))
			}
			_, err = c.ListRecordings(t.Context(), id, 7)
			require.NoError(t, err)
			_, err = c.Outputs(t.Context(), id, []string{"AI Extract"})
			require.NoError(t, err)
			if run.Status.Over() {
				if last, ok := platform.LastSession(sessions); ok {
					assert.True(t, last.Status.Over())
					outcomes[last.Status.Canonical()]++
				}
				_, err = c.GetRunCredits(t.Context(), id)
				require.NoError(t, err)
			}
		}
	}
	assert.NotEmpty(t, outcomes)

	// What the truth says is found again by reference, in the columns and in outputs.
	found := map[string]string{}
	for _, slug := range []string{"reminders", "predefined"} {
		for run, err := range c.ListRuns(t.Context(), slug, platform.RunQuery{From: began, To: time.Now().Add(24 * time.Hour), Sort: platform.Ascending, PageSize: 3}) {
			require.NoError(t, err)
			for ref := range started {
				if platform.Holds(run.Columns, ref) {
					found[ref] = run.ID
				}
			}
		}
	}
	assert.Equal(t, started, found)
	for ref, id := range started {
		trigger := triggers[0]
		if ref == "ref-flat" {
			trigger = triggers[1]
		}
		nodes, err := c.ListRunNodes(t.Context(), id, trigger.PersistentID)
		require.NoError(t, err)
		require.Len(t, nodes, 1, ref)
		output, err := c.GetRunOutput(t.Context(), id, nodes[0].OutputID)
		require.NoError(t, err)
		assert.True(t, platform.Holds(output.Data, ref), ref)
		assert.NotContains(t, string(output.Raw), "the-triggers-own", "the key that a hook was called with stands readable in a run")
	}
	spoken := 0
	for _, session := range all(t, c.ListWorkflowSessions(t.Context(), "reminders", platform.Ascending)) {
		messages := all(t, c.ListMessages(t.Context(), session.ID))
		if text := platform.Transcript(messages).Text(); text != "" {
			spoken++
			assert.NotContains(t, text, "Thoughts")
			assert.Empty(t, platform.Transcript(messages).UnknownRoles())
		}
	}
	assert.Positive(t, spoken)
	assert.NotEmpty(t, all(t, c.ListSessionsByCaller(t.Context(), "+12025550101", began)))

	both := false
	for _, status := range []platform.RunStatus{platform.RunScheduled, platform.RunRunning, platform.RunCompleted, platform.RunCanceled, platform.RunFailed} {
		_, err := c.CountRuns(t.Context(), "reminders", platform.RunQuery{Status: status})
		require.NoError(t, err)
	}
	page, err := c.ListRunsPage(t.Context(), "reminders", platform.RunQuery{
		CompletedFrom: began, CompletedTo: time.Now().Add(24 * time.Hour), Annotation: "correct", E2ETests: &both, Sort: platform.Descending, Page: 1, PageSize: 9999,
	})
	require.NoError(t, err)
	assert.Empty(t, page.Items, "nobody annotated one")
	_, err = c.GetUsage(t.Context(), began, time.Now())
	require.NoError(t, err)

	reply, err = c.Trigger(t.Context(), "reminders", platform.Trigger{Payload: payload("ref-cancel")})
	require.NoError(t, err)
	status, err := c.CancelRun(t.Context(), reply.RunID())
	require.NoError(t, err)
	assert.Equal(t, platform.RunCanceled, status)
	_, err = c.GetRun(t.Context(), noSuchUUID)
	assert.True(t, happyrobot.IsNotFound(err))
	_, err = c.CancelRun(t.Context(), reply.RunID())
	assert.Equal(t, happyrobot.ClassRefused, happyrobot.ClassOf(err), "it is over")

	answered := w.keeps(t)
	for _, op := range []string{
		"describeApiKey", "getUsageTotals", "getRunCredits", "getWorkflow", "listVersionNodes", "triggerRun", "listRuns", "listWorkflowSessions", "getRun", "cancelRun",
		"listRunSessions", "listRunNodes", "getRunOutput", "listRunRecordings", "listSessionsByCaller", "getSession", "listSessionMessages", "triggerHook", "triggerHookInEnvironment",
	} {
		assert.Positive(t, answered[op], op)
	}
}

func TestThePlatformClientTellsRefusalsApart(t *testing.T) {
	run := platform.Trigger{Payload: json.RawMessage(`{"phone_number":"+12025550101"}`)}
	staged := run
	staged.Environment = platform.Staging
	flows := []sim.Workflow{{Slug: "reminders"}, {Slug: "function", Trigger: sim.FunctionRequest}, {Slug: "draft", Environments: []string{}}}
	for name, tc := range map[string]struct {
		options  sim.Options
		fault    *sim.Fault
		workflow string
		run      platform.Trigger
		finding  platform.Finding
		class    happyrobot.Class
	}{
		"unknown":         {workflow: "none", run: run, finding: platform.FoundUnknownWorkflow, class: happyrobot.ClassSetup},
		"never published": {workflow: "draft", run: run, finding: platform.FoundNotLive, class: happyrobot.ClassSetup},
		"live elsewhere":  {workflow: "reminders", run: staged, finding: platform.FoundMaybeNotLive, class: happyrobot.ClassSetup},
		"not startable":   {workflow: "function", run: run, finding: platform.FoundNotStartable, class: happyrobot.ClassSetup},
		"a viewer":        {options: sim.Options{Role: sim.Viewer}, workflow: "reminders", run: run, finding: platform.FoundKeyRefused, class: happyrobot.ClassSetup},
		"a firewall":      {fault: &sim.Fault{Kind: sim.Firewall, Operation: "triggerRun"}, workflow: "reminders", run: run, finding: platform.FoundFirewall, class: happyrobot.ClassRefused},
		"a login page":    {fault: &sim.Fault{Kind: sim.Redirect, Operation: "triggerRun"}, workflow: "reminders", run: run, finding: platform.FoundOtherHost, class: happyrobot.ClassSetup},
	} {
		options := tc.options
		options.Seed, options.Workflows = 7, flows
		_, pretend, host := servePlatform(t, options)
		if tc.fault != nil {
			pretend.Inject(*tc.fault)
		}
		c := platformClient(t, host)
		_, err := c.Trigger(t.Context(), tc.workflow, tc.run)
		require.Error(t, err, name)
		look := c.SecondLook(t.Context(), tc.workflow, tc.run.Environment, err)
		assert.Equal(t, tc.finding, look.Finding, "%s: %v", name, err)
		assert.Equal(t, tc.class, look.Class, name)
		assert.NotEmpty(t, look.Text, name)
		assert.Empty(t, pretend.Runs(), name)
	}
}

func TestATriggerWhoseAnswerIsLostIsUnknownAndCanBeFound(t *testing.T) {
	for _, fault := range []sim.Fault{{Kind: sim.LoseAnswer}, {Kind: sim.CutBody}, {Kind: sim.ErrorAfter}, {Kind: sim.WrongType}, {Kind: sim.NotJSON}, {Kind: sim.NoID}} {
		fault.Operation = "triggerRun"
		_, pretend, host := servePlatform(t, sim.Options{Seed: 7, Visibility: -1})
		pretend.Inject(fault)
		c := platformClient(t, host)
		_, err := c.Trigger(t.Context(), sim.DefaultWorkflow, platform.Trigger{Payload: json.RawMessage(`{"phone_number":"+12025550101","dial_ref":"the-ref"}`)})
		assert.Equal(t, happyrobot.ClassUnknown, happyrobot.ClassOf(err), fault.Kind)
		assert.Equal(t, map[string]int{"the-ref": 1}, pretend.RunsBy("dial_ref"), "%s: once", fault.Kind)
		found := 0
		for run, err := range c.ListRuns(t.Context(), sim.DefaultWorkflow, platform.RunQuery{Sort: platform.Ascending}) {
			require.NoError(t, err)
			if platform.Holds(run.Columns, "the-ref") {
				found++
			}
		}
		assert.Equal(t, 1, found, fault.Kind)
	}
}

// The examples with which the client is tested are such as the description allows.
func TestTheExamplesOfThePlatformKeepTheContract(t *testing.T) {
	spec, err := os.ReadFile(platformDescription)
	require.NoError(t, err)
	doc, err := libopenapi.NewDocument(spec)
	require.NoError(t, err)
	model, err := doc.BuildV3Model()
	require.NoError(t, err)
	c, err := loadPlatform()
	require.NoError(t, err)
	schemas := map[string]string{ // "operation" is that of its answer
		"api-key.describe": "ApiKey", "contact.resolve": "Contact", "error.message-only": "Error", "error.missing-bearer": "Error", "error.validation": "Error",
		"error.workflow-not-found": "Error", "hook.request": "", "hook.response": "TriggerReply", "run.cancel": "", "run.get.completed": "Run", "run.nodes": "",
		"run.output.extract": "", "run.output.trigger.incoming-hook": "", "run.output.trigger.predefined-request": "", "run.recordings": "Recordings",
		"run.sessions.redialed": "SessionList", "runs.backlog": "RunList", "runs.list": "RunList", "session.messages": "MessageList", "sessions.by-caller": "SessionList",
		"trigger.request": "TriggerRequest", "trigger.response.no-id": "TriggerReply", "trigger.response.queued": "TriggerReply", "trigger.response.run-id": "TriggerReply",
		"usage.totals": "UsageTotals", "version.nodes": "", "webhook.session-status-changed": "SessionStatusChanged", "webhook.workflow-callback": "WorkflowCallback", "workflow.get": "Workflow",
	}
	// Of answers whose form has no name of its own, it is that of each item.
	items := map[string]string{
		"run.nodes": "RunNode", "version.nodes": "VersionNode", "run.output.extract": "NodeOutput",
		"run.output.trigger.incoming-hook": "NodeOutput", "run.output.trigger.predefined-request": "NodeOutput",
	}
	const folder = "../../plugin/happyrobot/platform/testdata/"
	files, err := os.ReadDir(folder)
	require.NoError(t, err)
	judged := 0
	for _, file := range files {
		name, is := strings.CutSuffix(file.Name(), ".json")
		if !is {
			continue
		}
		require.Contains(t, schemas, name)
		body, err := os.ReadFile(folder + file.Name())
		require.NoError(t, err)
		judge := func(schema string, what []byte) {
			proxy, ok := model.Model.Components.Schemas.Get(schema)
			require.True(t, ok, schema)
			valid, wrong := c.schemas.ValidateSchemaString(proxy.Schema(), string(what))
			assert.True(t, valid, "%s: %v", name, wrong)
			judged++
		}
		if schema := schemas[name]; schema != "" {
			judge(schema, body)
		}
		if schema := items[name]; schema != "" {
			var answer struct {
				Data json.RawMessage `json:"data"`
			}
			require.NoError(t, json.Unmarshal(body, &answer))
			list := []json.RawMessage{answer.Data}
			if answer.Data[0] == '[' {
				require.NoError(t, json.Unmarshal(answer.Data, &list))
			}
			for _, item := range list {
				judge(schema, item)
			}
		}
	}
	assert.Len(t, schemas, 29)
	assert.GreaterOrEqual(t, judged, 29)
}
