package plugin_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/phone"
)

// rejectedPhone is the right answer for a text that must not ring anywhere.
const rejectedPhone = "rejected"

// phoneCase is a phone text and what a dial with this default_region and default fields does with it.
type phoneCase struct {
	Region string   `json:"region"`
	Text   string   `json:"text"`
	Right  []string `json:"right"` // each is right: a number in E.164 form, or rejectedPhone
	Kind   string   `json:"kind"`
	Rule   string   `json:"rule"`  // why the answer is right: a source, or a rule of a numbering plan
	Today  string   `json:"today"` // only in phones.jsonl: what commit 4602f85 sent
}

// readPhoneCases reads phones.jsonl (texts that rang a wrong phone) or phone_texts.jsonl (a table of many kinds and regions).
func readPhoneCases(t testing.TB, name string) []phoneCase {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(t, err)
	var cases []phoneCase
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		decoder := json.NewDecoder(bytes.NewReader(lines.Bytes()))
		decoder.DisallowUnknownFields()
		var c phoneCase
		require.NoError(t, decoder.Decode(&c), "line %d of %s", len(cases)+1, name)
		cases = append(cases, c)
	}
	require.NoError(t, lines.Err())
	require.NotEmpty(t, cases)
	return cases
}

// The answers were written from numbering plans before the parser was, so no answer is copied from it.
func TestPhoneTableHasThePromisedForm(t *testing.T) {
	t.Parallel()
	type regionText struct{ region, text string }
	e164 := regexp.MustCompile(`^\+[1-9][0-9]{1,14}$`)
	given := map[regionText]bool{}
	for _, c := range readPhoneCases(t, "phones.jsonl") {
		given[regionText{c.Region, c.Text}] = true
	}
	cases := readPhoneCases(t, "phone_texts.jsonl")
	seen := map[regionText]int{}
	regions, kinds := map[string]bool{}, map[string]map[bool]int{}
	for i, c := range cases {
		line, key := i+1, regionText{c.Region, c.Text}
		assert.Zero(t, seen[key], "line %d: the same text and region as on line %d", line, seen[key])
		assert.False(t, given[key], "line %d: phones.jsonl has this text and region", line)
		seen[key] = line
		assert.NotEmpty(t, c.Text, "line %d", line)
		assert.NotEmpty(t, c.Rule, "line %d: a source or a rule", line)
		assert.NotEmpty(t, c.Kind, "line %d", line)
		assert.NotEmpty(t, c.Right, "line %d", line)
		for _, right := range c.Right {
			if right != rejectedPhone {
				assert.Regexp(t, e164, right, "line %d", line)
			}
		}
		if c.Region != "" {
			assert.True(t, phone.KnownRegion(c.Region), "line %d: region %q", line, c.Region)
			regions[c.Region] = true
		}
		if kinds[c.Kind] == nil {
			kinds[c.Kind] = map[bool]int{}
		}
		kinds[c.Kind][len(c.Right) > 0 && c.Right[0] == rejectedPhone]++
	}
	assert.GreaterOrEqual(t, len(cases), 300)
	assert.GreaterOrEqual(t, len(regions), 40)
	large := 0
	for kind, answers := range kinds {
		if answers[true]+answers[false] >= 30 {
			large++
		}
		assert.NotZero(t, answers[true], "%s: refuse nothing, and this kind passes", kind)
		assert.NotZero(t, answers[false], "%s: refuse everything, and this kind passes", kind)
	}
	assert.GreaterOrEqual(t, large, 10, "kinds with at least 30 texts")
}
