package kafka

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/benthos-happyrobot/benthos-happyrobot/tests/services"
)

// Members of a group that come and go, on a real broker. Each member acknowledges what it
// gets, with no pipeline in between.

const chaosYAML = `
seed_brokers: [ %q ]
topics: [ %s ]
consumer_group: %s
fetch_max_wait: 100ms
commit_period: 500ms
rebalance_timeout: 15s
session_timeout: 6s
heartbeat_interval: 200ms
max_yield_batch_bytes: 64B
`

const chaosPartitions = 6

// flow writes numbered records to all partitions until it is stopped, and returns how many
// it wrote.
func flow(t *testing.T, broker, topic string) (stop func() int) {
	t.Helper()
	client := newClient(t, []string{broker}, kgo.RecordPartitioner(kgo.RoundRobinPartitioner()), kgo.DefaultProduceTopic(topic))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan int)
	go func() {
		n := 0
		defer func() {
			assert.NoError(t, client.Flush(context.Background()))
			done <- n
		}()
		for ticker := time.NewTicker(2 * time.Millisecond); ; n++ {
			client.Produce(context.Background(), kgo.StringRecord(fmt.Sprintf("lead %d", n)), func(_ *kgo.Record, err error) {
				assert.NoError(t, err)
			})
			if n%10 != 0 {
				continue
			}
			select {
			case <-ticker.C:
			case <-ctx.Done():
				ticker.Stop()
				n++
				return
			}
		}
	}()
	return sync.OnceValue(func() int {
		cancel()
		return <-done
	})
}

// tally adds up what several members got.
type tally struct {
	mu  sync.Mutex
	got map[string]int
}

func (a *tally) add(b map[string]int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for text, n := range b {
		a.got[text] += n
	}
}

// lostAndDoubled compares with the leads that were written.
func (a *tally) lostAndDoubled(n int) (lost, doubled int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range n {
		switch a.got[fmt.Sprintf("lead %d", i)] {
		case 0:
			lost++
		case 1:
		default:
			doubled++
		}
	}
	return lost, doubled
}

func TestThreeMembersComeAndGoTenTimes(t *testing.T) {
	broker := services.Kafka(t)
	topic := newTopic(t, broker, chaosPartitions)
	stop := flow(t, broker, topic)
	total := &tally{got: map[string]int{}}

	type running struct {
		m *member
		d *inBackground
	}
	join := func() running {
		m := newMember(t, chaosYAML, broker, topic, topic)
		return running{m: m, d: drainSlowly(m, 20*time.Millisecond)}
	}
	leave := func(r running) {
		r.d.end()
		r.m.close(t)
		total.add(r.d.texts())
	}
	members := []running{join(), join(), join()}
	for i := range 10 {
		slot := i % 3
		before := len(members[(slot+1)%3].d.texts())
		leave(members[slot])
		// The others work on while it is away.
		require.Eventually(t, func() bool { return len(members[(slot+1)%3].d.texts()) > before }, time.Minute, 10*time.Millisecond)
		members[slot] = join()
		if i%2 == 0 { // it has work, or is still waiting for some when the next one leaves
			require.Eventually(t, func() bool { return len(members[slot].d.texts()) > 0 }, time.Minute, 10*time.Millisecond)
		}
	}
	n := stop()
	seen := func() int {
		all := &tally{got: map[string]int{}}
		total.mu.Lock()
		all.got = maps.Clone(total.got)
		total.mu.Unlock()
		for _, r := range members {
			all.add(r.d.texts())
		}
		lost, _ := all.lostAndDoubled(n)
		return lost
	}
	assert.Eventually(t, func() bool { return seen() == 0 }, time.Minute, 50*time.Millisecond)
	for _, r := range members {
		leave(r)
	}
	lost, doubled := total.lostAndDoubled(n)
	t.Logf("%d records, %d lost, %d delivered more than once", n, lost, doubled)
	assert.Zero(t, lost)
	assert.Zero(t, doubled, "work was always finished in time, and committed before the partition was handed over")
}

func TestARealPartitionIsHandedOverWithItsWorkDone(t *testing.T) {
	broker := services.Kafka(t)
	topic := newTopic(t, broker, 2)
	produce(t, []string{broker}, leads(topic, 2, 10)...)
	first := newMember(t, chaosYAML+"unordered_processing: { enabled: true }", broker, topic, topic)
	acks := map[int32][]service.AckFunc{}
	for range 20 {
		batch, f := first.read(t)
		p, _ := batch[0].MetaGetMut(metaPartition)
		acks[int32(p.(int))] = append(acks[int32(p.(int))], f)
	}
	second := newMember(t, chaosYAML, broker, topic, topic)
	others := drain(second)
	defer others.end()
	revoked := leavingPartition(t, first.in.(*input))
	for i, f := range acks[revoked] {
		if i != 7 {
			ack(t, f, nil)
		}
	}
	admin := kadm.NewClient(newClient(t, []string{broker}))
	require.Eventually(t, func() bool { // and would be rebalanced again as soon as the partition is handed over
		groups, err := admin.DescribeGroups(t.Context(), topic)
		return err == nil && groups[topic].State == "Stable" && len(groups[topic].Members) == 2
	}, patience, 10*time.Millisecond)
	in := first.in.(*input)
	in.mu.Lock()
	assert.NotNil(t, in.tenures[topicPartition{topic: topic, partition: revoked}], "it is handed over when its work is done")
	in.mu.Unlock()
	require.Empty(t, others.texts())
	ack(t, acks[revoked][7], fmt.Errorf("no"))
	client := newClient(t, []string{broker})
	require.Eventually(t, func() bool { return committed(t, client, topic, topic, revoked) == 10 }, patience, 10*time.Millisecond)
	require.Len(t, others.texts(), 3)
	for i := 7; i < 10; i++ {
		assert.Contains(t, others.texts(), fmt.Sprintf("%d/%d", revoked, i), "from the first that was not acknowledged")
	}
}

func TestTheBrokerIsKilledDuringARebalance(t *testing.T) {
	broker := services.Kafka(t)
	topic := newTopic(t, broker, chaosPartitions)
	produce(t, []string{broker}, leads(topic, chaosPartitions, 50)...)
	first := newMember(t, chaosYAML, broker, topic, topic)
	var acks []service.AckFunc
	got := &tally{got: map[string]int{}}
	for range chaosPartitions {
		batch, f := first.read(t)
		for _, text := range texts(t, batch) {
			got.got[text]++
		}
		acks = append(acks, f)
	}
	second := newMember(t, chaosYAML, broker, topic, topic)
	leavingPartition(t, first.in.(*input)) // now the rebalance waits for the first member
	services.Restart(t, "kafka")
	for _, f := range acks {
		ack(t, f, nil)
	}
	a, b := drain(first), drain(second)
	defer a.end()
	defer b.end()
	all := func() int {
		sum := &tally{got: map[string]int{}}
		sum.add(got.got)
		sum.add(a.texts())
		sum.add(b.texts())
		return len(sum.got)
	}
	require.Eventually(t, func() bool { return all() == 50*chaosPartitions }, 2*time.Minute, 50*time.Millisecond, "nothing is lost")
	// What was done, but not committed when the group gave its partition away, comes again.
	// So both read on until all is committed.
	client := newClient(t, []string{broker})
	for p := range int32(chaosPartitions) {
		require.Eventually(t, func() bool { return committed(t, client, topic, topic, p) == 50 }, time.Minute, 100*time.Millisecond)
	}
}
