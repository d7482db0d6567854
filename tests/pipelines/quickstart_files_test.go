package pipelines

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/tests/program"
)

// Files as editors, spreadsheets and exports write them. Whatever is no JSON lines is
// in the failures with what to do, and no half of it is called.
func TestQuickstartTakesFilesAsPeopleHaveThem(t *testing.T) {
	const (
		array = "jq -c '.[]'"
		lines = "jq -c ."
	)
	lead := func(id string) string {
		return fmt.Sprintf(`{"id":%q,"phone":"+1 202 555 0101","name":"Ada"}`, id)
	}
	a, b, c := lead("a"), lead("b"), lead("c")
	pretty := func(value string) string {
		var parsed any
		require.NoError(t, json.Unmarshal([]byte(value), &parsed))
		text, err := json.MarshalIndent(parsed, "", "  ")
		require.NoError(t, err)
		return string(text)
	}
	little := func(text string) string {
		var bytes strings.Builder
		for _, unit := range utf16.Encode([]rune(text)) {
			bytes.Write([]byte{byte(unit), byte(unit >> 8)})
		}
		return bytes.String()
	}
	all := []string{"a", "b", "c"}
	for name, test := range map[string]struct {
		text   string
		called []string
		failed []string // what the details of each failure say, in any order
	}{
		"a byte order mark":                  {"\ufeff" + a + "\n" + b + "\n" + c + "\n", all, nil},
		"CRLF":                               {a + "\r\n" + b + "\r\n" + c, all, nil},
		"blank lines":                        {"\n" + a + "\n\n  \t\n" + b + "\n\r\n" + c + "\n\n", all, nil},
		"a byte order mark, CRLF and blanks": {"\ufeff\r\n" + a + "\r\n\r\n" + b + "\r\n" + c + "\r\n \r\n", all, nil},
		"a line that is no JSON":             {a + "\nb;+12025550101\n" + c, []string{"a", "c"}, []string{"is not JSON"}},
		"a line that is cut off":             {a + "\n" + b[:20] + "\n" + c, []string{"a", "c"}, []string{"is not JSON"}},
		"a [ alone":                          {"[", nil, []string{array}},
		"an empty array":                     {"[]\n", nil, []string{array}},
		"an array in one line":               {"[" + a + "," + b + "]", nil, []string{array}},
		"an array in one line after leads":   {a + "\n[" + b + "]\n" + c, []string{"a", "c"}, []string{array}},
		"an array, an element a line":        {"[\n" + a + ",\n" + b + ",\n" + c + "\n]\n", nil, []string{array}},
		"an indented array":                  {"[\r\n  " + a + ",\r\n  " + b + "\r\n]\r\n", nil, []string{array}},
		"a pretty-printed array":             {pretty("[" + a + "," + b + "]"), nil, []string{array}},
		"an array of one":                    {"[\n" + a + "\n]", nil, []string{array}},
		"an array with leading commas":       {"[\n  " + a + "\n, " + b + "\n]", nil, []string{array}},
		"an array with a byte order mark":    {"\ufeff[\n" + a + ",\n" + b + "\n]", nil, []string{array}},
		"an array after blank lines":         {"\n\n [\n" + a + ",\n" + b + "\n]", nil, []string{array}},
		"an array that lost its end":         {"[\n" + a + ",\n" + b, nil, []string{array}},
		"an array that lost a comma":         {"[\n" + a + "\n" + b + "\n]", nil, []string{array}},
		"an array that lost its brackets":    {a + ",\n" + b + ",\n" + c, nil, []string{lines}},
		"an array in an object":              {"{\"leads\": [\n" + a + ",\n" + b + "\n]}", nil, []string{lines, lines}},
		"a pretty-printed object":            {pretty(a), nil, []string{lines, "is not JSON"}},
		"pretty-printed objects":             {pretty(a) + "\n" + pretty(b), nil, []string{lines}},
		"UTF-16":                             {little("\ufeff" + a + "\r\n" + b + "\r\n"), nil, []string{"UTF-8"}},
		"UTF-16 without a mark":              {little(a), nil, []string{"UTF-8"}},
		"nothing":                            {"", nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if name != "an array in one line after leads" {
				program.Long(t, "one file shows that the program reads what the scanner's own tests cut")
			}
			t.Parallel()
			sim := program.StartCallsim(t)
			dir := t.TempDir()
			leads, failures := filepath.Join(dir, "leads.jsonl"), filepath.Join(dir, "failed.jsonl")
			require.NoError(t, os.WriteFile(leads, []byte(test.text), 0o600))
			env := program.Settings(t, "HAPPYROBOT_BASE_URL="+sim.BaseURL(), "LEADS_FILE="+leads, "FAILED_FILE="+failures)
			out, err := program.Run(t, env, "run", "-s", "http.enabled=false", "-r", "resources/local.yaml", "config/quickstart.yaml")
			require.NoError(t, err, out)

			called := map[string]int{}
			for _, id := range test.called {
				called[id] = 1
			}
			assert.Equal(t, called, sim.CallsByLead(t))
			text, err := os.ReadFile(failures)
			if !os.IsNotExist(err) {
				require.NoError(t, err)
			}
			var details []string
			for line := range strings.Lines(string(text)) {
				var failure struct{ Outcome, Reason, Details string }
				require.NoError(t, json.Unmarshal([]byte(line), &failure))
				assert.Equal(t, "rejected invalid_json", failure.Outcome+" "+failure.Reason)
				details = append(details, failure.Details)
			}
			require.Len(t, details, len(test.failed), "%q", details)
			for _, want := range test.failed {
				assert.Contains(t, strings.Join(details, "\n"), want)
			}
		})
	}
}
