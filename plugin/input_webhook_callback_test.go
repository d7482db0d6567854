package plugin_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestACallbackOfAWorkflowBecomesAMessage(t *testing.T) {
	h := hook(t, "")
	body := example(t, "webhook.workflow-callback.json")
	a := h.pass(body)
	assert.Equal(t, body, a.content)
	id := a.meta["happyrobot_event_id"]
	assert.Regexp(t, "^[0-9a-f]{32}$", id)
	assert.Equal(t, map[string]string{
		"happyrobot_event_kind": "callback", "happyrobot_event_type": "completed",
		"happyrobot_event_id": id, "happyrobot_run_id": runOfPlatform,
	}, a.meta)

	a = h.pass(`{"run_id":"r","session_id":"s","status":"completed"}`)
	assert.NotContains(t, a.meta, "happyrobot_event_type", "not every author gives one")
	assert.NotContains(t, a.meta, "happyrobot_call_status", "a state of the author's is none of the API's")
	assert.Equal(t, "s", a.meta["happyrobot_session_id"])

	for _, none := range []string{`{"event_type":"completed"}`, `{"run_id":"a/b"}`, `{"run_id":7}`, `{"data":{"run_id":"r"}}`, `[{"run_id":"r"}]`} {
		got := h.post(none)
		assert.Equal(t, http.StatusBadRequest, got.status, none)
		assert.Contains(t, got.body, "run id", none)
	}
	h.nothing()
}

// Whatever was an event before callbacks were read is the same event, whatever it holds.
func TestARunIDMakesNoOtherEventACallback(t *testing.T) {
	h := hook(t, "")
	a := h.pass(`{"type":"end","run_id":"r","event_type":"completed","call":{"id":"c","status":"Completed"}}`)
	assert.Equal(t, map[string]string{
		"happyrobot_event_kind": "call_hook", "happyrobot_event_type": "end", "happyrobot_event_id": "c:end:Completed",
		"happyrobot_call_id": "c", "happyrobot_call_status": "Completed",
	}, a.meta)
	a = h.pass(`{"specversion":"1.0","id":"1","type":"session.status_changed","run_id":"top","data":{"run_id":"r","session_id":"s","status":{"current":"busy"}}}`)
	assert.Equal(t, map[string]string{
		"happyrobot_event_kind": "cloudevent", "happyrobot_event_type": "session.status_changed", "happyrobot_event_id": "1",
		"happyrobot_run_id": "r", "happyrobot_session_id": "s", "happyrobot_call_status": "busy",
	}, a.meta)
}

func TestTheRunIDIsWhereRunIDPathSays(t *testing.T) {
	h := hook(t, "", "run_id_path: data.run_id")
	a := h.pass(`{"event":"done","run_id":"top","data":{"run_id":"r","answer":"yes"}}`)
	assert.Equal(t, "r", a.meta["happyrobot_run_id"])
	assert.Equal(t, "done", a.meta["happyrobot_event_type"])
	assert.Equal(t, http.StatusBadRequest, h.post(`{"run_id":"r"}`).status)

	none := hook(t, "", `run_id_path: ""`)
	assert.Equal(t, http.StatusBadRequest, none.post(`{"run_id":"r","":"r"}`).status)
	none.nothing()
}

func TestACallbackIsKnownByItsRunAndType(t *testing.T) {
	resources := fmt.Sprintf("cache_resources:\n  - label: events\n    bbolt: {path: %q}\n", filepath.Join(t.TempDir(), "events.db"))
	t.Run("first", func(t *testing.T) {
		h := hook(t, resources, "cache: events")
		for _, event := range []string{
			`{"run_id":"a","event_type":"running"}`,
			`{"run_id":"a","event_type":"completed","at":1}`,
			`{"run_id":"b","event_type":"completed"}`,
			`{"run_id":"a","answer":"yes"}`,
			`{"run_id":"a","answer":"no"}`,
			`{"run_id":"a","event_type":"log","data":1}`,
			`{"run_id":"a","event_type":"log","data":2}`,
		} {
			h.pass(event)
		}
	})
	t.Run("again", func(t *testing.T) {
		h := hook(t, resources, "cache: events")
		for _, event := range []string{
			`{"run_id":"a","event_type":"completed","at":2}`,
			`{"event_type":"completed","run_id":"b","data":{}}`,
			`{"answer":"yes","run_id":"a"}`,
			`{"run_id":"a","event_type":"log","data":2}`,
		} {
			assert.Equal(t, http.StatusOK, h.post(event).status)
		}
		h.nothing()

		// One that was not taken is good for another try.
		done := h.send(`{"run_id":"c","event_type":"completed"}`)
		h.next().nack()
		assert.Equal(t, http.StatusServiceUnavailable, (<-done).status)
		h.pass(`{"run_id":"c","event_type":"completed"}`)
	})
}

// The callbacks of all runs of such a workflow have one id: none of them is another's.
func TestAPlaceholderForARunIDSwallowsNoCallback(t *testing.T) {
	h := hook(t, "cache_resources:\n  - label: events\n    memory: {}\n", "cache: events")
	for _, id := range []string{"undefined", "{{run_id}}"} {
		for lead := range 3 {
			h.pass(fmt.Sprintf(`{"run_id":%q,"event_type":"completed","lead":%d}`, id, lead))
		}
	}
	assert.Equal(t, http.StatusOK, h.post(`{"lead":1,"run_id":"undefined","event_type":"completed"}`).status)
	h.nothing()
	assert.Equal(t, 1, strings.Count(h.logs.String(), "placeholder"))
	assert.NotContains(t, h.logs.String(), "undefined")
}

func TestABadRunIDPathIsRefusedAtTheStart(t *testing.T) {
	t.Parallel()
	for _, path := range []string{".", "a..b", ".a", "a.", "a b"} {
		b := service.NewStreamBuilder()
		require.NoError(t, b.SetLoggerYAML("level: none"))
		b.DisableLinting()
		require.NoError(t, b.SetYAML(fmt.Sprintf("input: { happyrobot_webhook: { address: 127.0.0.1:0, secret: s, run_id_path: %q } }\noutput: { drop: {} }\n", path)))
		stream, err := b.Build()
		if err == nil {
			err = stream.Run(t.Context())
		}
		assert.ErrorContains(t, err, "run_id_path", path)
	}
}
