package kafka_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/benthos-happyrobot/benthos-happyrobot/tests/services"
)

// outTopic makes a topic of a real broker with settings of its own.
func outTopic(t *testing.T, broker string, settings map[string]string) string {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(broker, ",")...))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	configs := map[string]*string{}
	for name, value := range settings {
		configs[name] = &value
	}
	name := fmt.Sprintf("kafka-output-%d", time.Now().UnixNano())
	_, err = kadm.NewClient(client).CreateTopic(t.Context(), 1, 1, configs, name)
	require.NoError(t, err)
	return name
}

func TestOnARealBrokerOneBadRecordFailsAlone(t *testing.T) {
	t.Parallel()
	broker := services.Kafka(t)

	small := outTopic(t, broker, map[string]string{"max.message.bytes": "2000"})
	s := outRun(t, outFields("seed_brokers: [ %q ]\ntopic: %s\ncompression: none", broker, small))
	fates := outFates(t, s, outBatch(strings.Repeat("a", 1500), strings.Repeat("b", 3000), strings.Repeat("c", 1500)))
	require.NoError(t, fates[0])
	require.ErrorContains(t, fates[1], "record too large: 2.9 KiB (3000 bytes), which the broker refuses")
	require.NoError(t, fates[2])
	outRead(t, broker, small, 2)

	compacted := outTopic(t, broker, map[string]string{"cleanup.policy": "compact"})
	s = outRun(t, outFields("seed_brokers: [ %q ]\ntopic: %s\nkey: ${! @kafka_key }", broker, compacted))
	batch := outBatch("a", "b", "c")
	for i, key := range [][]byte{[]byte("k"), nil, {}} {
		batch[i].MetaSetMut("kafka_key", key)
	}
	fates = outFates(t, s, batch)
	require.NoError(t, fates[0])
	require.ErrorContains(t, fates[1], "it has no key, which a compacted topic requires; set `key`")
	require.NoError(t, fates[2])
	outRead(t, broker, compacted, 2)

	plain := outTopic(t, broker, nil)
	s = outRun(t, outFields("seed_brokers: [ %q ]\ntopic: ${! content() }", broker))
	fates = outFates(t, s, outBatch(plain, "not a topic", plain))
	require.NoError(t, fates[0])
	require.ErrorContains(t, fates[1], "is not a name for a topic")
	require.NoError(t, fates[2])
	outRead(t, broker, plain, 2)
}

func TestOnARealBrokerAPortWithoutTLSSaysSo(t *testing.T) {
	t.Parallel()
	s := outRun(t, outFields("seed_brokers: [ %q ]\ntopic: t\ntls: { enabled: true }", services.Kafka(t)))
	outAsync(t, s, outBatch("a"))
	outEventually(t, s, "does not speak TLS on this port")
}

func TestOnARealBrokerAPortWithoutSASLSaysSo(t *testing.T) {
	t.Parallel()
	s := outRun(t, outSASL(services.Kafka(t), "PLAIN", "alice", "pa55word"))
	outAsync(t, s, outBatch("a"))
	outEventually(t, s, "Failed to connect to redpanda: the broker does not")
	assert.NotContains(t, s.log.text(), "pa55word")
}
