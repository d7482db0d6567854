package happyrobot_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

// FuzzCreatedCalls reads replies to a dial: whatever they are, the outcome is a
// list no longer than the reply's, or an error that does not call the dial unsent.
func FuzzCreatedCalls(f *testing.F) {
	f.Add(testdata(f, "outbound-batched.response.json"))
	for _, reply := range []string{
		`[]`, `null`, `{}`, `[null]`, `[{}]`, `["x",1,[],{"id":"a"}]`, `[{"id":{},"metadata":{"custom":[]},"created":1}]`, "", "[", "<html>",
		`[{"use_case":{"hooks":[{"headers":[{"key":"k","value":"s"}]}]},"api_key":"s"}]`, `[{"use_case":{"hooks":{"headers":"s"}}}]`,
		`[{"id":"a","id":"b","ID":"c"}]`, "[{\"id\":\"\xff\"}]", `[{"metadata":{"custom":{"dial_ref":1e999}}}]`,
	} {
		f.Add([]byte(reply))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		c := newClient(t, "http://api.example.invalid", func(o *happyrobot.Options) {
			o.Transport = roundTrip(func(req *http.Request) *http.Response { return respond(req, 200, string(body)) })
		})

		created, err := c.CreateOutboundCalls(t.Context(), oneCall())

		var items []json.RawMessage
		if json.Unmarshal(body, &items) != nil || items == nil {
			var e *happyrobot.Error
			require.ErrorAs(t, err, &e)
			assert.Equal(t, 200, e.Status)
			assert.Nil(t, created)
			return
		}
		require.NoError(t, err)
		require.LessOrEqual(t, len(created), len(items))
		objects := 0
		for _, item := range items {
			if item[0] == '{' {
				objects++
			}
		}
		assert.GreaterOrEqual(t, len(created), objects, "no object is lost")
		for _, call := range created {
			assert.True(t, len(call.Raw) == 0 || json.Valid(call.Raw))
			assert.False(t, holdsHookHeaders(call.Raw), "a secret got through")
		}
	})
}

func holdsHookHeaders(raw []byte) bool {
	var m struct {
		UseCase struct {
			Hooks []map[string]any `json:"hooks"`
		} `json:"use_case"`
	}
	if json.Unmarshal(raw, &m) != nil {
		return false
	}
	for _, hook := range m.UseCase.Hooks {
		if _, has := hook["headers"]; has {
			return true
		}
	}
	return false
}
