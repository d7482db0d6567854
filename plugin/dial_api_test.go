package plugin

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

func TestACallIsMarkedWithItsReference(t *testing.T) {
	t.Parallel()
	metadata := map[string]any{"lead_id": "1", "dial_ref": "theirs"}
	request := happyrobot.OutboundCall{PhoneNumber: "+12025550101", Metadata: metadata}
	a, size, err := newCall("key", "", request)
	require.NoError(t, err)
	assert.JSONEq(t, `{"phone_number":"+12025550101","metadata":{"lead_id":"1","dial_ref":"`+a.Ref+`"}}`, string(a.Body))
	assert.Equal(t, "+12025550101", a.Number)
	assert.Equal(t, len(`{"phone_number":"+12025550101","metadata":{"lead_id":"1"}}`), size)
	assert.Equal(t, map[string]any{"lead_id": "1", "dial_ref": "theirs"}, metadata, "the message's own map is left alone")

	request.Metadata = map[string]any{"lead_id": "1"}
	b, _, err := newCall("key", "", request)
	require.NoError(t, err)
	assert.Equal(t, a, b, "the mark is no part of the contents")
	assert.True(t, json.Valid(b.Body))

	_, _, err = newCall("key", "", happyrobot.OutboundCall{Params: func() {}})
	assert.Error(t, err)
}
