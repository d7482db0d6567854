package kafka

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const groupYAML = `
seed_brokers: [ %q ]
topics: [ leads ]
consumer_group: callers
fetch_max_wait: 100ms
commit_period: 50ms
`

func TestAPartitionHasOneBatchInWorkAndKeepsItsOrder(t *testing.T) {
	t.Parallel()
	cluster := fakeKafka(t, "leads", 2)
	brokers := cluster.ListenAddrs()
	produce(t, brokers, leads("leads", 2, 50)...)
	m := newMember(t, groupYAML+"max_yield_batch_bytes: 20B", brokers[0])
	client := newClient(t, brokers)

	first, ackFirst := m.read(t)
	second, ackSecond := m.read(t)
	assert.NotEqual(t, texts(t, first)[0][:2], texts(t, second)[0][:2], "one batch of each partition")
	awaitBuffered(t, m, 2)
	hasNothingToHandOut(t, m) // both partitions have a batch in work

	got := [2][]string{}
	keep := func(batch service.MessageBatch) {
		for _, text := range texts(t, batch) {
			got[text[0]-'0'] = append(got[text[0]-'0'], text)
		}
	}
	keep(first)
	keep(second)
	ack(t, ackFirst, nil)
	ack(t, ackSecond, nil)
	for len(got[0])+len(got[1]) < 100 {
		batch, f := m.read(t)
		keep(batch)
		ack(t, f, nil)
	}
	for p, texts := range got {
		for i, text := range texts {
			require.Equal(t, fmt.Sprintf("%d/%d", p, i), text)
		}
	}
	for p := range int32(2) {
		require.Eventually(t, func() bool { return committed(t, client, "callers", "leads", p) == 50 }, patience, 10*time.Millisecond)
	}
}

// awaitBuffered waits until records of so many partitions lie ready.
func awaitBuffered(t *testing.T, m *member, partitions int) {
	t.Helper()
	in := m.in.(*input)
	require.Eventually(t, func() bool {
		in.mu.Lock()
		defer in.mu.Unlock()
		n := 0
		for _, tn := range in.order {
			if len(tn.queue) > 0 {
				n++
			}
		}
		return n == partitions
	}, patience, time.Millisecond)
}

func TestOffsetsAreCommittedUpToTheFirstMessageThatIsNotAcknowledged(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"period", "close"} {
		t.Run(at, func(t *testing.T) {
			cluster := fakeKafka(t, "leads", 1)
			brokers := cluster.ListenAddrs()
			produce(t, brokers, leads("leads", 1, 10)...)
			yaml := groupYAML
			if at == "close" {
				yaml = strings.ReplaceAll(yaml, "50ms", "1h")
			}
			m := newMember(t, yaml+"unordered_processing: { enabled: true }", brokers[0])
			client := newClient(t, brokers)
			var acks []service.AckFunc
			for range 10 {
				_, f := m.read(t)
				acks = append(acks, f)
			}
			for i, f := range acks {
				if i != 4 {
					ack(t, f, nil)
				}
			}
			if at == "period" {
				require.Eventually(t, func() bool { return committed(t, client, "callers", "leads", 0) == 4 }, patience, 10*time.Millisecond)
				require.NoError(t, m.in.(*input).commit(t.Context())) // a later one must not commit more
			} else {
				require.Equal(t, int64(-1), committed(t, client, "callers", "leads", 0))
			}
			m.close(t)
			assert.Equal(t, int64(4), committed(t, client, "callers", "leads", 0))
			ack(t, acks[4], nil) // too late

			next := newMember(t, yaml, brokers[0])
			batch, _ := next.read(t)
			assert.Equal(t, "0/4", texts(t, batch)[0])
		})
	}
}

func TestARejectedMessageComesAgain(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, yaml string
		again      []string
	}{
		{"the rejected ones", "auto_replay_nacks: true", []string{"0/1", "0/3"}},
		{"the whole batch", "auto_replay_nacks: false", []string{"0/0", "0/1", "0/2", "0/3"}},
		{"of a batching policy", "auto_replay_nacks: true\nunordered_processing: { enabled: true, batching: { count: 4 } }", []string{"0/1", "0/3"}},
		{"of its processors", "auto_replay_nacks: false\nunordered_processing: { enabled: true, batching: { count: 4, processors: [ { mapping: root = content().uppercase() } ] } }", []string{"0/0", "0/1", "0/2", "0/3"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cluster := fakeKafka(t, "leads", 1)
			brokers := cluster.ListenAddrs()
			produce(t, brokers, leads("leads", 1, 4)...)
			m := newMember(t, groupYAML+c.yaml, brokers[0])
			client := newClient(t, brokers)

			batch, f := m.read(t)
			require.Len(t, batch, 4)
			rejected := service.NewBatchError(batch, errors.New("no"))
			rejected.Failed(1, errors.New("no")).Failed(3, errors.New("no"))
			ack(t, f, rejected)
			batch, f = m.read(t)
			assert.Equal(t, c.again, texts(t, batch))
			assert.Equal(t, int64(-1), committed(t, client, "callers", "leads", 0))
			ack(t, f, errors.New("all of them"))
			batch, f = m.read(t)
			assert.Equal(t, c.again, texts(t, batch))
			ack(t, f, nil)
			require.Eventually(t, func() bool { return committed(t, client, "callers", "leads", 0) == 4 }, patience, 10*time.Millisecond)
		})
	}
}

func TestUnorderedWorkIsBoundedByTheCheckpointLimit(t *testing.T) {
	t.Parallel()
	cluster := fakeKafka(t, "leads", 1)
	brokers := cluster.ListenAddrs()
	produce(t, brokers, leads("leads", 1, 100)...)
	m := newMember(t, groupYAML+"unordered_processing: { enabled: true, checkpoint_limit: 7 }", brokers[0])
	var acks []service.AckFunc
	for range 7 {
		batch, f := m.read(t)
		assert.Len(t, batch, 1)
		acks = append(acks, f)
	}
	awaitBuffered(t, m, 1)
	hasNothingToHandOut(t, m)
	slices.Reverse(acks)
	for _, f := range acks {
		ack(t, f, nil)
	}
	batch, _ := m.read(t)
	assert.Equal(t, []string{"0/7"}, texts(t, batch))
}

func TestABatchingPolicyEndsABatchByTime(t *testing.T) {
	t.Parallel()
	cluster := fakeKafka(t, "leads", 1)
	brokers := cluster.ListenAddrs()
	produce(t, brokers, leads("leads", 1, 3)...)
	m := newMember(t, groupYAML+"unordered_processing: { enabled: true, batching: { count: 100, period: 200ms } }", brokers[0])
	batch, f := m.read(t)
	assert.Equal(t, []string{"0/0", "0/1", "0/2"}, texts(t, batch))
	ack(t, f, nil)
}

func TestABatchThatItsPolicyEmptiesCountsAsDone(t *testing.T) {
	t.Parallel()
	cluster := fakeKafka(t, "leads", 1)
	brokers := cluster.ListenAddrs()
	produce(t, brokers, leads("leads", 1, 4)...)
	m := newMember(t, groupYAML+"unordered_processing: { enabled: true, batching: { count: 2, processors: [ { mapping: root = deleted() } ] } }", brokers[0])
	client := newClient(t, brokers)
	all := drain(m)
	defer all.end()
	require.Eventually(t, func() bool { return committed(t, client, "callers", "leads", 0) == 4 }, patience, 10*time.Millisecond)
	assert.Empty(t, all.texts())
}
