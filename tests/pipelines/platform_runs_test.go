package pipelines

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim/platform"
	"github.com/benthos-happyrobot/benthos-happyrobot/tests/program"
	"github.com/benthos-happyrobot/benthos-happyrobot/tests/services"
)

func TestLeadsOfATopicBecomeOneRunEach(t *testing.T) {
	t.Run("kfake", func(t *testing.T) {
		broker, err := kfake.NewCluster(kfake.NumBrokers(1))
		require.NoError(t, err)
		t.Cleanup(broker.Close)
		testKafkaToRuns(t, broker.ListenAddrs()[0], "resources/local.yaml")
	})
	t.Run("kafka and redis", func(t *testing.T) {
		testKafkaToRuns(t, services.Kafka(t), "resources/redis.yaml", "REDIS_URL="+services.Redis(t), "HAPPYROBOT_KEYS=test-"+rand.Text()+":")
	})
}

func testKafkaToRuns(t *testing.T, broker, resources string, more ...string) {
	sim, err := platform.Listen("127.0.0.1:0", platform.Options{APIKey: "test-key", Concurrent: -1})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, sim.Close()) })
	sim.Sim.Inject(platform.Fault{Kind: platform.LoseAnswer, Probability: 0.1})
	sim.Sim.Inject(platform.Fault{Kind: platform.ErrorBefore, Probability: 0.1})

	run := "runs-" + rand.Text() + "-"
	leads, runs, failed := run+"leads", run+"runs", run+"failed"
	createTopics(t, broker, leads, runs, failed)
	env := program.Settings(t, append(more, "KAFKA_BROKERS="+broker, "HAPPYROBOT_PLATFORM_URL="+sim.URL, "HAPPYROBOT_PLATFORM_REQUESTS_PER_SECOND=1000",
		"LEADS_TOPIC="+leads, "RUNS_TOPIC="+runs, "LEADS_FAILED_TOPIC="+failed, "CONSUMER_GROUP="+run)...)
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(broker, ",")...), kgo.ConsumeTopics(runs, failed), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	const n = 60
	for range 2 { // as a producer does that delivers at least once
		for i := range n {
			phone := fmt.Sprintf("+1415%07d", 2_000_000+i)
			if i == n-1 {
				phone = "nobody"
			}
			require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: leads, Value: fmt.Appendf(nil, `{"id":"lead-%d","phone":%q,"name":"A"}`, i, phone)}).FirstErr())
		}
	}
	program.StartPipeline(t, env, "-r", resources, "config/platform_kafka_to_runs.yaml")

	outcomes, told := map[string]int{}, map[string]bool{}
	require.Eventually(t, func() bool {
		client.PollFetches(t.Context()).EachRecord(func(r *kgo.Record) {
			var record struct {
				Outcome string              `json:"outcome"`
				Lead    struct{ ID string } `json:"lead"`
				RunID   string              `json:"run_id"`
			}
			require.NoError(t, json.Unmarshal(r.Value, &record))
			outcomes[record.Outcome]++
			told[record.Lead.ID] = true
		})
		return len(told) == n && outcomes["duplicate"]+outcomes["accepted"]+outcomes["held"]+outcomes["rejected"] >= 2*n
	}, 2*time.Minute, time.Millisecond)
	by := sim.Sim.RunsBy("lead_id")
	for lead, times := range by {
		assert.Equal(t, 1, times, lead)
	}
	assert.Equal(t, 2, outcomes["rejected"])
	assert.Len(t, by, n-1-outcomes["held"]/2, "who is held has no run: the fault came before it")
}
