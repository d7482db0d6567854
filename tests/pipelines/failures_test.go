package pipelines

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/benthos-happyrobot/benthos-happyrobot/tests/program"
)

// Calls are placed, and neither their receipts nor the failed leads are written when
// the process ends: it is killed, or it is asked to stop and gives the leads back.
func TestAFailedLeadIsFiledAfterAnEndWhileKafkaRefusesRecords(t *testing.T) {
	program.Long(t, "it waits for shutdowns while Kafka is away")
	for name, end := range map[string]func(t *testing.T, p *program.Process){
		"killed":  func(_ *testing.T, p *program.Process) { p.Kill() },
		"stopped": func(t *testing.T, p *program.Process) { t.Helper(); p.Stop(t) },
	} {
		t.Run(name, func(t *testing.T) {
			kafka := startMoodyKafka(t, "leads", "calls", "leads_failed")
			sim := program.StartCallsim(t)
			client, err := kgo.NewClient(kgo.SeedBrokers(kafka.address), kgo.ConsumeTopics("calls", "leads_failed"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
			require.NoError(t, err)
			t.Cleanup(client.Close)
			wantCalls, wantRecords := map[string]int{}, map[string]int{}
			for n := range 12 {
				id, phone := fmt.Sprintf("lead-%d", n), fmt.Sprintf("+1212200%04d", n)
				if n%3 == 0 {
					phone = "nobody"
					wantRecords[id+" rejected"] = 1
				} else {
					wantCalls[id] = 1
					wantRecords[id+" duplicate"] = 1
				}
				require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: "leads", Value: fmt.Appendf(nil, `{"id":%q,"phone":%q}`, id, phone)}).FirstErr())
			}
			kafka.away.Store(true)
			env := program.Settings(t, "HAPPYROBOT_BASE_URL="+sim.BaseURL(), "KAFKA_BROKERS="+kafka.address, "STATE_DIR="+t.TempDir())
			start := func() *program.Process {
				return program.StartPipeline(t, env, "-s", "input.redpanda.instance_id=dialer", "-s", "shutdown_timeout=4s", "-r", "resources/local.yaml", "config/kafka_to_calls.yaml")
			}
			p := start()
			sim.AwaitCalls(t, len(wantCalls))
			require.Eventually(t, func() bool { return kafka.refused.Load() > 0 }, time.Minute, 10*time.Millisecond)
			end(t, p)

			kafka.away.Store(false)
			p = start()
			got := map[string]int{}
			for topic, records := range topics(t, client, map[string]int{"calls": 8, "leads_failed": 4}) {
				for _, r := range records {
					lead := fmt.Sprint(r["lead"].(map[string]any)["id"])
					got[lead+" "+fmt.Sprint(r["outcome"])]++
					assert.Equal(t, topic == "leads_failed", strings.Contains(fmt.Sprint(r["outcome"]), "rejected"))
				}
			}
			p.Stop(t)
			assert.Equal(t, wantRecords, got)
			assert.Equal(t, wantCalls, sim.CallsByLead(t))
		})
	}
}

// A record holds the whole lead and more, so a lead that Kafka took may make one that
// it does not take. Such a record is cut, and blocks no other.
func TestARecordThatIsTooLargeForKafkaIsCut(t *testing.T) {
	program.Long(t, "it waits for Kafka to refuse a record")
	kafka := startMoodyKafka(t, "leads", "calls", "leads_failed")
	sim := program.StartCallsim(t)
	client, err := kgo.NewClient(kgo.SeedBrokers(kafka.address), kgo.ProducerBatchMaxBytes(2<<20), kgo.ConsumeTopics("calls", "leads_failed"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	pad := strings.Repeat("x", 1_040_000)
	for _, value := range []string{
		`{"id":"large","phone":"+12122000001","pad":"` + pad + `"}`,
		`{"id":"large and bad","phone":"nobody","pad":"` + pad + `"}`,
		`large text ` + pad,
		`{"id":"small","phone":"+12122000002"}`,
		`{"id":"small and bad","phone":"nobody"}`,
	} {
		require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: "leads", Value: []byte(value)}).FirstErr())
	}
	env := program.Settings(t, "HAPPYROBOT_BASE_URL="+sim.BaseURL(), "KAFKA_BROKERS="+kafka.address, "STATE_DIR="+t.TempDir())
	p := program.StartPipeline(t, env, "-r", "resources/local.yaml", "config/kafka_to_calls.yaml")
	got := topics(t, client, map[string]int{"calls": 2, "leads_failed": 3})
	p.Stop(t)
	var ids, cut []string
	for _, records := range got {
		for _, r := range records {
			if lead, ok := r["lead"].(map[string]any); ok {
				ids = append(ids, fmt.Sprint(lead["id"], " ", r["outcome"]))
				continue
			}
			assert.Len(t, r["lead"], 1000)
			cut = append(cut, fmt.Sprint(r["lead"].(string)[:10], " ", r["reason"]))
		}
	}
	assert.ElementsMatch(t, []string{"large accepted", "small accepted", "small and bad rejected"}, ids)
	assert.ElementsMatch(t, []string{`{"id":"lar invalid_phone_number`, "large text invalid_json"}, cut)
}
