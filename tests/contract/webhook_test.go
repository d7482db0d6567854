package contract

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
)

// told holds a webhook's body against the description.
func (c *contract) told(t *testing.T, webhook string, body []byte) bool {
	t.Helper()
	require.NotNil(t, c.webhooks[webhook], webhook)
	ok, problems := c.schemas.ValidateSchemaBytes(c.webhooks[webhook], body)
	for _, p := range problems {
		t.Logf("%s: %v", webhook, p)
	}
	return ok
}

func TestWebhooksKeepTheContract(t *testing.T) {
	c := loaded(t)
	var mu sync.Mutex
	bodies := map[string][][]byte{}
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		mu.Lock()
		defer mu.Unlock()
		bodies[req.URL.Path[1:]] = append(bodies[req.URL.Path[1:]], body)
	}))
	t.Cleanup(receiver.Close)
	sim := callsim.New(callsim.Options{Seed: 7, Speed: 0.001, Webhooks: callsim.Webhooks{CallURL: receiver.URL + "/callHook", SessionURL: receiver.URL + "/sessionStatusChanged"}})
	t.Cleanup(sim.Close)
	_, err := sim.Arrive(callsim.Arrival{Type: "Outbound", Count: 60, Call: json.RawMessage(`{"metadata":{"dial_ref":"r1"},"params":{"slot":"10:00"}}`)})
	require.NoError(t, err)
	for _, ended := range []string{"Completed", "No answer", "Busy", "AMD Terminated", "Failed", "Transferred"} {
		_, err := sim.Arrive(callsim.Arrival{EndsAs: ended})
		require.NoError(t, err)
	}
	taken := func(least int) {
		t.Helper()
		require.Eventually(t, func() bool { return sim.WebhookStats().Taken >= least }, time.Minute, 5*time.Millisecond)
	}
	taken(66) // queued
	sim.Advance(16 * time.Second)
	taken(2 * 66) // started
	sim.Advance(time.Hour)
	require.Eventually(t, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(bodies["callHook"]) == 2*66 && len(bodies["sessionStatusChanged"]) >= 2*66
	}, time.Minute, 5*time.Millisecond)
	sim.Close()
	receiver.Close() // waits for the handlers: one may still be storing an event

	for webhook, all := range bodies {
		for _, body := range all {
			assert.True(t, c.told(t, webhook, body), string(body))
		}
	}
	for webhook, file := range map[string]string{"callHook": "webhook.call-hook-end.json", "sessionStatusChanged": "webhook.session-status-changed.json"} {
		example, err := os.ReadFile("../../plugin/happyrobot/testdata/" + file)
		require.NoError(t, err)
		assert.True(t, c.told(t, webhook, example), file)
		assert.False(t, c.told(t, webhook, []byte(`{"type":"end"}`)), "a contract that nothing can break proves nothing")
	}
}
