package happyrobot

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSecretsAreCutOutAndNothingElse(t *testing.T) {
	for raw, want := range map[string]string{
		`{"use_case":{"hooks":[{"url":"u","headers":[{"key":"k","value":"SECRET"}]}],"name":"n"}}`:   `{"use_case":{"hooks":[{"url":"u"}],"name":"n"}}`,
		`{"use_case":{"hook":{"headers":[1],"url":"u"}}}`:                                            `{"use_case":{"hook":{"url":"u"}}}`,
		`{"assistant":{"hook":{"headers":[1]},"hooks":[{"headers":{}},{"headers":2}]}}`:              `{"assistant":{"hook":{},"hooks":[{},{}]}}`,
		`{"type":"end","call":{"assistant":{"hook":{"headers":[1]}}}}`:                               `{"type":"end","call":{"assistant":{"hook":{}}}}`,
		`{"hooks":[{"headers":[1]}]}`:                                                                `{"hooks":[{}]}`,
		`{"api_key":"SECRET","twilio_credentials":{"api_key":"SECRET"},"n":12345678901234567890.10}`: `{"n":12345678901234567890.10}`,
		`{"a":1, "api_key":"SECRET" , "b":2}`:                                                        `{"a":1,"b":2}`,
		`{"\u0061pi_key":"SECRET"}`:                                                                  `{}`,
		`{"headers":["kept"],"x":"api_key"}`:                                                         `{"headers":["kept"],"x":"api_key"}`,
		`{"hooks":[{"x":"\"headers\":\\"}]}`:                                                         `{"hooks":[{"x":"\"headers\":\\"}]}`,
		`{"params":{"q":"<&>"},"api_key":1}`:                                                         `{"params":{"q":"<&>"}}`,
		`{"api_key":`:                                                                                ``,
		`{"params":{"api_key":1},"metadata":{"custom":{"hooks":[{"headers":1}]}},"api_key":2}`:       `{"metadata":{"custom":{"hooks":[{"headers":1}]}},"params":{"api_key":1}}`,
		// The objects around one that held a secret stay byte by byte.
		`{ "b":1.0, "use_case" : {"z":"\u00e9<", "hooks":[{"url":"<u>","headers":1}], "a":[ ]} ,"b":"\u0068"}`: `{ "b":1.0, "use_case" : {"z":"\u00e9<", "hooks":[{"url":"<u>"}], "a":[ ]} ,"b":"\u0068"}`,
		`{"b":2,"a":{"n":1e400,"api_key":1,"m":-0.10}}`:                                                        `{"b":2,"a":{"m":-0.10,"n":1e400}}`,
		`{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"hooks":{"a":[[{"headers":1}]]}}}}}}}}}}`:                    `{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"hooks":{"a":[[{}]]}}}}}}}}}}`,
		"\n\t{\"hooks\":{\"url\":\"u\",\"headers\":1},\"b\":[1, 2]} ":                                          "\n\t{\"hooks\":{\"url\":\"u\"},\"b\":[1, 2]} ",
		`null`: `null`,
	} {
		assert.Equal(t, want, string(Redact(json.RawMessage(raw))), raw)
	}
}

// redactSlowly says the same as Redact, by decoding.
func redactSlowly(v any, inHook bool) any {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			if name == "api_key" || name == "twilio_credentials" || inHook && name == "headers" {
				delete(v, name)
				continue
			}
			if name == "metadata" || name == "params" || name == "extraction" {
				continue
			}
			v[name] = redactSlowly(member, inHook || name == "hook" || name == "hooks")
		}
	case []any:
		for i := range v {
			v[i] = redactSlowly(v[i], inHook)
		}
	}
	return v
}

func decode(t *testing.T, raw []byte) (v any) {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	require.NoError(t, dec.Decode(&v), "%q", raw)
	return v
}

func FuzzRedactAgreesWithDecoding(f *testing.F) {
	f.Add([]byte(`{"hooks":[{"headers":[1],"a":[ ]},7],"api_key":{},"b":{"api_key":1,"api_key":2}}`))
	f.Add([]byte(` [ {"hook" : {"x":{"headers":1 } , "y":null } } , "\\\"headers", -1e9 ] `))
	example, err := os.ReadFile("testdata/call.completed.json")
	require.NoError(f, err)
	f.Add(example)
	f.Fuzz(func(t *testing.T, raw []byte) {
		before := bytes.Clone(raw)
		got := Redact(raw)
		require.Equal(t, before, raw, "the input is not changed")
		if !json.Valid(raw) {
			return
		}
		assert.Equal(t, redactSlowly(decode(t, raw), false), decode(t, got))
	})
}
