package platform_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot/platform"
)

// The table of answers, written out once more: the client must not be tested against itself.
func TestEachAnswerToATriggerMeansWhatTheTableSays(t *testing.T) {
	setup := []int{300, 301, 302, 303, 304, 305, 306, 307, 308, 399, 401, 402, 403, 404, 405, 406, 407, 411, 415, 421, 426, 428, 431}
	for status := 200; status < 600; status++ {
		want := happyrobot.ClassRefused
		switch {
		case status < 300, status >= 500, status == 408:
			want = happyrobot.ClassUnknown
		case status == 429 || status == 425:
			want = happyrobot.ClassThrottled
		case slices.Contains(setup, status) || status < 400:
			want = happyrobot.ClassSetup
		}
		_, err := offline(t, answer{status: status, body: `{"error":"x"}`}).Trigger(t.Context(), "w", start(t))
		assert.Equal(t, want, happyrobot.ClassOf(err), status)
	}
}

// cutting serves a platform that answers the first request, and cuts all others as it is
// told to, once it has read them.
func cutting(t *testing.T, cut func(net.Conn)) (c *platform.Client, asked *atomic.Int32) {
	t.Helper()
	asked = &atomic.Int32{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body := make([]byte, req.ContentLength)
		_, _ = req.Body.Read(body)
		if asked.Add(1) == 1 {
			_, _ = w.Write([]byte(example(t, "trigger.response.run-id")))
			return
		}
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			cut(conn)
		}
	}))
	t.Cleanup(srv.Close)
	c, err := platform.New(platform.Options{Options: happyrobot.Options{APIKey: key, BaseURL: srv.URL, Timeout: 5 * time.Second}})
	require.NoError(t, err)
	return c, asked
}

func TestATriggerThatMayHaveArrivedIsNeverSentAgain(t *testing.T) {
	for name, cut := range map[string]func(net.Conn){
		"closed": func(conn net.Conn) { _ = conn.Close() },
		"reset":  func(conn net.Conn) { _ = conn.(*net.TCPConn).SetLinger(0); _ = conn.Close() },
		"half a reply": func(conn net.Conn) {
			_, _ = conn.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"run_id\""))
			_ = conn.Close()
		},
		"no HTTP": func(conn net.Conn) { _, _ = conn.Write([]byte("SSH-2.0\r\n")); _ = conn.Close() },
	} {
		c, asked := cutting(t, cut)
		_, err := c.Trigger(t.Context(), "w", start(t))
		require.NoError(t, err, name)
		_, err = c.Trigger(t.Context(), "w", start(t)) // on the connection that was kept
		assert.Equal(t, happyrobot.ClassUnknown, happyrobot.ClassOf(err), "%s: %v", name, err)
		assert.Equal(t, int32(2), asked.Load(), name)
	}
}

func TestATriggerThatCannotHaveArrivedWasNotSent(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	nobody := "http://" + l.Addr().String()
	require.NoError(t, l.Close())
	c, err := platform.New(platform.Options{Options: happyrobot.Options{APIKey: key, BaseURL: nobody}})
	require.NoError(t, err)
	_, err = c.Trigger(t.Context(), "w", start(t))
	assert.Equal(t, happyrobot.ClassNotSent, happyrobot.ClassOf(err))

	stopped := errors.New("shutting down")
	limited, err := platform.New(platform.Options{Options: happyrobot.Options{APIKey: key, BaseURL: nobody, Wait: func(context.Context) error { return stopped }}})
	require.NoError(t, err)
	_, err = limited.Trigger(t.Context(), "w", start(t))
	assert.Equal(t, happyrobot.ClassNotSent, happyrobot.ClassOf(err))
	require.ErrorIs(t, err, stopped)
}

func TestATriggerThatIsCutOffIsUnknown(t *testing.T) {
	arrived, over := make(chan struct{}), make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(arrived)
		<-over
	}))
	t.Cleanup(srv.Close)
	defer close(over)
	c, err := platform.New(platform.Options{Options: happyrobot.Options{APIKey: key, BaseURL: srv.URL}})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-arrived
		cancel()
	}()
	_, err = c.Trigger(ctx, "w", start(t))
	assert.Equal(t, happyrobot.ClassUnknown, happyrobot.ClassOf(err))
}
