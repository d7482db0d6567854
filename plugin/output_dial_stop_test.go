package plugin_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
)

func TestAStreamWithReceiptsStopsBeforeTheFirst(t *testing.T) {
	t.Parallel()
	srv := startSim(t, callsim.Options{})
	b := service.NewStreamBuilder()
	send, err := b.AddBatchProducerFunc()
	require.NoError(t, err)
	require.NoError(t, b.AddOutputYAML(fmt.Sprintf(`
fallback:
  - happyrobot_dial:
      %s
      batching: {count: 1}
      receipts: {drop: {}}
  - drop: {}
`, indent(6, dialYAML(srv.URL)))))
	built, err := b.Build()
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- built.Run(context.WithoutCancel(t.Context())) }()

	require.NoError(t, send(t.Context(), service.MessageBatch{service.NewMessage([]byte(lead("bad", "no number")))}))

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.NoError(t, built.Stop(ctx))
	require.NoError(t, <-ended)
}
