package crash

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim/platform"
	"github.com/benthos-happyrobot/benthos-happyrobot/tests/program"
	"github.com/benthos-happyrobot/benthos-happyrobot/tests/services"
)

// faultyPlatform starts a pretend platform on which about one trigger in ten goes wrong.
func faultyPlatform(t *testing.T, seed uint64, columns string) *platform.Server {
	t.Helper()
	srv, err := platform.Listen("127.0.0.1:0", platform.Options{
		Seed: seed | 1, Latency: latency, Visibility: 200 * time.Millisecond, Concurrent: -1,
		Workflows: []platform.Workflow{{Slug: platform.DefaultWorkflow, Columns: columns}},
	})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, srv.Close()) })
	for _, f := range []platform.Fault{
		{Kind: platform.Refuse, Status: 429, RetryAfter: "1", Probability: 0.01},
		{Kind: platform.ErrorBefore, Probability: 0.01},
		{Kind: platform.LoseAnswer, Probability: 0.03},
		{Kind: platform.ErrorAfter, Probability: 0.02},
		{Kind: platform.NoID, Probability: 0.02},
		{Kind: platform.Delay, Delay: platform.Duration(300 * time.Millisecond), Probability: 0.05},
		{Kind: platform.ErrorBefore, Operation: "listRuns", Probability: 0.05},
	} {
		srv.Sim.Inject(f)
	}
	return srv
}

// A process that starts runs is killed again and again, and started again on what it left.
func TestEachLeadStartsOneRunHoweverOftenTheProcessIsKilled(t *testing.T) {
	for _, tc := range []struct{ broker, ledger, onUnknown, columns string }{
		{"kfake", "bbolt", "redial_absent", platform.ColumnsAtOnce},
		{"kfake", "bbolt", "redial_absent", platform.ColumnsNone},
		{"kfake", "bbolt", "hold", platform.ColumnsAtOnce},
		{"kafka", "redis", "redial_absent", platform.ColumnsAtOnce},
		{"kafka", "redis", "hold", platform.ColumnsAtOnce},
	} {
		t.Run(tc.broker+"/"+tc.ledger+"/"+tc.onUnknown+"/columns "+strings.ReplaceAll(tc.columns, "_", " "), func(t *testing.T) {
			if tc.onUnknown == "hold" || tc.columns == platform.ColumnsNone {
				program.Long(t, "redial_absent is killed in the same way, and may double")
			}
			t.Parallel()
			runsUnderKills(t, tc.broker, tc.onUnknown, tc.columns)
		})
	}
}

func runsUnderKills(t *testing.T, broker, onUnknown, columns string) {
	leads, kills := int(setting(t, "CRASH_LEADS", 240)), int(setting(t, "CRASH_KILLS", 3))
	if testing.Short() {
		leads, kills = 80, 1
	}
	rng, seed := newRand(t)
	var address, resources string
	var env []string
	const output = "output.happyrobot_workflow."
	args := []string{
		"-s", output + "on_unknown=" + onUnknown, "-s", output + "timeout=" + dialTimeout.String(),
		"-s", output + "retry.initial_interval=100ms", "-s", output + "retry.max_interval=1s",
		"-s", "input.redpanda.commit_period=200ms", "-s", "input.redpanda.instance_id=dialer",
	}
	if broker == "kafka" {
		address, resources = services.Kafka(t), "redis.yaml"
		env = []string{"REDIS_URL=" + services.Redis(t)}
		args = append(args, "-s", output+"max_in_flight=400") // a dead owner's claims stand for a minute
	} else {
		address, resources = fakeKafka(t), "local.yaml"
	}
	const spread = 2
	s := newStream(t, address, runName(t, seed), spread*(kills+1))
	sim := faultyPlatform(t, seed, columns)
	env = program.Settings(t, append(append(env, "HAPPYROBOT_PLATFORM_URL="+sim.URL, "HAPPYROBOT_PLATFORM_REQUESTS_PER_SECOND=1000", "MAX_BACKLOG=0"), s.env()...)...)
	args = append(append([]string{"-r", "resources/" + resources}, args...), "config/platform_kafka_to_runs.yaml")
	bring := func(round int) {
		p := int32(spread * round)
		s.produce(t, leads*round/(kills+1), leads*(round+1)/(kills+1), p, p+1)
	}
	aRound := max(1, leads/(kills+1))
	began, struck := time.Now(), 0
	for round := range kills {
		bring(round)
		before := sim.Sim.RequestsOf("triggerRun")
		p := program.StartPipeline(t, env, args...)
		if rng.IntN(6) == 0 { // whatever it is doing then: starting, joining, looking up
			linger(rng, 2*time.Second)
		} else {
			require.NoError(t, sim.Sim.AwaitRequests(t.Context(), "triggerRun", before+1+rng.IntN(max(1, aRound/2))))
			linger(rng, 2*latency)
		}
		told := len(s.untold())
		p.Kill()
		if told > 0 && sim.Sim.RequestsOf("triggerRun") > before {
			struck++
		}
	}
	bring(kills)
	p := program.StartPipeline(t, env, args...)
	s.awaitAll(t, 5*time.Minute)
	p.Stop(t)

	v := s.judge(sim.Sim.RunsBy("lead_id"))
	t.Logf("%d leads, %d kills (%d while leads were being started), %v: %d started, %d doubled, %d lost, %d held; %d triggers, %d lists, %d reads of runs",
		v.leads, kills, struck, time.Since(began).Round(time.Second), v.called, v.doubled, v.lost, v.held,
		sim.Sim.RequestsOf("triggerRun"), sim.Sim.RequestsOf("listRuns"), sim.Sim.RequestsOf("listRunNodes")+sim.Sim.RequestsOf("getRunOutput"))
	v.assertKept(t)
	assert.Equal(t, leads, v.leads)
	assert.GreaterOrEqual(t, struck, max(1, kills/4), "kills must strike while leads are being started")
	if onUnknown == "redial_absent" {
		assert.Equal(t, leads, v.called+v.held, "each lead is started, or held and told so")
		assert.LessOrEqual(t, v.held, leads/1000, "the list settles all doubts but those of leads that many kills strike")
	}
}

// Three replicas share a ledger and a consumer group. Each lead comes twice, on partitions
// of two of them, and one replica is killed in the middle.
func TestReplicasStartOneRunForEachLead(t *testing.T) {
	program.Long(t, "the claims of a dead replica stand for a minute")
	onEachBroker(t, func(t *testing.T, broker string, shared *sharedLedger) {
		leads := int(setting(t, "CRASH_LEADS", 600))
		_, seed := newRand(t)
		const members, partitions = 3, 6
		s := newStream(t, broker, runName(t, seed), partitions)
		sim := faultyPlatform(t, seed, platform.ColumnsAtOnce)
		const output = "output.happyrobot_workflow."
		args := []string{
			"-r", "resources/redis.yaml",
			"-s", output + "on_unknown=redial_absent", "-s", output + "timeout=" + dialTimeout.String(), "-s", output + "max_in_flight=100",
			"-s", output + "retry.initial_interval=100ms", "-s", output + "retry.max_interval=1s",
			"-s", "input.redpanda.commit_period=200ms", "-s", "input.redpanda.session_timeout=3s",
			"-s", "input.redpanda.heartbeat_interval=300ms", "-s", "input.redpanda.rebalance_timeout=5s",
			"config/platform_kafka_to_runs.yaml",
		}
		env := program.Settings(t, append(s.env(), "REDIS_URL="+shared.url, "HAPPYROBOT_PLATFORM_URL="+sim.URL, "HAPPYROBOT_PLATFORM_REQUESTS_PER_SECOND=1000", "MAX_BACKLOG=0")...)
		var processes []*program.Process
		for range members {
			processes = append(processes, program.StartPipeline(t, env, args...))
		}
		awaitMembers(t, s, members)
		began := time.Now()
		s.produce(t, 0, leads, 0, 1, 2, 3, 4, 5)
		s.produce(t, 0, leads, 3, 4, 5, 0, 1, 2) // each lead again, where another replica may have it
		require.NoError(t, sim.Sim.AwaitRequests(t.Context(), "triggerRun", leads/4))
		processes[0].Kill()
		processes[0] = program.StartPipeline(t, env, args...)
		s.awaitAll(t, 5*time.Minute)
		for _, p := range processes {
			p.Stop(t)
		}
		v := s.judge(sim.Sim.RunsBy("lead_id"))
		t.Logf("%d leads, each twice, %v: %d started, %d doubled, %d lost, %d held; %d triggers, %d lists",
			v.leads, time.Since(began).Round(time.Second), v.called, v.doubled, v.lost, v.held, sim.Sim.RequestsOf("triggerRun"), sim.Sim.RequestsOf("listRuns"))
		v.assertKept(t)
		assert.Equal(t, leads, v.leads)
	})
}
