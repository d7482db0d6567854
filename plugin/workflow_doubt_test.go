package plugin_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim/platform"
)

// noColumn is a workflow whose table of runs shows nothing of what was sent.
func noColumn() []platform.Workflow {
	return []platform.Workflow{{Slug: platform.DefaultWorkflow, Columns: platform.ColumnsNone}}
}

// reads are the requests with which runs are looked up.
func reads(srv *platform.Server) (lists, opens int) {
	return srv.Sim.RequestsOf("listRuns"), srv.Sim.RequestsOf("listRunNodes") + srv.Sim.RequestsOf("getRunOutput")
}

// others has so many runs that somebody else started.
func others(t *testing.T, srv *platform.Server, n int) {
	t.Helper()
	_, err := srv.Sim.Arrive(platform.Arrival{Count: n, Payload: map[string]any{"dial_ref": strings.Repeat("f", 32)}})
	require.NoError(t, err)
}

func records(t *testing.T, s *stream) map[string]map[string]any {
	t.Helper()
	return byLead(t, s.out.all())
}

// With the column, a lead in doubt costs at most three requests, whatever others start.
func TestALeadInDoubtIsFoundByItsColumn(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fault   platform.Fault
		config  string
		opts    platform.Options
		outcome string
		runs    int
		most    int // requests that look up
	}{
		"found":                {fault: platform.Fault{Kind: platform.LoseAnswer}, outcome: "accepted", runs: 1, most: 3},
		"answered with 502":    {fault: platform.Fault{Kind: platform.ErrorAfter}, outcome: "accepted", runs: 1, most: 3},
		"answered without ids": {fault: platform.Fault{Kind: platform.NoID}, outcome: "accepted", runs: 1, most: 3},
		"listed late":          {fault: platform.Fault{Kind: platform.LoseAnswer}, opts: platform.Options{Visibility: 900 * time.Millisecond}, outcome: "accepted", runs: 1, most: 3},
		"absent, held":         {fault: platform.Fault{Kind: platform.ErrorBefore}, outcome: "held", runs: 0, most: 3},
		"absent, again":        {fault: platform.Fault{Kind: platform.ErrorBefore}, config: "on_unknown: redial_absent", outcome: "accepted", runs: 1, most: 3},
		"its clock is behind":  {fault: platform.Fault{Kind: platform.LoseAnswer}, config: "on_unknown: redial_absent", opts: platform.Options{ClockSkew: -3 * time.Hour, Date: "wall"}, outcome: "accepted", runs: 1, most: 3},
		"its clock is ahead":   {fault: platform.Fault{Kind: platform.LoseAnswer}, config: "on_unknown: redial_absent", opts: platform.Options{ClockSkew: 3 * time.Hour, Date: "none"}, outcome: "accepted", runs: 1, most: 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := startPlatformSim(t, tc.opts)
			others(t, srv, 50)
			tc.fault.Times = 1
			srv.Sim.Inject(tc.fault)
			s := run(t, workflowParts(srv.URL, tc.config, "settle: 1s"))
			require.NoError(t, s.deliver(lead("a", "+12025550101")))
			assert.Equal(t, tc.runs, srv.Sim.RunsBy("lead_id")["a"])
			assert.Equal(t, tc.outcome, outcomeOf(records(t, s)["a"]))
			lists, opens := reads(srv)
			t.Logf("%d lists, %d reads of runs", lists, opens)
			assert.LessOrEqual(t, lists, tc.most)
			assert.Zero(t, opens)
		})
	}
}

// Without the column, runs of that time are opened: two requests each, once for all who
// look, and none for a run that this process started itself.
func TestALeadInDoubtIsFoundInWhatTheTriggerWasGiven(t *testing.T) {
	t.Parallel()
	for _, trigger := range []string{platform.IncomingHook, platform.PredefinedRequest} {
		for _, absent := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, absent %v", trigger, absent), func(t *testing.T) {
				t.Parallel()
				flows := noColumn()
				flows[0].Trigger = trigger
				srv := startPlatformSim(t, platform.Options{Workflows: flows, Concurrent: -1})
				s := run(t, workflowParts(srv.URL, "on_unknown: redial_absent"))
				for i := range 20 {
					require.NoError(t, s.deliver(lead(fmt.Sprint("own-", i), fmt.Sprintf("+1202555%04d", i))))
				}
				others(t, srv, 30)
				kind := platform.LoseAnswer
				if absent {
					kind = platform.ErrorBefore
				}
				for _, phone := range []string{"+12025550101", "+12025550102"} {
					srv.Sim.Inject(platform.Fault{Kind: kind, To: phone, Times: 1})
				}
				require.NoError(t, s.deliver(lead("a", "+12025550101")))
				require.NoError(t, s.deliver(lead("b", "+12025550102")))
				for id, r := range records(t, s) {
					assert.Equal(t, "accepted", outcomeOf(r), id)
					assert.Equal(t, 1, srv.Sim.RunsBy("lead_id")[id], id)
				}
				_, opens := reads(srv)
				t.Logf("%d reads of runs", opens)
				assert.LessOrEqual(t, opens, 2*32)
				assert.Contains(t, s.logs.String(), "A run is listed without its reference: add the payload's member `dial_ref` as a column")
			})
		}
	}
}

// A run of which nobody can see what it was started with may be anybody's.
func TestARunThatCannotBeOpenedLeavesADoubt(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		operation string
		status    int
		says      string
		reason    string
	}{
		"runs may not be listed":  {"listRuns", http.StatusForbidden, "the key may not list runs", "not_looked_up"},
		"no such workflow":        {"listRuns", http.StatusNotFound, "no workflow of this id or slug", "not_looked_up"},
		"nodes may not be read":   {"listRunNodes", http.StatusForbidden, "the key may not read what runs were started with", "unknown"},
		"outputs may not be read": {"getRunOutput", http.StatusForbidden, "the key may not read what runs were started with", "unknown"},
		"outputs are not there":   {"getRunOutput", http.StatusNotFound, "a run of that time may be it", "unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := startPlatformSim(t, platform.Options{Workflows: noColumn()})
			others(t, srv, 1)
			srv.Sim.Inject(platform.Fault{Operation: tc.operation, Kind: platform.Refuse, Status: tc.status})
			srv.Sim.Inject(platform.Fault{Kind: platform.ErrorBefore, To: "+12025550101", Times: 1})
			s := run(t, workflowParts(srv.URL, "on_unknown: redial_absent", "timeout: 2s"))
			for range 2 {
				require.NoError(t, s.deliver(lead("a", "+12025550101")))
			}
			for _, r := range s.out.all() {
				assert.Equal(t, "held", outcomeOf(r))
				assert.Equal(t, tc.reason, r["@happyrobot_reason"])
				assert.Contains(t, r["json"].(map[string]any)["details"], tc.says)
				assert.Contains(t, r["json"].(map[string]any)["details"], "it is not started again")
			}
			assert.Zero(t, srv.Sim.RunsBy("lead_id")["a"], "never started again")
			require.NoError(t, s.deliver(lead("b", "+12025550102")), "others go on")
			assert.Equal(t, 1, srv.Sim.RunsBy("lead_id")["b"])
		})
	}
}

// The column of a run may come late. Where columns are seen, that is waited for.
func TestAColumnThatComesLateIsWaitedFor(t *testing.T) {
	t.Parallel()
	srv := startPlatformSim(t, platform.Options{Speed: 100_000})
	s := run(t, workflowParts(srv.URL, "on_unknown: redial_absent", "settle: 600ms"))
	srv.Sim.Inject(platform.Fault{Kind: platform.LoseAnswer, To: "+12025550101", Times: 1})
	require.NoError(t, s.deliver(lead("a", "+12025550101")), "columns are seen")
	srv.Sim.Inject(platform.Fault{Kind: platform.LateColumns, To: "+12025550102", Times: 1})
	srv.Sim.Inject(platform.Fault{Kind: platform.DropColumns, To: "+12025550103", Times: 1})
	require.NoError(t, s.deliver(lead("b", "+12025550102"), lead("c", "+12025550103")))
	assert.Equal(t, map[string]int{"a": 1, "b": 1, "c": 1}, srv.Sim.RunsBy("lead_id"))
	_, opens := reads(srv)
	assert.Zero(t, opens)
}

// Through the URL of a trigger: with a key beside it runs are looked up all the same, and
// without one what is unknown is held at once.
func TestRunsAreStartedThroughAHook(t *testing.T) {
	t.Parallel()
	for _, keyed := range []bool{true, false} {
		t.Run(fmt.Sprint("api_key ", keyed), func(t *testing.T) {
			t.Parallel()
			flows := noColumn()
			flows[0].HookKey = "hook-key"
			srv := startPlatformSim(t, platform.Options{APIKey: "test-key", Workflows: flows})
			srv.Sim.LoseAnswer("+12025550102")
			extra := []string{fmt.Sprintf("hook: {url: %s/%s, key: hook-key}", srv.HooksURL, platform.DefaultWorkflow), "on_unknown: redial_absent", "settle: 1s"}
			p := workflowParts(srv.URL, extra...)
			if !keyed {
				p.output = withoutKey(p.output)
			}
			s := run(t, p)
			began := time.Now()
			require.NoError(t, s.deliver(lead("a", "+12025550101"), lead("lost", "+12025550102"), lead("b", "+12025550103")))
			assert.Equal(t, map[string]int{"a": 1, "lost": 1, "b": 1}, srv.Sim.RunsBy("lead_id"))
			all := records(t, s)
			assert.Equal(t, "accepted", outcomeOf(all["a"]))
			if keyed {
				assert.Equal(t, "accepted", outcomeOf(all["lost"]))
				return
			}
			assert.Equal(t, "held", outcomeOf(all["lost"]))
			assert.Equal(t, "not_looked_up", all["lost"]["@happyrobot_reason"])
			assert.Less(t, time.Since(began), time.Second, "at once")
			assert.Contains(t, s.logs.String(), "No `api_key` is set beside `hook`")
			assert.Zero(t, srv.Sim.RequestsOf("listRuns"))
		})
	}
}

func TestAHookThatIsWrongSaysWhat(t *testing.T) {
	t.Parallel()
	flows := []platform.Workflow{{Slug: platform.DefaultWorkflow, HookKey: "hook-key"}}
	srv := startPlatformSim(t, platform.Options{Workflows: flows})
	for name, tc := range map[string]struct{ hook, says string }{
		"key":  {fmt.Sprintf("{url: %s/%s, key: wrong}", srv.HooksURL, platform.DefaultWorkflow), "the trigger wants a key of its own, which is not that of the organization; check hook.key"},
		"slug": {fmt.Sprintf("{url: %s/another, key: hook-key}", srv.HooksURL), "no workflow has this slug for its trigger"},
		"host": {fmt.Sprintf("{url: %s/hooks/%s, key: hook-key}", srv.URL[:len(srv.URL)-len("/api/v2")], platform.DefaultWorkflow), "hook.url is not where hooks are answered"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := run(t, workflowParts(srv.URL, "hook: "+tc.hook))
			verdict := delivers(s, lead("a", "+12025550101"))
			awaitLog(t, s, "Dialing paused (setup): ")
			assert.Contains(t, s.logs.String(), tc.says)
			assert.Contains(t, s.logs.String(), "("+hookHost(tc.hook)+")", "the host of the hook")
			assert.NotContains(t, s.logs.String(), srv.HooksURL+"/", "the URL of a hook is kept")
			go func() { _ = verdict() }()
		})
	}
}

// hookHost is the host of a hook's URL, as logs show it.
func hookHost(hook string) string {
	_, rest, _ := strings.Cut(hook, "http://")
	host, _, _ := strings.Cut(rest, "/")
	return "http://" + host
}
