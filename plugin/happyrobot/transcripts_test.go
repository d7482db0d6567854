package happyrobot_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

func TestATranscriptReadsAsPlainLines(t *testing.T) {
	raw := testdata(t, "transcript.tool-calls.json")
	a, client := answering(t, reply{body: string(raw)})

	tr, err := client(nil).GetTranscript(t.Context(), callID)

	require.NoError(t, err)
	assert.Equal(t, "/api/v1/calls/"+callID+"/transcript", a.requests[0].URL.Path)
	assert.Equal(t, "65ee00000000000000000103", tr.CallID)
	assert.Len(t, tr.Messages, 9)
	assert.JSONEq(t, string(raw), string(tr.Raw), "tool calls and times are kept")
	assert.Equal(t, `assistant: Hello, is this Cleo Sample?
user: Yes, who is calling?
assistant: One moment.
assistant: We can come at ten or at
user: I would rather talk to a person.
assistant: Of course, I am connecting you.`, tr.Text())
}

func TestATranscriptsTextHasOneLineForEachTurn(t *testing.T) {
	tr := happyrobot.Transcript{Messages: []happyrobot.TranscriptMessage{
		{Role: "system", Content: "You are Kim."}, {Role: "assistant", Content: " one\r\n two\tthree "},
		{Role: "assistant"}, {Role: "user", Content: " \n "}, {Role: "tool", Content: "{}"}, {Role: "supervisor", Content: "new role"},
	}}
	assert.Equal(t, "assistant: one two three\nsupervisor: new role", tr.Text())
	assert.Empty(t, happyrobot.Transcript{}.Text())
}

func TestATranscriptOfAnotherShapeIsReadAsFarAsItGoes(t *testing.T) {
	for in, messages := range map[string]int{
		`{"id":7,"messages":[{"role":1,"content":"a"},{"content":["b"]},{}]}`: 3, `{"messages":null}`: 0, `{"messages":{}}`: 0, `{}`: 0,
	} {
		var tr happyrobot.Transcript
		require.NoError(t, json.Unmarshal([]byte(in), &tr), in)
		assert.Len(t, tr.Messages, messages, in)
		assert.Equal(t, in, string(tr.Raw))
	}
	_, client := answering(t, reply{status: http.StatusNotFound})
	_, err := client(nil).GetTranscript(t.Context(), callID)
	assert.True(t, happyrobot.IsNotFound(err))
}

func TestARecordingsURLIsFoundInEveryShape(t *testing.T) {
	for in, want := range map[string]string{
		`"https://r.example.com/1"`:                                         "https://r.example.com/1",
		`{"url":"https://r.example.com/1"}`:                                 "https://r.example.com/1",
		`{"a":"https://other.example.com","url":"https://r.example.com/1"}`: "https://r.example.com/1",
		`{"id":"x","recording_url":"https://r.example.com/1","length":3}`:   "https://r.example.com/1",
		`{"signed":"http://r.example.com/1","expires":"2030-01-01"}`:        "http://r.example.com/1",
		`{"b":"https://r.example.com/b","a":"https://r.example.com/a"}`:     "https://r.example.com/a",
	} {
		for range 20 { // members of an object come in no order
			a, client := answering(t, reply{body: in})
			rec, err := client(nil).GetRecording(t.Context(), callID)
			require.NoError(t, err, in)
			require.Equal(t, want, rec.URL, in)
			assert.Equal(t, in, string(rec.Raw))
			assert.Equal(t, "/api/v1/calls/"+callID+"/recording", a.requests[0].URL.Path)
		}
	}
	for _, in := range []string{`{}`, `[]`, `17`, `null`, `""`, `{"url":""}`, `{"status":"pending"}`} {
		_, client := answering(t, reply{body: in})
		_, err := client(nil).GetRecording(t.Context(), callID)
		assert.Error(t, err, in)
	}
}

func TestLogsComeAsTheyAre(t *testing.T) {
	const in = `[{"event":"created","n":12345678901234567890}, "odd"]`
	a, client := answering(t, reply{body: in})
	logs, err := client(nil).GetCallLogs(t.Context(), callID)
	require.NoError(t, err)
	assert.Equal(t, in, string(logs))
	assert.Equal(t, "/api/v1/calls/"+callID+"/logs", a.requests[0].URL.Path)
}
