package kafka

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/benthos-happyrobot/benthos-happyrobot/tests/services"
)

const (
	benchRecords    = 200_000
	benchPartitions = 4
)

// BenchmarkInput reads the same records with a bare loop of the client and with the input, in
// turn, and prints how they compare. Both make the same messages.
func BenchmarkInput(b *testing.B) {
	broker := services.Kafka(b)
	topic := newTopic(b, broker, benchPartitions)
	fillTopic(b, broker, topic, benchRecords, 300)
	var bare, ours, pipeline time.Duration
	for i := 0; b.Loop(); i++ {
		bare += bareLoop(b, broker, topic, fmt.Sprintf("%s-bare-%d", topic, i))
		ours += inputLoop(b, broker, topic, fmt.Sprintf("%s-ours-%d", topic, i))
		pipeline += streamLoop(b, broker, topic, fmt.Sprintf("%s-stream-%d", topic, i))
	}
	perSecond := func(d time.Duration) float64 { return float64(benchRecords*b.N) / d.Seconds() }
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(perSecond(bare), "bare/s")
	b.ReportMetric(perSecond(ours), "input/s")
	b.ReportMetric(perSecond(pipeline), "stream/s")
	b.ReportMetric(bare.Seconds()/ours.Seconds(), "input:bare")
	b.ReportMetric(bare.Seconds()/pipeline.Seconds(), "stream:bare")
}

func fillTopic(t testing.TB, broker, topic string, n, size int) {
	t.Helper()
	client := newClient(t, []string{broker}, kgo.RecordPartitioner(kgo.RoundRobinPartitioner()), kgo.DefaultProduceTopic(topic))
	random := rand.NewChaCha8([32]byte{})
	for i := range n {
		value := make([]byte, size) // which does not compress, unlike most test data
		_, _ = random.Read(value)
		client.Produce(context.Background(), &kgo.Record{
			Key: fmt.Appendf(nil, "lead-%d", i), Value: value,
			Headers: []kgo.RecordHeader{{Key: "source", Value: []byte("crm")}},
		}, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}
	require.NoError(t, client.Flush(context.Background()))
}

// bareLoop is what one would write with the client alone.
func bareLoop(b *testing.B, broker, topic, group string) time.Duration {
	client, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.ConsumeTopics(topic), kgo.ConsumerGroup(group), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(b, err)
	n := 0
	var first time.Time
	for n < benchRecords {
		fetches := client.PollFetches(context.Background())
		require.NoError(b, fetches.Err())
		if first.IsZero() {
			first = time.Now()
		}
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			n += len(recordMessages(p.Records, p.HighWatermark))
		})
	}
	took := time.Since(first)
	client.Close()
	return took
}

func inputLoop(b *testing.B, broker, topic, group string) time.Duration {
	m := newMember(b, "seed_brokers: [ %q ]\ntopics: [ %s ]\nconsumer_group: %s\n", broker, topic, group)
	n := 0
	var first time.Time
	for n < benchRecords {
		batch, f, err := m.in.ReadBatch(context.Background())
		require.NoError(b, err)
		if first.IsZero() {
			first = time.Now()
		}
		n += len(batch)
		ack(b, f, nil)
	}
	took := time.Since(first)
	m.close(b)
	return took
}

func streamLoop(b *testing.B, broker, topic, group string) time.Duration {
	sb := service.NewStreamBuilder()
	require.NoError(b, sb.SetLoggerYAML("level: ERROR"))
	require.NoError(b, sb.AddInputYAML(fmt.Sprintf("redpanda: { seed_brokers: [ %q ], topics: [ %s ], consumer_group: %s }", broker, topic, group)))
	var n atomic.Int64
	var start sync.Once
	var first time.Time
	done := make(chan time.Duration, 1)
	require.NoError(b, sb.AddBatchConsumerFunc(func(_ context.Context, batch service.MessageBatch) error {
		start.Do(func() { first = time.Now() })
		if n.Add(int64(len(batch))) == benchRecords {
			done <- time.Since(first)
		}
		return nil
	}))
	stream, err := sb.Build()
	require.NoError(b, err)
	ended := make(chan error, 1)
	go func() { ended <- stream.Run(context.Background()) }()
	took := <-done
	require.NoError(b, stream.StopWithin(10*time.Second))
	<-ended
	return took
}
