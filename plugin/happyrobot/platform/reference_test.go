package platform_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot/platform"
)

func TestAReferenceIsFoundInTheOutputOfATrigger(t *testing.T) {
	for _, name := range []string{"run.output.trigger.incoming-hook", "run.output.trigger.predefined-request"} {
		body := example(t, name)
		_, c := serve(t, map[string]answer{"GET /runs/" + runID + "/outputs/00000000-0000-700b-8000-000000000001": {body: body}})
		output, err := c.GetRunOutput(t.Context(), runID, "00000000-0000-700b-8000-000000000001")
		require.NoError(t, err, name)
		assert.True(t, platform.Holds(output.Data, reference), name)
		assert.False(t, platform.Holds(output.Data, reference[:10]), "%s: a part is not the whole", name)
		assert.NotContains(t, string(output.Raw), "x-api-key", name)
	}
}

func TestTextsAreFoundAtAnyDepthAndInTextsThatAreJSON(t *testing.T) {
	twice, err := json.Marshal(`{"deep":["` + reference + `"]}`)
	require.NoError(t, err)
	thrice, err := json.Marshal(string(twice))
	require.NoError(t, err)
	for name, value := range map[string]string{
		"a flat key":             `{"a.data.dial_ref":"` + reference + `"}`,
		"a list":                 `[1,null,["x","` + reference + `"]]`,
		"a text":                 `"` + reference + `"`,
		"blanks around it":       `{"a":" ` + reference + `\n"}`,
		"JSON in a text":         `{"a":` + string(twice) + `}`,
		"JSON in JSON in text":   `{"a":` + string(thrice) + `}`,
		"escaped":                `{"a":"\u0068` + reference[1:] + `"}`,
		"behind one of its name": `{"a":"x","a":"` + reference + `"}`,
	} {
		assert.True(t, platform.Holds(json.RawMessage(value), reference), name)
	}
	for name, value := range map[string]string{
		"a name":         `{"` + reference + `":"x"}`,
		"inside of text": `{"a":"the ref is ` + reference + `"}`,
		"no JSON":        `{"a":"` + reference + `"`,
		"nothing":        ``,
		"another case":   `{"a":"` + strings.ToUpper(reference) + `"}`,
	} {
		assert.False(t, platform.Holds(json.RawMessage(value), reference), name)
	}
	assert.False(t, platform.Holds(json.RawMessage(`{"a":""}`), ""))
	assert.Equal(t, []string{"1", `["2",{"x":"3"}]`, "2", "3"}, slices.Collect(platform.Texts(json.RawMessage(`{"a":"1","b":"[\"2\",{\"x\":\"3\"}]","n":4}`))))
	for range platform.Texts(json.RawMessage(`["a","[\"b\"]","c"]`)) {
		break
	}
	for _, levels := range []int{200, 20_000, 10_000_000} {
		deep := json.RawMessage(strings.Repeat("[", levels) + `"` + reference + `"` + strings.Repeat("]", levels))
		assert.False(t, platform.Holds(deep, reference), "nothing is as deep")
		c := offline(t, answer{body: `{"run_id":` + string(deep) + `}`})
		_, err := c.Trigger(t.Context(), "w", platform.Trigger{Payload: json.RawMessage(`{}`)})
		require.Error(t, err)
		_, err = c.ListRunsPage(t.Context(), "w", platform.RunQuery{Once: true})
		require.Error(t, err)
	}
}
