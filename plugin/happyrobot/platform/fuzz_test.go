package platform_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot/platform"
)

// FuzzTriggerReply reads answers to a trigger: whatever they are, they name runs by ids
// that can be asked for, or the trigger is unknown, never unsent or refused.
func FuzzTriggerReply(f *testing.F) {
	for _, name := range []string{"trigger.response.run-id", "trigger.response.queued", "trigger.response.no-id", "hook.response"} {
		f.Add([]byte(example(f, name)))
	}
	for _, body := range []string{``, `null`, `[]`, `{}`, `{"run_id":{}}`, `{"run_id":1e999}`, `{"queued_run_ids":{"a":"b"}}`, `{"queued_run_ids":[[]]}`, `<html>`, "{\"run_id\":\"\xff\"}", `{"run_id":"a","run_id":"b"}`, `{"run_id":"../x"}`, `{"headers":{"a":"b"},"run_id":"a"}`} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		c := offline(t, answer{body: string(body)})
		reply, err := c.Trigger(t.Context(), "w", platform.Trigger{Payload: json.RawMessage(`{}`)})
		if err != nil {
			require.Equal(t, happyrobot.ClassUnknown, happyrobot.ClassOf(err))
			require.Empty(t, reply.RunIDs)
			return
		}
		require.True(t, json.Valid(body))
		require.NotEmpty(t, reply.RunIDs)
		seen := map[string]bool{}
		for _, id := range reply.RunIDs {
			require.NoError(t, happyrobot.ValidateOpaqueID(id))
			require.False(t, seen[id])
			seen[id] = true
		}
		assert.True(t, json.Valid(reply.Raw) || len(reply.Raw) == 0)
	})
}

// FuzzRuns reads pages of runs: whatever they are, every item has its place, none has
// members that the page does not have, and no secret comes through.
func FuzzRuns(f *testing.F) {
	f.Add([]byte(example(f, "runs.list")))
	f.Add([]byte(example(f, "runs.backlog")))
	for _, body := range []string{
		`[]`, `{"data":[]}`, `{"data":[null,1,"x",[],{}]}`, `{"data":[{"id":1,"status":{},"data":"{\"a\":1}"}],"pagination":{"page":-1,"pageSize":1e99,"hasNextPage":"yes"}}`,
		`{"data":[{"headers":{"x-api-key":"SECRET"},"data":{"n.headers.x":"SECRET"}}]}`, `{"data":{},"data":[{"id":"a"}]}`, `{"data":[{"id":"a","ID":"b"}],"pagination":[]}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		c := offline(t, answer{body: string(body)})
		found, err := c.ListRunsPage(t.Context(), "w", platform.RunQuery{Once: true})
		if err != nil {
			class := happyrobot.ClassOf(err)
			require.True(t, class == happyrobot.ClassUnreadable || class == happyrobot.ClassOutage, "%s", class)
			require.Empty(t, found.Items)
			return
		}
		require.True(t, json.Valid(body))
		require.GreaterOrEqual(t, found.Records, -1)
		require.True(t, found.Page >= 0 && found.Size >= 0 && found.Pages >= 0)
		for _, run := range found.Items {
			require.True(t, len(run.Raw) == 0 || json.Valid(run.Raw))
			require.True(t, len(run.Columns) == 0 || json.Valid(run.Columns))
			for text := range platform.Texts(run.Columns) {
				require.True(t, strings.Contains(string(body), `\`) || strings.Contains(string(body), text))
			}
			require.False(t, hasHeaders(run.Raw), "a secret got through")
		}
	})
}

// hasHeaders reports whether JSON has headers that are not what a hook was posted.
func hasHeaders(raw json.RawMessage) bool {
	var v any
	if json.Unmarshal(raw, &v) != nil {
		return false
	}
	var look func(v any) bool
	look = func(v any) bool {
		switch v := v.(type) {
		case map[string]any:
			if _, posted := v["method"]; posted {
				return false
			}
			for name, member := range v {
				if strings.EqualFold(name, "headers") || look(member) {
					return true
				}
			}
		case []any:
			return slices.ContainsFunc(v, look)
		}
		return false
	}
	return look(v)
}
