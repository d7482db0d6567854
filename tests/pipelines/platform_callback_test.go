package pipelines

import (
	"context"
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

func TestCallbacksOfWorkflowsBecomeRuns(t *testing.T) {
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

var callbackTopics = []string{"RUN_CALLBACKS", "FINISHED_RUNS", "RUN_CALLBACKS_FAILED", "SESSION_EVENTS", "CALL_EVENTS"}

func testCallbacks(t *testing.T, broker, resources string, more ...string) {
	run, address := "callbacks-"+rand.Text()+"-", fmt.Sprintf("127.0.0.1:%d", freePort(t))
	url := "http://" + address + "/happyrobot"
	sim, err := platform.Listen("127.0.0.1:0", platform.Options{Seed: 7, Speed: 600, Webhooks: platform.Webhooks{
		SessionURL: url, CallbackURL: url, RunIDPath: "run.id", Header: "x-hook-secret", Secret: "test-secret", Attempts: 50, Twice: 0.3, Late: 0.2, LateBy: 20 * time.Millisecond,
	}})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, sim.Close()) })
	env := program.Settings(t, append(more, "KAFKA_BROKERS="+broker, "PLATFORM_WEBHOOK_ADDRESS="+address, "RUN_ID_PATH=run.id", "CONSUMER_GROUP="+run, "BATCH_PERIOD=50ms",
		"HAPPYROBOT_PLATFORM_URL="+sim.URL, "HAPPYROBOT_PLATFORM_REQUESTS_PER_SECOND=1000")...)
	var topics []string
	for _, topic := range callbackTopics {
		topics = append(topics, run+topic)
		env = append(env, topic+"_TOPIC="+run+topic)
	}
	createTopics(t, broker, topics...)
	program.StartPipeline(t, env, "-r", resources, "config/platform_callback_to_kafka.yaml")
	hook := `{"type":"end","run":{"id":"r"},"call":{"id":"65ee0000000000000000ffff"}}`
	require.Eventually(t, func() bool { return post(t, address, hook) == http.StatusOK }, time.Minute, 20*time.Millisecond)

	const runs = 40
	for _, fate := range []platform.Fate{{Sessions: []string{"completed"}, Extract: map[string]string{"slot": "10:00"}}, {Sessions: []string{"missed", "busy"}}} {
		_, err = sim.Sim.Arrive(platform.Arrival{Count: runs / 2, Payload: map[string]any{"dial_ref": "ref"}, Fate: fate})
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool {
		told := sim.Sim.WebhookStats()
		return told.Events >= 3*runs && told.Taken+told.GivenUp+told.Lost == told.Events
	}, time.Minute, 10*time.Millisecond)
	for _, other := range []string{`{"run":{"id":"unknown"}}`, `{"run":{"id":"unknown"},"event_type":"log"}`} {
		require.Equal(t, http.StatusOK, post(t, address, other))
	}
	got := readCallbacks(t, broker, run, topics, func(got map[string][]*kgo.Record) bool {
		return len(got["RUN_CALLBACKS"]) >= runs+2 && len(got["FINISHED_RUNS"]) >= runs && len(got["RUN_CALLBACKS_FAILED"]) > 0 && len(got["SESSION_EVENTS"]) > 0 && len(got["CALL_EVENTS"]) > 0
	})

	assert.Len(t, got["RUN_CALLBACKS"], runs+2, "a callback that comes again is taken once")
	for _, r := range got["RUN_CALLBACKS"] {
		assert.Contains(t, string(r.Value), `"id":"`+string(r.Key)+`"`)
		assert.Contains(t, r.Headers, kgo.RecordHeader{Key: "happyrobot_event_kind", Value: []byte("callback")})
		assert.Contains(t, r.Headers, kgo.RecordHeader{Key: "happyrobot_run_id", Value: r.Key})
	}
	finished := map[string]finishedRun{}
	for _, r := range got["FINISHED_RUNS"] {
		var one finishedRun
		require.NoError(t, json.Unmarshal(r.Value, &one))
		assert.Equal(t, one.Run.ID, string(r.Key))
		assert.Equal(t, one.Run.ID, one.Callback.Run.ID)
		assert.Equal(t, "ref", one.Callback.DialRef)
		assert.Contains(t, r.Headers, kgo.RecordHeader{Key: "happyrobot_outcome", Value: []byte("complete")})
		finished[one.Run.ID] = one
	}
	assert.Len(t, finished, runs)
	for _, truth := range sim.Sim.Runs() {
		one := finished[truth.ID]
		assert.Equal(t, truth.EndsAs, one.Run.Status)
		assert.Equal(t, truth.Outcome, one.Run.Outcome)
		assert.Equal(t, truth.Outcome, one.Callback.Data["outcome"])
		assert.Len(t, one.Run.Sessions, len(truth.Sessions))
		if truth.Outcome == "completed" {
			assert.NotEmpty(t, one.Run.Transcript.Text)
		}
	}
	require.Len(t, got["RUN_CALLBACKS_FAILED"], 1, "progress makes no message")
	assert.Contains(t, string(got["RUN_CALLBACKS_FAILED"][0].Value), `"outcome":"not_found"`)
	for _, r := range got["SESSION_EVENTS"] {
		assert.Contains(t, string(r.Value), `"session_id":"`+string(r.Key)+`"`)
	}
	require.Len(t, got["CALL_EVENTS"], 1, "a hook that has a run id is a hook")
	assert.JSONEq(t, hook, string(got["CALL_EVENTS"][0].Value))
}

// finishedRun is a message of the topic of finished runs.
type finishedRun struct {
	Callback struct {
		Run struct {
			ID string `json:"id"`
		} `json:"run"`
		DialRef string            `json:"dial_ref"`
		Data    map[string]string `json:"data"`
	} `json:"callback"`
	Run struct {
		ID         string           `json:"id"`
		Status     string           `json:"status"`
		Outcome    string           `json:"outcome"`
		Sessions   []map[string]any `json:"sessions"`
		Transcript struct {
			Text string `json:"text"`
		} `json:"transcript"`
	} `json:"run"`
}

// readCallbacks reads what the topics of a run hold, until they hold enough.
func readCallbacks(t *testing.T, broker, run string, topics []string, enough func(map[string][]*kgo.Record) bool) map[string][]*kgo.Record {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(broker, ",")...), kgo.ConsumeTopics(topics...), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(t, err)
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	got := map[string][]*kgo.Record{}
	for !enough(got) {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			for topic, records := range got {
				t.Logf("%s: %d", topic, len(records))
			}
			require.FailNow(t, "not enough in the topics")
		}
		fetches.EachRecord(func(r *kgo.Record) {
			topic := strings.TrimPrefix(r.Topic, run)
			got[topic] = append(got[topic], r)
		})
	}
	return got
}
