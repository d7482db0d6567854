package pipelines

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// moodyKafka is a broker in this process that can refuse to be written to.
type moodyKafka struct {
	address string
	away    atomic.Bool
	refused atomic.Int64 // writes
}

func startMoodyKafka(t *testing.T, topics ...string) *moodyKafka {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, topics...))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	k := &moodyKafka{address: cluster.ListenAddrs()[0]}
	cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		if k.away.Load() {
			k.refused.Add(1)
			return nil, errors.New("away"), true // the connection is cut
		}
		return nil, nil, false
	})
	return k
}

// createTopics makes topics that go when the test ends.
func createTopics(t *testing.T, broker string, names ...string) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(broker, ",")...))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	admin := kadm.NewClient(client)
	for _, name := range names {
		_, err = admin.CreateTopic(t.Context(), 1, 1, nil, name)
		require.NoError(t, err)
	}
	t.Cleanup(func() {
		_, err := admin.DeleteTopics(context.Background(), names...)
		assert.NoError(t, err)
	})
}
