package platform_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim/platform"
)

func TestAnotherProcessInjectsWaitsAndCounts(t *testing.T) {
	srv := listen(t, platform.Options{Speed: 1e-6, Visibility: -1})
	base := strings.TrimSuffix(srv.URL, "/api/v2") + platform.ControlPath
	tell := func(method, path, body string, want int) object {
		t.Helper()
		status, _, text := askRaw(t, method, base+path, body, nil)
		assert.Equal(t, want, status, text)
		var answer object
		_ = json.Unmarshal([]byte(text), &answer)
		return answer
	}
	rule := tell("POST", "/faults", `{"kind":"lose_answer","to":"ref-1","times":1}`, 200)["id"]
	tell("POST", "/fates", `{"sessions":["busy"]}`, 200)
	tell("POST", "/fates", `{"value":"ref-2","sessions":["voicemail"]}`, 200)
	status, _ := ask(t, "POST", srv.URL+runsPath, `{"payload":`+lead(1)+`}`)
	assert.Zero(t, status)
	start(t, srv, lead(2))
	tell("POST", "/await", fmt.Sprintf(`{"fault":%v,"times":1,"within":"10s"}`, rule), 200)
	tell("POST", "/await", `{"runs":true,"times":2,"within":"10s"}`, 200)
	tell("POST", "/await", `{"operation":"triggerRun","times":2,"within":"10s"}`, 200)
	tell("POST", "/await", `{"runs":true,"times":3,"within":"1ms"}`, 504)
	tell("POST", "/runs", `{"count":3,"ago":"3h","every":"1h"}`, 400)
	tell("POST", "/runs", `{"count":2,"workflow":"appointment-reminders","sessions":["missed"],"payload":{"dial_ref":"mine"}}`, 200)
	tell("POST", "/clock", `{"advance":"1h"}`, 200)
	assert.Equal(t, object{"ref-1": 1.0, "ref-2": 1.0, "mine": 2.0}, tell("GET", "/runs?by=dial_ref", "", 200)["by"])
	assert.Equal(t, object{"total": 4.0, "by": object{"completed": 4.0}}, tell("GET", "/runs", "", 200))
	assert.InDelta(t, 1, tell("GET", "/sessions", "", 200)["by"].(object)["voicemail"], 0)
	assert.InDelta(t, 2, tell("GET", "/sessions?by=dial_ref", "", 200)["by"].(object)["mine"], 0)
	assert.NotEmpty(t, tell("GET", "/requests", "", 200)["requests"])
	tell("GET", "/webhooks", "", 200)
	tell("GET", "/runs/list", "", 200)
	tell("DELETE", "/faults", "", 200)
	assert.Empty(t, srv.Sim.Faults())
	for path, body := range map[string]string{
		"/faults": `{"kind":"part"}`, "/await": `{"calls":true,"times":1}`, "/clock": `{"advance":"-1s"}`, "/runs": `{"workflow":"none"}`, "/fates": `{"turns":-1}`,
	} {
		tell("POST", path, body, 400)
	}
}

func TestRulesThatCouldNeverStrikeAreRefused(t *testing.T) {
	for _, f := range []platform.Fault{
		{Kind: "none"}, {Kind: platform.NoID, Operation: "getRun"}, {Kind: platform.Refuse, Operation: "listCalls"}, {Kind: platform.Hide}, {Kind: platform.CutBefore, To: "x"},
		{Kind: platform.Refuse, Operation: "getRun", To: "x"}, {Kind: platform.Refuse, Status: 100}, {Kind: platform.Refuse, Probability: 2},
	} {
		require.Error(t, f.Validate(), "%+v", f)
		assert.Panics(t, func() { platform.New(platform.Options{}).Inject(f) })
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	sim := platform.New(platform.Options{})
	require.Error(t, sim.AwaitRequests(ctx, "listCalls", 1))
	require.Error(t, sim.AwaitStruck(ctx, 1, 1))
}

func TestReadsFailToo(t *testing.T) {
	srv := listen(t, platform.Options{Visibility: -1})
	id := start(t, srv, lead(1))
	for kind, want := range map[platform.Kind]int{
		platform.Firewall: 403, platform.Redirect: 307, platform.ErrorBefore: 502, platform.ErrorAfter: 502, platform.CutBody: 0, platform.LoseAnswer: 0, platform.WrongType: 200,
	} {
		srv.Sim.ClearFaults()
		srv.Sim.Inject(platform.Fault{Kind: kind, Operation: "getRun"})
		status, answer := ask(t, "GET", srv.URL+"/runs/"+id, "")
		assert.Equal(t, want, status, kind)
		assert.NotContains(t, answer, "workflow_id", kind)
		status, _ = ask(t, "GET", srv.URL+runsPath, "")
		assert.Equal(t, 200, status, "other operations are not struck")
	}
	assert.Equal(t, 7, srv.Sim.RequestsOf("getRun"))
}

func TestArrangedRunsShowWhatTheyAreTold(t *testing.T) {
	sim := platform.New(platform.Options{Visibility: -1, SnakePages: true, Wrapped: true})
	ids, err := sim.Arrive(platform.Arrival{
		Ago: platform.Duration(time.Hour), Inbound: true, E2E: true, Environment: platform.Staging, Fate: platform.Fate{Sessions: []string{"completed"}, Turns: 230, Run: "succeeded"},
		Show: map[string]json.RawMessage{"annotation": []byte(`"correct"`)}, Omit: []string{"execution_environment"},
	})
	require.NoError(t, err)
	_, run := serve(t, sim, "GET", "/runs/"+ids[0], "")
	_, list := serve(t, sim, "GET", runsPath+"?is_e2e_test=true", "")
	for _, shown := range []object{run, items(list)[0].(object)} {
		assert.Equal(t, "succeeded", shown["status"])
		assert.Equal(t, "correct", shown["annotation"])
		assert.NotContains(t, shown, "execution_environment")
	}
	assert.InDelta(t, 1, list["pagination"].(object)["total_records"], 0)
	_, none := serve(t, sim, "GET", runsPath+"?is_e2e_test=false", "")
	assert.Empty(t, items(none))
	_, sessions := serve(t, sim, "GET", "/runs/"+ids[0]+"/sessions", "")
	session := items(sessions)[0].(object)
	assert.Equal(t, "inbound", session["type"])
	turns := 0
	for page := 1; page <= 3; page++ {
		_, messages := serve(t, sim, "GET", fmt.Sprintf("/sessions/%s/messages?page_size=100&page=%d", session["id"], page), "")
		turns += len(items(messages))
		assert.Equal(t, page < 3, messages["pagination"].(object)["has_next_page"])
	}
	assert.Equal(t, 230, turns)
	_, flow := serve(t, sim, "GET", "/workflows/"+platform.DefaultWorkflow, "")
	assert.Equal(t, platform.DefaultWorkflow, flow["data"].(object)["slug"])
}
