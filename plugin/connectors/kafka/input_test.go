package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	_ "github.com/redpanda-data/benthos/v4/public/components/pure" // processors of batching policies
	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

const patience = 20 * time.Second

// fakeKafka is a broker in this process with a topic.
func fakeKafka(t testing.TB, topic string, partitions int32, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	cluster, err := kfake.NewCluster(append(opts, kfake.NumBrokers(1), kfake.SeedTopics(partitions, topic), kfake.GroupMinSessionTimeout(100*time.Millisecond))...)
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	return cluster
}

func newClient(t testing.TB, brokers []string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append(opts, kgo.SeedBrokers(brokers...))...)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return client
}

// produce writes records to the partition that each names.
func produce(t testing.TB, brokers []string, records ...*kgo.Record) {
	t.Helper()
	client := newClient(t, brokers, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	require.NoError(t, client.ProduceSync(t.Context(), records...).FirstErr())
}

// leads are n records per partition whose values are p/i.
func leads(topic string, partitions, n int) (records []*kgo.Record) {
	for i := range n {
		for p := range partitions {
			records = append(records, &kgo.Record{Topic: topic, Partition: int32(p), Value: fmt.Appendf(nil, "%d/%d", p, i)})
		}
	}
	return records
}

// committed is the offset that a group has committed, -1 without one.
func committed(t testing.TB, client *kgo.Client, group, topic string, partition int32) int64 {
	t.Helper()
	offsets, err := kadm.NewClient(client).FetchOffsets(context.Background(), group)
	if errors.Is(err, kerr.GroupIDNotFound) {
		return -1 // no member has joined yet
	}
	require.NoError(t, err)
	at, ok := offsets.Lookup(topic, partition)
	if !ok {
		return -1
	}
	return at.At
}

// member is an input under test, without a pipeline.
type member struct {
	in     service.BatchInput
	closed sync.Once
}

// newMember makes an input of YAML and connects it.
func newMember(t testing.TB, yaml string, args ...any) *member {
	t.Helper()
	m := &member{}
	m.in = parseInput(t, yaml, args...)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(t, m.in.Connect(ctx))
	t.Cleanup(func() { m.close(t) })
	return m
}

func parseInput(t testing.TB, yaml string, args ...any) service.BatchInput {
	t.Helper()
	conf, err := inputSpec().ParseYAML(fmt.Sprintf(yaml, args...), nil)
	require.NoError(t, err)
	in, err := newInputFromParsed(conf, service.MockResources())
	require.NoError(t, err)
	return in
}

func (m *member) close(t testing.TB) {
	m.closed.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		require.NoError(t, m.in.Close(ctx))
	})
}

func (m *member) read(t testing.TB) (service.MessageBatch, service.AckFunc) {
	t.Helper()
	batch, ack := m.readFor(t, patience)
	require.NotNil(t, ack, "no batch came")
	return batch, ack
}

func (m *member) readFor(t testing.TB, d time.Duration) (service.MessageBatch, service.AckFunc) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	batch, ack, err := m.in.ReadBatch(ctx)
	if err != nil {
		require.ErrorIs(t, err, context.DeadlineExceeded)
		return nil, nil
	}
	return batch, ack
}

func texts(t testing.TB, batch service.MessageBatch) (out []string) {
	t.Helper()
	for _, msg := range batch {
		b, err := msg.AsBytes()
		require.NoError(t, err)
		out = append(out, string(b))
	}
	return out
}

func ack(t testing.TB, f service.AckFunc, err error) {
	t.Helper()
	require.NoError(t, f(context.Background(), err))
}
