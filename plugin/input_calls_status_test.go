package plugin_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
)

// showing makes a call arrive that every answer shows with a status, and tells its id.
func showing(t *testing.T, sim *callsim.Sim, status string) (id string) {
	t.Helper()
	shown, err := json.Marshal(status)
	require.NoError(t, err)
	ids, err := sim.Arrive(callsim.Arrival{Type: "Outbound", Show: map[string]json.RawMessage{"status": shown}})
	require.NoError(t, err)
	return ids[0]
}

func TestACallIsOverInEverySpellingOfItsStatus(t *testing.T) {
	t.Parallel()
	over, open, unknown := caseStatuses(t)
	srv := startSim(t, callsim.Options{})
	want := map[string]string{}
	for _, status := range over {
		want[showing(t, srv.Sim, status)] = status
	}
	for _, status := range append(open, unknown...) {
		showing(t, srv.Sim, status)
	}
	s := read(t, callsYAML(srv.URL), memoryCursor, nil)
	calls := s.await(len(want))
	for id, status := range want {
		require.Contains(t, calls, id)
		assert.Equal(t, status, calls[id]["status"], "the message keeps the API's word")
	}
	assert.Equal(t, 1, strings.Count(s.logs.String(), "not documented"), "Paused alone is a word of its own")
}

func TestStatusesAreFilteredInEverySpelling(t *testing.T) {
	t.Parallel()
	srv := startSim(t, callsim.Options{})
	want := map[string]string{
		showing(t, srv.Sim, "no-answer"): "No answer", showing(t, srv.Sim, "NO_ANSWER"): "No answer", showing(t, srv.Sim, "No answer"): "No answer",
		showing(t, srv.Sim, "cancelled"): "Canceled", showing(t, srv.Sim, "paused"): "paused",
	}
	for _, status := range []string{"completed", "busy", "in-progress", "Paused for now"} {
		showing(t, srv.Sim, status)
	}
	s := read(t, callsYAML(srv.URL, "statuses: [ no-answer, Canceled, Paused ]"), memoryCursor, nil)
	calls := s.await(len(want))
	for _, msg := range s.delivered() {
		id, _ := msg.MetaGet("happyrobot_call_id")
		status, _ := msg.MetaGet("happyrobot_call_status")
		require.Contains(t, want, id, calls[id]["status"])
		assert.Equal(t, want[id], status, "metadata has the documented spelling")
	}
}

func TestAChangeHasTheAPIsWordAndTheDocumentedOne(t *testing.T) {
	t.Parallel()
	srv := startSim(t, callsim.Options{Speed: 0.001})
	ids, err := srv.Sim.Arrive(callsim.Arrival{During: "in-progress", Talk: callsim.Duration(time.Minute)})
	require.NoError(t, err)
	srv.Sim.Advance(20 * time.Second)
	cursor := bboltCursor(t)
	s := read(t, callsYAML(srv.URL, "emit: changes"), cursor, nil)
	calls := s.await(1)
	assert.Equal(t, "in-progress", calls[ids[0]]["status"])
	srv.Sim.Advance(time.Hour)
	require.Eventually(t, func() bool { return len(s.delivered()) == 2 }, time.Minute, 5*time.Millisecond)
	previous, _ := s.delivered()[1].MetaGet("happyrobot_previous_status")
	assert.Equal(t, "In progress", previous)
}

// The log advises to list an unknown status: the linter must take that advice.
func TestTheLogsAdviceAboutAStatusPassesTheLinter(t *testing.T) {
	t.Parallel()
	linter := service.NewEnvironment().NewComponentConfigLinter()
	over, _, unknown := caseStatuses(t)
	for _, status := range append(over, unknown...) {
		if strings.TrimSpace(status) == "" {
			continue
		}
		srv := startSim(t, callsim.Options{})
		showing(t, srv.Sim, status)
		showing(t, srv.Sim, "Completed")
		s := read(t, callsYAML(srv.URL), memoryCursor, nil)
		s.await(map[bool]int{true: 2, false: 1}[status != "Paused"])
		advised := strings.Contains(s.logs.String(), "list it in `statuses`")
		assert.Equal(t, status == "Paused", advised, "%q", status)
		if !advised {
			continue
		}
		lints, err := linter.LintInputYAML([]byte("happyrobot_calls: {api_key: k, cache: c, statuses: [" + status + "]}"))
		require.NoError(t, err)
		assert.Empty(t, lints)
	}
}
