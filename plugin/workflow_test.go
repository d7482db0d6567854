package plugin_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim/platform"
)

func startPlatformSim(t *testing.T, opts platform.Options) *platform.Server {
	t.Helper()
	srv, err := platform.Listen("127.0.0.1:0", opts)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, srv.Close()) })
	return srv
}

// workflowYAML is the body of a happyrobot_workflow with quick settings. One line of extra
// that sets one of them has precedence.
func workflowYAML(url string, extra ...string) string {
	defaults := fmt.Sprintf(`
api_key: test-key
base_url: %s
workflow: appointment-reminders
timeout: 60s
settle: 300ms
default_region: US
dedupe_key: ${! json("id") }
phone_field: phone_number
payload_mapping: |
  root.phone_number = this.phone
  root.lead_id = this.id
  root.note = this.note | deleted()
retry: {initial_interval: 5ms, max_interval: 50ms}
`, url)
	for _, line := range extra {
		if name, _, _ := strings.Cut(line, ":"); name != "" {
			defaults = regexp.MustCompile(`(?m)^`+name+`: .*\n`).ReplaceAllString(defaults, "")
		}
	}
	return defaults + strings.Join(extra, "\n")
}

// workflowParts is a stream that starts runs, and collects what fails. Receipts go to
// the same place.
func workflowParts(url string, extra ...string) parts {
	return parts{output: fmt.Sprintf(`
happyrobot_workflow:
  %s
  batching: {count: 20, period: 10ms}
  receipts: {collect: {}}
  failures: {collect: {}}
`, indent(2, workflowYAML(url, extra...)))}
}

// byLead are the records that came out, by the lead's id.
func byLead(t *testing.T, records []map[string]any) map[string]map[string]any {
	t.Helper()
	found := map[string]map[string]any{}
	for _, r := range records {
		lead, ok := r["json"].(map[string]any)["lead"].(map[string]any)
		require.True(t, ok, "%v", r)
		id := lead["id"].(string)
		require.NotContains(t, found, id, "one record each")
		found[id] = r
	}
	return found
}

func outcomeOf(record map[string]any) string {
	return record["json"].(map[string]any)["outcome"].(string)
}

func TestOneRunForEachLead(t *testing.T) {
	t.Parallel()
	srv := startPlatformSim(t, platform.Options{APIKey: "test-key"})
	srv.Sim.LoseAnswer("+12025550103")
	s := run(t, workflowParts(srv.URL))
	for range 3 {
		require.NoError(t, s.deliver(lead("a", "(202) 555-0101"), lead("b", "+12025550102"), lead("lost", "2025550103"), lead("bad", "nobody")))
	}
	assert.Equal(t, map[string]int{"a": 1, "b": 1, "lost": 1}, srv.Sim.RunsBy("lead_id"))
	assert.Equal(t, map[string]int{"+12025550101": 1, "+12025550102": 1, "+12025550103": 1}, srv.Sim.RunsBy("phone_number"))
	records := s.out.all()
	require.Len(t, records, 12)
	first := byLead(t, records[:4])
	truth := map[string]string{}
	for _, r := range srv.Sim.Runs() {
		truth[r.Payloads[0]["lead_id"].(string)] = r.ID
	}
	for _, id := range []string{"a", "b", "lost"} {
		record := first[id]["json"].(map[string]any)
		assert.Equal(t, "accepted", record["outcome"], id)
		assert.Equal(t, truth[id], record["run_id"], id)
		assert.Equal(t, truth[id], first[id]["@happyrobot_run_id"], id)
		assert.NotContains(t, record, "call_id")
		assert.NotContains(t, first[id], "@happyrobot_call_id")
	}
	assert.Equal(t, "rejected", outcomeOf(first["bad"]))
	assert.Equal(t, "invalid_phone_number", first["bad"]["@happyrobot_reason"])
	again := byLead(t, records[4:8])
	assert.Equal(t, "duplicate", outcomeOf(again["lost"]))
	assert.Equal(t, truth["lost"], again["lost"]["json"].(map[string]any)["run_id"])
}

// withoutKey takes the key out of a config.
func withoutKey(config string) string { return strings.Replace(config, "api_key: test-key", "", 1) }
