package plugin_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim/platform"
)

// runsSim starts a pretend platform.
func runsSim(t *testing.T, opts platform.Options) *platform.Server {
	t.Helper()
	srv, err := platform.Listen("127.0.0.1:0", opts)
	require.NoError(t, err)
	t.Cleanup(func() { _ = srv.Close() })
	return srv
}

func arrive(t *testing.T, srv *platform.Server, a platform.Arrival) []string {
	t.Helper()
	ids, err := srv.Sim.Arrive(a)
	require.NoError(t, err)
	return ids
}

func runsYAML(url string, extra ...string) string {
	workflows := "workflows: [" + platform.DefaultWorkflow + "]"
	if slices.ContainsFunc(extra, func(line string) bool { return strings.HasPrefix(line, "workflows:") }) {
		workflows = ""
	}
	return fmt.Sprintf(`
happyrobot_runs:
  api_key: test-key
  base_url: %s
  cache: cursor
  poll_interval: 20ms
  retry: {initial_interval: 5ms, max_interval: 50ms}
  %s
  %s`, url, workflows, strings.Join(extra, "\n  "))
}

// runsOf are delivered messages by run id; each must be another run.
func (s *source) runs(n int) map[string]map[string]any {
	s.t.Helper()
	return s.by(n, "happyrobot_run_id")
}

// by waits for n messages, and tells them by a metadata that differs.
func (s *source) by(n int, name string) map[string]map[string]any {
	s.t.Helper()
	require.Eventually(s.t, func() bool { return len(s.delivered()) >= n }, time.Minute, 5*time.Millisecond, "%d messages", n)
	found := map[string]map[string]any{}
	for _, msg := range s.delivered() {
		v, err := msg.AsStructured()
		require.NoError(s.t, err)
		id, _ := msg.MetaGet(name)
		assert.NotContains(s.t, found, id, "delivered twice")
		found[id] = v.(map[string]any)
	}
	require.Len(s.t, found, n)
	return found
}

func (s *source) meta(name string) (values []string) {
	for _, msg := range s.delivered() {
		value, _ := msg.MetaGet(name)
		values = append(values, value)
	}
	return values
}

func TestFinishedRunsAreStreamedWithWhatBelongsToThem(t *testing.T) {
	t.Parallel()
	srv := runsSim(t, platform.Options{Speed: 600})
	srv.Sim.Advance(24 * time.Hour)
	redialed := arrive(t, srv, platform.Arrival{Ago: platform.Duration(2 * time.Hour), Fate: platform.Fate{Sessions: []string{"missed", "completed"}, Extract: map[string]string{"confirmed": "true"}}})[0]
	unanswered := arrive(t, srv, platform.Arrival{Ago: platform.Duration(time.Hour), Fate: platform.Fate{Sessions: []string{"missed"}}})[0]
	live := arrive(t, srv, platform.Arrival{Count: 30})
	s := read(t, runsYAML(srv.URL, "include: [sessions, transcript, recordings, outputs]", "outputs: [AI Extract]", "include_timeout: 2s"), memoryCursor, nil)
	runs := s.runs(32)
	truth := map[string]platform.RunRecord{}
	for _, r := range srv.Sim.Runs() {
		truth[r.ID] = r
	}
	for _, id := range append(live, redialed, unanswered) {
		require.Contains(t, runs, id)
		assert.Equal(t, truth[id].EndsAs, runs[id]["status"])
		if truth[id].Outcome != "" {
			assert.Equal(t, truth[id].Outcome, runs[id]["outcome"], "of the last session, not of the run")
		} else {
			assert.NotContains(t, runs[id], "outcome")
		}
		assert.Len(t, runs[id]["sessions"], len(truth[id].Sessions))
		assert.NotEmpty(t, runs[id]["workflow_id"])
		assert.Contains(t, runs[id], "data", "the columns of the list")
	}
	talk := runs[redialed]
	assert.Equal(t, "completed", talk["outcome"])
	assert.Equal(t, "missed", talk["sessions"].([]any)[0].(map[string]any)["status"], "from the oldest on")
	assert.Equal(t, map[string]any{"confirmed": "true"}, talk["outputs"].(map[string]any)["AI Extract"])
	text := talk["transcript"].(map[string]any)["text"].(string)
	assert.Contains(t, text, "user: ")
	assert.NotContains(t, text, "Thoughts")
	assert.NotEmpty(t, talk["recordings"].([]any)[0].(map[string]any)["url"])
	assert.Equal(t, "completed", runs[unanswered]["status"], "although nobody answered")
	assert.Equal(t, "missed", runs[unanswered]["outcome"])
	for _, level := range []string{"level=WARN", "level=ERROR"} {
		assert.NotContains(t, s.logs.String(), level, "silence when all is well")
	}
}

// The extraction is there only some time after the end of the run, when its session is
// long over.
func TestLateOutputsAreWaitedForWithinABound(t *testing.T) {
	t.Parallel()
	srv := runsSim(t, platform.Options{Speed: 100, OutputDelay: 100 * time.Second})
	extracted := arrive(t, srv, platform.Arrival{Fate: platform.Fate{Sessions: []string{"completed"}, Extract: map[string]string{"a": "b"}}})[0]
	without := arrive(t, srv, platform.Arrival{Fate: platform.Fate{Sessions: []string{"voicemail"}}})[0]
	s := read(t, runsYAML(srv.URL, "include: [sessions, outputs]", "outputs: [AI Extract]", "include_timeout: 10s"), memoryCursor, nil)
	runs := s.runs(2)
	assert.Equal(t, map[string]any{"AI Extract": map[string]any{"a": "b"}}, runs[extracted]["outputs"])
	assert.Equal(t, map[string]any{}, runs[without]["outputs"])
	assert.Equal(t, "voicemail", runs[without]["outcome"])
	for i, id := range s.meta("happyrobot_run_id") {
		assert.Equal(t, map[string]string{extracted: "complete", without: "not_ready"}[id], s.meta("happyrobot_outcome")[i])
	}
}

// In a history what is missing does not come, and is not waited for.
func TestAHistoryIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	srv := runsSim(t, platform.Options{Speed: 60})
	arrive(t, srv, platform.Arrival{Count: 150, Ago: platform.Duration(20 * time.Hour), Every: platform.Duration(time.Minute), Fate: platform.Fate{Sessions: []string{"busy"}}})
	newest := arrive(t, srv, platform.Arrival{})[0] // shows the API's clock, once it is listed
	require.Eventually(t, func() bool { return platformStatus(t, srv.URL+"/runs/"+newest) == http.StatusOK }, time.Minute, 5*time.Millisecond)
	s := read(t, runsYAML(srv.URL, "include: [sessions, outputs]", "outputs: [AI Extract]", "include_timeout: 1h"), memoryCursor, nil)
	require.Eventually(t, func() bool { return len(s.delivered()) >= 150 }, time.Minute, 5*time.Millisecond)
	assert.Equal(t, "not_ready", s.meta("happyrobot_outcome")[0])
}

// A run that was canceled before its start has no completed_at.
func TestARunCanceledWhileScheduledIsEmitted(t *testing.T) {
	t.Parallel()
	srv := runsSim(t, platform.Options{Speed: 1, Concurrent: 1})
	waiting := trigger(t, srv, 5)
	s := read(t, runsYAML(srv.URL), memoryCursor, nil)
	cancelRun(t, srv, waiting[4])
	runs := s.runs(1)
	require.Contains(t, runs, waiting[4])
	assert.Equal(t, "canceled", runs[waiting[4]]["status"])
	assert.Nil(t, runs[waiting[4]]["completed_at"])
	assert.NotContains(t, runs[waiting[4]], "outcome", "there was no session")
}

func TestOnlyWantedEnvironmentsAndNoTestsAreEmitted(t *testing.T) {
	t.Parallel()
	flows := []platform.Workflow{{Slug: "calls", Environments: []string{"production", "staging", "development"}}}
	srv := runsSim(t, platform.Options{Speed: 600, Workflows: flows})
	ids := map[string]string{}
	for _, environment := range []string{"production", "staging", "development"} {
		for _, e2e := range []bool{false, true} {
			ids[fmt.Sprint(environment, e2e)] = arrive(t, srv, platform.Arrival{Environment: environment, E2E: e2e})[0]
		}
	}
	srv.Sim.Advance(time.Hour)
	last := arrive(t, srv, platform.Arrival{})[0]
	srv.Sim.Advance(time.Hour)
	byDefault := read(t, runsYAML(srv.URL, "workflows: [calls]"), memoryCursor, nil)
	runs := byDefault.runs(2)
	assert.Contains(t, runs, ids["productionfalse"])
	assert.Contains(t, runs, last)

	both := read(t, runsYAML(srv.URL, "workflows: [calls]", "environments: [Staging, development]"), memoryCursor, nil)
	runs = both.runs(2)
	assert.Contains(t, runs, ids["stagingfalse"])
	assert.Contains(t, runs, ids["developmentfalse"])
}

func TestEachSessionIsAMessageOnRequest(t *testing.T) {
	t.Parallel()
	srv := runsSim(t, platform.Options{Speed: 600})
	redialed := arrive(t, srv, platform.Arrival{Fate: platform.Fate{Sessions: []string{"missed", "busy", "completed"}}})[0]
	arrive(t, srv, platform.Arrival{Payload: map[string]any{"phone_number": "nobody"}}) // fails before any session
	once := arrive(t, srv, platform.Arrival{Fate: platform.Fate{Sessions: []string{"voicemail"}}})[0]
	cache := bboltCursor(t)
	s := read(t, runsYAML(srv.URL, "emit: session", "include: [sessions, transcript, recordings]"), cache, nil)
	sessions := s.by(4, "happyrobot_session_id")
	var outcomes []string
	for _, msg := range s.delivered() {
		id, _ := msg.MetaGet("happyrobot_session_id")
		run, _ := msg.MetaGet("happyrobot_run_id")
		one := sessions[id]
		require.Len(t, one["sessions"], 1)
		assert.Equal(t, id, one["sessions"].([]any)[0].(map[string]any)["id"])
		assert.Equal(t, run, one["id"])
		for _, recording := range one["recordings"].([]any) {
			assert.Equal(t, id, recording.(map[string]any)["session_id"])
		}
		if run == redialed {
			outcomes = append(outcomes, one["outcome"].(string))
		} else {
			assert.Equal(t, once, run)
		}
	}
	assert.Equal(t, []string{"missed", "busy", "completed"}, outcomes)
	// A run without a session gives nothing, and is done with.
	s.stop()
	again := read(t, runsYAML(srv.URL, "emit: session"), cache, nil)
	more := arrive(t, srv, platform.Arrival{Fate: platform.Fate{Sessions: []string{"busy"}}})[0]
	require.Eventually(t, func() bool { return len(again.delivered()) > 0 }, time.Minute, 5*time.Millisecond)
	assert.Equal(t, []string{more}, again.meta("happyrobot_run_id"))
}

func TestChangesOfRunsAreStreamedWithTheStatusBefore(t *testing.T) {
	t.Parallel()
	srv := runsSim(t, platform.Options{Speed: 0.001})
	id := trigger(t, srv, 1)[0]
	s := read(t, runsYAML(srv.URL, "emit: changes"), memoryCursor, nil)
	for n := range 3 {
		require.Eventually(t, func() bool { return len(s.delivered()) > n }, time.Minute, 5*time.Millisecond)
		srv.Sim.Advance([]time.Duration{3 * time.Second, time.Hour, 0}[n])
	}
	assert.Equal(t, []string{id, id, id}, s.meta("happyrobot_run_id"))
	last := s.meta("happyrobot_run_status")[2]
	assert.Equal(t, []string{"scheduled", "running", last}, s.meta("happyrobot_run_status"))
	assert.Equal(t, []string{"", "scheduled", "running"}, s.meta("happyrobot_previous_status"))
	assert.Equal(t, []string{"not_ready", "not_ready", "complete"}, s.meta("happyrobot_outcome"))
}

// Each workflow has a cursor: one that is added later begins at start_from, and the others
// go on where they were.
func TestEachWorkflowHasACursorOfItsOwn(t *testing.T) {
	t.Parallel()
	flows := []platform.Workflow{{Slug: "one"}, {Slug: "two"}}
	srv := runsSim(t, platform.Options{Speed: 600, Workflows: flows})
	cache := bboltCursor(t)
	for _, flow := range flows {
		arrive(t, srv, platform.Arrival{Workflow: flow.Slug, Count: 10})
	}
	srv.Sim.Advance(time.Hour)
	s := read(t, runsYAML(srv.URL, "workflows: [one]"), cache, nil)
	s.runs(10)
	s.stop()
	s = read(t, runsYAML(srv.URL, "workflows: [one, two]"), cache, nil)
	runs := s.runs(10)
	for _, r := range srv.Sim.Runs() {
		assert.Equal(t, r.Workflow == "two", runs[r.ID] != nil)
	}
}

// Runs end and show up in any order, and the stream is stopped again and again with
// messages that nobody acknowledged: none is lost, and what was delivered never comes again.
func TestRestartsLoseNoRunAndRepeatOnlyWhatWasNotAcknowledged(t *testing.T) {
	t.Parallel()
	srv := runsSim(t, platform.Options{Speed: 300, Visibility: 500 * time.Millisecond, Concurrent: -1})
	cache := bboltCursor(t)
	delivered := map[string]int{}
	life := func(enough int) {
		var mu sync.Mutex
		left := enough
		s := read(t, runsYAML(srv.URL, "page_size: 20"), cache, func(string) error {
			mu.Lock()
			defer mu.Unlock()
			if left--; left < 0 {
				return errors.New("the output is gone")
			}
			return nil
		})
		require.Eventually(t, func() bool { return len(s.delivered()) >= enough }, time.Minute, 5*time.Millisecond)
		s.stop()
		for _, id := range s.meta("happyrobot_run_id") {
			delivered[id]++
		}
	}
	total := 0
	for n := range 3 {
		trigger(t, srv, 25)
		total += 25
		life(5 + 5*n)
	}
	for _, n := range delivered {
		total -= n
	}
	life(total)
	for _, r := range srv.Sim.Runs() {
		assert.Equal(t, 1, delivered[r.ID], r.ID)
	}
}

func TestARejectedRunComesAgain(t *testing.T) {
	t.Parallel()
	for _, replay := range []bool{true, false} {
		t.Run(fmt.Sprintf("auto_replay_nacks %v", replay), func(t *testing.T) {
			t.Parallel()
			srv := runsSim(t, platform.Options{Speed: 600})
			arrive(t, srv, platform.Arrival{Count: 10})
			srv.Sim.Advance(time.Hour)
			var mu sync.Mutex
			refused := 0
			s := read(t, runsYAML(srv.URL, fmt.Sprint("auto_replay_nacks: ", replay)), memoryCursor, func(string) error {
				mu.Lock()
				defer mu.Unlock()
				if refused++; refused <= 20 {
					return errors.New("not the first times")
				}
				return nil
			})
			s.runs(10)
			read := srv.Sim.RequestsOf("listRunSessions")
			if replay {
				assert.Equal(t, 10, read, "as it was")
			} else {
				assert.Equal(t, 30, read, "as the API reports it by then")
			}
		})
	}
}
