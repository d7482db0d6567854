package pipelines

import (
	"crypto/rand"
	"encoding/json"
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
	"github.com/benthos-happyrobot/benthos-happyrobot/tests/services"
)

func TestCallbacksOfWorkflowsGoToKafkaOnce(t *testing.T) {
	t.Run("kfake", func(t *testing.T) {
		broker, err := kfake.NewCluster(kfake.NumBrokers(1))
		require.NoError(t, err)
		t.Cleanup(broker.Close)
		testCallbacks(t, broker.ListenAddrs()[0], "resources/local.yaml")
	})
	t.Run("kafka and redis", func(t *testing.T) {
		testCallbacks(t, services.Kafka(t), "resources/redis.yaml", "REDIS_URL="+services.Redis(t), "HAPPYROBOT_KEYS=test-"+rand.Text()+":")
	})
}

func testCallbacks(t *testing.T, broker, resources string, more ...string) {
	run, address := "callbacks-"+rand.Text()+"-", fmt.Sprintf("127.0.0.1:%d", freePort(t))
	env := program.Settings(t, append(more, "KAFKA_BROKERS="+broker, "PLATFORM_WEBHOOK_ADDRESS="+address, "RUN_ID_PATH=run.id")...)
	var topics []string
	for _, topic := range []string{"RUN_CALLBACKS", "SESSION_EVENTS", "CALL_EVENTS"} {
		topics = append(topics, run+topic)
		env = append(env, topic+"_TOPIC="+run+topic)
	}
	createTopics(t, broker, topics...)
	program.StartPipeline(t, env, "-r", resources, "config/platform_callback_to_kafka.yaml")
	hook := `{"type":"end","run":{"id":"r"},"call":{"id":"65ee0000000000000000ffff"}}`
	require.Eventually(t, func() bool { return post(t, address, hook) == http.StatusOK }, time.Minute, 20*time.Millisecond)

	url := "http://" + address + "/happyrobot"
	sim, err := platform.Listen("127.0.0.1:0", platform.Options{Seed: 7, Speed: 600, Webhooks: platform.Webhooks{
		SessionURL: url, CallbackURL: url, RunIDPath: "run.id", Header: "x-hook-secret", Secret: "test-secret", Attempts: 50, Twice: 0.3, Late: 0.2, LateBy: 20 * time.Millisecond,
	}})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, sim.Close()) })
	const runs = 40
	for _, fate := range []platform.Fate{{Sessions: []string{"completed"}, Extract: map[string]string{"slot": "10:00"}}, {Sessions: []string{"missed", "busy"}}} {
		_, err = sim.Sim.Arrive(platform.Arrival{Count: runs / 2, Payload: map[string]any{"dial_ref": "ref"}, Fate: fate})
		require.NoError(t, err)
	}

	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(broker, ",")...), kgo.ConsumeTopics(topics...), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	require.Eventually(t, func() bool {
		told := sim.Sim.WebhookStats()
		return told.Events >= 3*runs && told.Taken+told.GivenUp+told.Lost == told.Events
	}, time.Minute, 10*time.Millisecond)
	require.Equal(t, http.StatusOK, post(t, address, `{"run":{"id":"the-last"}}`))
	got, ended := map[string][]*kgo.Record{}, false
	require.Eventually(t, func() bool {
		client.PollFetches(t.Context()).EachRecord(func(r *kgo.Record) {
			topic := strings.TrimPrefix(r.Topic, run)
			if ended = ended || string(r.Key) == "the-last"; string(r.Key) != "the-last" {
				got[topic] = append(got[topic], r)
			}
		})
		return ended && len(got["SESSION_EVENTS"]) > 0 && len(got["CALL_EVENTS"]) > 0
	}, time.Minute, time.Millisecond)

	outcomes := map[string]int{}
	ids := map[string]bool{}
	for _, r := range got["RUN_CALLBACKS"] {
		var callback struct {
			Run struct {
				ID string `json:"id"`
			} `json:"run"`
			DialRef string            `json:"dial_ref"`
			Data    map[string]string `json:"data"`
		}
		require.NoError(t, json.Unmarshal(r.Value, &callback))
		assert.Equal(t, callback.Run.ID, string(r.Key))
		assert.Equal(t, "ref", callback.DialRef)
		assert.Contains(t, r.Headers, kgo.RecordHeader{Key: "happyrobot_event_kind", Value: []byte("callback")})
		assert.Contains(t, r.Headers, kgo.RecordHeader{Key: "happyrobot_run_id", Value: r.Key})
		ids[callback.Run.ID] = true
		outcomes[callback.Data["outcome"]]++
	}
	assert.Len(t, got["RUN_CALLBACKS"], runs, "a callback that comes again is taken once")
	for _, r := range sim.Sim.Runs() {
		assert.True(t, ids[r.ID])
	}
	assert.Equal(t, map[string]int{"completed": runs / 2, "busy": runs / 2}, outcomes)
	require.NotEmpty(t, got["SESSION_EVENTS"])
	for _, r := range got["SESSION_EVENTS"] {
		assert.Contains(t, string(r.Value), `"session_id":"`+string(r.Key)+`"`)
	}
	require.Len(t, got["CALL_EVENTS"], 1, "a hook that has a run id is a hook")
	assert.JSONEq(t, hook, string(got["CALL_EVENTS"][0].Value))
}
