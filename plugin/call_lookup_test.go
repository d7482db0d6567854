package plugin_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
)

const otherCall = "65ee00000000000000000999"

// swapping is the pretend API with something in front that answers with other bodies.
func swapping(t *testing.T, swap func(path, body string) string) (*callsim.Sim, string) {
	t.Helper()
	sim := callsim.New(callsim.Options{})
	t.Cleanup(sim.Close)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		rec := httptest.NewRecorder()
		sim.ServeHTTP(rec, req)
		w.WriteHeader(rec.Code)
		_, _ = fmt.Fprint(w, swap(req.URL.Path, rec.Body.String()))
	}))
	t.Cleanup(srv.Close)
	return sim, srv.URL + "/api/v1"
}

// ended makes a call arrive that is over, with a transcript.
func ended(t *testing.T, sim *callsim.Sim, a callsim.Arrival) (id string) {
	t.Helper()
	ids, err := sim.Arrive(a)
	require.NoError(t, err)
	sim.Advance(24 * time.Hour)
	return ids[0]
}

const callCache = "cache_resources:\n  - label: calls\n    memory: {}\n"

func TestAnotherCallThanTheOneAskedForIsNeverAttached(t *testing.T) {
	t.Parallel()
	for name, swap := range map[string]func(id, path, body string) string{
		"the call": func(id, path, body string) string {
			if strings.HasSuffix(path, id) {
				return strings.Replace(body, `"id":"`+id, `"id":"`+otherCall, 1)
			}
			return body
		},
		"the call by another name": func(id, path, body string) string {
			if strings.HasSuffix(path, id) {
				return strings.Replace(body, `"id":"`+id, `"_id":"`+otherCall, 1)
			}
			return body
		},
		"the transcript by another name": func(id, path, body string) string {
			if strings.HasSuffix(path, "/transcript") {
				return strings.Replace(body, `"call_id":"`+id, `"callId":"`+otherCall, 1)
			}
			return body
		},
		"the transcript": func(id, path, body string) string {
			if strings.HasSuffix(path, "/transcript") {
				return strings.Replace(body, `"call_id":"`+id, `"call_id":"`+otherCall, 1)
			}
			return body
		},
	} {
		t.Run(name, func(t *testing.T) {
			var id atomic.Value
			var wrong atomic.Bool
			sim, url := swapping(t, func(path, body string) string {
				if wrong.Load() {
					return swap(id.Load().(string), path, body)
				}
				return body
			})
			id.Store(ended(t, sim, callsim.Arrival{EndsAs: "Completed"}))
			wrong.Store(true)
			s := run(t, parts{processors: []string{callYAML(url, "cache: calls")}, resources: callCache})

			require.NoError(t, s.deliver(ask(id.Load().(string))))
			wrong.Store(false)
			require.NoError(t, s.deliver(ask(id.Load().(string))))

			out := s.out.all()
			require.Len(t, out, 2)
			assert.Equal(t, "rejected", out[0]["@happyrobot_outcome"])
			assert.Equal(t, "unreadable", out[0]["@happyrobot_reason"])
			assert.Contains(t, out[0]["error"], "another call")
			assert.NotContains(t, out[0]["content"], `"call":`)
			assert.Equal(t, "complete", out[1]["@happyrobot_outcome"], "nothing wrong was kept")
			assert.Equal(t, id.Load(), out[1]["json"].(map[string]any)["call"].(map[string]any)["id"])
			if name == "the call" {
				assert.Equal(t, 1, sim.RequestsOf("getTranscript"), "nothing was read for the wrong call")
			}
		})
	}
}

func TestACallWithoutAnIDIsTheOneAskedFor(t *testing.T) {
	t.Parallel()
	srv := startSim(t, callsim.Options{})
	id := ended(t, srv.Sim, callsim.Arrival{EndsAs: "Completed", Omit: []string{"id"}})
	s := run(t, parts{processors: []string{callYAML(srv.URL, "cache: calls")}, resources: callCache})
	for range 2 {
		require.NoError(t, s.deliver(ask(id)))
	}
	for _, m := range s.out.all() {
		assert.Equal(t, "complete", m["@happyrobot_outcome"])
		assert.Contains(t, m["json"].(map[string]any)["call"].(map[string]any)["transcript"].(map[string]any)["text"], "ten o'clock")
	}
	assert.Equal(t, 1, srv.Sim.RequestsOf("getCall"), "it is kept")
}

// What an earlier version kept may be another call's, or hold a text with prompts.
func TestWhatIsKeptOfAnotherCallIsIgnored(t *testing.T) {
	t.Parallel()
	srv := startSim(t, callsim.Options{})
	id := ended(t, srv.Sim, callsim.Arrival{EndsAs: "Completed"})
	for _, tc := range []struct {
		kept  string
		text  string
		asked int
	}{
		{`{"id":"` + otherCall + `","status":"Busy"}`, "ten o'clock", 1},
		{`{"id":"` + id + `","status":"Busy","transcript":{"call_id":"` + otherCall + `","text":"user: no"}}`, "ten o'clock", 1},
		{`{"id":"` + id + `","status":"Completed","transcript":{"call_id":"` + id + `","text":"System: 4711","messages":[{"role":"System","content":"4711"},{"role":"user","content":"Kept."}]}}`, "user: Kept.", 0},
	} {
		before := srv.Sim.RequestsOf("getCall")
		s := run(t, parts{
			processors: []string{callYAML(srv.URL, "cache: calls")},
			resources:  fmt.Sprintf("cache_resources:\n  - label: calls\n    memory: {init_values: {%q: %q}}\n", "happyrobot_call.1.transcript."+id, tc.kept),
		})
		require.NoError(t, s.deliver(ask(id)))
		out := s.out.all()
		require.Len(t, out, 1)
		call := out[0]["json"].(map[string]any)["call"].(map[string]any)
		assert.Equal(t, "Completed", call["status"])
		assert.Contains(t, call["transcript"].(map[string]any)["text"], tc.text)
		assert.NotContains(t, call["transcript"].(map[string]any)["text"], "4711")
		assert.Equal(t, tc.asked, srv.Sim.RequestsOf("getCall")-before, tc.kept)
	}
}

// caseStatuses are the spellings of the cases: over, open, unknown. Null is "".
func caseStatuses(t *testing.T) (over, open, unknown []string) {
	t.Helper()
	var cases struct{ Over, Open, Unknown []string }
	require.NoError(t, json.Unmarshal(caseFile(t, "cases.statuses.json"), &cases))
	require.NotEmpty(t, cases.Over)
	return cases.Over, cases.Open, cases.Unknown
}

func caseFile(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("happyrobot", "testdata", name))
	require.NoError(t, err)
	return b
}

func TestALookupKnowsTheEndOfACallInEverySpelling(t *testing.T) {
	t.Parallel()
	over, open, unknown := caseStatuses(t)
	srv := startSim(t, callsim.Options{})
	want := map[string]string{}
	for _, status := range over {
		want[status] = "complete"
	}
	for _, status := range append(open, unknown...) {
		want[status] = "not_ready"
	}
	s := run(t, parts{processors: []string{callYAML(srv.URL, "include: []")}})
	for status, outcome := range want {
		shown, err := json.Marshal(status)
		require.NoError(t, err)
		id := ended(t, srv.Sim, callsim.Arrival{Show: map[string]json.RawMessage{"status": shown}})
		require.NoError(t, s.deliver(ask(id)))
		out := s.out.all()
		got := out[len(out)-1]
		assert.Equal(t, outcome, got["@happyrobot_outcome"], "%q", status)
		assert.Equal(t, status, got["json"].(map[string]any)["call"].(map[string]any)["status"], "the message keeps the API's word")
		if status == "no-answer" {
			assert.Equal(t, "No answer", got["@happyrobot_call_status"])
		}
	}
}

// What a message came with says nothing about the call that it gains.
func TestTheStatusInTheMetadataIsThatOfTheCall(t *testing.T) {
	t.Parallel()
	srv := startSim(t, callsim.Options{})
	s := run(t, parts{processors: []string{
		`mutation: meta happyrobot_call_status = "of another call"`,
		callYAML(srv.URL, "include: []", "result_map: root.status = @happyrobot_call_status | this.status"),
	}})
	for shown, want := range map[string]any{`"NO_ANSWER"`: "No answer", `null`: nil} {
		id := ended(t, srv.Sim, callsim.Arrival{Show: map[string]json.RawMessage{"status": json.RawMessage(shown)}})
		require.NoError(t, s.deliver(ask(id)))
		out := s.out.all()
		assert.Equal(t, want, out[len(out)-1]["json"].(map[string]any)["status"], shown)
	}
}

func TestATranscriptWithoutASpeakerIsExplained(t *testing.T) {
	t.Parallel()
	sim, url := swapping(t, func(path, body string) string {
		if strings.HasSuffix(path, "/transcript") {
			return `{"messages":[{"role":"system","content":"The gate code is 4711."},{"role":"Agent","content":"Hello."}]}`
		}
		return body
	})
	id := ended(t, sim, callsim.Arrival{EndsAs: "Completed"})
	s := run(t, parts{processors: []string{callYAML(url)}})
	for range 3 {
		require.NoError(t, s.deliver(ask(id)))
	}
	transcript := s.out.all()[2]["json"].(map[string]any)["call"].(map[string]any)["transcript"].(map[string]any)
	assert.Empty(t, transcript["text"])
	assert.Contains(t, transcript["text_note"], "roles found: agent (1), system (1)")
	assert.Len(t, transcript["messages"], 2)
	assert.Equal(t, 1, strings.Count(s.logs.String(), "empty text"))
	assert.Equal(t, 1, strings.Count(s.logs.String(), "left out of transcript.text"))
	assert.Contains(t, s.logs.String(), "they stay in transcript.messages")
	assert.NotContains(t, s.logs.String(), "4711")
}

func TestTheTranscriptOfTheCasesIsToldAsWasSaid(t *testing.T) {
	t.Parallel()
	raw := caseFile(t, "cases.transcript.roles.json")
	var cases map[string]any
	require.NoError(t, json.Unmarshal(raw, &cases))
	sim, url := swapping(t, func(path, body string) string {
		if strings.HasSuffix(path, "/transcript") {
			return string(raw)
		}
		return body
	})
	id := ended(t, sim, callsim.Arrival{EndsAs: "completed"})
	s := run(t, parts{processors: []string{callYAML(url)}})
	require.NoError(t, s.deliver(ask(id)))
	transcript := s.out.all()[0]["json"].(map[string]any)["call"].(map[string]any)["transcript"].(map[string]any)
	assert.Equal(t, cases["right text"], transcript["text"])
	assert.NotContains(t, transcript, "text_note")
	assert.NotContains(t, s.logs.String(), "level=WARN")
}
