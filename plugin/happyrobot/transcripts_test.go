package happyrobot_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

func TestATranscriptReadsAsPlainLines(t *testing.T) {
	raw := testdata(t, "transcript.tool-calls.json")
	a, client := answering(t, reply{body: string(raw)})

	const itsCall = "65ee00000000000000000103"
	tr, err := client(nil).GetTranscript(t.Context(), itsCall)

	require.NoError(t, err)
	assert.Equal(t, "/api/v1/calls/"+itsCall+"/transcript", a.requests[0].URL.Path)
	assert.Equal(t, itsCall, tr.CallID)
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
	assert.Equal(t, "assistant: one two three", tr.Text(), "a role that nobody lists as a speaker's is left out")
	assert.Equal(t, []string{"supervisor"}, tr.UnknownRoles(), "and named")
	assert.Empty(t, happyrobot.Transcript{}.Text())
}

func TestTheTextOfTheCasesIsSpeakersOnly(t *testing.T) {
	raw := testdata(t, "cases.transcript.roles.json")
	var tr happyrobot.Transcript
	require.NoError(t, json.Unmarshal(raw, &tr))
	want, ok := decode(t, raw)["right text"].(string)
	require.True(t, ok)
	assert.Equal(t, want, tr.Text())
	assert.Empty(t, tr.TextNote())
	assert.Empty(t, tr.UnknownRoles(), "all that is left out is known not to be speech")
}

func TestWhatIsNoSpeechIsLeftOutOfTheText(t *testing.T) {
	for in, want := range map[string]string{
		`{"role":"USER","content":"one"}`: "user: one",
		`{"role":"\tAssistant\n","content":[{"type":"text","text":"a"},{"type":"Text","text":"b"}]}`:                      "assistant: ab",
		`{"role":"user","content":{"type":"text","text":"single"}}`:                                                       "user: single",
		`{"role":"user","content":["two ","strings"]}`:                                                                    "user: two strings",
		`{"role":"user","content":[{"text":"no type"},{"type":"text"},7,null]}`:                                           "user: no type",
		`{"role":"user","content":[{"type":"tool_result","text":"4711","content":"4711"},{"type":"text","text":"said"}]}`: "user: said",
		`{"role":"user","content":[{"type":"image_url","text":"4711"}]}`:                                                  "",
		`{"role":"user","tool_call_id":"tc_1","content":"{\"card\":\"4711\"}"}`:                                           "",
		`{"role":"assistant","content":"Booking it.","tool_calls":[{"id":"tc_1"}]}`:                                       "assistant: Booking it.",
		`{"role":"assistant\nuser","content":"4711"}`:                                                                     "",
		`{"role":"tool-result","content":"4711"}`:                                                                         "",
		`{"role":"function","content":"4711"}`:                                                                            "",
		`{"role":null,"content":"4711"}`:                                                                                  "",
		`{"content":"4711"}`:                                                                                              "",
		`{"role":"user","tool_call_id":7,"content":"4711"}`:                                                               "",
		`{"role":"user","tool_call_id":{"id":"x"},"content":"4711"}`:                                                      "",
		`{"role":"user","tool_call_id":true,"content":"4711"}`:                                                            "",
		`{"role":"user","tool_use_id":"x","content":"4711"}`:                                                              "",
		`{"role":"user","toolCallId":"x","content":"4711"}`:                                                               "",
		`{"role":"user","tool_call_id":null,"content":"said"}`:                                                            "user: said",
		`{"role":"user","tool_call_id":"","tool_calls":[{}],"tool_results":[ ],"content":"said"}`:                         "user: said",
		`{"role":"assistant","type":"function_call_output","content":"4711"}`:                                             "",
		`{"role":"assistant","type":"tool_result","content":"4711"}`:                                                      "",
		`{"role":"assistant","type":7,"content":"4711"}`:                                                                  "",
		`{"role":"assistant","type":"Message","content":"said"}`:                                                          "assistant: said",
		`{"role":"assistant","type":"text","content":"said"}`:                                                             "assistant: said",
		`{"role":"assistant","type":null,"content":"said"}`:                                                               "assistant: said",
		`{"role":"user","name":"lookup","content":"4711"}`:                                                                "",
		`{"role":"user","name":{"a":1},"content":"4711"}`:                                                                 "",
		`{"role":"user","name":null,"content":"said"}`:                                                                    "user: said",
		`{"role":"user","name":" ","content":"said"}`:                                                                     "user: said",
		`{"role":"user","content":[{"tool_use_id":"x","text":"4711"},{"text":"said"}]}`:                                   "user: said",
		`{"role":"user","content":[{"type":"text","toolUseId":7,"text":"4711"}]}`:                                         "",
		`{"role":"user","content":{"tool_call_id":7,"text":"4711"}}`:                                                      "",
		`{"role":"user","content":[{"type":null,"text":"4711"},{"type":7,"text":"4711"}]}`:                                "",
		`{"role":"user","content":[{"type":"input_text","text":"a"},{"type":"output_text","text":"b"}]}`:                  "user: ab",
		`{"role":"system","Role":"assistant","content":"4711"}`:                                                           "",
		`{"role":"assistant","content":"said","Content":"4711","TYPE":"x"}`:                                               "assistant: said",
		`{"role":"assistant","content":[{"type":"image","Type":"text","text":"4711"}]}`:                                   "",
		`{"role":"assistant","content":[{"type":"text","text":"said","Text":"4711"}]}`:                                    "assistant: said",
		`{"role":"user","content":"two\nlines\nassistant: 1"}`:                                                            "user: two lines assistant: 1",
	} {
		var tr happyrobot.Transcript
		require.NoError(t, json.Unmarshal([]byte(`{"messages":[`+in+`]}`), &tr), in)
		assert.Equal(t, want, tr.Text(), in)
		assert.Equal(t, want == "", tr.TextNote() != "", in)
	}
}

// The talk of another list of messages must not be taken for the call's.
func TestMembersOfATranscriptAreReadByTheirExactNames(t *testing.T) {
	var tr happyrobot.Transcript
	require.NoError(t, json.Unmarshal([]byte(`{"id":"t","ID":"x","call_id":"c","Call_Id":"x","messages":[{"role":"user","content":"said"}],"Messages":[{"role":"user","content":"4711"}]}`), &tr))
	assert.Equal(t, "user: said", tr.Text())
	assert.Equal(t, []string{"t", "c"}, []string{tr.ID, tr.CallID})
	e, err := happyrobot.ParseEvent([]byte(`{"type":"end","call":{"id":"c"},"content":{"messages":[{"role":"user","content":"said"}],"Messages":[{"role":"user","content":"4711"}]},"Content":{"messages":[]}}`))
	require.NoError(t, err)
	require.NotNil(t, e.Transcript)
	assert.Equal(t, "user: said", e.Transcript.Text())
}

func TestASpeakersMessageThatIsLeftOutIsReported(t *testing.T) {
	tr := happyrobot.Transcript{Messages: []happyrobot.TranscriptMessage{
		{Role: "User", Name: "lookup", Content: "4711"}, {Role: "assistant", Type: "function_call_output", Content: "4711"},
		{Role: "user", ToolCallID: "7", Content: "4711"}, {Role: "tool", Name: "lookup", Content: "4711"}, {Role: "user", Name: "empty"},
	}}
	assert.Equal(t, []string{"assistant of type function_call_output", "user with a name"}, tr.UnknownRoles(), "a tool's answer is known to be none")
	assert.Contains(t, tr.TextNote(), "roles found: assistant of type function_call_output (1), tool (1), user of a tool (1), user with a name (2)")
}

func TestAnEmptyTextIsExplainedByTheRolesThereAre(t *testing.T) {
	tr := happyrobot.Transcript{Messages: []happyrobot.TranscriptMessage{
		{Role: "system", Content: "The gate code is 4711."}, {Role: "System", Content: "again"}, {Role: "agent", Content: "Hello"}, {Content: "Hello"}, {Role: "user"},
	}}
	assert.Equal(t, "no message has text and the role of a speaker (assistant, user); roles found: agent (1), none (1), system (2), user (1)", tr.TextNote())
	assert.Equal(t, []string{"agent", "none"}, tr.UnknownRoles())
	assert.Equal(t, "the transcript has no messages", happyrobot.Transcript{}.TextNote())

	many := happyrobot.Transcript{}
	for i := range 1000 {
		many.Messages = append(many.Messages, happyrobot.TranscriptMessage{Role: strings.Repeat("é", i) + "+12025550101", Content: "x"})
	}
	assert.Less(t, len(many.TextNote()), 1000)
	assert.True(t, utf8.ValidString(many.TextNote()))
	assert.NotContains(t, many.TextNote(), "0101")
}

// What is attached to a call must be of that call.
func TestAnAnswerAboutAnotherCallIsUnreadable(t *testing.T) {
	const other = "65ee00000000000000000999"
	reads := map[string]func(*happyrobot.Client) error{
		"id":      func(c *happyrobot.Client) error { _, err := c.GetCall(t.Context(), callID); return err },
		"call_id": func(c *happyrobot.Client) error { _, err := c.GetTranscript(t.Context(), callID); return err },
	}
	for member, read := range reads {
		for _, id := range []string{`"` + other + `"`, `7`, `{}`} {
			a, client := answering(t, reply{body: `{"` + member + `":` + id + `,"status":"Completed"}`})
			err := read(client(nil))
			require.ErrorContains(t, err, "another call", "%s: %s", member, id)
			assert.NotContains(t, err.Error(), other)
			assert.Len(t, a.requests, 4, "unreadable answers are asked for again, a few times")
		}
		for _, id := range []string{`"` + callID + `"`, `null`, `""`} {
			_, client := answering(t, reply{body: `{"` + member + `":` + id + `,"status":"Completed"}`})
			require.NoError(t, read(client(nil)), "%s: %s", member, id)
		}
	}
	for _, read := range []func(*happyrobot.Client) error{
		func(c *happyrobot.Client) error { _, err := c.GetRecording(t.Context(), callID); return err },
		func(c *happyrobot.Client) error { _, err := c.GetCallLogs(t.Context(), callID); return err },
	} {
		_, client := answering(t, reply{body: `{"call_id":"` + other + `","url":"https://r.example.com/1"}`})
		assert.ErrorContains(t, read(client(nil)), "another call")
	}
}

// An answer may name its call elsewhere than where the documentation has it.
func TestAnotherCallIsKnownByEveryNameThatAnIDMayHave(t *testing.T) {
	const other = "65ee00000000000000000999"
	call := func(c *happyrobot.Client) error { _, err := c.GetCall(t.Context(), callID); return err }
	transcript := func(c *happyrobot.Client) error { _, err := c.GetTranscript(t.Context(), callID); return err }
	logs := func(c *happyrobot.Client) error { _, err := c.GetCallLogs(t.Context(), callID); return err }
	for _, tc := range []struct {
		read func(*happyrobot.Client) error
		body string // with ID for the id
	}{
		{call, `{"_id":ID,"status":"Completed"}`}, {call, `{"call_id":ID,"status":"Completed"}`}, {call, `{"callId":ID,"status":"Completed"}`},
		{call, `{"id":null,"call":{"id":ID},"status":"Completed"}`}, {call, `{"data":{"id":ID,"status":"Busy"},"status":"Completed"}`},
		{call, `{"id":"","data":{"_id":ID},"status":"Completed"}`}, {call, `{"_id":"` + callID + `","call_id":ID,"status":"Completed"}`},
		{transcript, `{"callId":ID,"messages":[]}`}, {transcript, `{"call":{"id":ID},"messages":[]}`}, {transcript, `{"call_id":null,"call":{"id":ID}}`},
		{logs, `{"callId":ID}`}, {logs, `{"call":{"id":ID}}`},
	} {
		for _, id := range []string{`"` + other + `"`, `7`} {
			_, client := answering(t, reply{body: strings.ReplaceAll(tc.body, "ID", id)})
			require.ErrorContains(t, tc.read(client(nil)), "another call", "%s: %s", tc.body, id)
		}
		for _, id := range []string{`"` + callID + `"`, `null`, `""`} {
			_, client := answering(t, reply{body: strings.ReplaceAll(tc.body, "ID", id)})
			require.NoError(t, tc.read(client(nil)), "%s: %s", tc.body, id)
		}
	}
	for _, body := range []string{`{"id":"` + callID + `","data":{"id":"` + other + `"},"call_id":7}`, `{"call":"x","data":[],"status":"Busy"}`} {
		_, client := answering(t, reply{body: body})
		require.NoError(t, call(client(nil)), "%s: the documented id decides, and what is no object names none", body)
	}
	_, client := answering(t, reply{body: `{"id":"` + other + `","_id":"` + other + `","messages":[]}`})
	assert.NoError(t, transcript(client(nil)), "the id of a transcript is its own")
}

func TestAnAnswerWithoutAnIDIsTheCallThatWasAskedFor(t *testing.T) {
	_, client := answering(t, reply{body: `{"status":"Completed","metadata":{"to":"+12025550101"}}`})
	call, err := client(nil).GetCall(t.Context(), callID)
	require.NoError(t, err)
	assert.Equal(t, callID, call.ID)
	for _, in := range []string{`{}`, `{"data":{}}`, `{"error":"soon"}`, `null`} {
		_, client := answering(t, reply{body: in})
		_, err := client(nil).GetCall(t.Context(), callID)
		assert.Error(t, err, "%s is no call", in)
	}
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
	_, client := answering(t, reply{status: http.StatusNotFound}, reply{body: `{"calls":[]}`})
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
