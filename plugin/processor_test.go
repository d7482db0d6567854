package plugin_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
)

func TestDialProcessorGoesOnWithTheCreatedCall(t *testing.T) {
	t.Parallel()
	srv := startSim(t, callsim.Options{})
	srv.Sim.Refuse("+12025550102", http.StatusUnprocessableEntity)
	s := run(t, parts{processors: []string{"happyrobot_dial:\n  " + indent(2, dialYAML(srv.URL))}})

	require.NoError(t, s.deliver(lead("a", "+12025550101"), lead("refused", "+12025550102"), lead("a", "+12025550101")))

	out := s.out.all()
	require.Len(t, out, 3)
	call := out[0]["json"].(map[string]any)["call"].(map[string]any)
	assert.Equal(t, "accepted", call["outcome"])
	assert.Equal(t, srv.Sim.Calls()[0].ID, call["call_id"])
	assert.Equal(t, "a", out[0]["json"].(map[string]any)["id"], "the message keeps its content")
	assert.NotContains(t, out[0]["content"], callsim.HookSecret, "a secret of the API got through")
	assert.Equal(t, call["call_id"], out[0]["@happyrobot_call_id"])
	assert.NotEmpty(t, out[0]["@happyrobot_dial_ref"])

	assert.Equal(t, lead("refused", "+12025550102"), out[1]["content"])
	assert.Contains(t, out[1]["error"], "rejected: refused: ")
	assert.Equal(t, "rejected", out[1]["@happyrobot_outcome"])
	assert.Equal(t, "refused", out[1]["@happyrobot_reason"])
	assert.Equal(t, "422", out[1]["@happyrobot_http_status"])

	assert.Equal(t, "duplicate", out[2]["@happyrobot_outcome"])
	assert.Equal(t, call["call_id"], out[2]["@happyrobot_call_id"], "a duplicate is told the call it repeats")
}

func TestAFailedResultMapStillTellsTheCall(t *testing.T) {
	t.Parallel()
	srv := startSim(t, callsim.Options{})
	s := run(t, parts{processors: []string{
		"happyrobot_dial:\n  " + indent(2, dialYAML(srv.URL, `result_map: root.x = throw("boom")`)),
		"catch:\n  - mapping: root = error().parse_dial_error()",
	}})
	require.NoError(t, s.deliver(lead("a", "+12025550101")))
	require.Len(t, s.out.all(), 1)
	failure := s.out.all()[0]["json"].(map[string]any)
	assert.Equal(t, "accepted", failure["outcome"], "the lead was called")
	assert.Equal(t, "mapping_failed", failure["reason"])
	assert.Equal(t, srv.Sim.Calls()[0].ID, failure["call_id"])
	assert.Contains(t, failure["details"], "result_map: ")
}

func TestAnUnknownCallIsHeld(t *testing.T) {
	t.Parallel()
	srv := startSim(t, callsim.Options{})
	srv.Sim.Inject(callsim.Fault{Kind: callsim.ErrorBefore, Times: 1})
	s := run(t, parts{processors: []string{"happyrobot_dial:\n  " + indent(2, dialYAML(srv.URL))}})
	require.NoError(t, s.deliver(lead("a", "+12025550101")))
	out := s.out.all()
	require.Len(t, out, 1)
	assert.Equal(t, "held", out[0]["@happyrobot_outcome"])
	assert.Equal(t, "unknown", out[0]["@happyrobot_reason"])
	assert.Contains(t, out[0]["error"], "held: unknown: ")
	assert.Empty(t, srv.Sim.Calls())
}

func TestAnAbsentCallIsDialedAgainWhenAsked(t *testing.T) {
	t.Parallel()
	srv := startSim(t, callsim.Options{})
	srv.Sim.Inject(callsim.Fault{Kind: callsim.ErrorBefore, Times: 2})
	s := run(t, dialParts(srv.URL, "on_unknown: redial_absent"))
	require.NoError(t, s.deliver(lead("a", "+12025550101")))
	assert.Empty(t, s.out.all())
	assert.Equal(t, 1, srv.Sim.CallsTo("+12025550101"))
}

func TestReceiptsTellEveryCall(t *testing.T) {
	t.Parallel()
	srv := startSim(t, callsim.Options{})
	p := parts{output: "happyrobot_dial:\n  " + indent(2, dialYAML(srv.URL, "batching: {count: 20, period: 10ms}", "receipts: {collect: {}}"))}
	s := run(t, p)
	require.NoError(t, s.deliver(lead("a", "+12025550101"), lead("b", "+12025550102")))
	require.NoError(t, s.deliver(lead("a", "+12025550101")))

	out := s.out.all()
	require.Len(t, out, 3)
	first := out[0]["json"].(map[string]any)
	assert.Equal(t, "accepted", first["outcome"])
	assert.Equal(t, map[string]any{"id": "a", "phone": "+12025550101"}, first["lead"])
	assert.Equal(t, first["call_id"], first["call"].(map[string]any)["id"])
	again := out[2]["json"].(map[string]any)
	assert.Equal(t, "duplicate", again["outcome"])
	assert.Equal(t, first["call_id"], again["call_id"])
}

func TestAStreamStopsThatHasWrittenNoReceipt(t *testing.T) {
	t.Parallel()
	b := service.NewStreamBuilder()
	empty := filepath.Join(t.TempDir(), "leads.jsonl")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	require.NoError(t, b.AddInputYAML(fmt.Sprintf("file: {paths: [ %q ]}", empty)))
	require.NoError(t, b.AddOutputYAML("happyrobot_dial:\n  "+indent(2, dialYAML("http://127.0.0.1:1", "receipts: {drop: {}}"))))
	b.SetLogger(slog.New(slog.DiscardHandler))
	stream, err := b.Build()
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- stream.Run(t.Context()) }()
	select {
	case err := <-done:
		require.NoError(t, err)
	case <-time.After(time.Minute):
		t.Error("the stream does not end with its input")
	}
}

func TestALedgerOutlivesTheStream(t *testing.T) {
	t.Parallel()
	srv := startSim(t, callsim.Options{})
	p := dialParts(srv.URL, "ledger: ledger")
	p.resources = fmt.Sprintf("cache_resources:\n  - label: ledger\n    bbolt: {path: %q}\n", t.TempDir()+"/ledger.db")
	t.Run("first", func(t *testing.T) { require.NoError(t, run(t, p).deliver(lead("a", "+12025550101"))) })
	t.Run("again", func(t *testing.T) { require.NoError(t, run(t, p).deliver(lead("a", "+12025550101"))) })
	assert.Equal(t, 1, srv.Sim.CallsTo("+12025550101"))
}

// placed dials n calls and tells their ids by the status that they will end with.
func placed(t *testing.T, srv *callsim.Server, n int) (ids []string, byStatus map[string]string) {
	t.Helper()
	s := run(t, dialParts(srv.URL))
	batch := make([]string, n)
	for i := range batch {
		batch[i] = lead(fmt.Sprint("lead-", i), fmt.Sprintf("+1202555%04d", i))
	}
	require.NoError(t, s.deliver(batch...))
	byStatus = map[string]string{}
	for _, c := range srv.Sim.Calls() {
		ids = append(ids, c.ID)
	}
	for _, c := range srv.Sim.Calls() {
		byStatus[c.EndsAs] = c.ID
	}
	return ids, byStatus
}

func callYAML(url string, extra ...string) string {
	return fmt.Sprintf(`
happyrobot_call:
  api_key: test-key
  base_url: %s
  call_id: ${! json("call_id") }
  poll_interval: 10ms
  retry: {initial_interval: 5ms, max_interval: 50ms}
  %s`, url, strings.Join(extra, "\n  "))
}

func ask(id string) string { return fmt.Sprintf(`{"call_id":%q}`, id) }

func TestCallsAreAttachedInOrderAndReadOnce(t *testing.T) {
	t.Parallel()
	srv := startSim(t, callsim.Options{})
	ids, _ := placed(t, srv, 5)
	srv.Sim.Advance(time.Hour)
	s := run(t, parts{processors: []string{callYAML(srv.URL)}})

	var batch []string
	for i := range 40 {
		batch = append(batch, ask(ids[i%5]))
	}
	require.NoError(t, s.deliver(batch...))

	out := s.out.all()
	require.Len(t, out, 40)
	for i, m := range out {
		assert.Equal(t, ids[i%5], m["json"].(map[string]any)["call"].(map[string]any)["id"])
		assert.Equal(t, "complete", m["@happyrobot_outcome"])
		assert.NotContains(t, m["content"], callsim.HookSecret)
	}
	assert.Equal(t, 5, srv.Sim.RequestsOf("getCall"))
	assert.Equal(t, 5, srv.Sim.RequestsOf("getTranscript"))
}

func TestAFinishedCallIsKeptInTheCache(t *testing.T) {
	t.Parallel()
	srv := startSim(t, callsim.Options{})
	ids, _ := placed(t, srv, 1)
	srv.Sim.Advance(time.Hour)
	s := run(t, parts{
		processors: []string{callYAML(srv.URL, "cache: calls")},
		resources:  "cache_resources:\n  - label: calls\n    memory: {}\n",
	})
	for range 3 {
		require.NoError(t, s.deliver(ask(ids[0])))
	}
	assert.Equal(t, 1, srv.Sim.RequestsOf("getCall"))
	out := s.out.all()
	require.Len(t, out, 3)
	assert.Equal(t, out[0]["content"], out[2]["content"])
}

func TestWaitingForTheTranscriptGivesTheTalkAsText(t *testing.T) {
	t.Parallel()
	srv := startSim(t, callsim.Options{Speed: 600})
	_, byStatus := placed(t, srv, 60)
	s := run(t, parts{processors: []string{callYAML(srv.URL, "wait: transcript", "include: [transcript, recording, logs]")}})
	require.NoError(t, s.deliver(ask(byStatus["Completed"]), ask(byStatus["No answer"])))

	out := s.out.all()
	require.Len(t, out, 2)
	talk := out[0]["json"].(map[string]any)["call"].(map[string]any)
	assert.Equal(t, "Completed", talk["status"])
	assert.Equal(t, "assistant: Hello, this is about your delivery.\nuser: Yes, ten o'clock suits me.\nassistant: Booked. Goodbye.",
		talk["transcript"].(map[string]any)["text"])
	assert.Contains(t, talk["recording_url"], "https://recordings.example.com/")
	assert.NotEmpty(t, talk["logs"])

	silent := out[1]["json"].(map[string]any)["call"].(map[string]any)
	assert.Equal(t, "No answer", silent["status"], "a call that nobody answered is not waited for")
	assert.NotContains(t, silent, "transcript")
	assert.Equal(t, "complete", out[1]["@happyrobot_outcome"])
}

func TestNotFoundAndNotReadyAreToldApart(t *testing.T) {
	t.Parallel()
	srv := startSim(t, callsim.Options{Speed: 0.001})
	ids, _ := placed(t, srv, 1)
	for _, wait := range []string{"wait: none", "{wait: finished, wait_timeout: 50ms}"} {
		t.Run(wait, func(t *testing.T) {
			extra := strings.Split(strings.Trim(wait, "{}"), ", ")
			s := run(t, parts{processors: []string{callYAML(srv.URL, extra...)}})
			require.NoError(t, s.deliver(ask(ids[0]), ask("65ee00000000000000000199"), ask("short")))
			out := s.out.all()
			require.Len(t, out, 3)
			assert.Equal(t, "not_ready", out[0]["@happyrobot_outcome"])
			if wait == "wait: none" {
				assert.Nil(t, out[0]["error"], "what there is was asked for")
			} else {
				assert.Contains(t, out[0]["error"], "not_ready: not_ready: ")
			}
			assert.Equal(t, "not_found", out[1]["@happyrobot_outcome"])
			assert.Contains(t, out[1]["error"], "not_found: ")
			assert.Equal(t, "invalid_call_id", out[2]["@happyrobot_reason"])
			assert.NotContains(t, out[2]["error"], "short")
		})
	}
}

func TestAnOutageFailsNoLookup(t *testing.T) {
	t.Parallel()
	srv := startSim(t, callsim.Options{})
	ids, _ := placed(t, srv, 1)
	srv.Sim.Advance(time.Hour)
	for _, f := range []callsim.Fault{
		{Kind: callsim.Refuse, Operation: "*", Status: http.StatusUnauthorized, Times: 2},
		{Kind: callsim.ErrorBefore, Operation: "*", Times: 2},
		{Kind: callsim.CutBefore, Operation: "*", Times: 2},
	} {
		srv.Sim.Inject(f)
	}
	s := run(t, parts{processors: []string{callYAML(srv.URL)}})
	require.NoError(t, s.deliver(ask(ids[0])))
	require.Len(t, s.out.all(), 1)
	assert.Equal(t, "complete", s.out.all()[0]["@happyrobot_outcome"])
}
