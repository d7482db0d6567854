package platform_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot/platform"
)

func TestWhatWasSaidIsRead(t *testing.T) {
	a, c := serve(t, map[string]answer{"GET /sessions/" + sessionID + "/messages": {body: example(t, "session.messages")}})
	messages, err := collect(c.ListMessages(t.Context(), sessionID))
	require.NoError(t, err)
	require.Len(t, messages, 9)
	assert.Equal(t, "page=1&page_size=100&sort=asc", a.requests()[0].URL.RawQuery, "100 is the most")
	assert.True(t, messages[3].Filler)
	assert.Equal(t, 8, messages[8].TurnIndex)
	assert.Contains(t, string(messages[4].Raw), `"confirm"`)
	assert.Equal(t, strings.Join([]string{
		"assistant: Good morning, this is a call about your appointment on Monday. Does nine o'clock still work?",
		"user: Yes, that works.",
		"assistant: One moment.",
		"assistant: It is confirmed. Good bye.",
	}, "\n"), platform.Transcript(messages).Text(), "without events, tools and thoughts")
	assert.Empty(t, platform.Transcript(messages).UnknownRoles())
}

func said(t *testing.T, messages string) (text string, unknown []string) {
	t.Helper()
	var list []platform.Message
	require.NoError(t, json.Unmarshal([]byte(messages), &list))
	transcript := platform.Transcript(list)
	return transcript.Text(), transcript.UnknownRoles()
}

func TestWhoSpeaksAndWhatNobodySaid(t *testing.T) {
	for name, tc := range map[string]struct {
		messages, text string
		unknown        []string
	}{
		"a representative":      {`[{"role":"Representative","content":"This is Bob."}]`, "representative: This is Bob.", nil},
		"an unknown role":       {`[{"role":"narrator","content":"Hm."}]`, "", []string{"narrator"}},
		"a tool's result":       {`[{"role":"tool","content":"{\"ok\":true}"},{"role":"assistant","content":"x","tool_call_id":"t"}]`, "", nil},
		"who calls a tool":      {`[{"role":"assistant","content":"I look.","tool_calls":[{"name":"look"}]}]`, "assistant: I look.", nil},
		"thoughts in a turn":    {`[{"role":"user","content":"Yes. <Thoughts>He hesitates.</Thoughts> Fine."}]`, "user: Yes. Fine.", nil},
		"thoughts without end":  {`[{"role":"user","content":"Yes. <thoughts>He hesitates"}]`, "user: Yes.", nil},
		"thoughts over lines":   {`[{"role":"user","content":"<Thoughts kind=\"x\">\nHe\nhesitates\n</ Thoughts >Ok"}]`, "user: Ok", nil},
		"two thoughts":          {`[{"role":"user","content":"<Thoughts>a</Thoughts>b<Thoughts>c</Thoughts>"}]`, "user: b", nil},
		"a thoughtful word":     {`[{"role":"user","content":"My <thoughtful> word"}]`, "user: My <thoughtful> word", nil},
		"parts":                 {`[{"role":"user","content":[{"type":"text","text":"A "},{"type":"image"},{"text":"b"}]}]`, "user: A b", nil},
		"a prompt by its case":  {`[{"Role":"user","role":"system","content":"secret prompt"}]`, "", nil},
		"an interrupted filler": {`[{"role":"assistant","content":"Mm","is_filler":true,"is_interrupted":1}]`, "assistant: Mm", nil},
	} {
		text, unknown := said(t, tc.messages)
		assert.Equal(t, tc.text, text, name)
		assert.Equal(t, tc.unknown, unknown, name)
	}
	assert.Empty(t, platform.Transcript(nil).Text())
	assert.Equal(t, "the transcript has no messages", platform.Transcript(nil).TextNote())
}
