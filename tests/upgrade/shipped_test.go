package upgrade

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The shipped configs set ids as fields, where they had them in the mapping. Without a
// key the request is the key, so it must be the same, byte for byte.
func TestIDsAsFieldsOfTheShippedConfigsMakeTheSameRequests(t *testing.T) {
	leads := []string{
		`{"id":"lead-1","phone":"(202) 555-0101","name":"Ada"}`,
		`{"id":17,"phone":"+442079460958","name":null}`,
		`{"id":12345678901234567890,"phone":"2025550103","name":"<Zoë> & \"Bob\"","number_id":"of the lead","use_case_id":"of the lead"}`,
		`{"phone":"+12025550104"}`,
	}
	for name, environment := range map[string]map[string]string{
		"both ids":    {"HAPPYROBOT_NUMBER_ID": oldNumberID, "HAPPYROBOT_USE_CASE_ID": "64f0c0de00000000000000b1"},
		"no use case": {"HAPPYROBOT_NUMBER_ID": oldNumberID},
		"digits only": {"HAPPYROBOT_NUMBER_ID": "640000000000000000000012", "HAPPYROBOT_USE_CASE_ID": "65e000000000000000000017"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, id := range []string{"HAPPYROBOT_NUMBER_ID", "HAPPYROBOT_USE_CASE_ID"} {
				t.Setenv(id, environment[id])
			}
			var requests [2][]string
			var fates [2]map[int]fate
			for i, config := range []string{"mapped_ids", "field_ids"} {
				api := startAPI(t, "5ec0")
				s := startStream(t, play{name: config + "/US"}, api, filepath.Join(t.TempDir(), "ledger.db"))
				for n, lead := range leads {
					s.deliver(numbered{n, []byte(lead)})
				}
				s.stop()
				for _, call := range api.placed() {
					requests[i] = append(requests[i], string(call.body))
				}
				fates[i] = s.fates
			}
			assert.Equal(t, requests[0], requests[1])
			assert.Len(t, requests[1], 3, "all but the lead abroad")
			for n := range leads {
				assert.Equal(t, fates[0][n].ref, fates[1][n].ref)
				assert.Equal(t, fates[0][n].outcome, fates[1][n].outcome)
			}
			assert.Contains(t, requests[1][0], `"number_id":"`+environment["HAPPYROBOT_NUMBER_ID"]+`"`)
		})
	}
}

// What is tested above is what the configs say.
func TestTheShippedConfigsAreTheOnesThatAreTested(t *testing.T) {
	tested := idsAndMapping(t, "testdata/field_ids.yaml")
	for _, config := range []string{"quickstart.yaml", "kafka_to_calls.yaml"} {
		assert.Equal(t, tested, idsAndMapping(t, filepath.Join("../../config", config)), config)
	}
}

// idsAndMapping are the lines of a dial that make its requests.
func idsAndMapping(t *testing.T, file string) (lines []string) {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		for _, begins := range []string{"number_id:", "use_case_id:", "agent_id:", "call_mapping:", "root.phone_number", "root.params", "root.metadata", "root.number_id", "root.use_case_id"} {
			if strings.HasPrefix(line, begins) {
				lines = append(lines, line)
			}
		}
	}
	return lines
}
