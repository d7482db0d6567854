package kafka

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
)

// newTopic makes a topic on a real broker.
func newTopic(t testing.TB, broker string, partitions int32) string {
	t.Helper()
	name := fmt.Sprintf("kafka-input-%d", time.Now().UnixNano())
	admin := kadm.NewClient(newClient(t, []string{broker}))
	_, err := admin.CreateTopic(context.Background(), partitions, 1, nil, name)
	require.NoError(t, err)
	t.Cleanup(func() { _, _ = admin.DeleteTopics(context.Background(), name) })
	return name
}
