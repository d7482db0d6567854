package kafka

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestAPartitionThatIsNotWorkedOffFillsNoMoreThanItsBuffer(t *testing.T) {
	t.Parallel()
	const size, each, buffer, fetch = 1000, 400, 50_000, 10_000
	cluster := fakeKafka(t, "leads", 2)
	brokers := cluster.ListenAddrs()
	client := newClient(t, brokers, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	random := rand.NewChaCha8([32]byte{})
	for range each { // one by one, since a batch of records is never cut
		for p := range int32(2) {
			value := make([]byte, size) // sizes of fetches are counted compressed, and this cannot be
			_, _ = random.Read(value)
			require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: "leads", Partition: p, Value: value}).FirstErr())
		}
	}
	m := newMember(t, groupYAML+"partition_buffer_bytes: 50KB\nmax_yield_batch_bytes: 5KB\nfetch_max_partition_bytes: 10KB", brokers[0])
	in := m.in.(*input)
	batch, stuck := m.read(t)
	slow, _ := batch[0].MetaGetMut(metaPartition)

	got := len(batch)
	most := 0
	watch := func() {
		in.mu.Lock()
		defer in.mu.Unlock()
		for _, tn := range in.order {
			most = max(most, tn.buffered)
		}
	}
	others := 0
	for others < each { // the other partition flows on
		batch, f := m.read(t)
		p, _ := batch[0].MetaGetMut(metaPartition)
		require.NotEqual(t, slow, p)
		others += len(batch)
		watch()
		ack(t, f, nil)
	}
	require.Eventually(t, func() bool {
		in.mu.Lock()
		defer in.mu.Unlock()
		tn := in.tenures[topicPartition{topic: "leads", partition: int32(slow.(int))}]
		return tn.paused
	}, patience, time.Millisecond)
	watch()
	assert.LessOrEqual(t, most, buffer+3*fetch)

	ack(t, stuck, nil)
	for got < each { // and once the slow one is worked off, it is fetched again
		batch, f := m.read(t)
		got += len(batch)
		ack(t, f, nil)
	}
	assert.Equal(t, each, got)
}
