package happyrobot_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

func TestTheExampleCallsAreRead(t *testing.T) {
	for file, want := range map[string]happyrobot.Status{
		"call.completed.json": happyrobot.StatusCompleted, "call.no-answer.json": happyrobot.StatusNoAnswer,
		"call.transferred.json": happyrobot.StatusTransferred,
	} {
		raw := testdata(t, file)
		var example map[string]any
		require.NoError(t, json.Unmarshal(raw, &example))
		a, client := answering(t, reply{body: string(raw)})

		call, err := client(nil).GetCall(t.Context(), example["id"].(string))

		require.NoError(t, err)
		assert.Equal(t, "/api/v1/calls/"+call.ID, a.requests[0].URL.Path)
		assert.Equal(t, want, call.Status)
		assert.Equal(t, happyrobot.Outbound, call.Type)
		meta := example["metadata"].(map[string]any)
		assert.Equal(t, meta["call_sid"], call.Metadata.CallSID)
		assert.Equal(t, meta["to"], call.Metadata.To)
		assert.Equal(t, meta["custom"], any(decode(t, call.Metadata.Custom)))
		assert.Equal(t, example["created"], call.Created.Format(time.RFC3339))
		delete(example["use_case"].(map[string]any)["hooks"].([]any)[0].(map[string]any), "headers")
		assert.Equal(t, example, decode(t, call.Raw), "all but the secrets")
	}
}

func decode(t *testing.T, raw []byte) (m map[string]any) {
	t.Helper()
	require.NoError(t, json.Unmarshal(raw, &m))
	return m
}

// A later generation of the API may say more than this version knows.
func TestUnknownWordsAndMembersOfACallSurvive(t *testing.T) {
	example := decode(t, testdata(t, "call.completed.json"))
	example["status"], example["type"], example["future"] = "Voicemail left", "Sideways", map[string]any{"deep": []any{true}}
	example["metadata"].(map[string]any)["future"] = "kept"
	example["duration"] = "74 seconds"
	raw, err := json.Marshal(example)
	require.NoError(t, err)

	var call happyrobot.Call
	require.NoError(t, json.Unmarshal(raw, &call))

	assert.Equal(t, happyrobot.Status("Voicemail left"), call.Status)
	assert.False(t, call.Status.Known())
	assert.False(t, call.Status.Final(), "an unknown word may be anything but must not end a watch")
	assert.Equal(t, happyrobot.CallType("Sideways"), call.Type)
	got := decode(t, call.Raw)
	assert.Equal(t, example["future"], got["future"])
	assert.Equal(t, "kept", got["metadata"].(map[string]any)["future"])
	assert.Equal(t, "74 seconds", got["duration"])
}

func TestMembersOfAnotherShapeDoNotLoseTheRest(t *testing.T) {
	for _, broken := range []string{
		`{"id":"a","status":7,"type":[],"metadata":null,"created":"yesterday"}`,
		`{"id":"a","status":null,"type":{},"metadata":"text","created":{}}`,
		`{"id":"a","metadata":{"call_sid":null,"from":1,"to":[],"custom":null},"created":1741615200}`,
	} {
		var call happyrobot.Call
		require.NoError(t, json.Unmarshal([]byte(broken), &call))
		assert.Equal(t, happyrobot.Call{ID: "a", Raw: json.RawMessage(broken)}, call)
	}
}

func TestEachKnownStatusIsFinalOrNotByItsMeaning(t *testing.T) {
	for words, final := range map[string]bool{
		"Scheduled,Queued,Initiated,Ringing,In progress,Dialing,Connected":                           false,
		"Transferred,Completed,AMD Terminated,Busy,No answer,Canceled,Failed,Ended,Missed,Abandoned": true,
	} {
		for word := range strings.SplitSeq(words, ",") {
			assert.True(t, happyrobot.Status(word).Known(), word)
			assert.Equal(t, final, happyrobot.Status(word).Final(), word)
		}
	}
	assert.True(t, happyrobot.Status("completed").Known(), "words are compared folded, however the API writes them")
}

// pages serves calls c0, c1, ... in pages no longer than three.
func pages(total int, fail map[int]int) (http.RoundTripper, *[]string) {
	var asked []string
	return roundTrip(func(req *http.Request) *http.Response {
		q := req.URL.Query()
		asked = append(asked, q.Get("skip"))
		if code := fail[len(asked)]; code != 0 {
			return respond(req, code, "")
		}
		skip, _ := strconv.Atoi(q.Get("skip"))
		items := []string{}
		for i := skip; i < min(total, skip+3); i++ {
			items = append(items, fmt.Sprintf(`{"id":"c%d"}`, i))
		}
		return respond(req, 200, `{"calls":[`+strings.Join(items, ",")+`]}`)
	}), &asked
}

func listing(t *testing.T, transport http.RoundTripper) *happyrobot.Client {
	return newClient(t, "http://api.example.invalid", func(o *happyrobot.Options) { o.Transport = transport })
}

func TestAListGoesOnPastPagesShorterThanAskedFor(t *testing.T) {
	transport, asked := pages(7, nil)
	var ids []string
	for call, err := range listing(t, transport).ListCalls(t.Context(), happyrobot.ListCallsQuery{Limit: 100}) {
		require.NoError(t, err)
		ids = append(ids, call.ID)
	}
	assert.Equal(t, []string{"c0", "c1", "c2", "c3", "c4", "c5", "c6"}, ids)
	assert.Equal(t, []string{"", "3", "6", "7"}, *asked, "only an empty page is the end")
}

func TestAListAsksForNoMoreThanIsTaken(t *testing.T) {
	transport, asked := pages(100, nil)
	taken := 0
	for range listing(t, transport).ListCalls(t.Context(), happyrobot.ListCallsQuery{Skip: 10}) {
		if taken++; taken == 4 {
			break
		}
	}
	assert.Equal(t, []string{"10", "13"}, *asked)
}

func TestAListRepeatsAPageAndThenGoesOn(t *testing.T) {
	transport, asked := pages(4, map[int]int{2: 503, 3: 429})
	taken := 0
	for _, err := range listing(t, transport).ListCalls(t.Context(), happyrobot.ListCallsQuery{}) {
		require.NoError(t, err)
		taken++
	}
	assert.Equal(t, 4, taken)
	assert.Equal(t, []string{"", "3", "3", "3", "4"}, *asked)
}

func TestAListEndsAtItsFirstError(t *testing.T) {
	transport, _ := pages(9, map[int]int{2: 422})
	var errs []error
	taken := 0
	for _, err := range listing(t, transport).ListCalls(t.Context(), happyrobot.ListCallsQuery{}) {
		if err != nil {
			errs = append(errs, err)
			continue
		}
		taken++
	}
	assert.Equal(t, 3, taken)
	require.Len(t, errs, 1)
	assert.ErrorContains(t, errs[0], "422")
}

func TestAListThatIsAskedForOnceDoesNotInsist(t *testing.T) {
	transport, asked := pages(9, map[int]int{2: 429})
	taken := 0
	var last error
	for _, err := range listing(t, transport).ListCalls(t.Context(), happyrobot.ListCallsQuery{Once: true}) {
		if last = err; err == nil {
			taken++
		}
	}
	require.ErrorContains(t, last, "429")
	assert.Equal(t, 3, taken)
	assert.Equal(t, []string{"", "3"}, *asked)
}

// Taken for empty, such a reply would say that no call was ever placed.
func TestAReplyWithoutAListIsAnErrorNotAnEmptyList(t *testing.T) {
	for _, body := range []string{`{}`, `{"calls":null}`, `[]`, `null`, `{"data":[]}`, `{"calls":{}}`} {
		_, client := answering(t, reply{body: body})
		got := 0
		for _, err := range client(nil).ListCalls(t.Context(), happyrobot.ListCallsQuery{}) {
			got++
			require.Error(t, err, body)
		}
		assert.Equal(t, 1, got, body)
	}
}

func TestAListsFiltersAreSentAsDocumented(t *testing.T) {
	a, client := answering(t, reply{body: `{"calls":[]}`})
	from := time.Date(2025, 3, 10, 15, 0, 0, 500, time.FixedZone("", 3600))
	for range client(nil).ListCalls(t.Context(), happyrobot.ListCallsQuery{
		Type: happyrobot.Outbound, Statuses: []happyrobot.Status{happyrobot.StatusNoAnswer, happyrobot.StatusBusy},
		UseCases: []string{"u1", "u2"}, Campaigns: []string{"spring & autumn"}, From: from, To: from.Add(time.Hour), Sort: "asc", Limit: 50, Skip: 3,
	}) {
		t.Error("nothing is listed")
	}
	assert.Equal(t, map[string][]string{
		"type": {"Outbound"}, "statuses": {"No answer,Busy"}, "use_cases": {"u1,u2"}, "campaigns": {"spring & autumn"},
		"from": {"2025-03-10T14:00:00.0000005Z"}, "to": {"2025-03-10T15:00:00.0000005Z"}, "sort": {"asc"}, "limit": {"50"}, "skip": {"3"},
	}, map[string][]string(a.requests[0].URL.Query()))
}
