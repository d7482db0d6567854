package kafka_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Below a filter Benthos takes the neighbour of a message that fails for that message. The
// record that is too large must not be acknowledged, and the others be stored once.
func TestBelowAFilterABadMessageIsNotLost(t *testing.T) {
	t.Parallel()
	cluster := outFake(t, kfake.SeedTopics(1, "in"))
	require.NoError(t, cluster.CreateTopic("out", 1, map[string]string{"max.message.bytes": "2000"}))
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.DefaultProduceTopic("in"))
	require.NoError(t, err)
	defer client.Close()
	big := "L3" + strings.Repeat("x", 3000)
	for _, text := range []string{"L1", "L2", big, "L4"} {
		require.NoError(t, client.ProduceSync(t.Context(), kgo.StringRecord(text)).FirstErr())
	}

	s := &outStream{log: &outLog{}}
	b := service.NewStreamBuilder()
	b.SetLogger(slog.New(slog.NewTextHandler(s.log, nil)))
	require.NoError(t, b.SetYAML(strings.ReplaceAll(`
input:
  redpanda:
    seed_brokers: [ BROKERS ]
    topics: [ in ]
    consumer_group: g
    commit_period: 100ms
pipeline:
  processors:
    - mapping: 'root = if content() == "L1" { deleted() }'
output:
  redpanda:
    seed_brokers: [ BROKERS ]
    topic: out
    compression: none
`, "BROKERS", outBrokers(cluster))))
	stream, err := b.Build()
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = stream.Run(ctx) }()
	defer func() { cancel(); <-ended }()

	outEventually(t, s, "It would be lost if it failed alone")
	assert.Equal(t, []string{"L2", "L4"}, outValues(outRead(t, outBrokers(cluster), "out", 2)))

	// The limit is raised, and the stream goes on.
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.Resources = []kmsg.IncrementalAlterConfigsRequestResource{{
		ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: "out",
		Configs: []kmsg.IncrementalAlterConfigsRequestResourceConfig{{Name: "max.message.bytes", Value: new("10000")}},
	}}
	_, err = req.RequestWith(t.Context(), client)
	require.NoError(t, err)
	assert.Equal(t, []string{"L2", "L4", big}, outValues(outRead(t, outBrokers(cluster), "out", 3)))
	outEventually(t, s, "Writing to Kafka resumed")
	require.Eventually(t, func() bool {
		info := cluster.GroupInfo("g")
		return info != nil
	}, 10*time.Second, 50*time.Millisecond)
}
