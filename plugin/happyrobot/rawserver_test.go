package happyrobot_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

const (
	testKey    = "test-key-4d1f0a9c"
	testNumber = "+12025550101"
	callID     = "65ee00000000000000000101"
)

// rawServer reads whole requests off plain TCP connections and answers them in
// ways that an HTTP server library would not. It counts what reached it.
type rawServer struct {
	url      string
	listener net.Listener
	answer   func(conn net.Conn, nth int) (keep bool)
	wg       sync.WaitGroup

	mu       sync.Mutex
	conns    []net.Conn
	requests []string // method and path
}

// serveRaw starts one. answer gets each request's number, from 1, and says
// whether the connection stays open for another.
func serveRaw(t *testing.T, answer func(conn net.Conn, nth int) (keep bool)) *rawServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &rawServer{url: "http://" + l.Addr().String(), listener: l, answer: answer}
	s.wg.Go(s.accept)
	t.Cleanup(func() {
		_ = l.Close()
		s.mu.Lock()
		for _, c := range s.conns {
			_ = c.Close()
		}
		s.mu.Unlock()
		s.wg.Wait()
	})
	return s
}

func (s *rawServer) accept() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.conns = append(s.conns, conn)
		s.mu.Unlock()
		s.wg.Go(func() {
			defer conn.Close()
			s.serve(conn)
		})
	}
}

func (s *rawServer) serve(conn net.Conn) {
	r := bufio.NewReader(conn)
	for {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, req.Body); err != nil {
			return
		}
		s.mu.Lock()
		s.requests = append(s.requests, req.Method+" "+req.URL.Path)
		nth := len(s.requests)
		s.mu.Unlock()
		if !s.answer(conn, nth) {
			return
		}
	}
}

func (s *rawServer) seen() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.requests...)
}

// hang leaves a connection open without a word until the client goes.
func hang(conn net.Conn) {
	_, _ = conn.Read(make([]byte, 1))
}

// newClient makes a client with short waits. change may be nil.
func newClient(t *testing.T, url string, change func(*happyrobot.Options)) *happyrobot.Client {
	t.Helper()
	opts := happyrobot.Options{
		BaseURL: url, APIKey: testKey, Timeout: time.Minute,
		Retry: happyrobot.Retry{InitialInterval: time.Millisecond, MaxInterval: 2 * time.Millisecond},
	}
	transport := happyrobot.NewTransport(nil)
	transport.Proxy = nil // a proxy of the environment is none of a test's business
	t.Cleanup(transport.CloseIdleConnections)
	opts.Transport = transport
	if change != nil {
		change(&opts)
	}
	c, err := happyrobot.New(opts)
	require.NoError(t, err)
	return c
}

// oneCall is a dial of one.
func oneCall() []happyrobot.OutboundCall {
	return []happyrobot.OutboundCall{{
		NumberID: "64f0c0de00000000000000c1", PhoneNumber: testNumber,
		Metadata: map[string]any{"dial_ref": "r1"},
	}}
}
