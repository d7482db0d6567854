package happyrobot_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

func callback(t *testing.T, body, path string) happyrobot.Event {
	t.Helper()
	e, err := happyrobot.ParseCallback([]byte(body), path)
	require.NoError(t, err, body)
	assert.Equal(t, happyrobot.Callback, e.Kind)
	return e
}

func TestACallbackIsWhatHasARunIDAtItsPath(t *testing.T) {
	shipped, err := os.ReadFile(filepath.Join("testdata", "webhook.workflow-callback.json"))
	require.NoError(t, err)
	e := callback(t, string(shipped), "run_id")
	assert.Equal(t, runID, e.RunID)
	assert.Equal(t, "completed", e.Type)
	assert.Regexp(t, "^[0-9a-f]{32}$", e.ID)
	assert.Equal(t, string(shipped), string(e.Raw), "as it came")

	for _, tc := range []struct{ path, body, event, session string }{ // forms of different authors
		{"run_id", `{"run_id":"r","event_type":"failed","event":"x","type":"y"}`, "failed", ""},
		{"run_id", `{"run_id":"r","eventType":" failed "}`, "failed", ""},
		{"run_id", `{"run_id":"r","event":"call.ended","session_id":"s"}`, "call.ended", "s"},
		{"run_id", `{"run_id":"r","type":"session.status_changed"}`, "session.status_changed", ""},
		{"run_id", `{"run_id":"r","event_type":7,"event":{"a":1},"type":null}`, "", ""},
		{"run_id", `{"run_id":"r","session_id":"a/b"}`, "", ""},
		{"runId", `{"runId":"r","run_id":"other","sessionId":"s"}`, "", "s"},
		{"data.run_id", `{"event_type":"top","data":{"run_id":"r","event_type":"beside"}}`, "beside", ""},
		{"data.run_id", `{"event_type":"top","run_id":"other","data":{"run_id":"r"}}`, "top", ""},
		{"run.id", `{"run":{"id":"r","url":"https://example.com"},"event":"done"}`, "done", ""},
		{"run_id", `{"run_id":"first","run_id":7,"run_id":"r"}`, "", ""},
	} {
		e := callback(t, tc.body, tc.path)
		assert.Equal(t, "r", e.RunID, tc.body)
		assert.Equal(t, tc.event, e.Type, tc.body)
		assert.Equal(t, tc.session, e.SessionID, tc.body)
	}
	for _, tc := range []struct{ body, event, session string }{ // names in other spellings
		{`{"run_id":"r","Event-Type":"failed","sessionID":"s"}`, "failed", "s"},
		{`{"run_id":"r","TYPE":"failed","Session_Id":"s"}`, "failed", "s"},
		{`{"run_id":"r","session":{"id":"s"}}`, "", "s"},
		{`{"run_id":"r","session":{"ID":12}}`, "", "12"},
	} {
		e := callback(t, tc.body, "run_id")
		assert.Equal(t, tc.event, e.Type, tc.body)
		assert.Equal(t, tc.session, e.SessionID, tc.body)
	}
	for body, want := range map[string]error{
		``: happyrobot.ErrNoJSON, `{`: happyrobot.ErrNoJSON, "{\"run_id\":\"\xff\"}": happyrobot.ErrNoJSON,
		`[{"run_id":"r"}]`: happyrobot.ErrNoRunID, `null`: happyrobot.ErrNoRunID, `{}`: happyrobot.ErrNoRunID,
		`{"run_id":""}`: happyrobot.ErrNoRunID, `{"run_id":7}`: happyrobot.ErrNoRunID, `{"run_id":null}`: happyrobot.ErrNoRunID,
		`{"Run_ID":"r"}`: happyrobot.ErrNoRunID, `{"data":{"run_id":"r"}}`: happyrobot.ErrNoRunID,
		// The rule for ids.
		`{"run_id":"a/b"}`: happyrobot.ErrNoRunID, `{"run_id":".."}`: happyrobot.ErrNoRunID, `{"run_id":"a b"}`: happyrobot.ErrNoRunID,
		`{"run_id":"a,b"}`: happyrobot.ErrNoRunID, `{"run_id":"r\n"}`: happyrobot.ErrNoRunID, `{"run_id":"r\u200b"}`: happyrobot.ErrNoRunID,
	} {
		_, err := happyrobot.ParseCallback([]byte(body), "run_id")
		require.ErrorIs(t, err, want, body)
	}
	_, err = happyrobot.ParseCallback([]byte(`{"run_id":"r"}`), "")
	assert.ErrorIs(t, err, happyrobot.ErrNoRunID, "no path takes none")
}

func TestACallbacksIDIsItsRunAndType(t *testing.T) {
	id := func(body string) string { return callback(t, body, "run_id").ID }
	seen := map[string]string{}
	for _, same := range [][]string{
		{`{"run_id":"r","event_type":"completed","timestamp":1}`, `{"timestamp":2,"event_type":"completed","run_id":"r","data":{"n":1}}`, `{"run_id":"r","event":"completed"}`},
		{`{"run_id":"r","event_type":"failed"}`},
		{`{"run_id":"s","event_type":"completed"}`},
		// One type, several states and several sessions.
		{`{"run_id":"r","event_type":"update","status":"ringing"}`, `{"run_id":"r","event_type":"update","status":"ringing","at":1}`},
		{`{"run_id":"r","event_type":"update","status":"completed"}`, `{"run_id":"r","event_type":"update","status":{"current":"completed"}}`},
		{`{"run_id":"r","event_type":"update","session_id":"a"}`},
		{`{"run_id":"r","event_type":"update","session_id":"b"}`},
		{`{"run_id":"r","event_type":"update"}`},
		// Without a type, or with that of a log, what the body says.
		{`{"run_id":"r","data":{"a":1,"b":[1,2]}}`, ` {"data":{"b":[1,2],"a":1},"run_id":"r"} `},
		{`{"run_id":"r","data":{"a":1,"b":[2,1]}}`},
		{`{"run_id":"r"}`},
		{`{"run_id":"r","n":12345678901234567890}`},
		{`{"run_id":"r","n":12345678901234567891}`},
		{`{"run_id":"r","status":"completed"}`},
		{`{"run_id":"r","status":"completed","data":1}`},
		{`{"run_id":"r","event_type":"log","data":"a"}`, `{"data":"a","run_id":"r","event_type":"log"}`},
		{`{"run_id":"r","event_type":"log","data":"b"}`},
		{`{"run_id":"r","event_type":"Logs","data":"a"}`},
		{`{"run_id":"r","event_type":"Logs","data":"b"}`},
		{`{"run_id":"r","event_type":"progress","step":1}`},
		{`{"run_id":"r","event_type":"progress","step":2}`},
		{`{"run_id":"r","event_type":"running","step":1}`, `{"step":1,"event_type":"running","run_id":"r"}`},
		{`{"run_id":"r","event_type":"running","step":2}`},
		// Sessions and states in other forms.
		{`{"run_id":"r","event_type":"call_ended","session":{"id":"1"}}`, `{"run_id":"r","event_type":"call_ended","sessionID":"1"}`, `{"run_id":"r","event_type":"call_ended","session_id":1}`},
		{`{"run_id":"r","event_type":"call_ended","session":{"id":"2"}}`},
		{`{"run_id":"r","event_type":"call_ended","session":{"id":"a/b"}}`},
		{`{"run_id":"r","event_type":"webhook","status":200}`, `{"run_id":"r","event_type":"webhook","status":"200","at":1}`},
		{`{"run_id":"r","event_type":"webhook","status":500}`},
		// What is joined in another way.
		{`{"run_id":"a:b","event_type":"c"}`},
		{`{"run_id":"a","event_type":"b:c"}`},
	} {
		first := id(same[0])
		for _, body := range same {
			assert.Equal(t, first, id(body), body)
		}
		assert.Empty(t, seen[first], "%s is taken for %s", same[0], seen[first])
		seen[first] = same[0]
	}
}

// Where a workflow fills in no id, all its runs post the same one.
func TestAPlaceholderIsTheIDOfNoRun(t *testing.T) {
	for _, id := range []string{"undefined", "null", "NULL", "None", "{{run_id}}", "{current.run_id}", "<run_id>", "run_id", "${run}"} {
		assert.True(t, happyrobot.IsPlaceholder(id), id)
		one := callback(t, `{"run_id":"`+id+`","event_type":"completed","lead":1}`, "run_id")
		other := callback(t, `{"run_id":"`+id+`","event_type":"completed","lead":2}`, "run_id")
		again := callback(t, `{"lead":1,"run_id":"`+id+`","event_type":"completed"}`, "run_id")
		assert.NotEqual(t, one.ID, other.ID, id)
		assert.Equal(t, one.ID, again.ID, id)
	}
	for _, id := range []string{runID, "r", "nothing", "0", "run-17"} {
		assert.False(t, happyrobot.IsPlaceholder(id), id)
	}
}

func TestACallbackLosesTheKeyOfItsTrigger(t *testing.T) {
	e := callback(t, `{"run_id":"r","trigger":{"data":{"headers":"mine","phone":"x"},"method":"POST","query":{},"headers":{"x-api-key":"sk-secret"}},"api_key":"sk-secret","n":1.10}`, "run_id")
	assert.NotContains(t, string(e.Raw), "sk-secret")
	assert.JSONEq(t, `{"run_id":"r","trigger":{"data":{"headers":"mine","phone":"x"},"method":"POST","query":{}},"n":1.10}`, string(e.Raw))
	other := callback(t, `{"run_id":"r","trigger":{"data":{"headers":"mine","phone":"x"},"method":"POST","query":{},"headers":{"x-api-key":"another"}},"n":1.10}`, "run_id")
	assert.Equal(t, e.ID, other.ID, "secrets are no part of the id")

	for _, secrets := range []string{
		`"Authorization":"Bearer sk-secret"`, `"headers":{"x-api-key":"sk-secret"}`, `"API-Key":"sk-secret"`,
		`"trigger":{"Headers":{"x-api-key":"sk-secret"},"Method":"POST"}`, `"x":[{"request.headers.x":"sk-secret"}]`,
	} {
		raw := string(callback(t, `{"run_id":"r","n":1,`+secrets+`}`, "run_id").Raw)
		assert.NotContains(t, raw, "sk-secret")
		assert.Contains(t, raw, `"n":1`)
	}

	kept := `{"run_id":"r","fields":["Name","Phone"]}`
	assert.Equal(t, kept, string(callback(t, kept, "run_id").Raw))
}

func FuzzCallbacks(f *testing.F) {
	for _, body := range []string{
		`{"run_id":"r","event_type":"completed"}`, `{"data":{"run_id":"r"},"api_key":1,"x":[1e999]}`,
		`{"run_id":"r","a":{"method":1,"headers":2,"data":{"headers":1,"method":2}}}`,
	} {
		f.Add(body, "run_id")
		f.Add(body, "data.run_id")
	}
	f.Fuzz(func(t *testing.T, body, path string) {
		e, err := happyrobot.ParseCallback([]byte(body), path)
		if err != nil {
			return
		}
		if e.Kind != happyrobot.Callback || happyrobot.ValidateOpaqueID(e.RunID) != nil || len(e.ID) != 32 {
			t.Fatalf("a callback without %+v", e)
		}
		again, err := happyrobot.ParseCallback(e.Raw, path)
		if err != nil || again.RunID != e.RunID {
			t.Fatalf("without its secrets it is none: %v", err)
		}
	})
}
