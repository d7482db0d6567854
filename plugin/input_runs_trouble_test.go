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

func TestTroubleOfThePlatformHoldsTheRunsAndLosesNone(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]platform.Fault{
		"HTML instead of JSON": {Kind: platform.WrongType, Operation: "listRuns", Times: 6},
		"a refused key":        {Kind: platform.Refuse, Operation: "*", Status: http.StatusUnauthorized, Times: 5},
		"a firewall":           {Kind: platform.Firewall, Operation: "listRunSessions", Times: 5},
		"a login page":         {Kind: platform.Redirect, Operation: "listRuns", Times: 5},
		"cut connections":      {Kind: platform.CutBefore, Operation: "*", Probability: 0.3, Times: 20},
		"errors on everything": {Kind: platform.ErrorBefore, Operation: "*", Probability: 0.3, Times: 20},
		"missing sessions":     {Kind: platform.ErrorBefore, Operation: "listRunSessions", Times: 60},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := runsSim(t, platform.Options{Speed: 600})
			arrive(t, srv, platform.Arrival{Count: 30})
			srv.Sim.Inject(fault)
			s := read(t, runsYAML(srv.URL, "include: [sessions, transcript]", "page_size: 20"), memoryCursor, nil)
			for id, run := range s.runs(30) {
				assert.Contains(t, run, "sessions", id)
			}
			assert.LessOrEqual(t, strings.Count(s.logs.String(), "Listing runs failed"), 1, "reported once")
		})
	}
}

func TestAWorkflowThatTheAPIDoesNotKnowIsAWrongSetup(t *testing.T) {
	t.Parallel()
	srv := runsSim(t, platform.Options{Speed: 600})
	arrive(t, srv, platform.Arrival{})
	s := read(t, runsYAML(srv.URL, "workflows: [appointment-reminders, no-such-workflow]"), memoryCursor, nil)
	s.runs(1)
	require.Eventually(t, func() bool {
		return strings.Contains(s.logs.String(), `Listing runs failed; retrying, nothing is lost (setup): the API knows no workflow \"no-such-workflow\" that this key may see; check workflows and the cluster`)
	}, time.Minute, 5*time.Millisecond)
}

// What the API takes of a large page is not documented: smaller ones do as well.
func TestAnAPIWithSmallPagesIsReadToItsEnd(t *testing.T) {
	t.Parallel()
	srv := runsSim(t, platform.Options{Speed: 600})
	arrive(t, srv, platform.Arrival{Count: 700, Fate: platform.Fate{Sessions: []string{"busy"}}})
	srv.Sim.Advance(time.Hour)
	srv.Sim.Inject(platform.Fault{Kind: platform.Refuse, Operation: "listRuns", Status: http.StatusUnprocessableEntity, Probability: 0.2, Times: 20})
	s := read(t, runsYAML(srv.URL, "page_size: 20", "include: []"), memoryCursor, nil)
	s.runs(700)
}

// Two inputs with one cursor would each emit every run: the first one stops.
func TestASecondInputOfRunsTakesTheCursorOver(t *testing.T) {
	t.Parallel()
	srv := runsSim(t, platform.Options{Speed: 600})
	arrive(t, srv, platform.Arrival{})
	cache := bboltCursor(t)
	first := read(t, runsYAML(srv.URL), cache, nil)
	first.runs(1)
	second := read(t, runsYAML(srv.URL), cache, nil)
	require.Eventually(t, func() bool {
		_, err := srv.Sim.Arrive(platform.Arrival{Fate: platform.Fate{Sessions: []string{"busy"}}})
		return err == nil && strings.Contains(first.logs.String()+second.logs.String(), "has taken over this cursor")
	}, time.Minute, 50*time.Millisecond)
}
