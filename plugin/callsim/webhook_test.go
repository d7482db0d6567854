package callsim_test

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

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
)

// receiver keeps what it is told, and answers as asked.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	bodies [][]byte
	secret []string
	answer func(n int) int // status of the nth request
}

func receive(t *testing.T, answer func(n int) int) *receiver {
	t.Helper()
	r := &receiver{answer: answer}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.bodies, r.secret = append(r.bodies, body), append(r.secret, req.Header.Get("X-Test-Secret"))
		w.WriteHeader(r.answer(len(r.bodies)))
	}))
	t.Cleanup(r.Close)
	return r
}

func always(status int) func(int) int { return func(int) int { return status } }

func settled(t *testing.T, sim *callsim.Sim, events int) callsim.WebhookStats {
	t.Helper()
	require.Eventually(t, func() bool {
		st := sim.WebhookStats()
		return st.Events == events && st.Taken+st.GivenUp == events
	}, 10*time.Second, 5*time.Millisecond, "%d events", events)
	return sim.WebhookStats()
}

func TestWebhooksTellTheChangesOfCalls(t *testing.T) {
	hooks, sessions := receive(t, always(200)), receive(t, always(204))
	srv := listen(t, callsim.Options{Speed: 0.0001, Webhooks: callsim.Webhooks{
		CallURL: hooks.URL, SessionURL: sessions.URL, Header: "X-Test-Secret", Secret: "s3",
	}})
	_, err := srv.Sim.Arrive(callsim.Arrival{Talk: callsim.Duration(time.Minute), EndsAs: "Completed", Call: json.RawMessage(`{"metadata":{"lead":"l1"}}`)})
	require.NoError(t, err)
	settled(t, srv.Sim, 1) // queued
	srv.Sim.Advance(20 * time.Second)
	settled(t, srv.Sim, 3) // start, in-progress
	srv.Sim.Advance(time.Hour)
	settled(t, srv.Sim, 5) // end, completed
	ask(t, http.MethodPost, srv.URL+"/dial/outbound-batched", batch(1))
	settled(t, srv.Sim, 6)
	srv.Sim.Advance(time.Hour)
	st := settled(t, srv.Sim, 9) // start and end at once, and the last
	assert.Equal(t, callsim.WebhookStats{Events: 9, Taken: 9, Requests: 9}, st)

	type hook struct {
		Type string
		Call struct {
			ID, Status, Type string
			Metadata         struct{ Custom map[string]string }
		}
	}
	told := map[string][]string{}
	for i, body := range hooks.bodies {
		var h hook
		require.NoError(t, json.Unmarshal(body, &h))
		told[h.Call.ID] = append(told[h.Call.ID], h.Type+" "+h.Call.Status)
		assert.NotEmpty(t, h.Call.Metadata.Custom["lead"])
		assert.Equal(t, "s3", hooks.secret[i])
	}
	calls := srv.Sim.Calls()
	assert.Equal(t, []string{"start In progress", "end Completed"}, told[calls[0].ID])
	assert.ElementsMatch(t, []string{"start Initiated", "end " + calls[1].Status}, told[calls[1].ID])

	var first []string
	ids := map[string]bool{}
	for _, body := range sessions.bodies {
		var e struct {
			ID   string
			Data struct {
				SessionID string `json:"session_id"`
				Status    struct{ Previous, Current string }
			}
		}
		require.NoError(t, json.Unmarshal(body, &e))
		ids[e.ID] = true
		if len(first) < 3 {
			first = append(first, e.Data.Status.Previous+">"+e.Data.Status.Current)
		}
	}
	assert.Equal(t, []string{">queued", "queued>in-progress", "in-progress>completed"}, first)
	assert.Len(t, ids, 5, "each event has an id of its own")
}

func TestWebhooksAreRepeatedUntilTakenAndMayComeTwice(t *testing.T) {
	r := receive(t, func(n int) int {
		if n < 3 {
			return 503
		}
		return 200
	})
	sim := callsim.New(callsim.Options{Speed: 0.0001, Webhooks: callsim.Webhooks{SessionURL: r.URL, Pause: time.Millisecond, Twice: 1}})
	t.Cleanup(sim.Close)
	_, err := sim.Arrive(callsim.Arrival{})
	require.NoError(t, err)
	settled(t, sim, 1)
	assert.Len(t, r.bodies, 4, "twice refused, taken, and sent again")
	for _, body := range r.bodies {
		assert.Equal(t, r.bodies[0], body, "the same event, id included")
	}
}

func TestWebhooksAreGivenUpAndEndWithTheSim(t *testing.T) {
	r := receive(t, always(500))
	sim := callsim.New(callsim.Options{Speed: 0.0001, Webhooks: callsim.Webhooks{CallURL: r.URL, Pause: time.Millisecond, Attempts: 2}})
	_, err := sim.Arrive(callsim.Arrival{Count: 20})
	require.NoError(t, err)
	sim.Advance(time.Hour)
	assert.Equal(t, callsim.WebhookStats{Events: 40, GivenUp: 40, Requests: 80}, settled(t, sim, 40))

	sim.Close()
	sim.Close()
	_, err = sim.Arrive(callsim.Arrival{})
	require.NoError(t, err)
	sim.Advance(time.Hour)
	assert.Equal(t, 40, sim.WebhookStats().Events, "nobody looks any more")
}
