package happyrobot_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

func TestAHooksIDIsMadeOfWhatMayNotRepeat(t *testing.T) {
	id := func(body string) string {
		e, err := happyrobot.ParseEvent([]byte(body))
		require.NoError(t, err)
		require.Equal(t, happyrobot.CallHook, e.Kind)
		return e.ID
	}
	base := id(`{"type":"end","call":{"id":"c","status":"No answer"}}`)
	assert.Equal(t, "c:end:No answer", base)
	assert.Equal(t, base, id(` {"call":{"status":"No answer","notes":["x"],"id":"c","extraction":null},"type":"end","at":1}`))
	found := id(`{"type":"end","call":{"id":"c","status":"No answer","extraction":{"a":1,"b":2}}}`)
	assert.True(t, strings.HasPrefix(found, base+":"), found)
	assert.Equal(t, found, id(`{"type":"end","call":{"id":"c","status":"No answer","extraction":{"b":2,"a":1}}}`))
	seen := map[string]bool{base: true, found: true}
	for _, other := range []string{
		`{"type":"start","call":{"id":"c","status":"No answer"}}`,
		`{"type":"end","call":{"id":"d","status":"No answer"}}`,
		`{"type":"end","call":{"id":"c","status":"Busy"}}`,
		`{"type":"end","call":{"id":"c","status":"No answer","extraction":{"a":1,"b":3}}}`,
		`{"type":"end","call":{"id":"c","status":"No answer","classification":{"a":1,"b":2}}}`,
		`{"type":"end","call":{"id":"c"}}`,
	} {
		assert.False(t, seen[id(other)], other)
		seen[id(other)] = true
	}
}

func TestEventsOfUnexpectedShape(t *testing.T) {
	e, err := happyrobot.ParseEvent([]byte(`{"specversion":"1.0","id":"1","type":"session.status_changed","data":{"status":"completed","run_id":"r"},"call":7}`))
	require.NoError(t, err)
	assert.Equal(t, "r", e.RunID, "a member of another type does not lose the rest")
	assert.Empty(t, e.Status)
	for body, want := range map[string]error{
		``: happyrobot.ErrNoJSON, `{`: happyrobot.ErrNoJSON, `{}{}`: happyrobot.ErrNoJSON,
		"{\"type\":\"end\",\"call\":{\"id\":\"\xff\"}}": happyrobot.ErrNoJSON,
		`{}`: happyrobot.ErrNoEvent, `[]`: happyrobot.ErrNoEvent, `null`: happyrobot.ErrNoEvent, `"x"`: happyrobot.ErrNoEvent,
		`{"type":"end","call":"x"}`: happyrobot.ErrNoEvent, `{"type":7,"call":{"id":"c"}}`: happyrobot.ErrNoEvent,
		`{"specversion":"1.0","id":7,"type":"t"}`: happyrobot.ErrNoEvent,
	} {
		_, err := happyrobot.ParseEvent([]byte(body))
		assert.ErrorIs(t, err, want, body)
	}
}

func FuzzEvents(f *testing.F) {
	for _, name := range []string{"webhook.call-hook-end.json", "webhook.session-status-changed.json"} {
		b, err := os.ReadFile(filepath.Join("testdata", name))
		require.NoError(f, err)
		f.Add(b)
	}
	f.Add([]byte(`{"type":"end","call":{"id":"c","extraction":[1e999]}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		e, err := happyrobot.ParseEvent(body)
		if err != nil {
			return
		}
		if e.ID == "" || e.Type == "" || e.Kind == "" {
			t.Fatalf("an event without %+v", e)
		}
		again, err := happyrobot.ParseEvent(e.Raw)
		if err != nil || again.ID != e.ID {
			t.Fatalf("taking out the secrets changed the event: %v", err)
		}
	})
}
