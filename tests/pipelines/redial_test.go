package pipelines

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/tests/program"
)

// shownCall is a call as the API tells it.
type shownCall struct {
	ID           string            `json:"id"`
	Status       string            `json:"status"`
	Created      time.Time         `json:"created"`
	ScheduledFor *time.Time        `json:"scheduled_for"`
	Params       map[string]string `json:"params"`
	Metadata     struct {
		To     string `json:"to"`
		Custom struct {
			LeadID  string `json:"lead_id"`
			Shop    string `json:"shop"`
			DialRef string `json:"dial_ref"`
			Attempt int    `json:"attempt"`
		} `json:"custom"`
	} `json:"metadata"`
}

func (c shownCall) unanswered() bool {
	return happyrobot.Status(c.Status).In([]happyrobot.Status{happyrobot.StatusNoAnswer, happyrobot.StatusBusy})
}

func (c shownCall) answered() bool {
	return slices.Contains([]string{"Completed", "Transferred", "AMD Terminated", "Failed"}, c.Status)
}

// shownCalls lists the calls of each lead by attempt.
func shownCalls(t *testing.T, sim *program.Callsim) map[string][]shownCall {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, sim.BaseURL()+"/calls?limit=1999", nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer test-key")
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	var page struct {
		Calls []shownCall `json:"calls"`
	}
	require.NoError(t, json.NewDecoder(res.Body).Decode(&page))
	byLead := map[string][]shownCall{}
	for _, call := range page.Calls {
		id := call.Metadata.Custom.LeadID
		byLead[id] = append(byLead[id], call)
	}
	for _, calls := range byLead {
		slices.SortFunc(calls, func(a, b shownCall) int { return cmp.Compare(a.Metadata.Custom.Attempt, b.Metadata.Custom.Attempt) })
	}
	return byLead
}

func TestUnansweredCallsAreRedialedTwiceAtMost(t *testing.T) {
	program.Long(t, "it waits for the pauses between attempts")
	sim := program.StartCallsim(t, "--speed", "600")
	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "calls", "leads_failed"))
	require.NoError(t, err)
	t.Cleanup(broker.Close)
	arrive := func(lead, status, metadata string) {
		sim.Arrive(t, callsim.Arrival{Type: "Outbound", EndsAs: status, Call: fmt.Appendf(nil,
			`{"phone_number":"+12025550101","params":{"customer_name":%q},"metadata":{"lead_id":%q,"shop":"north","dial_ref":"theirs"%s}}`, lead, lead, metadata)})
	}
	const leads = 40
	for n := range leads - 3 {
		arrive(fmt.Sprintf("lead-%d", n), []string{"No answer", "Busy"}[n%2], "")
	}
	for n, spelling := range []string{`"no-answer"`, `"BUSY"`, `"NO_ANSWER"`} { // of an API that spells otherwise
		lead := fmt.Sprintf("lead-%d", leads-3+n)
		sim.Arrive(t, callsim.Arrival{Type: "Outbound", EndsAs: "No answer", Show: map[string]json.RawMessage{"status": json.RawMessage(spelling)}, Call: fmt.Appendf(nil,
			`{"phone_number":"+12025550101","params":{"customer_name":%q},"metadata":{"lead_id":%q,"shop":"north","dial_ref":"theirs"}}`, lead, lead)})
	}
	arrive("answered", "Completed", "")
	arrive("third", "Busy", `,"attempt":3`)
	sim.Arrive(t, callsim.Arrival{Type: "Outbound", EndsAs: "Busy"}) // nobody's lead
	sim.Arrive(t, callsim.Arrival{Type: "Inbound", EndsAs: "No answer", Call: json.RawMessage(`{"metadata":{"lead_id":"inbound"}}`)})

	state := t.TempDir()
	env := program.Settings(t, "HAPPYROBOT_BASE_URL="+sim.BaseURL(), "KAFKA_BROKERS="+broker.ListenAddrs()[0], "REDIAL_PAUSE=1s", "STATE_DIR="+state)
	start := func() *program.Process {
		return program.StartPipeline(t, env, "-r", "resources/local.yaml", "config/redial_no_answer.yaml")
	}
	settled := func() bool {
		for lead, calls := range shownCalls(t, sim) {
			last := calls[len(calls)-1]
			redialed := lead != "" && lead != "inbound" && last.Metadata.Custom.Attempt < 3
			if !last.answered() && (!last.unanswered() || redialed) {
				return false
			}
		}
		return true
	}
	check := func() {
		lengths := map[int]int{}
		for lead, calls := range shownCalls(t, sim) {
			lengths[len(calls)]++
			for i, call := range calls {
				if i == 0 {
					continue
				}
				custom, before := call.Metadata.Custom, calls[i-1]
				assert.Equal(t, i+1, custom.Attempt, lead)
				assert.True(t, before.unanswered())
				assert.Equal(t, "+12025550101", call.Metadata.To)
				assert.Equal(t, map[string]string{"customer_name": lead}, call.Params)
				assert.Equal(t, "north", custom.Shop)
				assert.NotContains(t, []string{"theirs", before.Metadata.Custom.DialRef, ""}, custom.DialRef)
				ended := before.Created // nobody talked
				if before.ScheduledFor != nil && before.ScheduledFor.After(ended) {
					ended = *before.ScheduledFor
				}
				require.NotNil(t, call.ScheduledFor)
				assert.Equal(t, ended.Add(time.Duration(i*i)*time.Second).Truncate(time.Second).UTC(), call.ScheduledFor.UTC())
			}
		}
		t.Logf("leads by number of calls: %v", lengths)
		assert.NotZero(t, lengths[2])
		assert.NotZero(t, lengths[3])
		assert.Equal(t, leads, lengths[2]+lengths[3])
	}
	pipeline := start()
	require.Eventually(t, settled, time.Minute, 100*time.Millisecond)
	pipeline.Kill()
	check()
	placed := sim.CallsByLead(t)
	for _, never := range []string{"answered", "third", "inbound"} {
		assert.Equal(t, 1, placed[never], never)
	}

	// All of it again: nobody is called once more.
	require.NoError(t, os.Remove(filepath.Join(state, "cursor.db")))
	arrive("late", "Busy", `,"attempt":2`)
	pipeline = start()
	require.Eventually(t, func() bool { return sim.CallsByLead(t)["late"] == 2 }, time.Minute, 50*time.Millisecond)
	require.Eventually(t, settled, time.Minute, 100*time.Millisecond)
	pipeline.Stop(t)
	delete(placed, "late")
	again := sim.CallsByLead(t)
	delete(again, "late")
	assert.Equal(t, placed, again)
}

// The filter of the pipeline leaves out every other call; those that the API refuses
// are filed, and nobody else.
func TestARedialThatIsRefusedIsTheOneThatIsFiled(t *testing.T) {
	program.Long(t, "it waits for retries")
	sim := program.StartCallsim(t, "--fault", `{"kind":"refuse","to":"+12025550177","status":422}`)
	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "calls", "leads_failed"))
	require.NoError(t, err)
	t.Cleanup(broker.Close)
	client, err := kgo.NewClient(kgo.SeedBrokers(broker.ListenAddrs()...), kgo.ConsumeTopics("calls", "leads_failed"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	wantCalls, wantRecords := map[string]int{}, map[string]int{}
	for n := range 20 {
		lead, phone, attempt := fmt.Sprintf("lead-%d", n), "+12025550101", 1
		switch n % 4 {
		case 0, 2:
			attempt = 3
			wantCalls[lead] = 1
		case 1:
			phone = "+12025550177"
			wantCalls[lead] = 1
			wantRecords[lead+" rejected refused"] = 1
		default:
			wantCalls[lead] = 2
			wantRecords[lead+" accepted"] = 1
		}
		sim.Arrive(t, callsim.Arrival{Type: "Outbound", EndsAs: "Busy", Ago: callsim.Duration(time.Hour), Call: fmt.Appendf(nil,
			`{"phone_number":%q,"metadata":{"lead_id":%q,"attempt":%d}}`, phone, lead, attempt)})
	}
	env := program.Settings(t, "HAPPYROBOT_BASE_URL="+sim.BaseURL(), "KAFKA_BROKERS="+broker.ListenAddrs()[0], "STATE_DIR="+t.TempDir())
	pipeline := program.StartPipeline(t, env, "-r", "resources/local.yaml", "config/redial_no_answer.yaml")
	got := map[string]int{}
	for _, records := range topics(t, client, map[string]int{"calls": 5, "leads_failed": 5}) {
		for _, r := range records {
			reason, _ := r["reason"].(string)
			got[strings.TrimSpace(fmt.Sprint(r["lead"].(map[string]any)["id"], " ", r["outcome"], " ", reason))]++
		}
	}
	pipeline.Stop(t)
	assert.Equal(t, wantRecords, got)
	assert.Equal(t, wantCalls, sim.CallsByLead(t))
}
