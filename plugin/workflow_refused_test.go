package plugin_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim/platform"
)

// delivers delivers in the background, and returns what waits for the verdict.
func delivers(s *stream, messages ...string) (verdict func() error) {
	done := make(chan error, 1)
	go func() { done <- s.deliver(messages...) }()
	return func() error { return <-done }
}

// Whatever is wrong with the setup pauses the stream, and fails no lead. The log says what is
// wrong and what to do about it, and the stream resumes once that is put right.
func TestAWrongSetupPausesTheStream(t *testing.T) {
	t.Parallel()
	const slug = platform.DefaultWorkflow
	everywhere := func(f platform.Fault) func(*platform.Server) {
		return func(srv *platform.Server) {
			for _, op := range []string{"triggerRun", "getWorkflow", "describeApiKey", "listVersionNodes", "listRuns"} {
				f.Operation = op
				srv.Sim.Inject(f)
			}
		}
	}
	clear := func(_ *testing.T, srv *platform.Server) { srv.Sim.ClearFaults() }
	// What tells one lead's refusal from everybody's goes on failing until the leads are through:
	// a firewall that lets go between a trigger and the second look seems to mean that lead.
	letsGo := func(t *testing.T, srv *platform.Server) {
		for _, f := range srv.Sim.Faults() {
			if f.Operation == "triggerRun" || f.Operation == "listRuns" {
				srv.Sim.ClearFault(f.ID)
			}
		}
		require.NoError(t, srv.Sim.AwaitRuns(t.Context(), 2))
		srv.Sim.ClearFaults()
	}
	for name, tc := range map[string]struct {
		opts   platform.Options
		config string
		breaks func(*platform.Server)
		says   []string
		mends  func(*testing.T, *platform.Server) // nil: only another config or key helps
	}{
		"wrong cluster":    {opts: platform.Options{APIKey: "of the other cluster"}, says: []string{"status 401", "of the other cluster (us or eu)"}},
		"expired key":      {opts: platform.Options{KeyExpires: time.Now().Add(-time.Hour)}, says: []string{"status 401", "revoked, expired"}},
		"viewer key":       {opts: platform.Options{Role: platform.Viewer}, says: []string{"status 403", "new keys are Viewers, so give it a role that may"}},
		"unknown workflow": {opts: platform.Options{Workflows: []platform.Workflow{{Slug: "another"}}}, says: []string{"status 404", "no workflow with this id or slug is known", "preflight found: "}},
		"unpublished workflow": {
			opts: platform.Options{Workflows: []platform.Workflow{{Slug: slug, Environments: []string{}}}},
			says: []string{"status 404", "no version of it is live; publish one into production", "preflight found: "}, mends: func(_ *testing.T, srv *platform.Server) { srv.Sim.SetLive(slug, platform.Production) },
		},
		"trigger that cannot be started": {
			opts: platform.Options{Workflows: []platform.Workflow{{Slug: slug, Trigger: platform.FunctionRequest}}},
			says: []string{"status 404", "only an incoming hook or a predefined request can"},
		},
		"environment without a version": {
			config: "environment: staging",
			says:   []string{"status 404", "check that a version of it is published into staging"}, mends: func(_ *testing.T, srv *platform.Server) { srv.Sim.SetLive(slug, platform.Production, platform.Staging) },
		},
		"firewall": {breaks: everywhere(platform.Fault{Kind: platform.Firewall}), says: []string{"status 403", "a firewall before the API refuses this address or key altogether"}, mends: letsGo},
		"redirect to a login page": {
			breaks: everywhere(platform.Fault{Kind: platform.Redirect}), says: []string{"status 307", "/login, which is never followed", "the host of base_url redirects to another one"}, mends: clear,
		},
		"account": {
			breaks: func(srv *platform.Server) {
				srv.Sim.Inject(platform.Fault{Kind: platform.Refuse, Status: http.StatusPaymentRequired})
			},
			says: []string{"status 402", "the account is used up"}, mends: clear,
		},
		"trigger that groups": {
			opts: platform.Options{Workflows: []platform.Workflow{{Slug: slug, MultiEvent: platform.Group}}},
			says: []string{"multi_event_behavior is group: set it to parallel or sequential, and publish the workflow again"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := startPlatformSim(t, tc.opts)
			if tc.breaks != nil {
				tc.breaks(srv)
			}
			s := run(t, workflowParts(srv.URL, tc.config))
			verdict := delivers(s, lead("a", "+12025550101"), lead("b", "+12025550102"))
			awaitLog(t, s, "Dialing paused (setup): ")
			for _, text := range tc.says {
				assert.Contains(t, s.logs.String(), text)
			}
			assert.Empty(t, s.out.all(), "no lead fails")
			assert.Empty(t, srv.Sim.Runs())
			if tc.mends == nil {
				go func() { _ = verdict() }()
				return
			}
			tc.mends(t, srv)
			require.NoError(t, verdict())
			awaitLog(t, s, "Dialing resumed (setup)")
			assert.Equal(t, map[string]int{"a": 1, "b": 1}, srv.Sim.RunsBy("lead_id"))
		})
	}
}

// What is wrong with a lead fails that lead, with a reason of its own.
func TestABadLeadOfAWorkflowFailsAlone(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		message, config string
		fault           platform.Fault
		reason, says    string
		status          string
	}{
		"payload of 1 MB":       {message: `{"id":"bad","phone":"+12025550102","note":"` + strings.Repeat("x", 1_000_000) + `"}`, reason: "too_large", says: "note: the payload is 1000"},
		"no phone field":        {message: lead("bad", "+12025550102"), config: "payload_mapping: |\n  root.lead_id = this.id\n  root.phone_number = if this.id == \"good\" { this.phone } else { deleted() }", reason: "missing_field", says: "phone_field: the payload has no member phone_number; have payload_mapping give the number to call there, or name the member that has it"},
		"empty phone field":     {message: lead("bad", " "), reason: "missing_field", says: "phone_number: is empty"},
		"number of no plan":     {message: lead("bad", "+1202555"), reason: "invalid_phone_number", says: "phone_number: "},
		"emergency number":      {message: lead("bad", "911"), reason: "emergency_number", says: "phone_number: "},
		"foreign number":        {message: lead("bad", "+442071838750"), reason: "region_not_allowed", says: "phone_number: "},
		"premium number":        {message: lead("bad", "+19002345678"), reason: "number_type_refused", says: "phone_number: "},
		"phone is no text":      {message: `{"id":"bad","phone":12025550102}`, reason: "invalid_field", says: "phone_number: must be text"},
		"no JSON":               {message: `bad`, reason: "invalid_json", says: "payload_mapping"},
		"no key":                {message: `{"phone":"+12025550102"}`, reason: "dedupe_key_failed", says: "dedupe_key: "},
		"refused by the API":    {message: lead("bad", "+12025550102"), fault: platform.Fault{Kind: platform.Refuse, To: "+12025550102", Times: 1}, reason: "refused", says: "triggerRun: status 422", status: "422"},
		"refused by a firewall": {message: lead("bad", "+12025550102"), fault: platform.Fault{Kind: platform.Firewall, To: "+12025550102", Times: 1}, reason: "refused_by_firewall", says: "a firewall before the API refused the contents of this lead", status: "403"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := startPlatformSim(t, platform.Options{})
			if tc.fault.Kind != "" {
				srv.Sim.Inject(tc.fault)
			}
			config := workflowYAML(srv.URL)
			if tc.config != "" { // in place of the mapping
				config = strings.Replace(config, `payload_mapping: |
  root.phone_number = this.phone
  root.lead_id = this.id
  root.note = this.note | deleted()`, tc.config, 1)
			}
			s := run(t, parts{output: "happyrobot_workflow:\n  " + indent(2, config) + "\n  batching: {count: 20, period: 10ms}\n  failures: {collect: {}}"})
			require.NoError(t, s.deliver(lead("good", "+12025550101"), tc.message))
			assert.Equal(t, map[string]int{"good": 1}, srv.Sim.RunsBy("lead_id"))
			failed := s.out.all()
			require.Len(t, failed, 1)
			record := failed[0]["json"].(map[string]any)
			assert.Equal(t, "rejected", record["outcome"])
			assert.Equal(t, tc.reason, record["reason"], "%v", record["details"])
			assert.Contains(t, record["details"], tc.says)
			assert.NotContains(t, record["details"], "5550102")
			if tc.status != "" {
				assert.Equal(t, tc.status, failed[0]["@happyrobot_http_status"])
			}
		})
	}
}

func TestAKeyThatExpiresSoonIsWarnedOf(t *testing.T) {
	t.Parallel()
	srv := startPlatformSim(t, platform.Options{KeyExpires: time.Now().Add(13 * 24 * time.Hour)})
	s := run(t, workflowParts(srv.URL))
	require.NoError(t, s.deliver(lead("a", "+12025550101")))
	assert.Contains(t, s.logs.String(), "Preflight: the key expires at ")
	assert.Contains(t, s.logs.String(), "in 12 days; replace it before that")

	later := startPlatformSim(t, platform.Options{KeyExpires: time.Now().Add(15 * 24 * time.Hour)})
	s = run(t, workflowParts(later.URL))
	require.NoError(t, s.deliver(lead("a", "+12025550101")))
	assert.NotContains(t, s.logs.String(), "expires")
	assert.Contains(t, s.logs.String(), "the workflow is live in production")
}

// The preflight is never fatal: what it could not check is said.
func TestWhatPreflightCannotCheckIsSaid(t *testing.T) {
	t.Parallel()
	srv := startPlatformSim(t, platform.Options{})
	for _, op := range []string{"getWorkflow", "describeApiKey"} {
		srv.Sim.Inject(platform.Fault{Operation: op, Kind: platform.Refuse, Status: http.StatusForbidden})
	}
	s := run(t, workflowParts(srv.URL))
	require.NoError(t, s.deliver(lead("a", "+12025550101")))
	assert.Contains(t, s.logs.String(), "Preflight could not check the key (")
	assert.Contains(t, s.logs.String(), "the workflow, that it is live, and its trigger (")
	assert.Equal(t, map[string]int{"a": 1}, srv.Sim.RunsBy("lead_id"))
}

// A preflight that the API did not answer goes on in the background.
func TestPreflightIsRepeatedWhileTheAPIIsAway(t *testing.T) {
	t.Parallel()
	srv := startPlatformSim(t, platform.Options{Workflows: []platform.Workflow{{Slug: platform.DefaultWorkflow, MultiEvent: platform.Group}}})
	srv.Sim.Inject(platform.Fault{Operation: "describeApiKey", Kind: platform.ErrorBefore, Status: http.StatusServiceUnavailable, Times: 3})
	s := run(t, workflowParts(srv.URL))
	awaitLog(t, s, "Dialing paused (setup): the trigger puts several leads into one run")
	assert.Equal(t, 4, srv.Sim.RequestsOf("describeApiKey"))
}

// A workflow that is published after the start is checked before its first run.
func TestAWorkflowThatIsPublishedLaterIsCheckedBeforeItsFirstRun(t *testing.T) {
	t.Parallel()
	for _, refused := range []string{"getWorkflow", "triggerRun"} {
		t.Run(refused, func(t *testing.T) {
			t.Parallel()
			flow := platform.Workflow{Slug: platform.DefaultWorkflow, MultiEvent: platform.Group}
			if refused == "triggerRun" {
				flow.MultiEvent = platform.Parallel
			}
			srv := startPlatformSim(t, platform.Options{Workflows: []platform.Workflow{flow}})
			srv.Sim.Inject(platform.Fault{Operation: refused, Kind: platform.Refuse, Status: http.StatusNotFound, Times: 1})
			s := run(t, workflowParts(srv.URL))
			verdict := delivers(s, lead("a", "+12025550101"), lead("b", "+12025550102"))
			if refused == "triggerRun" {
				require.NoError(t, verdict())
				assert.GreaterOrEqual(t, srv.Sim.RequestsOf("listVersionNodes"), 2, "checked again")
				return
			}
			awaitLog(t, s, "Dialing paused (setup): the trigger puts several leads into one run")
			assert.Empty(t, srv.Sim.Runs())
			go func() { _ = verdict() }()
		})
	}
}
