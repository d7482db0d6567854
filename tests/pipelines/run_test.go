package pipelines

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/benthos-happyrobot/benthos-happyrobot/tests/program"
	"github.com/benthos-happyrobot/benthos-happyrobot/tests/services"
)

func TestQuickstartCallsTheLeadsOfAFileOnce(t *testing.T) {
	sim := program.StartCallsim(t)
	env := program.Settings(t, "HAPPYROBOT_BASE_URL="+sim.BaseURL())
	for _, outcome := range []string{"accepted", "duplicate"} {
		out, err := program.Run(t, env, "run", "-s", "http.enabled=false", "-r", "resources/local.yaml", "config/quickstart.yaml")
		require.NoError(t, err, out)
		assert.Contains(t, out, fmt.Sprintf(`"outcome":%q`, outcome))
	}
	assert.Equal(t, map[string]int{"lead-1": 1, "lead-2": 1, "lead-3": 1}, sim.CallsByLead(t))
}

// topics reads what the pipelines wrote, until each topic has as much as wanted.
func topics(t *testing.T, client *kgo.Client, want map[string]int) map[string][]map[string]any {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	got := map[string][]map[string]any{}
	for {
		enough := true
		for topic, n := range want {
			enough = enough && len(got[topic]) >= n
		}
		if enough {
			return got
		}
		fetches := client.PollFetches(ctx)
		require.NoError(t, ctx.Err(), "the topics hold only %v", got)
		fetches.EachRecord(func(r *kgo.Record) {
			var m map[string]any
			require.NoError(t, json.Unmarshal(r.Value, &m))
			got[r.Topic] = append(got[r.Topic], m)
		})
	}
}

// Both pipelines on one machine with its local state, as streams of one process,
// and with what they share in Redis.
func TestKafkaLeadsBecomeCallsAndEnrichedEvents(t *testing.T) {
	files := []string{"config/kafka_to_calls.yaml", "config/enrich_crm_events.yaml"}
	apart := func(t *testing.T, env []string, resources string) {
		for i, file := range files { // bbolt files belong to one process each
			program.StartPipeline(t, append(env, fmt.Sprintf("STATE_DIR=%s/%d", t.TempDir(), i)), "-r", resources, file)
		}
	}
	t.Run("local", func(t *testing.T) {
		program.Long(t, "streams, below, starts one process less")
		testTheRoad(t, func(env []string) { apart(t, env, "resources/local.yaml") })
	})
	t.Run("streams", func(t *testing.T) {
		testTheRoad(t, func(env []string) {
			program.StartStreams(t, env, append([]string{"-r", "resources/local.yaml"}, files...)...)
		})
	})
	t.Run("redis", func(t *testing.T) {
		url := services.Redis(t)
		testTheRoad(t, func(env []string) {
			apart(t, append(env, "REDIS_URL="+url, "HAPPYROBOT_KEYS=test-"+rand.Text()+":"), "resources/redis.yaml")
		})
	})
}

// testTheRoad sends leads down it and events after them; start starts the pipelines.
func testTheRoad(t *testing.T, start func(env []string)) {
	sim := program.StartCallsim(t, "--speed", "600",
		"--fault", `{"kind":"lose_answer","to":"+12025550103","times":1}`,
		"--fault", `{"kind":"refuse","to":"+12025550102","status":422}`)
	broker, err := kfake.NewCluster(kfake.NumBrokers(1),
		kfake.SeedTopics(1, "leads", "calls", "leads_failed", "crm_events", "crm_events_enriched", "crm_events_failed"))
	require.NoError(t, err)
	t.Cleanup(broker.Close)
	client, err := kgo.NewClient(kgo.SeedBrokers(broker.ListenAddrs()...),
		kgo.ConsumeTopics("calls", "leads_failed", "crm_events_enriched", "crm_events_failed"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	produce := func(topic string, values ...string) {
		for _, v := range values {
			require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: []byte(v)}).FirstErr())
		}
	}
	produce("leads",
		`{"id":"good","phone":"(202) 555-0101","name":"Ada"}`,
		`{"id":"refused","phone":"(202) 555-0102","name":"Ben"}`,
		`{"id":"lost","phone":"(202) 555-0103","name":"Cleo"}`,
		`{"id":"good","phone":"(202) 555-0101","name":"Ada"}`,
		`no lead at all`)

	start(program.Settings(t, "HAPPYROBOT_BASE_URL="+sim.BaseURL(), "KAFKA_BROKERS="+broker.ListenAddrs()[0]))
	got := topics(t, client, map[string]int{"calls": 3, "leads_failed": 2})

	assert.Equal(t, map[string]int{"good": 1, "lost": 1}, sim.CallsByLead(t))
	outcomes := map[string]int{}
	for _, receipt := range got["calls"] {
		outcomes[receipt["lead"].(map[string]any)["id"].(string)+" "+receipt["outcome"].(string)]++
	}
	assert.Equal(t, map[string]int{"good accepted": 1, "good duplicate": 1, "lost accepted": 1}, outcomes)
	reasons := map[string]int{}
	for _, failed := range got["leads_failed"] {
		reasons[failed["outcome"].(string)+" "+failed["reason"].(string)]++
	}
	assert.Equal(t, map[string]int{"rejected refused": 1, "rejected invalid_json": 1}, reasons)

	produce("crm_events", fmt.Sprintf(`{"event":"ended","call_id":%q}`, got["calls"][0]["call_id"]), `{"event":"no call"}`)
	got = topics(t, client, map[string]int{"crm_events_enriched": 1, "crm_events_failed": 1})
	event := got["crm_events_enriched"][0]
	assert.Equal(t, "ended", event["event"])
	assert.NotEmpty(t, event["call"].(map[string]any)["status"])
	assert.Equal(t, "invalid_call_id", got["crm_events_failed"][0]["reason"])
}
