package pipelines

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/tests/program"
	"github.com/benthos-happyrobot/benthos-happyrobot/tests/services"
)

// freePort is one that was free a moment ago.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// post sends an event as the API would; 0 is no answer.
func post(t *testing.T, address, event string) (status int) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+"/happyrobot", strings.NewReader(event))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("x-hook-secret", "test-secret")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	defer res.Body.Close()
	return res.StatusCode
}

var eventTopics = []string{"CALL_EVENTS", "FINISHED_CALLS", "CALL_EVENTS_FAILED", "SESSION_EVENTS"}

// readEvents reads what the topics of a run hold, until they hold enough.
func readEvents(t *testing.T, broker, run string, enough func(map[string][]*kgo.Record) bool) map[string][]*kgo.Record {
	t.Helper()
	var names []string
	for _, topic := range eventTopics {
		names = append(names, run+topic)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(broker, ",")...), kgo.ConsumeTopics(names...), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(t, err)
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	got := map[string][]*kgo.Record{}
	for !enough(got) {
		fetches := client.PollFetches(ctx)
		require.NoError(t, ctx.Err(), "not enough in the topics")
		fetches.EachRecord(func(r *kgo.Record) {
			topic := strings.TrimPrefix(r.Topic, run)
			got[topic] = append(got[topic], r)
		})
	}
	return got
}

func TestEventsBecomeCallsWithTranscripts(t *testing.T) {
	program.Long(t, "calls live for seconds")
	t.Run("kfake", func(t *testing.T) {
		broker, err := kfake.NewCluster(kfake.NumBrokers(1))
		require.NoError(t, err)
		t.Cleanup(broker.Close)
		testEvents(t, broker.ListenAddrs()[0], "resources/local.yaml")
	})
	t.Run("kafka and redis", func(t *testing.T) {
		testEvents(t, services.Kafka(t), "resources/redis.yaml", "REDIS_URL="+services.Redis(t), "HAPPYROBOT_KEYS=test-"+rand.Text()+":")
	})
}

func testEvents(t *testing.T, broker, resources string, more ...string) {
	run, address := "events-"+rand.Text()+"-", fmt.Sprintf("127.0.0.1:%d", freePort(t))
	url := "http://" + address + "/happyrobot"
	sim := program.StartCallsim(t, "--speed", "120", "--hook-url", url, "--session-url", url, "--webhook-secret", "test-secret", "--webhook-twice", "0.3", "--webhook-attempts", "50")
	env := program.Settings(t, "HAPPYROBOT_BASE_URL="+sim.BaseURL(), "KAFKA_BROKERS="+broker, "CONSUMER_GROUP="+run, "WEBHOOK_ADDRESS="+address, "TRANSCRIPT_WAIT=2s", "BATCH_PERIOD=50ms")
	env = append(env, more...)
	var topics []string
	for _, topic := range eventTopics {
		topics = append(topics, run+topic)
		env = append(env, topic+"_TOPIC="+run+topic)
	}
	createTopics(t, broker, topics...)
	program.StartPipeline(t, env, "-r", resources, "config/webhook_to_kafka.yaml")

	const calls = 40
	sim.Arrive(t, callsim.Arrival{Count: calls - 1})
	sim.Arrive(t, callsim.Arrival{EndsAs: "Completed", Silent: true})
	unknown := `{"type":"end","call":{"id":"65ee0000000000000000ffff"}}`
	require.Eventually(t, func() bool { return post(t, address, unknown) == http.StatusOK }, time.Minute, 20*time.Millisecond)
	got := readEvents(t, broker, run, func(got map[string][]*kgo.Record) bool {
		return len(got["CALL_EVENTS"]) >= 2*calls+1 && len(got["FINISHED_CALLS"]) >= calls && len(got["CALL_EVENTS_FAILED"]) >= 1
	})

	told := map[string]int{}
	for _, r := range got["CALL_EVENTS"] {
		var event struct {
			Type string `json:"type"`
			Call struct {
				ID string `json:"id"`
			} `json:"call"`
		}
		require.NoError(t, json.Unmarshal(r.Value, &event))
		assert.Equal(t, event.Call.ID, string(r.Key))
		assert.NotContains(t, string(r.Value), callsim.HookSecret)
		told[event.Type+" "+event.Call.ID]++
	}
	assert.Len(t, told, 2*calls+1)
	assert.Len(t, got["CALL_EVENTS"], 2*calls+1, "an event that comes again is taken once")

	finished := map[string]map[string]any{}
	outcomes := map[string]int{}
	for _, r := range got["FINISHED_CALLS"] {
		var call map[string]any
		require.NoError(t, json.Unmarshal(r.Value, &call))
		finished[string(r.Key)] = call
		for _, h := range r.Headers {
			if h.Key == "happyrobot_outcome" {
				outcomes[string(h.Value)]++
			}
		}
	}
	assert.Equal(t, map[string]int{"complete": calls - 1, "not_ready": 1}, outcomes)
	transcripts := 0
	for _, call := range sim.Calls(t) {
		require.Contains(t, finished, call.ID)
		assert.Equal(t, call.EndsAs, finished[call.ID]["status"])
		if transcript, ok := finished[call.ID]["transcript"].(map[string]any); ok && transcript["text"] != "" {
			transcripts++
			assert.Contains(t, transcript["text"], "ten o'clock suits me")
		}
	}
	assert.Greater(t, transcripts, calls/3)
	require.Len(t, got["CALL_EVENTS_FAILED"], 1)
	assert.Contains(t, string(got["CALL_EVENTS_FAILED"][0].Value), `"outcome":"not_found"`)
	require.NotEmpty(t, got["SESSION_EVENTS"])
	for _, r := range got["SESSION_EVENTS"] {
		assert.True(t, bytes.Contains(r.Value, r.Key))
		assert.Contains(t, string(r.Value), "session.status_changed")
	}
}

// What is read by happyrobot_call must not differ from what an event tells, as far as
// that goes: consumers of finished_calls see both.
func TestACallWhoseEventCarriesTheTalkIsNotRead(t *testing.T) {
	broker, err := kfake.NewCluster(kfake.NumBrokers(1))
	require.NoError(t, err)
	t.Cleanup(broker.Close)
	kafka, run, address := broker.ListenAddrs()[0], "talks-"+rand.Text()+"-", fmt.Sprintf("127.0.0.1:%d", freePort(t))
	sim := program.StartCallsim(t, "--speed", "600", "--hook-url", "http://"+address+"/happyrobot", "--webhook-secret", "test-secret", "--webhook-attempts", "50", "--hook-talk", "1")
	env := program.Settings(t, "HAPPYROBOT_BASE_URL="+sim.BaseURL(), "KAFKA_BROKERS="+kafka, "CONSUMER_GROUP="+run, "WEBHOOK_ADDRESS="+address, "BATCH_PERIOD=50ms")
	for _, topic := range eventTopics {
		createTopics(t, kafka, run+topic)
		env = append(env, topic+"_TOPIC="+run+topic)
	}
	program.StartPipeline(t, env, "-r", "resources/local.yaml", "config/webhook_to_kafka.yaml")
	sim.Inject(t, callsim.Fault{Kind: callsim.Refuse, Operation: "getCall", Status: http.StatusNotFound})

	const calls = 12
	for _, status := range []string{"Completed", "Transferred"} {
		sim.Arrive(t, callsim.Arrival{Type: "Outbound", EndsAs: status, Count: calls / 2, Call: json.RawMessage(`{"metadata":{"lead_id":"lead-1"},"params":{"slot":"10:00"}}`)})
	}
	got := readEvents(t, kafka, run, func(got map[string][]*kgo.Record) bool {
		return len(got["FINISHED_CALLS"])+len(got["CALL_EVENTS_FAILED"]) >= calls
	})
	assert.Empty(t, got["CALL_EVENTS_FAILED"], "no call was read")
	for _, fault := range sim.Faults(t) {
		assert.Zero(t, fault.Matched)
	}
	for _, r := range got["FINISHED_CALLS"] {
		assert.NotContains(t, string(r.Value), callsim.HookPrompt, "a prompt was told on")
		assert.NotContains(t, string(r.Value), callsim.HookSecret)
		var call map[string]any
		require.NoError(t, json.Unmarshal(r.Value, &call))
		read := listed(t, sim, call["id"].(string))
		for _, member := range []string{"id", "organization_id", "type", "status", "metadata", "params", "extraction", "classification", "use_case", "provider"} {
			assert.Equal(t, read[member], call[member], member)
		}
		assert.NotContains(t, call, "assistant")
		transcript := call["transcript"].(map[string]any)
		assert.Equal(t, "assistant: Hello, this is about your delivery.\nuser: Yes, ten o'clock suits me.\nassistant: Booked. Goodbye.", transcript["text"])
		assert.Len(t, transcript["messages"], 4)
		assert.Contains(t, r.Headers, kgo.RecordHeader{Key: "happyrobot_outcome", Value: []byte("complete")})
	}
}

// listed is a call as the list shows it, without its secrets.
func listed(t *testing.T, sim *program.Callsim, id string) map[string]any {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, sim.BaseURL()+"/calls?limit=1999", nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer test-key")
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	var page struct {
		Calls []json.RawMessage `json:"calls"`
	}
	require.NoError(t, json.NewDecoder(res.Body).Decode(&page))
	for _, raw := range page.Calls {
		var call map[string]any
		require.NoError(t, json.Unmarshal(happyrobot.Redact(raw), &call))
		if call["id"] == id {
			return call
		}
	}
	require.Fail(t, "the call is not listed")
	return nil
}

func TestEventsAreRefusedWhileKafkaIsAway(t *testing.T) {
	program.Long(t, "it waits for a producer that is away")
	sim := program.StartCallsim(t)
	kafka := startMoodyKafka(t, "call_events")
	kafka.away.Store(true)
	broker, address := kafka.address, fmt.Sprintf("127.0.0.1:%d", freePort(t))
	program.StartPipeline(t, program.Settings(t, "HAPPYROBOT_BASE_URL="+sim.BaseURL(), "KAFKA_BROKERS="+broker, "WEBHOOK_ADDRESS="+address, "WEBHOOK_TIMEOUT=500ms"),
		"-r", "resources/local.yaml", "config/webhook_to_kafka.yaml")
	const event = `{"type":"start","call":{"id":"65ee00000000000000000101"}}`
	var status int
	require.Eventually(t, func() bool { status = post(t, address, event); return status != 0 }, time.Minute, 20*time.Millisecond)
	assert.Equal(t, http.StatusServiceUnavailable, status)
	kafka.away.Store(false)
	require.Eventually(t, func() bool { return post(t, address, event) == http.StatusOK }, time.Minute, 100*time.Millisecond)

	client, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.ConsumeTopics("call_events"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	fetches := client.PollRecords(ctx, 1)
	require.NoError(t, fetches.Err())
	assert.JSONEq(t, event, string(fetches.Records()[0].Value))
}
