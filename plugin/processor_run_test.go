package plugin_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim/platform"
)

func runYAML(url string, extra ...string) string {
	id := "run_id: ${! json(\"run_id\") }"
	if strings.Contains(strings.Join(extra, "\n"), "session_id:") {
		id = ""
	}
	return fmt.Sprintf(`
happyrobot_run:
  api_key: test-key
  base_url: %s
  retry: {initial_interval: 5ms, max_interval: 50ms}
  poll_interval: 20ms
  %s
  %s`, url, id, strings.Join(extra, "\n  "))
}

func askRun(id string) string { return fmt.Sprintf(`{"run_id":%q,"kept":true}`, id) }

// pastRun is a run that is over, with all its outputs.
func pastRun(t *testing.T, srv *platform.Server, sessions ...string) string {
	t.Helper()
	id := arrive(t, srv, platform.Arrival{Fate: platform.Fate{Sessions: sessions, Extract: map[string]string{"confirmed": "true"}}})[0]
	srv.Sim.Advance(time.Hour)
	require.Eventually(t, func() bool { return platformStatus(t, srv.URL+"/runs/"+id) == http.StatusOK }, time.Minute, 5*time.Millisecond)
	return id
}

func attachedRun(t *testing.T, message map[string]any) map[string]any {
	t.Helper()
	assert.Empty(t, message["error"])
	run, _ := message["json"].(map[string]any)["run"].(map[string]any)
	require.NotNil(t, run, message["content"])
	return run
}

func TestMessagesAreEnrichedWithTheirRun(t *testing.T) {
	t.Parallel()
	srv := runsSim(t, platform.Options{})
	talk, missed := pastRun(t, srv, "missed", "completed"), pastRun(t, srv, "missed")
	s := run(t, parts{processors: []string{runYAML(srv.URL, "include: [sessions, transcript, recordings, outputs]", `outputs: ["AI Extract", "Incoming hook"]`)}})
	before := srv.Sim.RequestsOf("getRun")
	require.NoError(t, s.deliver(askRun(talk), askRun(missed), askRun("gone"), askRun("a/b"), askRun(talk)))
	out := s.out.all()
	require.Len(t, out, 5, "in their order")
	for _, n := range []int{0, 4} {
		found := attachedRun(t, out[n])
		assert.Equal(t, "complete", out[n]["@happyrobot_outcome"])
		assert.Equal(t, talk, out[n]["@happyrobot_run_id"])
		assert.Equal(t, "completed", out[n]["@happyrobot_run_status"])
		assert.Equal(t, talk, found["id"])
		assert.Equal(t, "completed", found["outcome"])
		assert.Len(t, found["sessions"], 2)
		assert.Len(t, found["recordings"], 1)
		assert.Contains(t, found["transcript"].(map[string]any)["text"], "user: ")
		outputs := found["outputs"].(map[string]any)
		assert.Equal(t, map[string]any{"confirmed": "true"}, outputs["AI Extract"])
		assert.NotContains(t, outputs["Incoming hook"], "headers", "they hold a key")
		assert.Equal(t, true, out[n]["json"].(map[string]any)["kept"])
	}
	assert.Equal(t, "missed", attachedRun(t, out[1])["outcome"], "the run is completed although nobody answered")
	assert.Equal(t, "not_found", out[2]["@happyrobot_outcome"])
	assert.Contains(t, out[2]["error"], "not_found: not_found: ")
	assert.NotContains(t, out[2]["json"], "run")
	assert.Equal(t, "rejected", out[3]["@happyrobot_outcome"])
	assert.Equal(t, "invalid_run_id", out[3]["@happyrobot_reason"])
	assert.Contains(t, out[3]["error"], "run_id: ")
	assert.Equal(t, 3, srv.Sim.RequestsOf("getRun")-before, "one for each run")
	assert.NotContains(t, s.logs.String(), platform.RecordingSignature)
}

func TestARunIsFoundByAnyOfItsSessions(t *testing.T) {
	t.Parallel()
	srv := runsSim(t, platform.Options{})
	id := pastRun(t, srv, "missed", "busy", "completed")
	probe := run(t, parts{processors: []string{runYAML(srv.URL)}})
	require.NoError(t, probe.deliver(askRun(id)))
	var messages []string
	for _, session := range attachedRun(t, probe.out.all()[0])["sessions"].([]any) {
		messages = append(messages, fmt.Sprintf(`{"session":%q}`, session.(map[string]any)["id"]))
	}
	require.Len(t, messages, 3)
	before := srv.Sim.RequestsOf("getRun")
	s := run(t, parts{processors: []string{runYAML(srv.URL, `session_id: ${! json("session") }`)}})
	require.NoError(t, s.deliver(append(messages, `{"session":"nowhere"}`, `{"session":"a b"}`)...))
	out := s.out.all()
	for _, message := range out[:3] {
		assert.Equal(t, id, attachedRun(t, message)["id"])
		assert.Equal(t, id, message["@happyrobot_run_id"])
		assert.NotEmpty(t, message["@happyrobot_session_id"])
	}
	assert.Equal(t, "not_found", out[3]["@happyrobot_outcome"])
	assert.Equal(t, "invalid_run_id", out[4]["@happyrobot_reason"])
	assert.Equal(t, 1, srv.Sim.RequestsOf("getRun")-before, "one run, however many sessions")
}

// The webhook comes when a session ends, and the extraction later: the run is waited for.
func TestTheEndOfARunIsWaitedFor(t *testing.T) {
	t.Parallel()
	srv := runsSim(t, platform.Options{Speed: 0.001, OutputDelay: -1})
	id := arrive(t, srv, platform.Arrival{Fate: platform.Fate{Sessions: []string{"completed"}, Talk: platform.Duration(30 * time.Second), Extract: map[string]string{"a": "b"}}})[0]
	require.Eventually(t, func() bool { return platformStatus(t, srv.URL+"/runs/"+id) == http.StatusOK }, time.Minute, 5*time.Millisecond)
	srv.Sim.Advance(20 * time.Second)
	taken := run(t, parts{processors: []string{runYAML(srv.URL)}})
	require.NoError(t, taken.deliver(askRun(id)))
	assert.Equal(t, "in-progress", attachedRun(t, taken.out.all()[0])["outcome"])
	assert.Equal(t, "not_ready", taken.out.all()[0]["@happyrobot_outcome"])

	short := run(t, parts{processors: []string{runYAML(srv.URL, "wait: finished", "wait_timeout: 50ms")}})
	require.NoError(t, short.deliver(askRun(id)))
	assert.Contains(t, short.out.all()[0]["error"], "not_ready: not_ready: after 50ms the end of the run is still missing")

	s := run(t, parts{processors: []string{runYAML(srv.URL, "wait: finished", "include: [sessions, outputs]", "outputs: [AI Extract]")}})
	done := make(chan error, 1)
	before := srv.Sim.RequestsOf("getRun")
	go func() { done <- s.deliver(askRun(id)) }()
	require.NoError(t, srv.Sim.AwaitRequests(soon(t), "getRun", before+3))
	srv.Sim.Advance(time.Hour)
	require.NoError(t, <-done)
	found := attachedRun(t, s.out.all()[0])
	assert.Equal(t, "completed", found["outcome"])
	assert.Equal(t, map[string]any{"AI Extract": map[string]any{"a": "b"}}, found["outputs"])
}

func TestFinishedRunsAreReadOnceWithACache(t *testing.T) {
	t.Parallel()
	srv := runsSim(t, platform.Options{Speed: 0.001})
	over := pastRun(t, srv, "completed")
	open := arrive(t, srv, platform.Arrival{})[0]
	require.Eventually(t, func() bool { return platformStatus(t, srv.URL+"/runs/"+open) == http.StatusOK }, time.Minute, 5*time.Millisecond)
	before := srv.Sim.RequestsOf("getRun")
	s := run(t, parts{processors: []string{runYAML(srv.URL, "cache: runs", "include: [sessions, recordings]")}, resources: "cache_resources:\n  - label: runs\n    memory: {}\n"})
	for range 3 {
		require.NoError(t, s.deliver(askRun(over), askRun(open)))
	}
	assert.Equal(t, 1+3, srv.Sim.RequestsOf("getRun")-before, "an open one is read each time")
	assert.Equal(t, 6, srv.Sim.RequestsOf("listRunRecordings"), "URLs expire")
	for _, message := range s.out.all() {
		assert.Contains(t, attachedRun(t, message), "recordings")
	}
}

func TestTroubleOfThePlatformPausesEnrichment(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fault platform.Fault
		url   func(string) string
		log   string
	}{
		"a refused key":     {platform.Fault{Kind: platform.Refuse, Operation: "*", Status: 401}, nil, "API request failed; retrying (setup)"},
		"another base path": {platform.Fault{}, func(url string) string { return strings.TrimSuffix(url, "/v2") }, "is at base_url"},
		"an outage":         {platform.Fault{Kind: platform.ErrorBefore, Operation: "*"}, nil, "API request failed; retrying (unanswered)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := runsSim(t, platform.Options{})
			id := pastRun(t, srv, "completed")
			url := srv.URL
			if tc.url != nil {
				url = tc.url(url)
			} else {
				srv.Sim.Inject(tc.fault)
			}
			s := run(t, parts{processors: []string{runYAML(url)}})
			done := make(chan error, 1)
			go func() { done <- s.deliver(askRun(id)) }()
			awaitLog(t, s, tc.log)
			assert.Empty(t, s.out.all())
			if tc.url != nil {
				return
			}
			srv.Sim.ClearFaults()
			require.NoError(t, <-done)
			assert.Equal(t, id, attachedRun(t, s.out.all()[0])["id"])
		})
	}
}
