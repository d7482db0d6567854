package starter_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim/platform"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	client "github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot/platform"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/dialer"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/starter"
)

// newStarter starts runs of a pretend platform.
func newStarter(t *testing.T, opts platform.Options) (*starter.Starter, *platform.Server) {
	t.Helper()
	srv, err := platform.Listen("127.0.0.1:0", opts)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, srv.Close()) })
	c, err := client.New(client.Options{Options: happyrobot.Options{APIKey: "k", BaseURL: srv.URL}})
	require.NoError(t, err)
	s := starter.New(starter.Options{
		Workflow: platform.DefaultWorkflow, Environment: client.Production, RefField: "dial_ref", Reads: c, Asks: c,
		InitialInterval: time.Millisecond, MaxInterval: time.Millisecond,
		Start: func(ctx context.Context, payload json.RawMessage) (client.TriggerReply, error) {
			return c.Trigger(ctx, platform.DefaultWorkflow, client.Trigger{Payload: payload})
		},
	})
	preflight := s.NewPreflight(10*time.Second, time.Hour, silent{}, nil) // which tells the trigger
	preflight.Start()
	t.Cleanup(preflight.Stop)
	require.NoError(t, preflight.First(t.Context()))
	return s, srv
}

// silent is a log that nobody reads.
type silent struct{}

func (silent) Infof(string, ...any) {}
func (silent) Warnf(string, ...any) {}

func ref(digit string) string { return strings.Repeat(digit, 32) }

// lose starts a run whose answer is lost.
func lose(t *testing.T, s *starter.Starter, srv *platform.Server, ref string) {
	t.Helper()
	srv.Sim.LoseAnswer(ref)
	_, err := s.Place(t.Context(), []*dialer.Call{{Ref: ref, Body: []byte(`{"phone_number":"+12025550101","dial_ref":"` + ref + `"}`)}})
	require.Error(t, err)
	require.Len(t, srv.Sim.Runs(), 1)
}

// look lists from a time on until the reference is found.
func look(t *testing.T, s *starter.Starter, from time.Time, ref string) (found *dialer.PlacedCall, unmarked int) {
	t.Helper()
	want := dialer.Listing{From: func(time.Time) time.Time { return from }, Ours: func(text string) bool { return text == ref }, Final: true}
	for call, err := range s.List(t.Context(), want) {
		require.NoError(t, err)
		switch call.Ref {
		case ref:
			return &call, unmarked
		case "":
			unmarked++
		}
	}
	return nil, unmarked
}

// A run is found however many newer ones there are, and in a list that goes back far.
func TestARunIsFoundBehindAPageOfNewerOnes(t *testing.T) {
	t.Parallel()
	s, srv := newStarter(t, platform.Options{Visibility: -1})
	began := time.Now()
	lose(t, s, srv, ref("a"))
	_, err := srv.Sim.Arrive(platform.Arrival{Count: 1200, Payload: map[string]any{"dial_ref": ref("b")}})
	require.NoError(t, err)
	found, unmarked := look(t, s, began.Add(-time.Minute), ref("a"))
	require.NotNil(t, found)
	assert.Equal(t, srv.Sim.Runs()[0].ID, found.ID)
	assert.Zero(t, unmarked)
	assert.Equal(t, 2, srv.Sim.RequestsOf("listRuns"), "the newest runs, and then from that time on")
	found, unmarked = look(t, s, began.Add(-time.Minute), ref("c"))
	assert.Nil(t, found)
	assert.Zero(t, unmarked)
	assert.Zero(t, srv.Sim.RequestsOf("listRunNodes"), "each shows a reference of its own")
}

// A complete list without the run is no error, and says nothing of a run.
func TestARunThatDoesNotExistIsNotFound(t *testing.T) {
	t.Parallel()
	s, srv := newStarter(t, platform.Options{Visibility: -1, Workflows: []platform.Workflow{{Slug: platform.DefaultWorkflow, Columns: platform.ColumnsNone}}})
	_, err := srv.Sim.Arrive(platform.Arrival{Count: 30, Payload: map[string]any{"dial_ref": ref("b")}})
	require.NoError(t, err)
	for range 2 {
		found, unmarked := look(t, s, time.Now().Add(-time.Minute), ref("a"))
		assert.Nil(t, found)
		assert.Zero(t, unmarked)
		assert.Equal(t, 30, srv.Sim.RequestsOf("getRunOutput"), "each run is opened once")
	}
	found, _ := look(t, s, time.Now().Add(-time.Minute), ref("b"))
	assert.NotNil(t, found, "what was read is remembered")
	assert.Equal(t, 30, srv.Sim.RequestsOf("getRunOutput"))
}
