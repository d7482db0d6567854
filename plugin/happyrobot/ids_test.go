package happyrobot_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

func TestAnIDIsOpaqueButOfKnownLength(t *testing.T) {
	for _, id := range []string{callID, strings.Repeat("z", 24), strings.Repeat("é", 24), "a=b&c;d:e@f+g!h(i)j*k~l."} {
		require.NoError(t, happyrobot.ValidateID(id), id)
		assert.Regexp(t, happyrobot.IDPattern, id, "the linter agrees")
	}
	for _, id := range []string{"", callID[1:], callID + "0", strings.Repeat("é", 12), strings.Repeat(" ", 24), callID[:23] + "\n", callID[:23] + "\x7f", callID[:23] + "\u200b", callID[:23] + "\u00a0"} {
		err := happyrobot.ValidateID(id)
		if assert.Error(t, err, "%q", id) && len(id) > 1 {
			assert.NotContains(t, err.Error(), id)
		}
		assert.NotRegexp(t, happyrobot.IDPattern, id)
	}
}

// An id comes from a message, so it may be made to point elsewhere: one that some server
// on the way could take for anything but one segment of a path goes nowhere, by whichever
// way it comes.
func TestAnIDThatPointsElsewhereIsRefusedEverywhere(t *testing.T) {
	for _, id := range []string{
		"../../../../../../usage?", "../../numbers/buy?a=1234", "%2e%2e%2fusage#aaaaaaaaa", strings.Repeat(".", 24),
		`..\..\..\..\..\..\usage12`, "64f0c0de0000000000000,0b1", "64f0c0de000000000000#0b1",
	} {
		require.Error(t, happyrobot.ValidateOpaqueID(id), id)
		require.Error(t, happyrobot.ValidateID(id), id)
		a, client := answering(t, reply{body: `{}`})
		c := client(nil)
		_, call := c.GetCall(t.Context(), id)
		_, transcript := c.GetTranscript(t.Context(), id)
		_, recording := c.GetRecording(t.Context(), id)
		_, logs := c.GetCallLogs(t.Context(), id)
		note, _ := happyrobot.FindOperation("updateNote")
		_, asID := c.Do(t.Context(), note, happyrobot.Arguments{Path: map[string]string{"id": id, "noteId": "n"}})
		_, asNote := c.Do(t.Context(), note, happyrobot.Arguments{Path: map[string]string{"id": callID, "noteId": id}})
		for _, err := range []error{call, transcript, recording, logs, asID, asNote} {
			require.ErrorContains(t, err, "must be an id")
			assert.NotContains(t, err.Error(), id)
		}
		assert.Empty(t, a.requests)
	}
}

func TestABadIDIsNotAskedFor(t *testing.T) {
	a, client := answering(t, reply{body: `{}`})
	c := client(nil)
	_, call := c.GetCall(t.Context(), "")
	_, transcript := c.GetTranscript(t.Context(), "short")
	_, recording := c.GetRecording(t.Context(), strings.Repeat(" ", 24))
	_, logs := c.GetCallLogs(t.Context(), callID+"/")
	for _, err := range []error{call, transcript, recording, logs} {
		require.ErrorContains(t, err, "call id: must be an id")
	}
	assert.Empty(t, a.requests)
}
