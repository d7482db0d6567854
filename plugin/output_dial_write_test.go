package plugin

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	_ "github.com/redpanda-data/benthos/v4/public/components/pure"
)

func newTestOutput(t *testing.T, config string) (service.BatchOutput, *lockedText) {
	t.Helper()
	log := &lockedText{}
	conf, err := outputDialSpec().ParseYAML(config, nil)
	require.NoError(t, err)
	out, _, _, err := newDialOutputFromParsed(conf, service.MockResources(service.MockResourcesOptUseLogger(service.NewLoggerFromSlog(slog.New(slog.NewTextHandler(log, nil))))))
	require.NoError(t, err)
	return out, log
}

// When the stream stops before all records are written, the whole batch fails: an
// error for single messages might be taken for one of others.
func TestABatchWithoutAllItsRecordsFailsAsAWhole(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]string{
		"failures": `{api_key: k, dry_run: true, receipts: {drop: {}}, failures: {reject: down}}`,
		"receipts": `{api_key: k, dry_run: true, receipts: {reject: down}, failures: {drop: {}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			out, log := newTestOutput(t, config)
			require.NoError(t, out.Connect(t.Context()))
			batch := service.MessageBatch{
				service.NewMessage([]byte(`{"number_id":"64f0c0de00000000000000c1","phone_number":"+12025550101"}`)),
				service.NewMessage([]byte(`bad`)),
			}
			ctx, cancel := context.WithCancel(t.Context())
			failed := make(chan error, 1)
			go func() { failed <- out.WriteBatch(ctx, batch) }()
			require.Eventually(t, func() bool { return count(log, "Dialing paused ("+name+")") == 1 }, time.Minute, time.Millisecond)
			cancel()
			err := <-failed
			require.ErrorIs(t, err, context.Canceled)
			assert.NotErrorAs(t, err, new(*service.BatchError))
			assert.Zero(t, count(log, "resumed"))
			require.NoError(t, out.Close(t.Context()))
			assert.Zero(t, count(log, "did not close"))
		})
	}
}

// An output that never started would not end, and is not waited for.
func TestAnOutputThatNeverConnectedCloses(t *testing.T) {
	t.Parallel()
	out, log := newTestOutput(t, `{api_key: k, receipts: {drop: {}}, failures: {drop: {}}}`)
	require.NoError(t, out.Close(t.Context()))
	assert.Zero(t, count(log, "did not close"))
}
