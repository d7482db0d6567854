package crash

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// stream is a topic of leads, and what the pipeline told of them in its other
// topics. Its names hold the run's, so that runs on one broker do not meet.
type stream struct {
	broker, run string
	client      *kgo.Client

	mu       sync.Mutex
	produced []string                   // leads
	receipts map[string]map[string]bool // call ids by lead
	failed   map[string]map[string]bool // "outcome: reason" by lead
	outcomes map[string]int             // receipts by outcome
}

// fakeKafka is a broker in this process.
func fakeKafka(t *testing.T) string {
	t.Helper()
	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.GroupMinSessionTimeout(time.Second))
	require.NoError(t, err)
	t.Cleanup(broker.Close)
	return broker.ListenAddrs()[0]
}

func newStream(t *testing.T, broker, run string, partitions int) *stream {
	t.Helper()
	s := &stream{broker: broker, run: run, receipts: map[string]map[string]bool{}, failed: map[string]map[string]bool{}, outcomes: map[string]int{}}
	brokers := kgo.SeedBrokers(strings.Split(broker, ",")...)
	admin, err := kgo.NewClient(brokers)
	require.NoError(t, err)
	t.Cleanup(func() { // a broker that is killed reads all its topics again
		_, err := kadm.NewClient(admin).DeleteTopics(context.Background(), s.topic("leads"), s.topic("calls"), s.topic("failed"))
		assert.NoError(t, err)
		admin.Close()
	})
	for topic, n := range map[string]int{s.topic("leads"): partitions, s.topic("calls"): 1, s.topic("failed"): 1} {
		_, err = kadm.NewClient(admin).CreateTopic(t.Context(), int32(n), 1, nil, topic)
		require.NoError(t, err)
	}
	s.client, err = kgo.NewClient(brokers,
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.UnknownTopicRetries(-1), // a broker that restarts may not know its topics at once
		kgo.ConsumeTopics(s.topic("calls"), s.topic("failed")),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			// Errors are not looked at: while the broker restarts there are some, and
			// a record that is never read shows in untold.
			s.client.PollFetches(ctx).EachRecord(func(r *kgo.Record) { s.note(t, r) })
		}
	}()
	t.Cleanup(func() { stop(); <-done; s.client.Close() })
	return s
}

func (s *stream) topic(name string) string { return s.run + "-" + name }

// env points config/kafka_to_calls.yaml, or platform_kafka_to_runs.yaml, at the stream.
func (s *stream) env() []string {
	return []string{"KAFKA_BROKERS=" + s.broker, "CONSUMER_GROUP=" + s.run,
		"LEADS_TOPIC=" + s.topic("leads"), "CALLS_TOPIC=" + s.topic("calls"), "RUNS_TOPIC=" + s.topic("calls"), "LEADS_FAILED_TOPIC=" + s.topic("failed")}
}

// awaitMembers waits until the consumer group has settled with n members.
func awaitMembers(t *testing.T, s *stream, n int) {
	t.Helper()
	require.Eventually(t, func() bool {
		groups, err := kadm.NewClient(s.client).DescribeGroups(t.Context(), s.run)
		return err == nil && groups[s.run].State == "Stable" && len(groups[s.run].Members) == n
	}, time.Minute, 50*time.Millisecond, "the consumer group does not settle")
}

// lead names the nth lead of the run; the ledger's keys come from that name.
func (s *stream) lead(n int) string { return fmt.Sprintf("%s-%d", s.run, n) }

// produce writes leads from, from+1, ... to-1, evenly, to some partitions.
func (s *stream) produce(t *testing.T, from, to int, partitions ...int32) {
	t.Helper()
	var records []*kgo.Record
	for n := from; n < to; n++ {
		value := fmt.Sprintf(`{"id":%q,"phone":"+1212%07d","name":"Ada"}`, s.lead(n), 2_000_000+n)
		records = append(records, &kgo.Record{Topic: s.topic("leads"), Partition: partitions[n%len(partitions)], Value: []byte(value)})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute) // the broker may be restarting
	defer cancel()
	require.NoError(t, s.client.ProduceSync(ctx, records...).FirstErr())
	s.mu.Lock()
	defer s.mu.Unlock()
	for n := from; n < to; n++ {
		s.produced = append(s.produced, s.lead(n))
	}
}

// note reads what the pipeline told of a lead.
func (s *stream) note(t *testing.T, r *kgo.Record) {
	var told struct {
		Lead struct {
			ID string `json:"id"`
		} `json:"lead"`
		CallID  string `json:"call_id"`
		RunID   string `json:"run_id"`
		Outcome string `json:"outcome"`
		Reason  string `json:"reason"`
	}
	require.NoError(t, json.Unmarshal(r.Value, &told), "%s", r.Topic)
	s.mu.Lock()
	defer s.mu.Unlock()
	in, what := s.receipts, cmp.Or(told.CallID, told.RunID)
	if r.Topic == s.topic("failed") {
		in, what = s.failed, told.Outcome+": "+told.Reason
	} else {
		s.outcomes[told.Outcome]++
	}
	if in[told.Lead.ID] == nil {
		in[told.Lead.ID] = map[string]bool{}
	}
	in[told.Lead.ID][what] = true
}

// told is how many receipts say this outcome.
func (s *stream) told(outcome string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.outcomes[outcome]
}

// untold are the leads of which nothing was told yet.
func (s *stream) untold() (leads []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range s.produced {
		if s.receipts[id] == nil && s.failed[id] == nil {
			leads = append(leads, id)
		}
	}
	return leads
}

// awaitAll waits until something was told of every lead.
func (s *stream) awaitAll(t *testing.T, within time.Duration) {
	t.Helper()
	deadline := time.Now().Add(within)
	for len(s.untold()) > 0 && time.Now().Before(deadline) {
		time.Sleep(20 * time.Millisecond)
	}
	untold := s.untold()
	require.Empty(t, untold[:min(len(untold), 10)], "%d of %d leads are lost: nothing was told of them, such as these", len(untold), len(s.produced))
}

// verdict compares what was called with what was told.
type verdict struct {
	leads, called, doubled, lost, held int
	wrong                              []string // each lead that was not dealt with as promised
}

// judge goes through the leads.
func (s *stream) judge(calls map[string]int) (v verdict) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range slices.Compact(slices.Sorted(slices.Values(s.produced))) {
		v.leads++
		receipts, failures := slices.Sorted(maps.Keys(s.receipts[id])), slices.Sorted(maps.Keys(s.failed[id]))
		var wrong string
		switch n := calls[id]; {
		case n > 1:
			v.doubled++
			wrong = "called more than once"
		case n == 1:
			v.called++
		case len(failures) == 0:
			v.lost++
			wrong = "neither called nor in the failure topic"
		case len(receipts) > 0:
			wrong = "a receipt without a call"
		}
		if len(failures) > 0 {
			v.held++
		}
		switch {
		case wrong != "":
		case len(receipts) > 1:
			wrong = "receipts of several calls"
		case len(failures) > 0 && (len(failures) > 1 || failures[0] != "held: unknown"):
			wrong = "failed for a reason that nobody gave"
		case len(failures) > 0 && calls[id] > 0:
			// These simulators list a call well within settle.
			wrong = "held, though the API lists its call"
		}
		if wrong != "" {
			v.wrong = append(v.wrong, fmt.Sprintf("lead %s: %s: %d calls, receipts %q, failed %q", id, wrong, calls[id], receipts, failures))
		}
	}
	if n := calls[""]; n > 0 {
		v.wrong = append(v.wrong, fmt.Sprintf("%d calls without a lead", n))
	}
	return v
}

// assertKept fails the test unless each lead was dealt with as promised.
func (v verdict) assertKept(t *testing.T) {
	t.Helper()
	assert.Empty(t, v.wrong[:min(len(v.wrong), 10)], "%d leads, such as these", len(v.wrong))
}
