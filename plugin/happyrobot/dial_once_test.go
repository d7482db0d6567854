package happyrobot_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

// say writes an answer and ends the connection.
func say(format string, args ...any) func(net.Conn) {
	return func(conn net.Conn) { _, _ = fmt.Fprintf(conn, format, args...) }
}

func status(code int, header, body string) func(net.Conn) {
	return say("HTTP/1.1 %d %s\r\n%sContent-Length: %d\r\n\r\n%s", code, http.StatusText(code), header, len(body), body)
}

// reset ends a connection with a reset instead of an orderly close.
func reset(conn net.Conn) {
	_ = conn.(*net.TCPConn).SetLinger(0)
}

// failures of a dial whose request arrived, whatever came back.
func failures() map[string]func(net.Conn) {
	f := map[string]func(net.Conn){
		"the connection is closed":       func(net.Conn) {},
		"the connection is reset":        reset,
		"no headers in time":             hang,
		"the status line is cut":         say("HTTP/1.1 20"),
		"the headers are cut":            say("HTTP/1.1 200 OK\r\nContent-Le"),
		"the body is cut":                say("HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n[{\"id\":"),
		"the chunked body is cut":        say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n[{\"id"),
		"the body stalls":                func(c net.Conn) { say("HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n[")(c); hang(c) },
		"the answer is no HTTP":          say("220 mail.example.com ready\r\n"),
		"the body is empty":              status(200, "", ""),
		"the body is no JSON":            status(200, "Content-Type: text/html\r\n", "<html>All is well.</html>"),
		"the body is no list":            status(200, "", `{"calls":[]}`),
		"the answer is 204":              say("HTTP/1.1 204 No Content\r\n\r\n"),
		"the answer is 429, retry after": status(429, "Retry-After: 0\r\n", ""),
		"the answer is 503, retry after": status(503, "Retry-After: 0\r\n", ""),
	}
	for _, code := range []int{400, 401, 402, 403, 404, 405, 408, 409, 413, 421, 422, 425, 429, 500, 502, 503, 504, 529} {
		f[fmt.Sprintf("the answer is %d", code)] = status(code, "", `{"message":"no"}`)
	}
	for _, code := range []int{300, 301, 302, 303, 307, 308} {
		f[fmt.Sprintf("the answer is %d with a place to go", code)] = status(code, "Location: /dial/elsewhere\r\n", "")
	}
	return f
}

func TestADialIsPostedExactlyOnceWhateverComesBack(t *testing.T) {
	for name, answer := range failures() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := serveRaw(t, func(conn net.Conn, _ int) bool { answer(conn); return false })
			// Only two of them are answered by the timeout, before which the request must
			// have arrived however busy the machine is.
			c := newClient(t, srv.url, func(o *happyrobot.Options) { o.Timeout = 3 * time.Second })

			created, err := c.CreateOutboundCalls(t.Context(), oneCall())

			assert.Empty(t, created)
			var e *happyrobot.Error
			require.ErrorAs(t, err, &e)
			assert.NotEqual(t, happyrobot.ClassNotSent, e.Class(), "the request arrived, so it may not be called unsent: %v", err)
			assert.Equal(t, []string{"POST /dial/outbound-batched"}, srv.seen())
			assert.NotContains(t, err.Error(), testKey)
			assert.NotContains(t, err.Error(), testNumber)
		})
	}
}

// A kept connection that breaks is where net/http repeats requests of its own
// accord, once it believes them to be idempotent.
func TestADialOnAKeptConnectionThatBreaksIsNotRepeated(t *testing.T) {
	for name, end := range map[string]func(net.Conn){"closed": func(net.Conn) {}, "reset": reset} {
		t.Run(name, func(t *testing.T) {
			srv := serveRaw(t, func(conn net.Conn, nth int) bool {
				if nth == 1 {
					status(200, "Content-Type: application/json\r\n", "[]")(conn)
					return true
				}
				end(conn)
				return false
			})
			c := newClient(t, srv.url, nil)
			_, err := c.CreateOutboundCalls(t.Context(), oneCall())
			require.NoError(t, err)

			_, err = c.CreateOutboundCalls(t.Context(), oneCall())

			var e *happyrobot.Error
			require.ErrorAs(t, err, &e)
			assert.NotEqual(t, happyrobot.ClassNotSent, e.Class())
			assert.Len(t, srv.seen(), 2, "one request for each dial")
		})
	}
}

func TestHeadersThatMakeNetHTTPRepeatADialAreRefused(t *testing.T) {
	for _, name := range []string{"Idempotency-Key", "x-idempotency-key"} {
		_, err := happyrobot.New(happyrobot.Options{APIKey: testKey, Headers: map[string]string{name: "fixed"}})
		assert.ErrorContains(t, err, "may be sent twice", name)
	}
}

func TestARedirectedDialGoesNowhere(t *testing.T) {
	var elsewhere atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		elsewhere.Add(1)
		_, _ = io.WriteString(w, "[]")
	}))
	t.Cleanup(other.Close)
	for _, code := range []int{301, 302, 303, 307, 308} {
		srv := serveRaw(t, func(conn net.Conn, _ int) bool {
			status(code, "Location: "+other.URL+"\r\n", "")(conn)
			return false
		})
		c := newClient(t, srv.url, nil)

		_, err := c.CreateOutboundCalls(t.Context(), oneCall())

		var e *happyrobot.Error
		require.ErrorAs(t, err, &e)
		assert.Equal(t, code, e.Status)
	}
	assert.Zero(t, elsewhere.Load(), "a key and a lead must not follow a redirect")
}

func TestADialMayOutliveItsCallersDeadlineOnlyAsUnknown(t *testing.T) {
	arrived := make(chan struct{})
	srv := serveRaw(t, func(conn net.Conn, _ int) bool { close(arrived); hang(conn); return false })
	c := newClient(t, srv.url, nil)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-arrived; cancel() }()

	_, err := c.CreateOutboundCalls(ctx, oneCall())

	var e *happyrobot.Error
	require.ErrorAs(t, err, &e)
	require.ErrorIs(t, err, context.Canceled)
	assert.NotEqual(t, happyrobot.ClassNotSent, e.Class())
}
