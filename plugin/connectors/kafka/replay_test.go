package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/require"
)

// Below a filter an error names the neighbour of the message that was rejected, which would
// be acknowledged, and lost.
func TestBelowAFilterARejectedMessageComesAgain(t *testing.T) {
	t.Parallel()
	cluster := fakeKafka(t, "leads", 1)
	brokers := cluster.ListenAddrs()
	produce(t, brokers, leads("leads", 1, 4)...)

	var mu sync.Mutex
	accepted, rejected := map[string]bool{}, false
	sb := service.NewStreamBuilder()
	require.NoError(t, sb.AddInputYAML(fmt.Sprintf(`
redpanda:
  seed_brokers: [ %q ]
  topics: [ leads ]
  consumer_group: callers
  commit_period: 50ms
`, brokers[0])))
	require.NoError(t, sb.AddProcessorYAML(`mapping: 'root = if content() == "0/0" { deleted() }'`))
	require.NoError(t, sb.AddBatchConsumerFunc(func(_ context.Context, batch service.MessageBatch) error {
		mu.Lock()
		defer mu.Unlock()
		for i, msg := range batch {
			b, err := msg.AsBytes()
			if err != nil {
				return err
			}
			if string(b) == "0/2" && !rejected {
				rejected = true
				return service.NewBatchError(batch, errors.New("no")).Failed(i, errors.New("no"))
			}
			accepted[string(b)] = true
		}
		return nil
	}))
	stream, err := sb.Build()
	require.NoError(t, err)
	ended := make(chan struct{})
	go func() { defer close(ended); _ = stream.Run(context.Background()) }()
	defer func() {
		_ = stream.StopWithin(patience)
		<-ended
	}()

	client := newClient(t, brokers)
	require.Eventually(t, func() bool { return committed(t, client, "callers", "leads", 0) == 4 }, patience, 10*time.Millisecond)
	mu.Lock()
	defer mu.Unlock()
	require.True(t, rejected)
	require.Equal(t, map[string]bool{"0/1": true, "0/2": true, "0/3": true}, accepted, "none is committed before it was accepted")
}
