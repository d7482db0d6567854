package plugin_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
)

func decodeObject(t *testing.T, text string) (object map[string]any) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(text), &object))
	return object
}

func TestAnEndThatCarriesTheTalkHasItsText(t *testing.T) {
	h := hook(t, "")
	a := h.pass(example(t, "webhook.call-hook-end.json"))

	event := decodeObject(t, a.content)
	transcript := event["transcript"].(map[string]any)
	assert.Equal(t, map[string]any{
		"call_id": "65ee00000000000000000101",
		"text": "assistant: Hello, this is Kim about your delivery tomorrow at ten. Does that suit you?\nuser: Yes, ten is fine.\n" +
			"assistant: One moment.\nassistant: It is booked. Goodbye.",
	}, transcript)
	delete(event, "transcript")
	want := decodeObject(t, example(t, "webhook.call-hook-end.json"))
	delete(want["call"].(map[string]any)["assistant"].(map[string]any)["hook"].(map[string]any), "headers")
	assert.Equal(t, want, event, "the rest is the event as it came, without the secrets")
	assert.Equal(t, "Completed", a.meta["happyrobot_call_status"])
}

func TestTheTalkOfTheCasesIsToldAsWasSaid(t *testing.T) {
	raw := caseFile(t, "cases.transcript.roles.json")
	h := hook(t, "")
	a := h.pass(`{"type":"end","call":{"id":"c1","status":"no-answer"},"content":` + string(raw) + `}`)
	assert.Equal(t, decodeObject(t, string(raw))["right text"], decodeObject(t, a.content)["transcript"].(map[string]any)["text"])
	assert.Equal(t, "No answer", a.meta["happyrobot_call_status"], "metadata has the documented spelling")
	assert.Equal(t, "no-answer", decodeObject(t, a.content)["call"].(map[string]any)["status"])
}

func TestAnEventWithoutATalkComesAsItIs(t *testing.T) {
	h := hook(t, "")
	for _, event := range []string{
		`{"type":"end","call":{"id":"c1"}}`, `{"type":"end","call":{"id":"c2"},"content":{}}`, `{"type":"end","call":{"id":"c3"},"content":{"messages":[]}}`,
		`{"type":"end","call":{"id":"c4"},"content":{"messages":"none"}}`, `{"type":"end","call":{"id":"c5"},"content":"none"}`,
		`{"type":"start","call":{"id":"c6"},"content":{"recording":"https://r.example.com/6"}}`,
		`{"type":"end","call":{"id":"c7"},"content":{"messages":[{"role":"user","content":"Hi"}]},"transcript":{"text":"its own"}}`,
		`{"specversion":"1.0","id":"1","type":"session.status_changed","data":{"status":{"current":"in-progress"}},"content":{"messages":[{"role":"user","content":"Hi"}]}}`,
	} {
		a := h.pass(event)
		assert.Equal(t, event, a.content)
		if strings.Contains(event, "session.status_changed") {
			assert.Equal(t, "in-progress", a.meta["happyrobot_call_status"], "the platform's own word")
		}
	}
}

func TestATalkWithoutASpeakerIsExplained(t *testing.T) {
	h := hook(t, "")
	for _, id := range []string{"c1", "c2"} {
		a := h.pass(`{"type":"end","call":{"id":"` + id + `"},"content":{"messages":[{"role":"system","content":"The gate code is 4711."},{"role":"bot","content":"Hello."}]} } `)
		transcript := decodeObject(t, a.content)["transcript"].(map[string]any)
		assert.Empty(t, transcript["text"])
		assert.Contains(t, transcript["text_note"], "roles found: bot (1), system (1)")
	}
	assert.Equal(t, 1, strings.Count(h.logs.String(), "empty text"))
	assert.Contains(t, h.logs.String(), "they stay in content.messages")
	assert.NotContains(t, h.logs.String(), "4711")
}

func TestAToolsAnswerUnderASpeakersRoleIsNotInTheText(t *testing.T) {
	h := hook(t, "")
	a := h.pass(`{"type":"end","call":{"id":"c1"},"content":{"messages":[{"role":"user","content":"Hi."},{"role":"user","tool_call_id":7,"content":"4711"},
		{"role":"assistant","type":"function_call_output","content":"4711"},{"role":"user","name":"lookup","content":"4711"},
		{"role":"user","content":[{"tool_use_id":"x","text":"4711"}]},{"role":"system","Role":"assistant","content":"4711"}]}}`)
	assert.Equal(t, "user: Hi.", decodeObject(t, a.content)["transcript"].(map[string]any)["text"])
	assert.Contains(t, h.logs.String(), `the role \"user with a name\"`)
	assert.NotContains(t, h.logs.String(), "4711")
}

// The talk is no part of an event's identity: one that came before talks were read is
// known after an upgrade, and one that comes again with its talk is the same.
func TestTheTalkDoesNotChangeTheIDOfAnEvent(t *testing.T) {
	h := hook(t, memoryCache, "cache: events")
	with := h.pass(`{"type":"end","call":{"id":"c1","status":"no-answer"},"content":{"messages":[{"role":"user","content":"Hi"}]}}`)
	assert.Equal(t, "c1:end:no-answer", with.meta["happyrobot_event_id"], "the status as it came, as ever")
	assert.Equal(t, 200, h.post(`{"type":"end","call":{"id":"c1","status":"no-answer"}}`).status)
	h.nothing()
}

func TestHooksOfThePretendAPIWithAndWithoutTheTalk(t *testing.T) {
	for talks, want := range map[float64]bool{0: false, 1: true} {
		h := hook(t, "")
		srv := startSim(t, callsim.Options{Webhooks: callsim.Webhooks{CallURL: h.url, Header: "x-hook-secret", Secret: hookSecret, Talks: talks}})
		_, err := srv.Sim.Arrive(callsim.Arrival{EndsAs: "Completed"})
		require.NoError(t, err)
		for {
			a := h.next()
			a.ack()
			if a.meta["happyrobot_event_type"] != "end" {
				continue
			}
			transcript, has := decodeObject(t, a.content)["transcript"].(map[string]any)
			require.Equal(t, want, has)
			if has {
				assert.Equal(t, "assistant: Hello, this is about your delivery.\nuser: Yes, ten o'clock suits me.\nassistant: Booked. Goodbye.", transcript["text"])
			}
			assert.NotContains(t, a.content, callsim.HookSecret)
			break
		}
	}
}
