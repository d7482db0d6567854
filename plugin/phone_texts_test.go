package plugin_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// dialTexts dials phone texts with the given fields, and answers for each the
// number that was dialed, or the reason of its rejection.
func dialTexts(t *testing.T, texts []string, fields ...string) []string {
	t.Helper()
	api := startRecorder(t)
	yaml := fmt.Sprintf(`
api_key: test-key
base_url: %q
dedupe_key: ${! json("id") }
call_mapping: |
  root.number_id = "64f0c0de00000000000000c1"
  root.phone_number = this.phone
  root.metadata.lead_id = this.id
`, api.url) + strings.Join(fields, "\n") + "\n"
	s := run(t, parts{processors: []string{"happyrobot_dial:\n  " + indent(2, yaml)}})
	leads := make([]string, len(texts))
	for i, text := range texts {
		lead, err := json.Marshal(map[string]string{"id": fmt.Sprint(i + 1), "phone": text})
		require.NoError(t, err)
		leads[i] = string(lead)
	}
	require.NoError(t, s.deliver(leads...))
	out := s.out.all()
	require.Len(t, out, len(texts))
	answers, numbers := make([]string, len(texts)), api.numbers(t)
	for i, msg := range out {
		answers[i] = numbers[fmt.Sprint(i+1)]
		if msg["@happyrobot_outcome"] == "rejected" {
			require.Empty(t, answers[i], "a rejected lead was dialed")
			answers[i] = msg["@happyrobot_reason"].(string)
		}
	}
	return answers
}

func TestEveryPhoneTextRingsTheRightPhoneOrNone(t *testing.T) {
	t.Parallel()
	files := []string{"phones.jsonl", "phone_texts.jsonl"}
	for _, file := range files[:sized(len(files), 1)] {
		byRegion := map[string][]phoneCase{}
		for _, row := range readPhoneCases(t, file) {
			byRegion[row.Region] = append(byRegion[row.Region], row)
		}
		for region, rows := range byRegion {
			t.Run(file+"/"+region, func(t *testing.T) {
				texts := make([]string, len(rows))
				for i, row := range rows {
					texts[i] = row.Text
				}
				for i, got := range dialTexts(t, texts, fmt.Sprintf("default_region: %q", region)) {
					if !strings.HasPrefix(got, "+") {
						assert.Contains(t, phoneReasons, got, "%q", rows[i].Text)
						got = rejectedPhone
					}
					assert.Contains(t, rows[i].Right, got, "%s: %q (%s; %s)", region, rows[i].Text, rows[i].Kind, rows[i].Rule)
				}
			})
		}
	}
}

// phoneReasons are the reasons of a phone text that is not dialed.
var phoneReasons = []string{
	"invalid_phone_number", "ambiguous_phone_number", "emergency_number", "region_not_allowed", "number_type_refused",
	"missing_field", // an empty text
}
