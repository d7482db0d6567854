package happyrobot

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What gjson saves where much is read, against encoding/json. The comparison gets less
// done: it fails a call for one member of an odd type, takes members whose names differ
// in case, and knows only the last of those with the same name.

func example(b *testing.B, name string) []byte {
	b.Helper()
	raw, err := os.ReadFile("testdata/" + name)
	require.NoError(b, err)
	return raw
}

func compare(b *testing.B, size int, sides map[string]func() error) {
	for _, name := range slices.Sorted(maps.Keys(sides)) {
		side := sides[name]
		b.Run(name, func(b *testing.B) {
			require.NoError(b, side())
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				_ = side()
			}
		})
	}
}

type plainCall struct {
	ID             string `json:"id"`
	OrganizationID string `json:"organization_id"`
	Status         string `json:"status"`
	Metadata       struct {
		CallSID string          `json:"call_sid"`
		From    string          `json:"from"`
		To      string          `json:"to"`
		Custom  json.RawMessage `json:"custom"`
	} `json:"metadata"`
	Created time.Time `json:"created"`
}

// The reply to a dial of 21 calls.
func BenchmarkReadCreatedCalls(b *testing.B) {
	var few, many []json.RawMessage
	require.NoError(b, json.Unmarshal(example(b, "outbound-batched.response.json"), &few))
	for len(many) < 20 {
		many = append(many, few...)
	}
	reply, err := json.Marshal(many)
	require.NoError(b, err)
	compare(b, len(reply), map[string]func() error{
		"gjson": func() error {
			_, err := readCreated(reply, len(many), false)
			return err
		},
		"gjson without unsafe": func() error { // which copies the reply
			_, err := readCreated(bytes.Clone(reply), len(many), false)
			return err
		},
		"encoding json": func() error {
			var calls []plainCall
			return json.Unmarshal(reply, &calls)
		},
	})
}

// One call of a list, secrets left in: BenchmarkRedactHooks is about them.
func BenchmarkReadListedCall(b *testing.B) {
	raw := Redact(example(b, "call.completed.json"))
	compare(b, len(raw), map[string]func() error{
		"gjson": func() error { return new(Call).UnmarshalJSON(raw) },
		"encoding json": func() error {
			var call struct {
				plainCall
				Raw json.RawMessage `json:"-"`
			}
			call.Raw = bytes.Clone(raw)
			return json.Unmarshal(raw, &call)
		},
	})
}

// A transcript of nine messages. Names of members must be exact, or a prompt could pass
// for speech, so encoding/json has to go through maps.
func BenchmarkReadTranscript(b *testing.B) {
	raw := example(b, "transcript.tool-calls.json")
	compare(b, len(raw), map[string]func() error{
		"gjson": func() error { return new(Transcript).UnmarshalJSON(raw) },
		"encoding json": func() error {
			var whole map[string]json.RawMessage
			if err := json.Unmarshal(raw, &whole); err != nil {
				return err
			}
			var messages []map[string]json.RawMessage
			if err := json.Unmarshal(whole["messages"], &messages); err != nil {
				return err
			}
			for _, m := range messages {
				for _, name := range []string{"role", "content", "type", "name", "tool_call_id"} {
					var text string
					_ = json.Unmarshal(m[name], &text)
				}
			}
			return nil
		},
	})
}

// A call with the headers of a hook in it, against editing all of it with gabs.
func BenchmarkRedactHooks(b *testing.B) {
	raw := example(b, "call.completed.json")
	compare(b, len(raw), map[string]func() error{
		"around the hook copied": func() error { Redact(raw); return nil }, //nolint:unparam // as compare wants it
		"all of it edited": func() error { //nolint:unparam // likewise
			r := redaction{kept: make([]byte, 0, len(raw))}
			r.edit(string(raw), false)
			return nil
		},
	})
}
