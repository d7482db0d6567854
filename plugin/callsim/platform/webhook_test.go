package platform_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim/platform"
)

// receiver keeps what it was sent, by path.
type receiver struct {
	*httptest.Server
	status int

	mu     sync.Mutex
	bodies map[string][]object
	header http.Header // of the last
}

func receive(t *testing.T, status int) *receiver {
	t.Helper()
	r := &receiver{status: status, bodies: map[string][]object{}}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		var body object
		b, _ := io.ReadAll(req.Body)
		_ = json.Unmarshal(b, &body)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.bodies[req.URL.Path], r.header = append(r.bodies[req.URL.Path], body), req.Header
		w.WriteHeader(r.status)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) got(path string) []object {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]object{}, r.bodies[path]...)
}

// quiet waits until no event is under way of at least so many.
func quiet(t *testing.T, sim *platform.Sim, events int) platform.WebhookStats {
	t.Helper()
	var stats platform.WebhookStats
	require.Eventually(t, func() bool {
		stats = sim.WebhookStats()
		return stats.Events >= events && stats.Taken+stats.GivenUp+stats.Lost == stats.Events
	}, time.Minute, 5*time.Millisecond)
	return stats
}

func TestSessionsAreToldWithoutWhoIsCalled(t *testing.T) {
	to := receive(t, 200)
	sim := platform.New(platform.Options{Speed: 1e-6, Webhooks: platform.Webhooks{SessionURL: to.URL + "/s", Secret: "s3cret"}})
	t.Cleanup(sim.Close)
	ids, err := sim.Arrive(platform.Arrival{Payload: object{"dial_ref": "ref-1"}, Fate: platform.Fate{Sessions: []string{"missed", "completed"}}})
	require.NoError(t, err)
	quiet(t, sim, 0)
	for step := 1; step <= 4; step++ {
		sim.Advance([]time.Duration{0, 4 * time.Second, 20 * time.Second, 20 * time.Second, time.Hour}[step])
		quiet(t, sim, []int{0, 1, 2, 3, 4}[step]) // what is leapt over is told once
	}
	assert.Equal(t, "s3cret", to.header.Get("x-api-key"))
	sessions := map[any][]any{}
	for _, event := range to.got("/s") {
		data := event["data"].(object)
		assert.Equal(t, ids[0], data["run_id"])
		sessions[data["session_id"]] = append(sessions[data["session_id"]], data["status"].(object)["current"])
		text, _ := json.Marshal(event)
		assert.NotContains(t, string(text), "+1202555")
		assert.NotContains(t, string(text), "ref-1")
	}
	assert.Len(t, sessions, 2)
}

func TestEventsAreTwiceLateOrLost(t *testing.T) {
	to := receive(t, 200)
	// told gives the ids of the events, and how many came before one that was told earlier of
	// the same session.
	told := func(w platform.Webhooks) (stats platform.WebhookStats, ids []any, early int) {
		w.SessionURL = to.URL + "/s"
		to.mu.Lock()
		clear(to.bodies)
		to.mu.Unlock()
		sim := platform.New(platform.Options{Seed: 7, Speed: 1e-6, Webhooks: w})
		defer sim.Close()
		_, err := sim.Arrive(platform.Arrival{Count: 40})
		require.NoError(t, err)
		sim.Advance(4 * time.Second)
		require.Eventually(t, func() bool {
			stats := sim.WebhookStats()
			return stats.Events == 40 && (w.Late > 0 && stats.Taken > 0 || stats.Taken+stats.Lost == 40)
		}, time.Minute, time.Millisecond)
		sim.Advance(2 * time.Second)
		stats = quiet(t, sim, 80)
		sim.Close()
		last := map[any]string{}
		for _, event := range to.got("/s") {
			session, id := event["data"].(object)["session_id"], event["id"].(string)
			if id < last[session] {
				early++
			}
			last[session] = id
			ids = append(ids, id)
		}
		return stats, ids, early
	}
	stats, ids, early := told(platform.Webhooks{Twice: 0.5})
	assert.Equal(t, 80, stats.Taken)
	assert.Greater(t, len(ids), 80)
	assert.Zero(t, early)
	stats, ids, _ = told(platform.Webhooks{Lost: 0.5})
	assert.Positive(t, stats.Lost)
	assert.Len(t, ids, 80-stats.Lost)
	_, ids, early = told(platform.Webhooks{Late: 0.5})
	assert.Len(t, ids, 80)
	assert.Positive(t, early)
}

func TestAWorkflowCallsBackBeforeItsRunIsOver(t *testing.T) {
	to := receive(t, 500)
	sim := platform.New(platform.Options{Speed: 1e-6, Visibility: -1, Webhooks: platform.Webhooks{
		CallbackURL: to.URL + "/all", CallbackField: "callback_url", RunIDPath: "current.run_id", Attempts: 2, Pause: time.Millisecond,
	}})
	t.Cleanup(sim.Close)
	for _, number := range []string{"+12025550101", "+12025550102"} {
		sim.Decide(number, platform.Fate{Sessions: []string{"busy"}})
	}
	_, answer := serve(t, sim, "POST", runsPath, `{"payload":{"phone_number":"+12025550101","dial_ref":"ref-1","lead":7}}`)
	serve(t, sim, "POST", runsPath, `{"payload":{"phone_number":"+12025550102","callback_url":"`+to.URL+`/own"}}`)
	serve(t, sim, "POST", runsPath, `{"payload":{"phone_number":"call me"}}`)
	sim.Advance(13500 * time.Millisecond) // 2s scheduled, 1s, 6s busy, 5s to its end
	stats := quiet(t, sim, 3)
	assert.Equal(t, platform.WebhookStats{Events: 3, GivenUp: 3, Requests: 6}, stats, "nothing else came of a 500")
	assert.Equal(t, "running", sim.Runs()[0].Status)
	assert.Len(t, to.got("/own"), 2)
	kinds := map[any]int{}
	for _, posted := range to.got("/all") {
		kinds[posted["event_type"]]++
		if posted["current"].(object)["run_id"] == idOf(t, answer) {
			assert.Equal(t, "ref-1", posted["dial_ref"])
			assert.Equal(t, object{"phone_number": "+12025550101", "lead": 7.0, "outcome": "busy"}, posted["data"])
		}
	}
	assert.Equal(t, map[any]int{"completed": 2, "failed": 2}, kinds)
}
