package pipelines

import (
	"crypto/rand"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/benthos-happyrobot/benthos-happyrobot/tests/program"
	"github.com/benthos-happyrobot/benthos-happyrobot/tests/services"
)

// crm is the loop around a table of leads.
type crm struct {
	db  *sql.DB
	sim *program.Callsim
	env []string
}

func newCRM(t *testing.T, broker string) crm {
	t.Helper()
	db, dsn := database(t)
	sim := program.StartCallsim(t, "--speed", "600")
	run := "crm-" + rand.Text()
	createTopics(t, broker, run+"-leads", run+"-calls", run+"-failed")
	return crm{db, sim, program.Settings(t, "HAPPYROBOT_BASE_URL="+sim.BaseURL(), "POSTGRES_DSN="+dsn, "KAFKA_BROKERS="+broker, "CONSUMER_GROUP="+run,
		"LEADS_TOPIC="+run+"-leads", "CALLS_TOPIC="+run+"-calls", "LEADS_FAILED_TOPIC="+run+"-failed",
		"LEADS_POLL_INTERVAL=100ms", "LEADS_CLAIM=2s")}
}

// insert adds leads from, from+1, ... to-1. Every tenth has no number that can be called.
func (c crm) insert(t *testing.T, from, to int) {
	t.Helper()
	execute(t, c.db, `INSERT INTO leads (id, phone, name)
		SELECT 'lead-' || n, CASE WHEN n % 10 = 0 THEN 'nobody' ELSE '+1212' || (2000000 + n) END, 'Ada' FROM generate_series($1::int, $2::int - 1) n`, from, to)
}

// count counts the leads that have a column.
func (c crm) count(t *testing.T, column string) (n int) {
	t.Helper()
	for _, lead := range table(t, c.db, "leads", "id") {
		if lead.values[column] != nil {
			n++
		}
	}
	return n
}

func (c crm) await(t *testing.T, outcomes int) {
	t.Helper()
	require.Eventually(t, func() bool { return c.count(t, "outcome") >= outcomes }, 3*time.Minute, 50*time.Millisecond)
}

// check compares each lead with the ground truth.
func (c crm) check(t *testing.T) map[string]row {
	t.Helper()
	calls := map[any][]string{}
	for _, call := range c.sim.Calls(t) {
		id := call.Custom["lead_id"]
		calls[id] = append(calls[id], call.ID+" "+call.EndsAs)
	}
	leads := table(t, c.db, "leads", "id")
	for id, lead := range leads {
		assert.NotNil(t, lead.values["queued_at"], id)
		assert.NotNil(t, lead.values["outcome_at"], id)
		if lead.values["phone"] == "nobody" {
			assert.Equal(t, "rejected invalid_phone_number <nil>", fmt.Sprint(lead.values["outcome"], " ", lead.values["reason"], " ", lead.values["call_id"]))
			continue
		}
		assert.Equal(t, []string{fmt.Sprint(lead.values["call_id"], " ", lead.values["outcome"])}, calls[id], id)
		assert.Nil(t, lead.values["reason"])
	}
	return leads
}

func TestTheLoopClosesInStreamsMode(t *testing.T) {
	kafka := startMoodyKafka(t)
	c := newCRM(t, kafka.address)
	state := t.TempDir()
	start := func() *program.Process {
		// No row is taken up twice, however slow the machine: its second message would
		// be written again, after the test has looked.
		return program.StartStreams(t, append(c.env, "STATE_DIR="+state, "LEADS_CLAIM=10m"), "-r", "resources/local.yaml", "config/crm_loop.yaml", "config/kafka_to_calls.yaml")
	}
	// A row counts as queued after Kafka has it, so it may have its outcome before.
	allQueued := func(leads int) {
		t.Helper()
		require.Eventually(t, func() bool { return c.count(t, "queued_at") == leads }, 3*time.Minute, 50*time.Millisecond)
	}
	const leads = 60
	kafka.away.Store(true)
	pipelines := start()
	c.insert(t, 0, leads)
	require.Eventually(t, func() bool { return kafka.refused.Load() >= 2 }, time.Minute, 10*time.Millisecond)
	for id, lead := range table(t, c.db, "leads", "id") {
		assert.Nil(t, lead.values["queued_at"], "%s is not queued before Kafka has it", id)
	}
	kafka.away.Store(false)
	allQueued(leads)
	c.await(t, leads)
	pipelines.Stop(t)
	before := c.check(t)

	// All finished calls again, and the leads once more in their topic.
	require.NoError(t, os.Remove(filepath.Join(state, "cursor.db")))
	execute(t, c.db, "UPDATE leads SET queued_at = NULL, claimed_at = NULL WHERE id = 'lead-1'")
	c.insert(t, leads+1, leads+2)
	pipelines = start()
	allQueued(leads + 1)
	c.await(t, leads+1)
	pipelines.Stop(t)
	after := c.check(t)
	for id, lead := range before {
		if id != "lead-1" {
			assert.Equal(t, lead.written, after[id].written, "%s is not written again", id)
		}
	}
}

// PostgreSQL refuses some rows of a batch for a while, beside failures that are of no
// lead: an error must be that of the row that was refused.
func TestTheLoopWritesEachOutcomeThatWasRefusedAtFirst(t *testing.T) {
	kafka := startMoodyKafka(t)
	c := newCRM(t, kafka.address)
	const leads = 30
	c.insert(t, 0, leads)
	execute(t, c.db, "UPDATE leads SET queued_at = now()") // there is nothing to queue
	execute(t, c.db, "CREATE SEQUENCE tries")
	execute(t, c.db, `CREATE FUNCTION refuse_at_first() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		IF NEW.id LIKE '%7' AND nextval('tries') < 10 THEN RAISE EXCEPTION 'refused'; END IF; RETURN NEW; END $$`)
	execute(t, c.db, "CREATE TRIGGER refuse_at_first BEFORE UPDATE ON leads FOR EACH ROW EXECUTE FUNCTION refuse_at_first()")
	client, err := kgo.NewClient(kgo.SeedBrokers(kafka.address))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	var topic string
	for _, setting := range c.env {
		if name, ok := strings.CutPrefix(setting, "LEADS_FAILED_TOPIC="); ok {
			topic = name
		}
	}
	var records []*kgo.Record
	for n := range leads {
		for _, lead := range []string{`"no lead at all"`, fmt.Sprintf(`{"id":"lead-%d"}`, n)} {
			records = append(records, &kgo.Record{Topic: topic, Headers: []kgo.RecordHeader{{Key: "to", Value: []byte("topic")}},
				Value: []byte(`{"lead":` + lead + `,"outcome":"rejected","reason":"invalid_phone_number","details":""}`)})
		}
	}
	require.NoError(t, client.ProduceSync(t.Context(), records...).FirstErr())
	pipeline := program.StartPipeline(t, append(c.env, "STATE_DIR="+t.TempDir()), "-r", "resources/local.yaml", "config/crm_loop.yaml")
	c.await(t, leads)
	pipeline.Stop(t)
	for id, lead := range table(t, c.db, "leads", "id") {
		assert.Equal(t, "invalid_phone_number", lead.values["reason"], id)
	}
}

func TestTheLoopLosesNoLeadWhenKilled(t *testing.T) {
	c := newCRM(t, services.Kafka(t))
	states := t.TempDir()
	start := func(config, input string) *program.Process {
		env := slices.Concat(c.env, []string{"STATE_DIR=" + filepath.Join(states, filepath.Base(config))})
		// Static members take their own places in the group, where others would wait
		// until the dead ones' sessions are over.
		return program.StartPipeline(t, env, "-s", input+".instance_id="+strings.TrimSuffix(filepath.Base(config), ".yaml"), "-r", "resources/local.yaml", config)
	}
	const wave, kills = 50, 4
	for life := range kills + 1 {
		loop := start("config/crm_loop.yaml", "input.broker.inputs.2.redpanda")
		calls := start("config/kafka_to_calls.yaml", "input.redpanda")
		c.insert(t, life*wave, (life+1)*wave)
		if life == kills {
			c.await(t, (kills+1)*wave)
			// A lead that was called before a kill, and not marked as queued, is queued again.
			require.Eventually(t, func() bool { return c.count(t, "queued_at") == (kills+1)*wave }, time.Minute, 50*time.Millisecond)
			break
		}
		c.await(t, life*wave+wave*life/kills) // sooner or later in each wave
		loop.Kill()
		calls.Kill()
	}
	c.check(t)
	t.Logf("%d leads, killed %d times", (kills+1)*wave, kills)
}
