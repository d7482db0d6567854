package happyrobot

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestOneOddMessageDoesNotLoseTheTranscript(t *testing.T) {
	var transcript Transcript
	require.NoError(t, json.Unmarshal([]byte(`{"messages":[null, 3, "x", [], {"role":"user","content":"Hello\r\n there"},
		{"role":"assistant","content":null}, {"role":"assistant","content":"Hi"}]}`), &transcript))
	assert.Equal(t, "user: Hello there\nassistant: Hi", transcript.Text())
}

func TestWhatIsNoObjectIsNoCall(t *testing.T) {
	for _, raw := range []string{`null`, `7`, `"x"`, `[]`} {
		require.Error(t, new(Call).UnmarshalJSON([]byte(raw)), raw)
		require.Error(t, new(CreatedCall).UnmarshalJSON([]byte(raw)), raw)
		assert.Error(t, new(Transcript).UnmarshalJSON([]byte(raw)), raw)
	}
}

func TestHeadersAndAddressesThatCannotWorkAreRefusedAtStart(t *testing.T) {
	for problem, o := range map[string]Options{
		"base_url: must be an http": {APIKey: "k", BaseURL: "https://user:pw-secret@x"},
		"headers: \"a b\"":          {APIKey: "k", Headers: map[string]string{"a b": "v"}},
		"headers: the value of X-A": {APIKey: "k", Headers: map[string]string{"X-A": "pw-secret\n"}},
	} {
		_, err := New(o)
		require.ErrorContains(t, err, problem)
		assert.NotContains(t, err.Error(), "pw-secret")
	}
}

func TestAReplyThatIsTooLargeIsNotAskedForAgain(t *testing.T) {
	e := &Error{Op: "listCalls", Status: 200, Err: errTooLarge}
	assert.False(t, e.Class().Repeatable())
	assert.True(t, (&Error{Op: "listCalls", Status: 200, Err: ErrOtherForm}).Class().Repeatable())
	assert.Contains(t, e.Error(), "larger")
}

// What the client sends itself, what net/http would drop in silence, and what changes how
// a request is sent or its reply read.
func TestHeadersThatAreNotTheUsersAreRefusedAtStart(t *testing.T) {
	for _, name := range []string{
		"authorization", "Host", "CONTENT-TYPE", "content-length", "Content-Encoding", "accept-encoding", "Idempotency-Key", "X-IDEMPOTENCY-KEY",
		"Connection", "transfer-encoding", "Trailer", "TE", "Upgrade", "expect",
	} {
		_, err := New(Options{APIKey: "k", Headers: map[string]string{name: "pw-secret"}})
		require.ErrorContains(t, err, "headers: "+name+" must not be set: ")
		assert.NotContains(t, err.Error(), "pw-secret")
	}
	for _, name := range []string{"User-Agent", "x-organization-id", "x-content", "Accept-Language", "X-Host", "hostname"} {
		_, err := New(Options{APIKey: "k", Headers: map[string]string{name: "v"}})
		require.NoError(t, err, name)
	}
}
