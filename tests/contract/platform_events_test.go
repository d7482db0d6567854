package contract

import (
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

func parse(t *testing.T, duration string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(duration)
	require.NoError(t, err)
	return d
}

func TestThePlatformsWebhooksKeepTheContract(t *testing.T) {
	c, err := loadPlatform()
	require.NoError(t, err)
	var mu sync.Mutex
	bodies := map[string][][]byte{}
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		mu.Lock()
		defer mu.Unlock()
		bodies[req.URL.Path[1:]] = append(bodies[req.URL.Path[1:]], body)
	}))
	t.Cleanup(receiver.Close)
	const session, callback = "session.status_changed", "workflow.callback"
	sim := platform.New(platform.Options{Seed: 7, Speed: 0.001, Webhooks: platform.Webhooks{SessionURL: receiver.URL + "/" + session, CallbackURL: receiver.URL + "/" + callback}})
	t.Cleanup(sim.Close)
	outcomes := []string{"completed", "busy", "missed", "voicemail", "failed", "canceled"}
	for _, outcome := range outcomes {
		_, err := sim.Arrive(platform.Arrival{Count: 10, Payload: map[string]any{"dial_ref": "r1"}, Fate: platform.Fate{Sessions: []string{outcome}}})
		require.NoError(t, err)
	}
	took := func(webhook string, n int) {
		t.Helper()
		require.Eventually(t, func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(bodies[webhook]) == n
		}, time.Minute, 5*time.Millisecond, webhook)
	}
	sim.Advance(4 * time.Second) // each has a session, which is queued
	took(session, 60)
	sim.Advance(2 * time.Second)
	took(session, 120)
	sim.Advance(time.Hour)
	took(session, 180)
	took(callback, 60)
	sim.Close()
	receiver.Close() // waits for the handlers: one may still be storing an event

	for webhook, all := range bodies {
		for _, body := range all {
			assert.True(t, c.told(t, webhook, body), string(body))
		}
		assert.False(t, c.told(t, webhook, []byte(`{"type":"end"}`)), "a contract that nothing can break proves nothing")
	}
}
