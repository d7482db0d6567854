package happyrobot_test

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

func testdata(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(t, err)
	return b
}

func TestTheExampleRequestSurvivesARoundTrip(t *testing.T) {
	example := testdata(t, "outbound-batched.request.json")
	var calls []happyrobot.OutboundCall
	require.NoError(t, json.Unmarshal(example, &calls))
	again, err := json.Marshal(calls)
	require.NoError(t, err)
	assert.JSONEq(t, string(example), string(again))
}

func TestACallKeepsUnknownMembersAndTheDigitsOfNumbers(t *testing.T) {
	const in = `{"number_id":"n","phone_number":"+12025550101","use_case_id":"u","agent_id":"a","model_id":"m","prompt_id":"p",` +
		`"language":"xx-XX","campaign_id":"c","scheduled_for":"2030-01-01T00:00:00Z","max_duration_mins":7,` +
		`"future":{"deep":[9007199254740993],"n":12345678901234567890.10},"voice_id":"v","params":{"price":1.10},"metadata":{"order":9007199254740993}}`
	var call happyrobot.OutboundCall
	require.NoError(t, json.Unmarshal([]byte(in), &call))
	assert.Equal(t, 7, *call.MaxDurationMins)
	assert.Equal(t, "+12025550101", call.PhoneNumber)

	out, err := json.Marshal(call)

	require.NoError(t, err)
	assert.Equal(t, in, string(out), "byte for byte: the members of the input are in order")
}

func TestNullAndEmptyMembersOfACallAreNotSent(t *testing.T) {
	var call happyrobot.OutboundCall
	require.NoError(t, json.Unmarshal([]byte(`{"number_id":"n","agent_id":null,"language":"","params":null,"metadata":null,"max_duration_mins":null}`), &call))
	out, err := json.Marshal(call)
	require.NoError(t, err)
	assert.Equal(t, `{"number_id":"n"}`, string(out))
}

func TestAMemberOfTheWrongTypeIsNamedWithoutItsValue(t *testing.T) {
	for in, want := range map[string]string{
		`{"phone_number":12025550101}`:     "phone_number: must be text, not a number",
		`{"phone_number":["12025550101"]}`: "phone_number: must be text, not a list",
		`{"agent_id":true}`:                "agent_id: must be text, not a boolean",
		`{"language":{"a":1}}`:             "language: must be text, not an object",
		`{"metadata":"12025550101"}`:       "metadata: must be an object, not text",
		`{"max_duration_mins":"5"}`:        "max_duration_mins: must be a whole number of minutes, not text",
		`{"max_duration_mins":2.5}`:        "max_duration_mins: must be a whole number of minutes",
		`{"max_duration_mins":1e400}`:      "max_duration_mins: must be a whole number of minutes",
	} {
		var f *happyrobot.FieldError
		if assert.ErrorAs(t, json.Unmarshal([]byte(in), new(happyrobot.OutboundCall)), &f, in) {
			assert.Equal(t, want, f.Error())
		}
	}
	assert.ErrorContains(t, json.Unmarshal([]byte(`["12025550101"]`), new(happyrobot.OutboundCall)), "must be a JSON object")
}

func TestTheBatchIsABareListWithEachCallsOwnMembers(t *testing.T) {
	a, client := answering(t, reply{body: "[]"})
	calls := oneCall()
	_, err := client(nil).CreateOutboundCalls(t.Context(), calls)
	require.NoError(t, err)
	req := a.requests[0]
	assert.Equal(t, http.MethodPost, req.Method)
	assert.Equal(t, "/api/v1/dial/outbound-batched", req.URL.Path)
	assert.Equal(t, "application/json", req.Header.Get("Content-Type"))
	body, err := io.ReadAll(req.Body)
	require.NoError(t, err)
	assert.JSONEq(t, `[{"number_id":"64f0c0de00000000000000c1","phone_number":"+12025550101","metadata":{"dial_ref":"r1"}}]`, string(body))
}

func TestTheExampleReplyIsReadInItsOwnOrder(t *testing.T) {
	_, client := answering(t, reply{body: string(testdata(t, "outbound-batched.response.json"))})
	created, err := client(nil).CreateOutboundCalls(t.Context(), oneCall())
	require.NoError(t, err)
	var examples []map[string]any
	require.NoError(t, json.Unmarshal(testdata(t, "outbound-batched.response.json"), &examples))
	require.Len(t, created, len(examples))
	for i, c := range created {
		meta := examples[i]["metadata"].(map[string]any)
		assert.Equal(t, examples[i]["id"], c.ID)
		assert.Equal(t, examples[i]["organization_id"], c.OrganizationID)
		assert.Equal(t, meta["to"], c.Metadata.To)
		assert.Equal(t, meta["from"], c.Metadata.From)
		assert.Equal(t, meta["custom"], any(decode(t, c.Metadata.Custom)))
		assert.Equal(t, examples[i]["created"], c.Created.UTC().Format("2006-01-02T15:04:05Z"))
	}
}

func TestAnOddItemOfAReplyDoesNotLoseItsNeighbours(t *testing.T) {
	_, client := answering(t, reply{body: `[` +
		`{"id":"one","metadata":{"to":"+12025550101","custom":{"dial_ref":"r1"}},"created":17},"odd",17,[1],` +
		`{"id":"two","metadata":{"to":{"number":1},"custom":"text"},"organization_id":[]},` +
		`{"id":3,"metadata":[]},` +
		`{"error":"barred"}]`})
	created, err := client(nil).CreateOutboundCalls(t.Context(), oneCall())
	require.NoError(t, err)
	require.Len(t, created, 4)
	assert.Equal(t, "one", created[0].ID)
	assert.Equal(t, "r1", created[0].Metadata.CustomText("dial_ref"))
	assert.True(t, created[0].Created.IsZero())
	assert.Equal(t, "two", created[1].ID)
	assert.Empty(t, created[1].Metadata)
	assert.Empty(t, created[2].ID, "not a usable id")
	assert.JSONEq(t, `{"error":"barred"}`, string(created[3].Raw))
}

func TestAMarkIsAddedToWhatWasEncoded(t *testing.T) {
	for before, after := range map[string]string{
		`{"phone_number":"+12025550101"}`:                                    `{"phone_number":"+12025550101","metadata":{"dial_ref":"r \"1\""}}`,
		`{"phone_number":"+12025550101","metadata":{}}`:                      `{"phone_number":"+12025550101","metadata":{"dial_ref":"r \"1\""}}`,
		`{"language":"a\tä<","metadata":{"lead":{"n":1.10}},"voice_id":"v"}`: `{"language":"a\tä<","metadata":{"lead":{"n":1.10},"dial_ref":"r \"1\""},"voice_id":"v"}`,
	} {
		var call happyrobot.OutboundCall
		require.NoError(t, json.Unmarshal([]byte(before), &call))
		theirs := call.Metadata
		encoded, err := call.Encode()
		require.NoError(t, err)
		written := string(encoded.Bytes())
		assert.JSONEq(t, before, written)

		marked := encoded.Mark("dial_ref", `r "1"`)

		assert.Equal(t, written, string(encoded.Bytes()), "the call that is marked stays")
		assert.JSONEq(t, after, string(marked.Bytes()))
		assert.Equal(t, call.PhoneNumber, marked.Number())
		twice := marked.Mark("a", "b")
		assert.Equal(t, strings.TrimSuffix(string(marked.Bytes()), "}}")+`,"a":"b"}}`, string(twice.Bytes()))
		assert.NotContains(t, theirs, "dial_ref")
	}
}

func TestACallThatWasNeverEncodedIsAnEmptyOne(t *testing.T) {
	var call happyrobot.EncodedCall
	assert.Equal(t, "{}", string(call.Bytes()))
	assert.Equal(t, `{"metadata":{"dial_ref":"r"}}`, string(call.Mark("dial_ref", "r").Bytes()))
}

func TestADeeplyNestedReplyIsUnreadableAndNothingWorse(t *testing.T) {
	_, client := answering(t, reply{body: strings.Repeat("[", 8<<20)})
	_, err := client(nil).CreateOutboundCalls(t.Context(), oneCall())
	assert.ErrorContains(t, err, "not JSON")
}
