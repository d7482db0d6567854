package plugin_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/bloblang"
	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim/platform"
)

// memoryLedger is a ledger that components share.
const memoryLedger = "cache_resources: [ { label: ledger, memory: {} } ]"

// A lead that one generation called is known to the other.
func TestALeadOfTheOtherGenerationIsAConflict(t *testing.T) {
	t.Parallel()
	v1, today := startSim(t, callsim.Options{}), startPlatformSim(t, platform.Options{})
	dials := "\n        " + indent(8, dialYAML(v1.URL, "ledger: ledger"))
	starts := "\n        " + indent(8, workflowYAML(today.URL, "ledger: ledger"))
	child := "\n        batching: {count: 20, period: 10ms}\n        receipts: {collect: {}}\n        failures: {collect: {}}"
	s := run(t, parts{resources: memoryLedger, output: `
switch:
  cases:
    - check: this.to == "v1"
      output:
       happyrobot_dial:` + dials + child + `
    - output:
       happyrobot_workflow:` + starts + child})
	to := func(generation, id string) string {
		return fmt.Sprintf(`{"to":%q,"id":%q,"phone":"+12025550101"}`, generation, id)
	}
	require.NoError(t, s.deliver(to("v1", "a")))
	require.NoError(t, s.deliver(to("today", "b")))
	require.NoError(t, s.deliver(to("today", "a")))
	require.NoError(t, s.deliver(to("v1", "b")))
	assert.Equal(t, map[string]int{"a": 1}, v1.Sim.CallsBy("metadata.lead_id"))
	assert.Equal(t, map[string]int{"b": 1}, today.Sim.RunsBy("lead_id"))
	all := s.out.all()
	require.Len(t, all, 4)
	call, run := all[0]["json"].(map[string]any)["call_id"], all[1]["json"].(map[string]any)["run_id"]
	require.NotEmpty(t, call)
	require.NotEmpty(t, run)
	for _, r := range all[2:] {
		assert.Equal(t, "conflict", outcomeOf(r))
		assert.Equal(t, "dedupe_conflict", r["@happyrobot_reason"])
	}
	assert.Equal(t, call, all[2]["json"].(map[string]any)["run_id"], "the known id")
	assert.Equal(t, run, all[3]["json"].(map[string]any)["call_id"])
}

func TestAnswersOfAllFormsAreRunIDs(t *testing.T) {
	t.Parallel()
	for _, form := range []platform.Answer{platform.AnswerRunID, platform.AnswerQueued, platform.AnswerBoth, platform.AnswerTwo} {
		t.Run(string(form), func(t *testing.T) {
			t.Parallel()
			srv := startPlatformSim(t, platform.Options{Answers: []platform.Answer{form}})
			s := run(t, workflowParts(srv.URL))
			require.NoError(t, s.deliver(lead("a", "+12025550101"), lead("b", "+12025550102")))
			for _, r := range records(t, s) {
				receipt := r["json"].(map[string]any)
				ids, several := receipt["run_ids"].([]any)
				assert.Equal(t, form == platform.AnswerTwo, several)
				if several {
					assert.Len(t, ids, 2)
					assert.Equal(t, ids[0], receipt["run_id"])
				}
			}
			assert.Equal(t, form == platform.AnswerTwo, strings.Contains(s.logs.String(), "A trigger was answered with 2 runs for one lead"))
		})
	}
}

func TestTheWorkflowProcessorContinuesWithTheRun(t *testing.T) {
	t.Parallel()
	srv := startPlatformSim(t, platform.Options{})
	s := run(t, parts{processors: []string{"happyrobot_workflow:\n  " + indent(2, workflowYAML(srv.URL, "result_map: root.run = this.run_id"))}})
	require.NoError(t, s.deliver(lead("a", "+12025550101"), lead("bad", "nobody")))
	all := s.out.all()
	require.Len(t, all, 2)
	assert.Equal(t, srv.Sim.Runs()[0].ID, all[0]["json"].(map[string]any)["run"])
	assert.Equal(t, "accepted", all[0]["@happyrobot_outcome"])
	assert.Equal(t, "rejected", all[1]["@happyrobot_outcome"])
	assert.Contains(t, all[1]["error"], "rejected: invalid_phone_number: ")
}

func TestADryRunStartsNothing(t *testing.T) {
	t.Parallel()
	srv := startPlatformSim(t, platform.Options{})
	s := run(t, workflowParts(srv.URL, "dry_run: true"))
	require.NoError(t, s.deliver(lead("a", "(202) 555-0101"), lead("bad", "nobody")))
	assert.Empty(t, srv.Sim.Runs())
	all := records(t, s)
	assert.Equal(t, "dry_run", outcomeOf(all["a"]))
	assert.Equal(t, "+12025550101", all["a"]["json"].(map[string]any)["run"].(map[string]any)["phone_number"])
	assert.Equal(t, "rejected", outcomeOf(all["bad"]))
	assert.Contains(t, s.logs.String(), "Dry run: a run with reference ")
}

// The reference and the number may stand anywhere in the payload.
func TestMembersOfAPayloadAreFoundByTheirPath(t *testing.T) {
	t.Parallel()
	srv := startPlatformSim(t, platform.Options{Workflows: []platform.Workflow{{Slug: platform.DefaultWorkflow, PhoneField: "contact.phone"}}})
	srv.Sim.LoseAnswer("+12025550101")
	config := strings.Replace(workflowYAML(srv.URL, "phone_field: contact.phone", "ref_field: meta.ref", "on_unknown: redial_absent"), "root.phone_number = this.phone", "root.contact.phone = this.phone\n  root.meta.ref = \"theirs\"\n  root.big = 12345.5", 1)
	s := run(t, parts{output: "happyrobot_workflow:\n  " + indent(2, config) + "\n  receipts: {collect: {}}\n  failures: {collect: {}}"})
	require.NoError(t, s.deliver(lead("a", "(202) 555-0101")))
	runs := srv.Sim.Runs()
	require.Len(t, runs, 1)
	receipt := records(t, s)["a"]["json"].(map[string]any)
	assert.Equal(t, "accepted", receipt["outcome"])
	assert.Equal(t, map[string]any{"phone": "+12025550101"}, runs[0].Payloads[0]["contact"])
	assert.Equal(t, map[string]any{"ref": receipt["dial_ref"]}, runs[0].Payloads[0]["meta"])
	assert.InDelta(t, 12345.5, runs[0].Payloads[0]["big"], 0)
}

// No run is started while too many wait, and the queue is not asked more often than it may.
func TestTheBacklogIsKeptShort(t *testing.T) {
	t.Parallel()
	srv := startPlatformSim(t, platform.Options{Concurrent: 1, Speed: 1})
	s := run(t, workflowParts(srv.URL, "max_backlog: 3", "poll_interval: 100ms"))
	began := time.Now()
	var batch []string
	for i := range 12 {
		batch = append(batch, lead(fmt.Sprint(i), fmt.Sprintf("+1202555%04d", i)))
	}
	verdict := delivers(s, batch...)
	awaitLog(t, s, "Dialing paused (backlog): ") // the first run takes longer than that
	most, done := 0, make(chan error, 1)
	go func() { done <- verdict() }()
	require.Eventually(t, func() bool {
		most = max(most, srv.Sim.ByStatus()["scheduled"])
		select {
		case err := <-done:
			assert.NoError(t, err)
			return true
		default:
			srv.Sim.Advance(10 * time.Second)
			return false
		}
	}, time.Minute, 5*time.Millisecond)
	assert.LessOrEqual(t, most, 4, "one more than may wait was started when the last was let through")
	assert.Len(t, srv.Sim.Runs(), 12)
	assert.LessOrEqual(t, srv.Sim.RequestsOf("listRuns"), int(time.Since(began)/(100*time.Millisecond))+3)
	awaitLog(t, s, "Dialing resumed (backlog)")
}

func TestARunsFailureIsReadBack(t *testing.T) {
	t.Parallel()
	exec, err := bloblang.Parse(`root = this.why.parse_dial_error()`)
	require.NoError(t, err)
	got, err := exec.Query(map[string]any{"why": "conflict: dedupe_conflict: used; run_id=00000000-0000-7006-8000-000000000001"})
	require.NoError(t, err)
	assert.Equal(t, map[string]any{"outcome": "conflict", "reason": "dedupe_conflict", "details": "used", "run_id": "00000000-0000-7006-8000-000000000001"}, got)
}

// startError is why a stream with this output does not start.
func startError(t *testing.T, output string) error {
	t.Helper()
	b := service.NewStreamBuilder()
	_, err := b.AddProducerFunc()
	require.NoError(t, err)
	if err := b.AddOutputYAML(output); err != nil {
		return err
	}
	b.SetLogger(slog.New(slog.DiscardHandler))
	built, err := b.Build()
	if err != nil {
		return err
	}
	return built.Run(soon(t))
}

func TestAWorkflowConfigThatCannotWorkIsRefused(t *testing.T) {
	t.Parallel()
	for config, says := range map[string]string{
		"{workflow: w, payload_mapping: root = this}":                                                             "api_key: must not be empty",
		"{api_key: k, workflow: a/b, payload_mapping: root = this}":                                               "`workflow` must be the UUID or slug",
		"{api_key: k, base_url: 'http://example.com/api/v2', workflow: w, payload_mapping: root = this}":          "base_url: must be an https URL",
		"{api_key: k, workflow: w, payload_mapping: root = this, hook: {key: x}}":                                 "hook.key: is for hook.url",
		"{api_key: k, workflow: w, payload_mapping: root = this, hook: {url: 'http://example.com/hooks/s'}}":      "hook url: must be an https URL",
		"{workflow: w, payload_mapping: root = this, hook: {url: 'https://example.com/hooks/s'}, max_backlog: 1}": "max_backlog: needs api_key",
		"{api_key: k, workflow: w, payload_mapping: root = this, phone_field: dial_ref}":                          "phone_field and ref_field: must not be the same member",
		"{api_key: k, workflow: w, payload_mapping: root = this, phone_field: contact.phone, ref_field: contact}": "phone_field and ref_field: must not be the same member, nor one within the other",
		"{api_key: k, workflow: w, payload_mapping: root = this, phone_field: contact, ref_field: contact.ref}":   "phone_field and ref_field: must not be the same member, nor one within the other",
		"{api_key: k, workflow: w, payload_mapping: root = this, ref_field: meta.Headers.ref}":                    "`ref_field` must have no segment that is a name of secrets",
		"{api_key: k, workflow: w, payload_mapping: root = this, ref_field: x-api_key}":                           "`ref_field` must have no segment that is a name of secrets",
		"{api_key: k, workflow: w, payload_mapping: root = this, dedupe_window: 30s}":                             "dedupe_window: 30s is too short",
		"{api_key: k, api_key_file: f, workflow: w, payload_mapping: root = this}":                                "only one of them may be set",
		"{api_key: k, workflow: w, payload_mapping: root = this, ledger: nowhere}":                                `no cache resource is labelled "nowhere"`,
	} {
		err := startError(t, "happyrobot_workflow: "+config)
		require.Error(t, err, config)
		assert.ErrorContains(t, err, says)
	}
}
