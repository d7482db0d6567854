package happyrobot_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

// requireNotSent dials and wants to be told that nothing left.
func requireNotSent(t *testing.T, ctx context.Context, c *happyrobot.Client) error {
	t.Helper()
	_, err := c.CreateOutboundCalls(ctx, oneCall())
	var e *happyrobot.Error
	require.ErrorAs(t, err, &e)
	assert.Equal(t, happyrobot.ClassNotSent, e.Class(), "nothing left: %v", err)
	assert.Zero(t, e.Status)
	assert.NotContains(t, err.Error(), testKey)
	return err
}

// dialing makes a client whose connections are made by dial.
func dialing(dial func(ctx context.Context, network, address string) (net.Conn, error)) func(*happyrobot.Options) {
	return func(o *happyrobot.Options) { o.Transport.(*http.Transport).DialContext = dial }
}

func TestARefusedConnectionSendsNothing(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	url := "http://" + l.Addr().String()
	require.NoError(t, l.Close())

	requireNotSent(t, t.Context(), newClient(t, url, nil))
}

func TestAnUnknownNameSendsNothing(t *testing.T) {
	c := newClient(t, "http://api.example.invalid", dialing(func(_ context.Context, _, address string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: address, IsNotFound: true}}
	}))

	err := requireNotSent(t, t.Context(), c)

	var dns *net.DNSError
	assert.ErrorAs(t, err, &dns, "the cause stays visible")
}

func TestACertificateThatIsNotTrustedSendsNothing(t *testing.T) {
	var seen int
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { seen++ }))
	srv.Config.ErrorLog = quiet()
	srv.StartTLS()
	t.Cleanup(srv.Close)

	err := requireNotSent(t, t.Context(), newClient(t, srv.URL, nil))

	var unverified *tls.CertificateVerificationError
	require.ErrorAs(t, err, &unverified)
	srv.Close()
	assert.Zero(t, seen)
}

func TestAHandshakeThatBreaksSendsNothing(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	done := make(chan struct{})
	go func() {
		defer close(done)
		if conn, err := l.Accept(); err == nil {
			_ = conn.Close()
		}
	}()

	requireNotSent(t, t.Context(), newClient(t, "https://"+l.Addr().String(), nil))
	<-done
}

func TestADeadlineBeforeConnectingSendsNothing(t *testing.T) {
	never := func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	t.Run("the request's own", func(t *testing.T) {
		c := newClient(t, "http://127.0.0.1:1", func(o *happyrobot.Options) {
			dialing(never)(o)
			o.Timeout = 20 * time.Millisecond
		})
		assert.ErrorIs(t, requireNotSent(t, t.Context(), c), context.DeadlineExceeded)
	})
	t.Run("the caller's", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		assert.ErrorIs(t, requireNotSent(t, ctx, newClient(t, "http://127.0.0.1:1", dialing(never))), context.DeadlineExceeded)
	})
	t.Run("waiting for the rate limit", func(t *testing.T) {
		full := errors.New("the limit is full")
		srv := serveRaw(t, func(net.Conn, int) bool { return false })
		c := newClient(t, srv.url, func(o *happyrobot.Options) { o.Wait = func(context.Context) error { return full } })
		require.ErrorIs(t, requireNotSent(t, t.Context(), c), full)
		assert.Empty(t, srv.seen())
	})
}

func TestACallThatCannotBeEncodedSendsNothing(t *testing.T) {
	srv := serveRaw(t, func(net.Conn, int) bool { return false })
	calls := oneCall()
	calls[0].Params = map[string]any{"f": func() {}}
	_, err := newClient(t, srv.url, nil).CreateOutboundCalls(t.Context(), calls)
	var e *happyrobot.Error
	require.ErrorAs(t, err, &e)
	assert.Equal(t, happyrobot.ClassNotSent, e.Class())
	assert.Empty(t, srv.seen())
}
