package contract

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

// place dials so many times; the first two calls have every member there is.
func place(t *testing.T, c *happyrobot.Client, n int) []happyrobot.CreatedCall {
	t.Helper()
	minutes := 5
	full := happyrobot.OutboundCall{
		NumberID: "64f0c0de00000000000000c1", PhoneNumber: "+12025550101", UseCaseID: "64f0c0de00000000000000b1",
		AgentID: "64f0c0de00000000000000d1", ModelID: "64f0c0de00000000000000f1", PromptID: "p1", Language: "es-MX",
		Params: map[string]any{"slot": "10:00"}, Metadata: map[string]any{"dial_ref": "r1"}, CampaignID: "spring", MaxDurationMins: &minutes,
	}
	calls := []happyrobot.OutboundCall{full, full}
	calls[1].ScheduledFor = time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	for len(calls) < n {
		calls = append(calls, happyrobot.OutboundCall{NumberID: full.NumberID, PhoneNumber: full.PhoneNumber})
	}
	created, err := c.CreateOutboundCalls(t.Context(), calls)
	require.NoError(t, err)
	require.Len(t, created, n)
	return created
}

func TestEverythingTheClientDoesKeepsTheContract(t *testing.T) {
	w, sim, url := serve(t, callsim.Options{Seed: 7, Speed: 0.001, MaxBatch: -1})
	c, err := happyrobot.New(happyrobot.Options{APIKey: key, BaseURL: url, Transport: &http.Transport{}})
	require.NoError(t, err)
	created := place(t, c, 105) // so many until one of them fails

	statuses := map[happyrobot.Status]int{}
	// Through every stage of a call's life, to its transcript.
	for _, step := range []time.Duration{3 * time.Second, 3 * time.Second, 12 * time.Second, time.Minute, 2 * time.Hour, 0} {
		for call, err := range c.ListCalls(t.Context(), happyrobot.ListCallsQuery{Type: happyrobot.Outbound, Sort: "asc", Limit: 50}) {
			require.NoError(t, err)
			statuses[call.Status]++
		}
		for _, call := range created[:4] {
			_, err := c.GetCall(t.Context(), call.ID)
			require.NoError(t, err)
			for _, err := range []error{second(c.GetTranscript(t.Context(), call.ID)), second(c.GetRecording(t.Context(), call.ID)), second(c.GetCallLogs(t.Context(), call.ID))} {
				assert.True(t, err == nil || happyrobot.IsNotFound(err), "%v", err)
			}
		}
		sim.Advance(step)
	}
	for range c.ListCalls(t.Context(), happyrobot.ListCallsQuery{
		Type: happyrobot.Inbound, Statuses: []happyrobot.Status{happyrobot.StatusNoAnswer, happyrobot.StatusInProgress},
		UseCases: []string{"a", "b"}, Campaigns: []string{"spring, summer & more"}, From: time.Now().Add(-time.Hour), To: time.Now(), Sort: "desc", Limit: 1, Skip: 3,
	}) {
		t.Error("no inbound call was placed")
	}

	answered := w.keeps(t)
	for _, op := range []string{"createOutboundCallsBatched", "listCalls", "getCall", "getTranscript", "getRecordingUrl", "getCallLogs"} {
		assert.Positive(t, answered[op], op)
	}
	for _, status := range []happyrobot.Status{
		happyrobot.StatusScheduled, happyrobot.StatusQueued, happyrobot.StatusInProgress, happyrobot.StatusCompleted,
		happyrobot.StatusTransferred, happyrobot.StatusNoAnswer, happyrobot.StatusBusy, happyrobot.StatusAMDTerminated, happyrobot.StatusFailed,
	} {
		assert.Positive(t, statuses[status], "the contract was not tried on status %q", status)
	}
}

func second[T any](_ T, err error) error { return err }
