package plugin_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
)

// brakeParts dials four batches at a time, and collects what fails.
func brakeParts(url string, extra ...string) parts {
	return parts{output: fmt.Sprintf(`
happyrobot_dial:
  %s
  batching: {count: 20, period: 10ms}
  failures: {collect: {}}
`, indent(2, dialYAML(url, extra...)))}
}

// deliverAll delivers batches of 20 leads side by side, and answers who waits for them.
func deliverAll(t *testing.T, s *stream, n int, lead func(i int) string) (wait func()) {
	t.Helper()
	var wg sync.WaitGroup
	for from := 0; from < n; from += 20 {
		batch := make([]string, 0, 20)
		for i := from; i < min(from+20, n); i++ {
			batch = append(batch, lead(i))
		}
		wg.Go(func() { assert.NoError(t, s.deliver(batch...)) })
	}
	return wg.Wait
}

func goodLead(i int) string {
	return lead(fmt.Sprint("lead-", i), fmt.Sprintf("+1415%07d", 2_000_000+i))
}

// awaitLog waits for a line of the log.
func awaitLog(t *testing.T, s *stream, line string) {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Contains(s.logs.String(), line) }, time.Minute, 5*time.Millisecond, line)
}

func TestAnAPIThatRefusesEveryCallDoesNotEmptyTheTopic(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusGone, http.StatusPreconditionFailed, http.StatusTeapot, http.StatusLocked, http.StatusUnavailableForLegalReasons} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			srv := startSim(t, callsim.Options{})
			refusal := srv.Sim.Inject(callsim.Fault{Kind: callsim.Refuse, Status: status})
			s := run(t, brakeParts(srv.URL))
			wait := deliverAll(t, s, 100, goodLead)
			awaitLog(t, s, fmt.Sprintf("Dialing paused (refusals): the API refused 20 different calls in a row with status %d", status))
			before := srv.Sim.Faults()[0].Injected
			require.NoError(t, srv.Sim.AwaitStruck(soon(t), refusal, before+2))
			tries := srv.Sim.Faults()[0].Injected - before
			srv.Sim.ClearFaults()
			wait()

			failed := s.out.all()
			assert.LessOrEqual(t, len(failed), 20+tries+2, "those that put the brake on, and one a try")
			assert.GreaterOrEqual(t, len(failed), 20)
			for _, f := range failed {
				assert.Equal(t, "refused", f["json"].(map[string]any)["reason"])
			}
			calls := srv.Sim.CallsBy("metadata.lead_id")
			assert.Len(t, calls, 100-len(failed), "all others are called")
			for lead, n := range calls {
				assert.Equal(t, 1, n, lead)
			}
			awaitLog(t, s, "Dialing resumed (refusals)")
		})
	}
}

// What a data team gets wrong most often: the value that the shipped pipelines set keeps
// the topic from being emptied into the failures.
func TestABrokenConfigDoesNotEmptyTheTopic(t *testing.T) {
	t.Parallel()
	config := func(from, to string) func(url string) string {
		return func(url string) string {
			text := dialYAML(url, "max_rejects_in_a_row: 100")
			require.Contains(t, text, from)
			return strings.Replace(text, from, to, 1)
		}
	}
	for name, tc := range map[string]struct {
		config func(url string) string
		says   string
	}{
		"a number id of six characters": {config(`"64f0c0de00000000000000c1"`, `"64f0c0"`), "number_id: must be an id of exactly 24 characters"},
		"root.numberid":                 {config(`root.number_id`, `root.numberid`), "numberid: "},
		"no such column for the key":    {config(`json("id")`, `json("lead_number")`), "dedupe_key: "},
		"no such column for the number": {config(`this.phone`, `this.mobile`), "phone_number: is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := startSim(t, callsim.Options{})
			s := run(t, parts{output: fmt.Sprintf("happyrobot_dial:\n  %s\n  batching: {count: 20, period: 10ms}\n  failures: {collect: {}}\n", indent(2, tc.config(srv.URL)))})
			deliverAll(t, s, 200, goodLead)
			awaitLog(t, s, "Dialing paused (refusals): 100 messages in a row made no valid call")
			assert.Contains(t, s.logs.String(), tc.says)
			assert.Contains(t, s.logs.String(), "one is tried after each pause")
			assert.LessOrEqual(t, len(s.out.all()), 100)
			assert.Empty(t, srv.Sim.Calls())
			assert.NotContains(t, s.logs.String(), "+1415", "no number in the log")
		})
	}
}
