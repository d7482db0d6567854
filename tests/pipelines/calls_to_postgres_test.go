package pipelines

import (
	"crypto/rand"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
	"github.com/benthos-happyrobot/benthos-happyrobot/tests/program"
	"github.com/benthos-happyrobot/benthos-happyrobot/tests/services"
)

func startCallsToPostgres(t *testing.T, sim *program.Callsim, dsn, resources string, more ...string) *program.Process {
	t.Helper()
	env := program.Settings(t, append(more, "HAPPYROBOT_BASE_URL="+sim.BaseURL(), "POSTGRES_DSN="+dsn, "BATCH_PERIOD=50ms")...)
	return program.StartPipeline(t, env, "-r", resources, "config/calls_to_postgres.yaml")
}

func TestFinishedCallsBecomeRows(t *testing.T) {
	db, dsn := database(t)
	redis := services.Redis(t)
	sim := program.StartCallsim(t, "--speed", "600")
	sim.Arrive(t, callsim.Arrival{Count: 150, Ago: callsim.Duration(time.Hour), Type: "Outbound", Call: json.RawMessage(`{"metadata":{"lead_id":"lead-1"}}`)})
	poison := json.RawMessage(`"no \u0000 and \\u0000"`)
	for _, bad := range []callsim.Arrival{
		{Show: map[string]json.RawMessage{"metadata": json.RawMessage("null"), "extraction": json.RawMessage("null"), "classification": json.RawMessage("null"), "created": json.RawMessage("null")}},
		{Omit: []string{"metadata", "extraction", "classification", "duration", "use_case", "params"}},
		{Show: map[string]json.RawMessage{"extraction": poison, "classification": json.RawMessage(`{"tag":` + string(poison) + `}`), "duration": json.RawMessage(`1e300`)}},
		{Show: map[string]json.RawMessage{"extraction": json.RawMessage(`{"a\u0000":["\\\u0000\u0000","\ud800",1e999999]}`), "metadata": json.RawMessage(`{"custom":{"lead_id":{"a":1}}}`)}},
	} {
		bad.Type, bad.EndsAs = "Outbound", "Completed"
		sim.Arrive(t, bad)
	}
	calls := sim.Calls(t)
	state := t.TempDir()
	pipeline := startCallsToPostgres(t, sim, dsn, "resources/local.yaml", "STATE_DIR="+state)
	all := func() bool { return len(table(t, db, "call_outcomes", "call_id")) == len(sim.Calls(t)) }
	require.Eventually(t, all, time.Minute, 50*time.Millisecond)

	rows, talked := table(t, db, "call_outcomes", "call_id"), 0
	for _, call := range calls[:150] {
		got := rows[call.ID].values
		assert.Equal(t, "lead-1", got["lead_id"])
		assert.Equal(t, call.EndsAs, got["status"])
		ended, err := time.Parse(time.RFC3339, got["ended_at"].(string))
		require.NoError(t, err)
		if seconds, ok := got["duration"].(float64); ok {
			talked++
			assert.WithinDuration(t, call.Created.Add(time.Duration(seconds)*time.Second), ended, 2*time.Millisecond)
			assert.Equal(t, "confirmed", got["classification"])
			assert.Equal(t, map[string]any{"slot_confirmed": "yes"}, got["extraction"])
			assert.Contains(t, got["transcript"], "ten o'clock suits me")
		} else {
			assert.WithinDuration(t, call.Created, ended, 2*time.Millisecond)
			assert.Nil(t, got["extraction"])
		}
	}
	assert.Greater(t, talked, 50)
	assert.Equal(t, `no  and \u0000`, rows[calls[152].ID].values["classification"])
	assert.Equal(t, `no  and \u0000`, rows[calls[152].ID].values["extraction"])

	// While PostgreSQL is away the calls wait; killed, the pipeline goes on where it was.
	sim.Arrive(t, callsim.Arrival{Count: 50})
	services.Restart(t, "postgres")
	sim.Arrive(t, callsim.Arrival{Count: 50})
	require.Eventually(t, all, time.Minute, 50*time.Millisecond)
	some := len(sim.Calls(t)) + 10
	sim.Arrive(t, callsim.Arrival{Count: 200})
	require.Eventually(t, func() bool { return len(table(t, db, "call_outcomes", "call_id")) >= some }, time.Minute, 5*time.Millisecond)
	pipeline.Kill()
	pipeline = startCallsToPostgres(t, sim, dsn, "resources/local.yaml", "STATE_DIR="+state)
	require.Eventually(t, all, time.Minute, 50*time.Millisecond)
	pipeline.Stop(t)

	// With another cursor, in Redis, it reads all calls again, and only writes what is missing.
	rows = table(t, db, "call_outcomes", "call_id")
	execute(t, db, "DELETE FROM call_outcomes WHERE call_id IN (SELECT call_id FROM call_outcomes ORDER BY random() LIMIT 100)")
	kept := table(t, db, "call_outcomes", "call_id")
	pipeline = startCallsToPostgres(t, sim, dsn, "resources/redis.yaml", "REDIS_URL="+redis, "HAPPYROBOT_KEYS=test-"+rand.Text()+":")
	require.Eventually(t, all, time.Minute, 50*time.Millisecond)
	pipeline.Stop(t)
	again := table(t, db, "call_outcomes", "call_id")
	for id, r := range rows {
		assert.Equal(t, r.values, again[id].values)
		if before, ok := kept[id]; ok {
			assert.Equal(t, before.written, again[id].written, "a row that says the same is not written again")
		}
	}
}
