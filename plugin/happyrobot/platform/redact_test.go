package platform_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot/platform"
)

func TestSecretsAreRemovedWhereverTheyAre(t *testing.T) {
	output := func(data string) string { return `{"id":"o","run_id":"r","data":` + data + `,"input":null}` }
	for name, tc := range map[string]struct{ in, want string }{
		"an incoming hook":             {output(`{"data":{"a":1},"query":{},"method":"POST","headers":{"x-api-key":"SECRET"}}`), output(`{"data":{"a":1},"method":"POST","query":{}}`)},
		"headers as a list":            {output(`{"method":"POST","headers":[{"key":"x","value":"SECRET"}]}`), output(`{"method":"POST"}`)},
		"headers as text":              {output(`{"Headers":"x-api-key: SECRET"}`), output(`{}`)},
		"a webhook node's input":       {`{"input":{"request":{"headers":{"Authorization":"Bearer SECRET"},"url":"https://x.example"}}}`, `{"input":{"request":{"url":"https://x.example"}}}`},
		"a webhook node's reply":       {output(`{"data":{"headers":{"Set-Cookie":"SECRET"},"ok":true},"status":200}`), output(`{"data":{"ok":true},"status":200}`)},
		"a key of any spelling":        {output(`{"api_key":"SECRET","apiKey":"SECRET","X-Api-Key":"SECRET","authorization":"SECRET"}`), output(`{}`)},
		"in upper case":                {output(`{"HEADERS":{"a":"SECRET"},"API-KEY":"SECRET","ApiKey":"SECRET","X_API_KEY":"SECRET","AUTHORIZATION":"SECRET"}`), output(`{}`)},
		"a trigger in another case":    {output(`{"Data":{"headers":"mine"},"Method":"POST","Headers":{"x-api-key":"SECRET"}}`), output(`{"Data":{"headers":"mine"},"Method":"POST"}`)},
		"upper case with escapes":      {output(`{"\u0048EADERS":{"a":"SECRET"},"API\u002dKEY":"SECRET"}`), output(`{}`)},
		"a name written with escapes":  {output(`{"h\u0065aders":{"a":"SECRET"}}`), output(`{}`)},
		"one that another hides":       {`{"headers":"SECRET","headers":1}`, `{}`},
		"in a list of objects":         {`{"settings":{"webhooks":[{"url":"u","headers":{"k":"SECRET"}}]}}`, `{"settings":{"webhooks":[{"url":"u"}]}}`},
		"a column of a list of runs":   {`{"data":{"019d.headers.x-api-key":"SECRET","019d.headers":"{\"k\":\"SECRET\"}","019d.data.lead_id":"l"}}`, `{"data":{"019d.data.lead_id":"l"}}`},
		"numbers stay as they were":    {`{"headers":{},"n":12345678901234567890.50,"h":"<&>"}`, `{"h":"<&>","n":12345678901234567890.50}`},
		"a payload with such a member": {output(`{"data":{"headers":"mine","api_key":"mine too"},"method":"POST","headers":{}}`), output(`{"data":{"headers":"mine","api_key":"mine too"},"method":"POST"}`)},
		"words alone":                  {output(`{"text":"the headers of a letter"}`), output(`{"text":"the headers of a letter"}`)},
	} {
		var found platform.NodeOutput
		require.NoError(t, json.Unmarshal([]byte(tc.in), &found), name)
		assert.JSONEq(t, tc.want, string(found.Raw), name)
		assert.NotContains(t, string(found.Raw)+string(found.Data), "SECRET", name)
		if strings.Contains(tc.want, "1234567890") {
			assert.Contains(t, string(found.Raw), "12345678901234567890.50", name)
			assert.Contains(t, string(found.Raw), "<&>", name)
		}
	}
}

func TestSecretsAreRemovedFromEveryObject(t *testing.T) {
	const secret = `"headers":{"x-api-key":"SECRET"},`
	for name, read := range map[string]func(b []byte) (any, error){
		"run":          func(b []byte) (any, error) { var v platform.Run; return &v, json.Unmarshal(b, &v) },
		"session":      func(b []byte) (any, error) { var v platform.Session; return &v, json.Unmarshal(b, &v) },
		"message":      func(b []byte) (any, error) { var v platform.Message; return &v, json.Unmarshal(b, &v) },
		"node":         func(b []byte) (any, error) { var v platform.RunNode; return &v, json.Unmarshal(b, &v) },
		"output":       func(b []byte) (any, error) { var v platform.NodeOutput; return &v, json.Unmarshal(b, &v) },
		"workflow":     func(b []byte) (any, error) { var v platform.Workflow; return &v, json.Unmarshal(b, &v) },
		"version node": func(b []byte) (any, error) { var v platform.VersionNode; return &v, json.Unmarshal(b, &v) },
	} {
		v, err := read([]byte(`{` + secret + `"id":"x","data":{` + secret + `"a":1},"config":[{` + secret + `"b":2}]}`))
		require.NoError(t, err, name)
		all, err := json.Marshal(v)
		require.NoError(t, err, name)
		assert.NotContains(t, string(all), "SECRET", name)
		assert.Contains(t, string(all), `"b":2`, name)
		_, err = read([]byte(`[1]`))
		require.Error(t, err, name)
	}
}

func TestAPathThatIsRemovedIsKnown(t *testing.T) {
	for path, want := range map[string]bool{"headers": true, "a.Headers.b": true, "x-api_key": true, "dial_ref": false, "headers_of": false, "meta.ref": false} {
		assert.Equal(t, want, platform.Hides(path), path)
	}
}
