package happyrobot

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var unrepeatedLead = []OutboundCall{{NumberID: "64f0c0de00000000000000c1", PhoneNumber: "+12025550101"}}

func clientFor(t *testing.T, baseURL string, change func(*Options)) *Client {
	t.Helper()
	o := Options{BaseURL: baseURL, APIKey: "key", Timeout: time.Minute}
	change(&o)
	c, err := New(o)
	require.NoError(t, err)
	return c
}

// HTTP/2 has rules of its own: net/http repeats a request with a body on these
// codes, up to seven times, although the whole body has left.
func TestADialIsNotRepeatedOverHTTP2(t *testing.T) {
	const protocolError, refusedStream = 1, 7
	for name, code := range map[string]uint32{"protocol error": protocolError, "refused stream": refusedStream} {
		t.Run(name, func(t *testing.T) {
			posts, base, conf := resettingHTTP2(t, code)
			c := clientFor(t, base, func(o *Options) {
				o.Transport = &http.Transport{TLSClientConfig: conf, ForceAttemptHTTP2: true}
				o.Timeout = time.Minute
			})
			_, err := c.CreateOutboundCalls(t.Context(), unrepeatedLead)
			var e *Error
			require.ErrorAs(t, err, &e)
			assert.NotEqual(t, ClassNotSent, e.Class())
			assert.EqualValues(t, 1, posts.Load())
		})
	}
}

// resettingHTTP2 reads whole requests, counts them, and resets their streams.
func resettingHTTP2(t *testing.T, code uint32) (*atomic.Int32, string, *tls.Config) {
	t.Helper()
	donor := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(donor.Close)
	conf := donor.TLS.Clone()
	conf.NextProtos = []string{"h2"}
	l, err := tls.Listen("tcp", "127.0.0.1:0", conf)
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	var posts atomic.Int32
	serve := func(conn net.Conn) {
		defer conn.Close()
		frame := func(kind, flags byte, stream uint32, payload []byte) {
			head := make([]byte, 9, 9+len(payload))
			binary.BigEndian.PutUint32(head, uint32(len(payload))<<8|uint32(kind))
			head[4] = flags
			binary.BigEndian.PutUint32(head[5:], stream)
			_, _ = conn.Write(append(head, payload...))
		}
		if _, err := io.CopyN(io.Discard, conn, int64(len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))); err != nil {
			return
		}
		const data, reset, settings, endStream = 0, 3, 4, 1
		frame(settings, 0, 0, nil)
		for {
			head := make([]byte, 9)
			if _, err := io.ReadFull(conn, head); err != nil {
				return
			}
			size := binary.BigEndian.Uint32(head) >> 8
			if _, err := io.CopyN(io.Discard, conn, int64(size)); err != nil {
				return
			}
			if head[3] == data && head[4]&endStream != 0 {
				posts.Add(1)
				frame(reset, 0, binary.BigEndian.Uint32(head[5:]), binary.BigEndian.AppendUint32(nil, code))
			}
		}
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go serve(conn)
		}
	}()
	client := donor.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	client.ServerName = "example.com"
	return &posts, "https://" + l.Addr().String(), client
}

// deafConn refuses every write once it is told to, as a connection does that the
// other side closed while it was idle.
type deafConn struct {
	net.Conn
	deaf *atomic.Bool
}

func (c deafConn) Write(b []byte) (int, error) {
	if c.deaf.Load() {
		return 0, errors.New("broken pipe")
	}
	return c.Conn.Write(b)
}

// deafClient dials once with success and leaves that connection idle and dead.
// The next connection is made by dial.
func deafClient(t *testing.T, dial func(context.Context, string, string) (net.Conn, error)) (*Client, *atomic.Int32) {
	t.Helper()
	var posts atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		posts.Add(1)
		_, _ = io.WriteString(w, "[]")
	}))
	t.Cleanup(server.Close)
	var deaf atomic.Bool
	transport := NewTransport(nil)
	connect := transport.DialContext
	transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if deaf.Load() {
			return dial(ctx, network, addr)
		}
		conn, err := connect(ctx, network, addr)
		return deafConn{conn, &deaf}, err
	}
	t.Cleanup(transport.CloseIdleConnections)
	c := clientFor(t, server.URL, func(o *Options) { o.Transport = transport })
	_, err := c.CreateOutboundCalls(t.Context(), unrepeatedLead)
	require.NoError(t, err)
	deaf.Store(true)
	return c, &posts
}

func TestADialMovesToAFreshConnectionWhenTheIdleOneIsDead(t *testing.T) {
	c, posts := deafClient(t, (&net.Dialer{}).DialContext)
	_, err := c.CreateOutboundCalls(t.Context(), unrepeatedLead)
	require.NoError(t, err)
	assert.EqualValues(t, 2, posts.Load())
}

func TestADialIsNotSentWhenTheIdleConnectionIsDeadAndNoOtherIsHad(t *testing.T) {
	c, _ := deafClient(t, func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("connection refused")
	})
	_, err := c.CreateOutboundCalls(t.Context(), unrepeatedLead)
	var e *Error
	require.ErrorAs(t, err, &e)
	assert.Equal(t, ClassNotSent, e.Class())
}

func TestTheDefaultTransportSpeaksNoHTTP2(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, 1, r.ProtoMajor)
		_, _ = io.WriteString(w, "[]")
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	conf := server.Client().Transport.(*http.Transport).TLSClientConfig
	transport := NewTransport(&tls.Config{RootCAs: conf.RootCAs})
	defer transport.CloseIdleConnections()
	c := clientFor(t, server.URL, func(o *Options) { o.Transport = transport })
	_, err := c.CreateOutboundCalls(t.Context(), unrepeatedLead)
	require.NoError(t, err)
}

func TestARedirectToNowhereKeepsItsStatusAndItsTargetToItself(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "http://h:+12025550101/")
		w.WriteHeader(http.StatusPermanentRedirect)
	}))
	defer server.Close()
	_, err := clientFor(t, server.URL, func(*Options) {}).CreateOutboundCalls(t.Context(), unrepeatedLead)
	var e *Error
	require.ErrorAs(t, err, &e)
	assert.Equal(t, http.StatusPermanentRedirect, e.Status)
	assert.NotContains(t, err.Error(), "2025550101")
}
