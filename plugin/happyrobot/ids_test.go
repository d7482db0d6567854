package happyrobot_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

func TestAnIDIsOpaqueButOfKnownLength(t *testing.T) {
	for _, id := range []string{callID, strings.Repeat("z", 24), "../../../../../../calls/1", "a?b=c#d&e/f%2f;g:h@i+j,k"} {
		assert.Equal(t, len(id) == 24, happyrobot.ValidateID(id) == nil, id)
	}
	for _, id := range []string{"", callID[1:], callID + "0", strings.Repeat(" ", 24), callID[:23] + "\n", callID[:23] + "\x7f"} {
		err := happyrobot.ValidateID(id)
		if assert.Error(t, err, "%q", id) && len(id) > 1 {
			assert.NotContains(t, err.Error(), id)
		}
	}
}

// An id comes from a message, so it may be made to point elsewhere.
func TestAnIDCannotLeaveItsPlaceInThePath(t *testing.T) {
	for id, path := range map[string]string{
		"../../../../../../usage?": "/api/v1/calls/..%2F..%2F..%2F..%2F..%2F..%2Fusage%3F/transcript",
		"%2e%2e%2fusage#aaaaaaaaa": "/api/v1/calls/%252e%252e%252fusage%23aaaaaaaaa/transcript",
	} {
		require.Len(t, id, 24)
		a, client := answering(t, reply{body: `{}`})
		_, err := client(nil).GetTranscript(t.Context(), id)
		require.NoError(t, err)
		u := a.requests[0].URL
		assert.Equal(t, path, u.EscapedPath())
		assert.Empty(t, u.RawQuery)
		assert.Equal(t, "api.example.invalid", u.Host)
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
