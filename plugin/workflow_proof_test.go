package plugin_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim/platform"
)

// What a hook starts is absent from the list of another workflow, and was started all the same.
func TestAHookOfAnotherWorkflowProvesNoAbsence(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		hook    string
		before  bool // a run was started before
		outcome string
		runs    int
	}{
		"of another workflow":           {"other", true, "held", 1},
		"of another, nothing known yet": {"other", false, "held", 1},
		"of this one, found":            {platform.DefaultWorkflow, false, "accepted", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := startPlatformSim(t, platform.Options{Workflows: []platform.Workflow{{Slug: platform.DefaultWorkflow}, {Slug: "other"}}})
			srv.Sim.LoseAnswer("+12025550101")
			s := run(t, workflowParts(srv.URL, fmt.Sprintf("hook: {url: %s/%s}", srv.HooksURL, tc.hook), "on_unknown: redial_absent"))
			if tc.before {
				require.NoError(t, s.deliver(lead("b", "+12025550102")))
			}
			require.NoError(t, s.deliver(lead("a", "+12025550101")))
			record := records(t, s)["a"]
			assert.Equal(t, tc.outcome, outcomeOf(record))
			assert.Equal(t, tc.runs, srv.Sim.RunsBy("lead_id")["a"])
			if tc.outcome == "held" {
				assert.Contains(t, record["json"].(map[string]any)["details"], "no run that this process started through hook has been seen to be of this workflow")
			}
			assert.Equal(t, tc.before, strings.Contains(s.logs.String(), "`hook` was not seen to start runs of `workflow`"))
		})
	}
}

// Where the hook is seen to be of the workflow, absence is proven as through the API.
func TestAHookOfTheWorkflowProvesAbsence(t *testing.T) {
	t.Parallel()
	srv := startPlatformSim(t, platform.Options{})
	srv.Sim.Inject(platform.Fault{Kind: platform.ErrorBefore, To: "+12025550101", Times: 1})
	s := run(t, workflowParts(srv.URL, fmt.Sprintf("hook: {url: %s/%s}", srv.HooksURL, platform.DefaultWorkflow), "on_unknown: redial_absent"))
	require.NoError(t, s.deliver(lead("b", "+12025550102")))
	require.NoError(t, s.deliver(lead("a", "+12025550101")))
	assert.Equal(t, "accepted", outcomeOf(records(t, s)["a"]))
	assert.Equal(t, 1, srv.Sim.RunsBy("lead_id")["a"])
}

func TestAHookThatContradictsTheFieldsStopsTheStart(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ config, says string }{
		"environment":          {"hook: {url: 'https://workflows.platform.happyrobot.ai/hooks/staging/k3x9'}", "hook.url: is of the environment staging, and environment is production"},
		"environment, another": {"environment: staging\nhook: {url: 'https://workflows.platform.happyrobot.ai/hooks/k3x9'}", "hook.url: is of the environment production, and environment is staging"},
		"cluster":              {"hook: {url: 'https://workflows.platform.eu.happyrobot.ai/hooks/k3x9'}", "hook.url: is of the cluster eu, and cluster is us"},
	} {
		err := startError(t, "happyrobot_workflow:\n  "+indent(2, workflowYAML("''", strings.Split(tc.config, "\n")...)))
		require.ErrorContains(t, err, tc.says, name)
		assert.NotContains(t, err.Error(), "k3x9", "who knows the URL of an open hook can start runs")
	}
}

// A run that was the answer to one lead is not the answer to another.
func TestTwoLeadsThatAreAnsweredWithOneRunAreNotBothAccepted(t *testing.T) {
	t.Parallel()
	srv := startPlatformSim(t, platform.Options{})
	target, err := url.Parse(srv.URL)
	require.NoError(t, err)
	to := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: target.Scheme, Host: target.Host})
	first := ""
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			to.ServeHTTP(w, r)
			return
		}
		if first == "" {
			to.ServeHTTP(w, r)
			first = srv.Sim.Runs()[0].ID
			return
		}
		assert.NoError(t, json.NewEncoder(w).Encode(map[string]any{"run_id": first}))
	}))
	t.Cleanup(proxy.Close)
	s := run(t, workflowParts(proxy.URL+target.Path, "on_unknown: redial_absent", "max_in_flight: 1"))
	require.NoError(t, s.deliver(lead("a", "+12025550101")))
	require.NoError(t, s.deliver(lead("b", "+12025550102")))
	all := records(t, s)
	assert.Equal(t, "accepted", outcomeOf(all["a"]))
	assert.Equal(t, "held", outcomeOf(all["b"]))
	assert.Contains(t, all["b"]["json"].(map[string]any)["details"], "the answer to another lead")
	assert.Contains(t, s.logs.String(), "Two leads were answered with one run")
}
