package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const rebalanceYAML = groupYAML + `
rebalance_timeout: %s
session_timeout: 6s
heartbeat_interval: 100ms
max_yield_batch_bytes: 1B
`

// inBackground reads and acknowledges in the background what a member gets.
type inBackground struct {
	mu   sync.Mutex
	got  map[string]int
	stop context.CancelFunc
	done chan struct{}
}

func drain(m *member) *inBackground { return drainSlowly(m, 0) }

// drainSlowly is drain where the work on each batch takes up to some time, and several
// batches are in work.
func drainSlowly(m *member, work time.Duration) *inBackground {
	ctx, cancel := context.WithCancel(context.Background())
	d := &inBackground{got: map[string]int{}, stop: cancel, done: make(chan struct{})}
	go func() {
		defer close(d.done)
		var working sync.WaitGroup
		defer working.Wait()
		for {
			batch, f, err := m.in.ReadBatch(ctx)
			if err != nil {
				return
			}
			d.mu.Lock()
			for _, msg := range batch {
				b, _ := msg.AsBytes()
				d.got[string(b)]++
			}
			d.mu.Unlock()
			if work == 0 {
				_ = f(ctx, nil)
				continue
			}
			working.Go(func() {
				time.Sleep(rand.N(work))
				_ = f(ctx, nil)
			})
		}
	}()
	return d
}

func (d *inBackground) texts() map[string]int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.got)
}

func (d *inBackground) end() {
	d.stop()
	<-d.done
}

// both partitions' first batches, by partition.
func firstOfBoth(t *testing.T, m *member) map[int32]service.AckFunc {
	t.Helper()
	acks := map[int32]service.AckFunc{}
	for range 2 {
		batch, f := m.read(t)
		p, _ := batch[0].MetaGetMut(metaPartition)
		acks[int32(p.(int))] = f
	}
	require.Len(t, acks, 2)
	return acks
}

func TestWorkOnARevokedPartitionIsFinishedAndCommittedBeforeItIsHandedOver(t *testing.T) {
	t.Parallel()
	cluster := fakeKafka(t, "leads", 2)
	brokers := cluster.ListenAddrs()
	produce(t, brokers, leads("leads", 2, 10)...)
	first := newMember(t, rebalanceYAML, brokers[0], "15s")
	acks := firstOfBoth(t, first)

	second := newMember(t, rebalanceYAML, brokers[0], "15s")
	others := drain(second)
	defer others.end()
	revoked := leavingPartition(t, first.in.(*input))
	awaitHeartbeats(t, cluster, 10) // any of them would tell a member to take what was handed over
	require.Empty(t, others.texts(), "the partition is handed over when its work is done")

	ack(t, acks[revoked], nil)
	require.Eventually(t, func() bool { return len(others.texts()) == 9 }, patience, 10*time.Millisecond)
	for text, n := range others.texts() {
		assert.Equal(t, 1, n, text)
	}
	assert.NotContains(t, others.texts(), fmt.Sprintf("%d/0", revoked), "it was done by the first member")
}

// awaitHeartbeats waits until the members of groups have given so many more signs of life. The
// answer to one tells a member of a rebalance.
func awaitHeartbeats(t *testing.T, cluster *kfake.Cluster, n int) {
	t.Helper()
	beats := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Observe: true, Count: -1})
	defer beats.Remove()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, beats.Wait(ctx, n))
}

// leavingPartition waits until a partition is being revoked, and returns its number.
func leavingPartition(t *testing.T, in *input) (partition int32) {
	t.Helper()
	require.Eventually(t, func() bool {
		in.mu.Lock()
		defer in.mu.Unlock()
		for _, tn := range in.order {
			if tn.leaving {
				partition = tn.partition
				return true
			}
		}
		return false
	}, patience, time.Millisecond)
	return partition
}

func TestWorkOnARevokedPartitionThatTakesTooLongIsGivenUp(t *testing.T) {
	t.Parallel()
	cluster := fakeKafka(t, "leads", 2)
	brokers := cluster.ListenAddrs()
	produce(t, brokers, leads("leads", 2, 3)...)
	first := newMember(t, rebalanceYAML, brokers[0], "5s")
	acks := firstOfBoth(t, first)
	second := newMember(t, rebalanceYAML, brokers[0], "5s")
	others := drain(second)
	defer others.end()
	client := newClient(t, brokers)

	revoked := leavingPartition(t, first.in.(*input))
	require.Eventually(t, func() bool { return len(others.texts()) == 3 }, patience, 10*time.Millisecond, "the whole partition, undone work too")
	require.Eventually(t, func() bool { return committed(t, client, "callers", "leads", revoked) == 3 }, patience, 10*time.Millisecond)

	ack(t, acks[revoked], nil) // too late: it must not take the new owner's offset back
	ack(t, acks[1-revoked], nil)
	// A member commits all of its partitions together, so with this one the other would be back.
	require.Eventually(t, func() bool { return committed(t, client, "callers", "leads", 1-revoked) == 1 }, patience, 10*time.Millisecond, "the member is still in the group")
	assert.Equal(t, int64(3), committed(t, client, "callers", "leads", revoked))
}

func TestARejectedBatchOfARevokedPartitionIsNotRepeated(t *testing.T) {
	t.Parallel()
	cluster := fakeKafka(t, "leads", 2)
	brokers := cluster.ListenAddrs()
	produce(t, brokers, leads("leads", 2, 3)...)
	first := newMember(t, rebalanceYAML, brokers[0], "30s")
	acks := firstOfBoth(t, first)
	second := newMember(t, rebalanceYAML, brokers[0], "30s")
	others := drain(second)
	defer others.end()

	start := time.Now()
	revoked := leavingPartition(t, first.in.(*input))
	ack(t, acks[revoked], errors.New("no"))
	require.Eventually(t, func() bool { return len(others.texts()) == 3 }, patience, 10*time.Millisecond)
	assert.Less(t, time.Since(start), 10*time.Second, "it is handed over at once")
	hasNothingToHandOut(t, first)
}

// hasNothingToHandOut checks that a member gives no batch now, nor after some time, unless
// more is fetched or acknowledged.
func hasNothingToHandOut(t *testing.T, m *member) {
	t.Helper()
	f, wait, err := m.in.(*input).next(t.Context())
	require.NoError(t, err)
	assert.Nil(t, f)
	assert.Equal(t, time.Hour, wait, "nothing is to be repeated")
}

func TestAcksOfAnEarlierTenureDoNotCountForALaterOne(t *testing.T) {
	t.Parallel()
	cluster := fakeKafka(t, "leads", 1)
	brokers := cluster.ListenAddrs()
	produce(t, brokers, leads("leads", 1, 3)...)
	m := newMember(t, rebalanceYAML, brokers[0], "1500ms")
	client := newClient(t, brokers)
	batch, late := m.read(t)
	require.Equal(t, []string{"0/0"}, texts(t, batch))

	in := m.in.(*input)
	in.lost(context.Background(), in.client, map[string][]int32{"leads": {0}})
	in.assigned(context.Background(), in.client, map[string][]int32{"leads": {0}})
	ack(t, late, nil)
	require.NoError(t, in.commit(t.Context()))
	assert.Equal(t, int64(-1), committed(t, client, "callers", "leads", 0))
}

func TestAMemberThatStopsLeavesTheGroupAtOnce(t *testing.T) {
	t.Parallel()
	cluster := fakeKafka(t, "leads", 1)
	brokers := cluster.ListenAddrs()
	produce(t, brokers, leads("leads", 1, 3)...)
	patient := strings.Replace(rebalanceYAML, "session_timeout: 6s", "session_timeout: 5m", 1) // far more than a slow machine needs
	first := newMember(t, patient, brokers[0], "5m")
	_, f := first.read(t)
	ack(t, f, nil)
	first.read(t) // in work for ever
	first.close(t)
	second := newMember(t, patient, brokers[0], "5m")
	batch, _ := second.read(t)
	assert.Equal(t, []string{"0/1"}, texts(t, batch))
}

func TestCloseWorksTwiceAndBeforeConnect(t *testing.T) {
	t.Parallel()
	in := parseInput(t, groupYAML, "127.0.0.1:1")
	require.NoError(t, in.Close(t.Context()))
	require.NoError(t, in.Close(t.Context()))
	require.ErrorIs(t, in.Connect(t.Context()), service.ErrEndOfInput)
	_, _, err := in.ReadBatch(t.Context())
	assert.ErrorIs(t, err, service.ErrEndOfInput)
}
