package happyrobot_test

import (
	"os"
	"path/filepath"
	"strings"
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
	assert.Equal(t, runID+":completed", e.ID)
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
	} {
		first := id(same[0])
		for _, body := range same {
			assert.Equal(t, first, id(body), body)
		}
		assert.Empty(t, seen[first], "%s is taken for %s", same[0], seen[first])
		seen[first] = same[0]
	}
}

func TestACallbackLosesTheKeyOfItsTrigger(t *testing.T) {
	e := callback(t, `{"run_id":"r","trigger":{"data":{"headers":"mine","phone":"x"},"method":"POST","query":{},"headers":{"x-api-key":"sk-secret"}},"api_key":"sk-secret","n":1.10}`, "run_id")
	assert.NotContains(t, string(e.Raw), "sk-secret")
	assert.JSONEq(t, `{"run_id":"r","trigger":{"data":{"headers":"mine","phone":"x"},"method":"POST","query":{}},"n":1.10}`, string(e.Raw))
	again := callback(t, string(e.Raw), "run_id")
	assert.Equal(t, e.ID, again.ID)

	kept := `{"run_id":"r","headers":["Name","Phone"]}`
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
		if e.Kind != happyrobot.Callback || happyrobot.ValidateOpaqueID(e.RunID) != nil || !strings.HasPrefix(e.ID, e.RunID+":") {
			t.Fatalf("a callback without %+v", e)
		}
		again, err := happyrobot.ParseCallback(e.Raw, path)
		if err != nil || again.ID != e.ID {
			t.Fatalf("taking out the secrets changed the callback: %v", err)
		}
	})
}
