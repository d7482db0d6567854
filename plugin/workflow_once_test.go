package plugin_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim/platform"
)

// before is a server in front of the pretend platform, which answers by itself where own
// says that it did. It returns the address of what is at target.
func before(t *testing.T, target string, own func(w http.ResponseWriter, r *http.Request) bool) string {
	t.Helper()
	at, err := url.Parse(target)
	require.NoError(t, err)
	behind := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: at.Scheme, Host: at.Host})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !own(w, r) {
			r.Host = at.Host
			behind.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(srv.Close)
	return srv.URL + at.Path
}

// answersWith hands a request on, and answers something else in place of its answer.
func answersWith(t *testing.T, target string, w http.ResponseWriter, r *http.Request, code int, contentType, body string) {
	t.Helper()
	at, err := url.Parse(target)
	if err != nil {
		t.Error(err)
		return
	}
	on, err := http.NewRequestWithContext(r.Context(), r.Method, at.Scheme+"://"+at.Host+r.URL.RequestURI(), r.Body)
	if err != nil {
		t.Error(err)
		return
	}
	on.Header = r.Header
	answer, err := http.DefaultClient.Do(on)
	if assert.NoError(t, err) {
		assert.NoError(t, answer.Body.Close())
	}
	answers(w, code, contentType, body)
}

func answers(w http.ResponseWriter, code int, contentType, body string) {
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(code)
	fmt.Fprint(w, body)
}

const blocked = "<html><body>Request blocked</body></html>"

// A firewall's page may stand in place of the answer of a run that was started: it is looked
// up before anything is sent again, whatever the second look says.
func TestAFirewallsPageIsNoProofThatNothingWasStarted(t *testing.T) {
	t.Parallel()
	for name, second := range map[string]func(http.ResponseWriter){
		"second look is not answered":    func(w http.ResponseWriter) { answers(w, http.StatusBadGateway, "text/plain", "") },
		"second look is refused as well": func(w http.ResponseWriter) { answers(w, http.StatusForbidden, "text/html", blocked) },
		"second look goes through":       nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := startPlatformSim(t, platform.Options{})
			var starts, keys atomic.Int32
			base := before(t, srv.URL, func(w http.ResponseWriter, r *http.Request) bool {
				switch {
				case r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/runs") && starts.Add(1) == 1:
					answersWith(t, srv.URL, w, r, http.StatusForbidden, "text/html", blocked)
				case strings.HasSuffix(r.URL.Path, "/describe") && starts.Load() == 1 && second != nil && keys.Add(1) == 1:
					second(w)
				default:
					return false
				}
				return true
			})
			s := run(t, workflowParts(base))
			require.NoError(t, s.deliver(lead("a", "+12025550101")))
			require.NoError(t, s.deliver(lead("b", "+12025550102")))
			assert.Equal(t, map[string]int{"a": 1, "b": 1}, srv.Sim.RunsBy("lead_id"))
			assert.Equal(t, "accepted", outcomeOf(records(t, s)["a"]))
			if second != nil {
				assert.Contains(t, s.logs.String(), "Dialing paused (setup): ")
			}
		})
	}
}

// What was blocked indeed is sent again, once the list of runs shows that it was.
func TestALeadThatAFirewallBlockedIsSentAgain(t *testing.T) {
	t.Parallel()
	srv := startPlatformSim(t, platform.Options{})
	var starts, keys atomic.Int32
	base := before(t, srv.URL, func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/runs") && starts.Add(1) == 1:
			answers(w, http.StatusForbidden, "text/html", blocked)
		case strings.HasSuffix(r.URL.Path, "/describe") && starts.Load() == 1 && keys.Add(1) == 1:
			answers(w, http.StatusBadGateway, "text/plain", "")
		default:
			return false
		}
		return true
	})
	s := run(t, workflowParts(base))
	require.NoError(t, s.deliver(lead("a", "+12025550101")))
	assert.Equal(t, map[string]int{"a": 1}, srv.Sim.RunsBy("lead_id"))
	assert.Equal(t, "accepted", outcomeOf(records(t, s)["a"]))
	assert.Positive(t, srv.Sim.RequestsOf("listRuns"))
	assert.Contains(t, s.logs.String(), "a second look could not tell what for")
}

// Without a key nothing can be looked up: the lead is held.
func TestAFirewallsPageFromAHookWithoutAKeyHoldsTheLead(t *testing.T) {
	t.Parallel()
	srv := startPlatformSim(t, platform.Options{})
	var starts atomic.Int32
	hooks := before(t, srv.HooksURL, func(w http.ResponseWriter, r *http.Request) bool {
		if starts.Add(1) > 1 {
			return false
		}
		answersWith(t, srv.HooksURL, w, r, http.StatusForbidden, "text/html", blocked)
		return true
	})
	p := workflowParts(srv.URL, fmt.Sprintf("hook: {url: %s/%s}", hooks, platform.DefaultWorkflow), "on_unknown: redial_absent")
	p.output = withoutKey(p.output)
	s := run(t, p)
	require.NoError(t, s.deliver(lead("a", "+12025550101")))
	require.NoError(t, s.deliver(lead("b", "+12025550102")))
	assert.Equal(t, map[string]int{"a": 1, "b": 1}, srv.Sim.RunsBy("lead_id"))
	held := records(t, s)["a"]
	assert.Equal(t, "held", outcomeOf(held))
	assert.Equal(t, "not_looked_up", held["@happyrobot_reason"])
	assert.Contains(t, s.logs.String(), "Dialing paused (setup): ")
}

// A list that is limited keeps up only the leads in doubt, and the log says why.
func TestALimitedListOfRunsPausesNoOtherLead(t *testing.T) {
	t.Parallel()
	srv := startPlatformSim(t, platform.Options{})
	srv.Sim.Inject(platform.Fault{Operation: "listRuns", Kind: platform.Refuse, Status: http.StatusTooManyRequests})
	srv.Sim.Inject(platform.Fault{Kind: platform.LoseAnswer, To: "+12025550101", Times: 1})
	s := run(t, workflowParts(srv.URL))
	verdict := delivers(s, lead("a", "+12025550101"))
	awaitLog(t, s, "Cannot look up runs with an unknown outcome; they wait: ")
	assert.Contains(t, s.logs.String(), "status 429")
	require.NoError(t, s.deliver(lead("b", "+12025550102")))
	srv.Sim.ClearFaults()
	require.NoError(t, verdict())
	assert.Equal(t, map[string]int{"a": 1, "b": 1}, srv.Sim.RunsBy("lead_id"))
}
