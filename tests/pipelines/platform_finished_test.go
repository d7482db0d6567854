package pipelines

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim/platform"
	"github.com/benthos-happyrobot/benthos-happyrobot/tests/program"
)

// startPlatform starts a pretend platform whose clock is fast.
func startPlatform(t *testing.T, opts platform.Options) *platform.Server {
	t.Helper()
	opts.Speed = 600
	srv, err := platform.Listen("127.0.0.1:0", opts)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, srv.Close()) })
	return srv
}

// triggerRun starts a run for a lead.
func triggerRun(t *testing.T, srv *platform.Server, lead string) {
	t.Helper()
	body := fmt.Sprintf(`{"payload":{"lead_id":%q,"phone_number":"+12025550101","customer_name":"Ada","dial_ref":"theirs"},"environment":"production"}`, lead)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL+"/workflows/"+platform.DefaultWorkflow+"/runs", strings.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer test-key")
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	require.Equal(t, http.StatusOK, res.StatusCode)
}

func TestWhoWasNotReachedOnThePlatformIsCalledAgainTwiceAtMost(t *testing.T) {
	program.Long(t, "it waits for the pauses between attempts")
	srv := startPlatform(t, platform.Options{})
	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "runs", "leads_failed"))
	require.NoError(t, err)
	t.Cleanup(broker.Close)
	want := map[string]int{}
	for n := range 20 {
		lead := fmt.Sprintf("lead-%d", n)
		switch last := []string{"missed", "busy", "voicemail", "completed"}[n%4]; last {
		case "missed", "busy":
			srv.Sim.Decide(lead, platform.Fate{Sessions: []string{"missed", last}})
			want[lead] = 3
		default:
			srv.Sim.Decide(lead, platform.Fate{Sessions: []string{"missed", last}})
			want[lead] = 1
		}
		triggerRun(t, srv, lead)
	}
	srv.Sim.LoseAnswer("lead-0")
	env := program.Settings(t, "HAPPYROBOT_PLATFORM_URL="+srv.URL, "KAFKA_BROKERS="+broker.ListenAddrs()[0], "REDIAL_PAUSE=1s", "STATE_DIR="+t.TempDir())
	start := func() *program.Process {
		return program.StartPipeline(t, env, "-r", "resources/local.yaml", "config/platform_redial.yaml")
	}
	pipeline := start()
	require.NoError(t, srv.Sim.AwaitRuns(t.Context(), 23))
	pipeline.Kill()
	pipeline = start()
	require.NoError(t, srv.Sim.AwaitRuns(t.Context(), 40))
	// Each of them ends, and asks for no more.
	require.Eventually(t, func() bool { return srv.Sim.ByStatus()["completed"] == 40 }, time.Minute, 50*time.Millisecond)
	listed := srv.Sim.RequestsOf("listRuns")
	require.NoError(t, srv.Sim.AwaitRequests(t.Context(), "listRuns", listed+3))
	pipeline.Stop(t)

	assert.Equal(t, want, srv.Sim.RunsBy("lead_id"))
	attempts := map[string]int{}
	for _, run := range srv.Sim.Runs() {
		payload := run.Payloads[0]
		attempts[fmt.Sprint(payload["attempt"])]++
		assert.Equal(t, "Ada", payload["customer_name"], "it is sent again as it was")
		if payload["attempt"] != nil {
			assert.NotContains(t, []any{"theirs", nil, ""}, payload["dial_ref"])
		}
	}
	assert.Equal(t, map[string]int{"<nil>": 20, "2": 10, "3": 10}, attempts)
}

func TestCRMEventsGainTheirRun(t *testing.T) {
	srv := startPlatform(t, platform.Options{OutputDelay: -1})
	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "crm_events", "crm_events_enriched", "crm_events_failed"))
	require.NoError(t, err)
	t.Cleanup(broker.Close)
	client, err := kgo.NewClient(kgo.SeedBrokers(broker.ListenAddrs()...), kgo.ConsumeTopics("crm_events_enriched", "crm_events_failed"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	ids, err := srv.Sim.Arrive(platform.Arrival{Fate: platform.Fate{Sessions: []string{"missed", "completed"}, Extract: map[string]string{"confirmed": "true"}}})
	require.NoError(t, err)
	for _, event := range []string{fmt.Sprintf(`{"event":"ended","run_id":%q}`, ids[0]), `{"event":"of no run"}`} {
		require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: "crm_events", Value: []byte(event)}).FirstErr())
	}
	env := program.Settings(t, "HAPPYROBOT_PLATFORM_URL="+srv.URL, "KAFKA_BROKERS="+broker.ListenAddrs()[0])
	program.StartPipeline(t, env, "-r", "resources/local.yaml", "config/platform_enrich_crm_events.yaml")
	got := topics(t, client, map[string]int{"crm_events_enriched": 1, "crm_events_failed": 1})
	event := got["crm_events_enriched"][0]
	assert.Equal(t, "ended", event["event"])
	run := event["run"].(map[string]any)
	assert.Equal(t, "completed", run["outcome"])
	assert.Equal(t, map[string]any{"confirmed": "true"}, run["extraction"])
	assert.Contains(t, run["transcript"], "user: ")
	assert.EqualValues(t, 2, run["sessions"])
	assert.Equal(t, "not_found", got["crm_events_failed"][0]["reason"])
}

func TestFinishedRunsBecomeRows(t *testing.T) {
	db, dsn := database(t)
	srv := startPlatform(t, platform.Options{})
	arrive := func(a platform.Arrival) {
		_, err := srv.Sim.Arrive(a)
		require.NoError(t, err)
	}
	srv.Sim.Advance(2 * time.Hour)
	arrive(platform.Arrival{Count: 60, Ago: platform.Duration(time.Hour), Every: platform.Duration(time.Second), Payload: map[string]any{"lead_id": "lead-1"}})
	arrive(platform.Arrival{Fate: platform.Fate{Sessions: []string{"missed", "completed"}, Extract: map[string]string{"note": "no \x00"}}, Payload: map[string]any{"lead_id": 7}})
	state := t.TempDir()
	start := func() *program.Process {
		env := program.Settings(t, "HAPPYROBOT_PLATFORM_URL="+srv.URL, "POSTGRES_DSN="+dsn, "BATCH_PERIOD=50ms", "INCLUDE_TIMEOUT=2s", "STATE_DIR="+state)
		return program.StartPipeline(t, env, "-r", "resources/local.yaml", "config/platform_runs_to_postgres.yaml")
	}
	all := func() bool { return len(table(t, db, "run_outcomes", "run_id")) == len(srv.Sim.Runs()) }
	pipeline := start()
	require.Eventually(t, all, time.Minute, 50*time.Millisecond)
	arrive(platform.Arrival{Count: 60})
	require.Eventually(t, func() bool { return len(table(t, db, "run_outcomes", "run_id")) > 70 }, time.Minute, 5*time.Millisecond)
	pipeline.Kill()
	pipeline = start()
	require.Eventually(t, all, time.Minute, 50*time.Millisecond)
	pipeline.Stop(t)

	rows := table(t, db, "run_outcomes", "run_id")
	for n, run := range srv.Sim.Runs() {
		got := rows[run.ID].values
		assert.Equal(t, run.EndsAs, got["status"])
		if run.Outcome == "" {
			assert.Nil(t, got["outcome"])
		} else {
			assert.Equal(t, run.Outcome, got["outcome"])
		}
		assert.EqualValues(t, len(run.Sessions), got["sessions"])
		assert.NotNil(t, got["ended_at"])
		if n < 60 {
			assert.Equal(t, "lead-1", got["lead_id"])
		}
	}
	odd := rows[srv.Sim.Runs()[60].ID].values
	assert.Equal(t, "7", odd["lead_id"])
	assert.Equal(t, map[string]any{"note": "no "}, odd["extraction"])
	assert.Contains(t, odd["transcript"], "user: ")
}
