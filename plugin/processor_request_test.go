package plugin_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
)

func requestYAML(url, operation string, extra ...string) parts {
	return parts{processors: []string{fmt.Sprintf(`
happyrobot_request:
  api_key: test-key
  base_url: %s
  timeout: 60s
  operation: %s
  retry: {initial_interval: 5ms, max_interval: 50ms}
  %s`, url, operation, strings.Join(extra, "\n  "))}}
}

const noteArgs = `args_mapping: 'root = {"path": {"id": this.call_id}, "body": {"content": this.note}}'`

func note(id, text string) string { return fmt.Sprintf(`{"call_id":%q,"note":%q}`, id, text) }

func TestARequestBecomesItsAnswer(t *testing.T) {
	t.Parallel()
	srv := startSim(t, callsim.Options{})
	ids, _ := placed(t, srv, 1)
	s := run(t, requestYAML(srv.URL, "addNote", noteArgs))
	require.NoError(t, s.deliver(note(ids[0], "Gate code is on file."), note(ids[0], "Second")))

	out := s.out.all()
	require.Len(t, out, 2)
	answer := out[1]["json"].(map[string]any)
	assert.Equal(t, ids[0], answer["id"])
	assert.Len(t, answer["notes"], 2, "requests of a batch are made in its order")
	assert.Equal(t, "complete", out[0]["@happyrobot_outcome"])
	assert.NotContains(t, out[0]["content"], callsim.HookSecret)
	assert.Nil(t, out[0]["error"])
}

func TestAResultMapPutsTheAnswerIntoTheMessage(t *testing.T) {
	t.Parallel()
	srv := startSim(t, callsim.Options{Speed: 0.001}) // the calls stay queued
	placed(t, srv, 3)
	s := run(t, requestYAML(srv.URL, "listCalls",
		`args_mapping: 'root.query = {"limit": this.n, "statuses": ["Queued", "In progress"], "type": "Outbound", "search": null}'`,
		`result_map: root.count = this.count`))
	require.NoError(t, s.deliver(`{"n":2,"big":12345678901234567890}`))
	out := s.out.all()
	require.Len(t, out, 1)
	assert.JSONEq(t, `{"n":2,"big":12345678901234567890,"count":3}`, out[0]["content"].(string))
}

func TestAnEmptyAnswerIsNull(t *testing.T) {
	t.Parallel()
	srv := startSim(t, callsim.Options{})
	ids, _ := placed(t, srv, 1)
	s := run(t, requestYAML(srv.URL, "setCallRating",
		`args_mapping: 'root = {"path": {"id": this.call_id}, "body": {"emoji": "✅", "email": "a@example.com", "operation": "add"}}'`,
		`result_map: 'root.answer = this'`))
	require.NoError(t, s.deliver(ask(ids[0])))
	require.Len(t, s.out.all(), 1)
	assert.JSONEq(t, `{"call_id":"`+ids[0]+`","answer":null}`, s.out.all()[0]["content"].(string))
	assert.Nil(t, s.out.all()[0]["error"])

	s = run(t, requestYAML(srv.URL, "setCallRating", `args_mapping: 'root = {"path": {"id": this.call_id}, "body": {"emoji": "✅", "email": "a@example.com", "operation": "remove"}}'`))
	require.NoError(t, s.deliver(ask(ids[0])))
	require.Len(t, s.out.all(), 1)
	assert.Equal(t, "null", s.out.all()[0]["content"])
}

func TestAnswersAboutMembersHoldNoCredentials(t *testing.T) {
	t.Parallel()
	srv := startSim(t, callsim.Options{})
	s := run(t, requestYAML(srv.URL, "updateMember", `args_mapping: 'root.body = this'`))
	require.NoError(t, s.deliver(`{"email":"reviewer@example.com","role":"Viewer"}`))
	require.Len(t, s.out.all(), 1)
	content := s.out.all()[0]["content"].(string)
	assert.Contains(t, content, "Viewer")
	for _, secret := range []string{callsim.HookSecret, "api_key", "twilio_credentials", "AC00"} {
		assert.NotContains(t, content, secret)
	}
	s = run(t, requestYAML(srv.URL, "listUseCases"))
	require.NoError(t, s.deliver(`{}`))
	assert.Contains(t, s.out.all()[0]["content"], "hooks")
	assert.NotContains(t, s.out.all()[0]["content"], callsim.HookSecret)
}

func TestBadArgumentsFailAloneAndAreNamed(t *testing.T) {
	t.Parallel()
	srv := startSim(t, callsim.Options{})
	ids, _ := placed(t, srv, 1)
	s := run(t, requestYAML(srv.URL, "updateNote", "args_mapping: root = this.args"))
	with := func(args string) string { return `{"args":` + args + `}` }
	batch := map[string][2]string{ // message: reason, what the error names
		`no JSON`:                               {"invalid_json", "args_mapping"},
		`{}`:                                    {"mapping_failed", "args_mapping"},
		with(`{"path":{"noteId":"private-1"}}`): {"missing_field", "path.id"},
		with(`{"path":{"id":"private"}}`):       {"missing_field", "path.noteId"},
		with(`{"path":{"id":"private","noteId":"n"}}`):                                                            {"invalid_field", "path.id"},
		with(`{"path":{"id":"` + ids[0] + `","noteId":"../private"}}`):                                            {"invalid_field", "path.noteId"},
		with(`{"path":{"id":"` + ids[0] + `","noteId":{"private":1}}}`):                                           {"invalid_field", "path.noteId"},
		with(`{"path":{"id":"` + ids[0] + `","noteId":"n","private1":1}}`):                                        {"invalid_field", "path.private1"},
		with(`{"path":"private"}`):                                                                                {"invalid_field", "path"},
		with(`{"path":{"id":"` + ids[0] + `","noteId":"n"},"query":{"q":{"private":1}}}`):                         {"invalid_field", "query.q"},
		with(`{"boddy":"private"}`):                                                                               {"invalid_field", "boddy"},
		with(`{"path":{"id":"` + ids[0] + `","noteId":"n"},"body":"` + strings.Repeat("private", 700_000) + `"}`): {"too_large", "body"},
	}
	var messages []string
	for m := range batch {
		messages = append(messages, m)
	}
	require.NoError(t, s.deliver(messages...))
	out := s.out.all()
	require.Len(t, out, len(batch))
	for i, m := range messages {
		want := batch[m]
		assert.Equal(t, "rejected", out[i]["@happyrobot_outcome"])
		assert.Equal(t, want[0], out[i]["@happyrobot_reason"], want)
		assert.Contains(t, out[i]["error"], "rejected: "+want[0]+": ", want)
		assert.Contains(t, out[i]["error"], want[1])
		if want[1] != "path.private1" {
			assert.NotContains(t, out[i]["error"], "private")
		}
		assert.Equal(t, m, out[i]["content"], "a failed message stays as it was")
	}
	assert.Zero(t, srv.Sim.RequestsOf("updateNote"))
}

func TestWritesAreNotRepeatedBlindly(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		fault                   callsim.Fault
		outcome, reason, status string
		requests                int
	}{
		{callsim.Fault{Kind: callsim.ErrorBefore, Times: 1}, "unknown", "unanswered", "500", 1},
		{callsim.Fault{Kind: callsim.CutBefore, Times: 1}, "unknown", "unanswered", "", 1},
		{callsim.Fault{Kind: callsim.Refuse, Status: http.StatusConflict, Times: 1}, "rejected", "refused", "409", 1},
		{callsim.Fault{Kind: callsim.Refuse, Status: http.StatusNotFound, Times: 1}, "not_found", "not_found", "404", 1},
		{callsim.Fault{Kind: callsim.Refuse, Status: http.StatusTooManyRequests, Times: 2}, "complete", "", "", 3},
		{callsim.Fault{Kind: callsim.Refuse, Status: http.StatusUnauthorized, Times: 2}, "complete", "", "", 3},
	} {
		t.Run(fmt.Sprint(tc.fault.Kind, tc.fault.Status), func(t *testing.T) {
			srv := startSim(t, callsim.Options{})
			ids, _ := placed(t, srv, 1)
			tc.fault.Operation = "addNote"
			srv.Sim.Inject(tc.fault)
			s := run(t, requestYAML(srv.URL, "addNote", noteArgs))
			require.NoError(t, s.deliver(note(ids[0], "x")))
			out := s.out.all()
			require.Len(t, out, 1)
			assert.Equal(t, tc.outcome, out[0]["@happyrobot_outcome"])
			if tc.reason == "" {
				assert.Nil(t, out[0]["error"])
				assert.NotContains(t, out[0], "@happyrobot_reason")
			} else {
				assert.Equal(t, tc.reason, out[0]["@happyrobot_reason"])
				assert.Contains(t, out[0]["error"], tc.outcome+": "+tc.reason+": addNote: ")
				assert.Equal(t, note(ids[0], "x"), out[0]["content"])
			}
			if tc.status == "" {
				assert.NotContains(t, out[0], "@happyrobot_http_status")
			} else {
				assert.Equal(t, tc.status, out[0]["@happyrobot_http_status"])
			}
			assert.Equal(t, tc.requests, srv.Sim.RequestsOf("addNote"))
		})
	}
}

func TestAReadIsRepeatedThroughAnOutage(t *testing.T) {
	t.Parallel()
	srv := startSim(t, callsim.Options{})
	for _, f := range []callsim.Fault{
		{Kind: callsim.Refuse, Status: http.StatusForbidden}, {Kind: callsim.ErrorBefore}, {Kind: callsim.CutBefore},
	} {
		f.Operation, f.Times = "getUsage", 2
		srv.Sim.Inject(f)
	}
	s := run(t, requestYAML(srv.URL, "getUsage"))
	require.NoError(t, s.deliver(`{}`))
	require.Len(t, s.out.all(), 1)
	assert.Equal(t, "complete", s.out.all()[0]["@happyrobot_outcome"])
	assert.Equal(t, 7, srv.Sim.RequestsOf("getUsage"))
}

func TestWaitingEndsWhenItIsToldTo(t *testing.T) {
	t.Parallel()
	srv := startSim(t, callsim.Options{})
	srv.Sim.Inject(callsim.Fault{Kind: callsim.Refuse, Operation: "createAgent", Status: http.StatusPaymentRequired})
	p := requestYAML(srv.URL, "createAgent")
	p.processors[0] = strings.Replace(p.processors[0], "max_interval: 50ms", "max_interval: 50ms, max_elapsed_time: 60ms", 1)
	s := run(t, p)
	require.NoError(t, s.deliver(`{}`))
	require.Len(t, s.out.all(), 1)
	assert.Equal(t, "gave_up", s.out.all()[0]["@happyrobot_reason"])
	assert.Equal(t, "402", s.out.all()[0]["@happyrobot_http_status"])
}

func TestAnotherPathReplacesAGuessedOne(t *testing.T) {
	t.Parallel()
	srv := startSim(t, callsim.Options{})
	ids, _ := placed(t, srv, 1)
	s := run(t, requestYAML(srv.URL, "listCallTags", "path: /calls/{call}/logs", `args_mapping: 'root.path.call = this.call_id'`))
	require.NoError(t, s.deliver(ask(ids[0])))
	require.Len(t, s.out.all(), 1)
	assert.Contains(t, s.out.all()[0]["content"], "event")
	assert.Equal(t, 1, srv.Sim.RequestsOf("getCallLogs"))
}
