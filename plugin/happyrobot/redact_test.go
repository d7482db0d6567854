package happyrobot_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

// secretWord stands for every secret in testdata.
const secretWord = "REDACTED-EXAMPLE"

func TestNoSecretOfTheExamplesGetsPastTheClient(t *testing.T) {
	files, err := filepath.Glob("testdata/*.json")
	require.NoError(t, err)
	held := 0
	for _, file := range files {
		raw := testdata(t, filepath.Base(file))
		held += strings.Count(string(raw), secretWord)
		var one map[string]any
		if json.Unmarshal(raw, &one) == nil && one["calls"] == nil { // lists are read item by item
			assert.NotContains(t, string(happyrobot.Redact(raw)), secretWord, file)
		}
	}
	assert.GreaterOrEqual(t, held, 6, "the examples hold secrets, or this proves nothing")

	a, client := answering(t, reply{body: string(testdata(t, "calls.list.json"))}, reply{body: `{"calls":[]}`})
	listed := 0
	for call, err := range client(nil).ListCalls(t.Context(), happyrobot.ListCallsQuery{}) {
		require.NoError(t, err)
		assert.NotContains(t, string(call.Raw), secretWord)
		assert.Contains(t, string(call.Raw), "hooks.example.com", "the rest of the hook stays")
		listed++
	}
	assert.Positive(t, listed)
	assert.Len(t, a.requests, 2)

	_, client = answering(t, reply{body: string(testdata(t, "outbound-batched.response.json"))})
	created, err := client(nil).CreateOutboundCalls(t.Context(), oneCall())
	require.NoError(t, err)
	require.NotEmpty(t, created)
	for _, c := range created {
		assert.NotContains(t, string(c.Raw), secretWord)
	}
}

func TestEveryKnownPlaceOfASecretIsEmptied(t *testing.T) {
	for in, want := range map[string]string{
		`{"use_case":{"hooks":[{"url":"u","headers":[{"key":"k","value":"s3cret"}]},{"headers":"s3cret"}]}}`: `{"use_case":{"hooks":[{"url":"u"},{}]}}`,
		`{"use_case":{"hooks":{"url":"u","headers":{"k":"s3cret"}}}}`:                                        `{"use_case":{"hooks":{"url":"u"}}}`,
		`{"use_case":{"hook":{"headers":[{"value":"s3cret"}]}}}`:                                             `{"use_case":{"hook":{}}}`,
		`{"assistant":{"hook":{"headers":["s3cret"]},"hooks":[{"headers":1}]}}`:                              `{"assistant":{"hook":{},"hooks":[{}]}}`,
		`{"type":"end","call":{"assistant":{"hook":{"headers":["s3cret"]}}}}`:                                `{"type":"end","call":{"assistant":{"hook":{}}}}`,
		`{"api_key":"s3cret","twilio_credentials":{"auth_token":"s3cret"},"name":"o"}`:                       `{"name":"o"}`,
		`{"organization":{"api_key":"s3cret","twilio_credentials":"s3cret"}}`:                                `{"organization":{}}`,
		`{"api_key":"s3cret","n":12345678901234567890.10}`:                                                   `{"n":12345678901234567890.10}`,
		`{"use_case":{"hooks":null},"headers":"mine"}`:                                                       `{"headers":"mine","use_case":{"hooks":null}}`,
		`{"use_case":7,"metadata":{"custom":{"headers":"mine","api_key":"mine"}}}`:                           `{"metadata":{"custom":{"api_key":"mine","headers":"mine"}},"use_case":7}`,
	} {
		got := string(happyrobot.Redact(json.RawMessage(in)))
		assert.JSONEq(t, want, got)
		assert.NotContains(t, got, "s3cret")
	}
	assert.Contains(t, string(happyrobot.Redact(json.RawMessage(`{"api_key":"s","n":12345678901234567890.10}`))), "12345678901234567890.10")
}

// Whoever reads the call next may take the first of two members with one name.
func TestASecretInAMemberThatAnotherHidesIsRemoved(t *testing.T) {
	for in, want := range map[string]string{
		`[{"a":{"api_key":"s3cret"},"a":1}]`:                       `[{"a":1}]`,
		`{"l":[{"a":[{"api_key":"s3cret"}],"a":2}],"n":1.0}`:       `{"l":[{"a":2}],"n":1.0}`,
		`{"hooks":[{"a":{"headers":"s3cret"},"a":1}]}`:             `{"hooks":[{"a":1}]}`,
		`[{"metadata":{"api_key":"mine"},"metadata":1 , "n":1.0}]`: `[{"metadata":{"api_key":"mine"},"metadata":1 , "n":1.0}]`,
	} {
		assert.Equal(t, want, string(happyrobot.Redact(json.RawMessage(in))))
	}
}

func TestWhatMayHoldASecretButCannotBeReadIsDropped(t *testing.T) {
	assert.Empty(t, happyrobot.Redact(json.RawMessage(`{"api_key":"s3cret"`)))
	assert.Equal(t, "<html>", string(happyrobot.Redact(json.RawMessage("<html>"))), "no hint of a secret")
}

// The common case, a call without hooks, must cost no parsing.
func BenchmarkRedactNothingToRemove(b *testing.B) {
	raw := happyrobot.Redact(testdata(b, "call.completed.json"))
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		happyrobot.Redact(raw)
	}
}

func TestRedactingNothingCostsNothing(t *testing.T) {
	raw := happyrobot.Redact(testdata(t, "call.completed.json"))
	assert.Zero(t, testing.AllocsPerRun(100, func() { happyrobot.Redact(raw) }))
}
