package plugin

import (
	"context"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func newTestWebhook(t *testing.T) *webhookInput {
	t.Helper()
	conf, err := inputWebhookSpec().ParseYAML("{address: 127.0.0.1:0, secret: s}", nil)
	require.NoError(t, err)
	in, err := newWebhookInputFromParsed(conf, service.MockResources())
	require.NoError(t, err)
	return in.(*webhookInput)
}

// Benthos promises no order of these calls that a pipeline could be made to show.
func TestAWebhookClosesTwiceAndBeforeItConnects(t *testing.T) {
	in := newTestWebhook(t)
	_, _, err := in.Read(t.Context())
	require.ErrorIs(t, err, service.ErrNotConnected)
	require.NoError(t, in.Close(t.Context()))
	require.NoError(t, in.Close(t.Context()))
	require.ErrorIs(t, in.Connect(t.Context()), service.ErrEndOfInput, "a closed input does not listen again")

	in = newTestWebhook(t)
	require.NoError(t, in.Connect(t.Context()))
	require.NoError(t, in.Connect(t.Context()))
	read := make(chan error, 1)
	go func() {
		_, _, err := in.Read(context.Background())
		read <- err
	}()
	require.NoError(t, in.Close(t.Context()))
	require.NoError(t, in.Close(t.Context()))
	assert.ErrorIs(t, <-read, service.ErrEndOfInput)
}

func TestAWebhookWhoseServerEndsListensAgain(t *testing.T) {
	in := newTestWebhook(t)
	require.NoError(t, in.Connect(t.Context()))
	in.server.Abort() // as if accepting connections failed
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, _, err := in.Read(ctx)
	require.ErrorIs(t, err, service.ErrNotConnected)
	require.NoError(t, in.Connect(t.Context()))
	assert.NotNil(t, in.server)
	require.NoError(t, in.Close(t.Context()))
}
