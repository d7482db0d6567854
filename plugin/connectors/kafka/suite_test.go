package kafka

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service/integration"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/benthos-happyrobot/benthos-happyrobot/tests/services"
)

// Benthos' own suite for inputs and outputs, on a real broker. Tests that read a message
// at a time have `max_yield_batch_bytes: 1B`, or unordered processing without a policy.
//
// Not run: with the order kept, StreamTestCheckpointCapture, StreamTestAtLeastOnceDelivery
// and StreamTestStreamSaturatedUnacked, which hold several messages of a partition at the
// same time; without a group, what restarts the input, which then has no memory; and
// StreamTestOutputOnly..., for outputs that have no input.
const suiteOutput = `
output:
  redpanda:
    seed_brokers: [ "$BROKER" ]
    topic: suite-$ID
    max_in_flight: $MAX_IN_FLIGHT
    timeout: 5s
    metadata:
      include_patterns: [ "^[^.$OUTPUT_META_EXCLUDE_PREFIX]" ]
    batching:
      count: $OUTPUT_BATCH_COUNT
`

const suiteInput = `
input:
  redpanda:
    seed_brokers: [ "$BROKER" ]
    topics: [ "suite-$ID" ]
    consumer_group: "suite-$ID"
    commit_period: 1s
    fetch_max_wait: 100ms
`

// suiteOfBatches are tests that take batches of any size.
func suiteOfBatches() integration.StreamTestList {
	return integration.StreamTests(
		integration.StreamTestOpenClose(),
		integration.StreamTestOpenCloseIsolated(),
		integration.StreamTestMetadata(),
		integration.StreamTestMetadataFilter(),
		integration.StreamTestSendBatch(10),
		integration.StreamTestSendBatches(10, 50, 10),
		integration.StreamTestSendBatchCount(10),
		integration.StreamTestSendBatchCountIsolated(10),
		integration.StreamTestStreamSequential(200),
		integration.StreamTestStreamIsolated(200),
		integration.StreamTestStreamParallel(200),
	)
}

// suiteOfMessages are all tests for batches of one message, one at a time.
func suiteOfMessages() integration.StreamTestList {
	return append(suiteOfBatches(),
		integration.StreamTestStreamParallelLossy(200),
		integration.StreamTestStreamParallelLossyThroughReconnect(200),
	)
}

func runSuite(t *testing.T, tests integration.StreamTestList, config string, partitions int32) {
	t.Helper()
	broker := services.Kafka(t)
	tests.Run(t, strings.ReplaceAll(config, "$BROKER", broker),
		integration.StreamTestOptTimeout(time.Minute),
		integration.StreamTestOptPreTest(func(t testing.TB, ctx context.Context, vars *integration.StreamTestConfigVars) {
			admin := kadm.NewClient(newClient(t, []string{broker}))
			topic := "suite-" + vars.ID
			_, err := admin.CreateTopic(ctx, partitions, 1, nil, topic)
			require.NoError(t, err)
			t.Cleanup(func() { _, _ = admin.DeleteTopics(context.Background(), topic) })
		}))
}

func TestSuiteInOrder(t *testing.T) {
	runSuite(t, suiteOfBatches(), suiteOutput+suiteInput, 1)
}

func TestSuiteInOrderMessageByMessage(t *testing.T) {
	runSuite(t, suiteOfMessages(), suiteOutput+suiteInput+"    max_yield_batch_bytes: 1B\n", 2)
}

func TestSuiteInOrderWithoutAutoReplay(t *testing.T) {
	runSuite(t, suiteOfMessages(), suiteOutput+suiteInput+"    max_yield_batch_bytes: 1B\n    auto_replay_nacks: false\n", 1)
}

func TestSuiteUnordered(t *testing.T) {
	tests := append(suiteOfMessages(),
		integration.StreamTestCheckpointCapture(),
		integration.StreamTestAtLeastOnceDelivery(),
		integration.StreamTestStreamSaturatedUnacked(200),
	)
	runSuite(t, tests, suiteOutput+suiteInput+"    unordered_processing: { enabled: true, checkpoint_limit: 1000 }\n", 1)
}

func TestSuiteUnorderedWithABatchingPolicy(t *testing.T) {
	tests := integration.StreamTests(integration.StreamTestReceiveBatchCount(10))
	runSuite(t, tests, suiteOutput+suiteInput+"    unordered_processing: { enabled: true, batching: { count: $INPUT_BATCH_COUNT } }\n", 1)
}

func TestSuiteWithoutAGroup(t *testing.T) {
	tests := integration.StreamTests(
		integration.StreamTestOpenClose(),
		integration.StreamTestOpenCloseIsolated(),
		integration.StreamTestMetadata(),
		integration.StreamTestSendBatch(10),
		integration.StreamTestStreamSequential(200),
		integration.StreamTestStreamIsolated(200),
		integration.StreamTestStreamParallel(200),
		integration.StreamTestStreamParallelLossy(200),
	)
	config := strings.ReplaceAll(suiteInput, `    consumer_group: "suite-$ID"`+"\n", "")
	config = strings.ReplaceAll(config, `[ "suite-$ID" ]`, `[ "suite-$ID:0-1" ]`)
	runSuite(t, tests, suiteOutput+config+"    max_yield_batch_bytes: 1B\n", 2)
}
