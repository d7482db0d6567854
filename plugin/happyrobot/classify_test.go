package happyrobot_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

// wireFuzz is a server on an in-memory wire that takes a number of a request's
// bytes, writes anything, and hangs up. It knows how much of a dial arrived.
type wireFuzz struct {
	taken int
	reply []byte
	first bool // a good answer on the same connection comes before

	mu     sync.Mutex
	bodies []int // bytes of each dial's body that arrived; -1 is all
}

func (s *wireFuzz) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	go s.serve(server)
	return client, nil
}

func (s *wireFuzz) serve(conn net.Conn) {
	defer conn.Close()
	s.mu.Lock()
	first := s.first
	s.first = false
	s.mu.Unlock()
	if first {
		req, err := http.ReadRequest(bufio.NewReader(conn))
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, req.Body)
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]")
	}
	// What has arrived is on record before anything is answered.
	got := make([]byte, s.taken)
	arrived := 0
	for n, err := 0, error(nil); err == nil && n < len(got) && arrived >= 0; {
		var more int
		more, err = conn.Read(got[n:])
		n += more
		if _, body, ok := bytes.Cut(got[:n], []byte("\r\n\r\n")); ok {
			if arrived = len(body); json.Valid(body) {
				arrived = -1
			}
		}
	}
	s.mu.Lock()
	s.bodies = append(s.bodies, arrived)
	s.mu.Unlock()
	if s.taken > 0 { // nobody answers before he is asked
		_, _ = conn.Write(s.reply)
	}
}

// A message fails, or is sent again, only where the answer allows no doubt, and
// whatever the wire does no request arrives twice.
func FuzzClassify(f *testing.F) {
	for _, reply := range []string{
		"", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[]", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n",
		"HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 500 Oh\r\n\r\n", "HTTP/1.1 101 Switching Protocols\r\n\r\n",
		"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", "HTTP/1.1 307 Again\r\nLocation: /\r\n\r\n", "HTTP/1.1 400 Bad\r\n\r\nno", "HTTP/1.1 401 No\r\n\r\n", "HTTP/1.1 404 No\r\n\r\n",
		"HTTP/1.1 408 Slow\r\n\r\n", "HTTP/1.1 422 No\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 429 No\r\nRetry-After: 1\r\n\r\n", "HTTP/1.1 429 No\r\nRetry-After: Wed, 21 Oct 2065 07:28:00 GMT\r\n\r\n",
		"HTTP/1.1 500 Oh\r\n\r\n", "HTTP/1.1 999 Eh\r\n\r\n", "HTTP/2.0 200 OK\r\n\r\n", "SSH-2.0\r\n", "HTTP/1.1 42",
	} {
		for _, taken := range []uint16{0, 10, 190, 400} {
			f.Add(taken, []byte(reply), true)
			f.Add(taken, []byte(reply), false)
		}
	}
	calls := []happyrobot.OutboundCall{{NumberID: "64f0c0de00000000000000c1", PhoneNumber: "+12025550101"}}
	f.Fuzz(func(t *testing.T, taken uint16, reply []byte, reused bool) {
		s := &wireFuzz{taken: int(taken % 1024), reply: reply, first: reused}
		transport := happyrobot.NewTransport(nil)
		transport.DialContext = s.dial
		defer transport.CloseIdleConnections()
		client, err := happyrobot.New(happyrobot.Options{APIKey: "key", BaseURL: "http://api.example.invalid", Transport: transport, Timeout: 5 * time.Second})
		require.NoError(t, err)
		if reused {
			_, err = client.CreateOutboundCalls(t.Context(), calls)
			require.NoError(t, err)
		}

		created, err := client.CreateOutboundCalls(t.Context(), calls)
		got := happyrobot.ClassOf(err)

		s.mu.Lock()
		defer s.mu.Unlock()
		var whole, touched int
		for _, n := range s.bodies {
			if n != 0 {
				touched++
			}
			if n < 0 {
				whole++
			}
		}
		require.LessOrEqual(t, whole, 1, "a dial arrived twice")
		var e *happyrobot.Error
		status := http.StatusOK
		if errors.As(err, &e) {
			status = e.Status
		}
		if status >= 100 {
			require.True(t, err == nil || says(reply, status), "status %d was never said", status)
		}
		switch got {
		case happyrobot.ClassAnswered:
			require.NotNil(t, created)
		case happyrobot.ClassNotSent:
			require.Zero(t, touched, "some of the body arrived")
			require.Zero(t, status)
		case happyrobot.ClassThrottled:
			require.Contains(t, []int{http.StatusTooEarly, http.StatusTooManyRequests}, status)
			require.LessOrEqual(t, e.RetryAfter, time.Hour)
		case happyrobot.ClassRefused:
			require.True(t, status >= 400 && status < 500, "status %d", status)
			require.NotContains(t, notRefused, status)
		case happyrobot.ClassSetup:
			require.True(t, status >= 300 && status < 400 || slices.Contains(notRefused, status) && !slices.Contains([]int{408, 425, 429}, status), "status %d", status)
		case happyrobot.ClassUnknown:
			require.True(t, status < 300 || status >= 500 || status == http.StatusRequestTimeout, "status %d", status)
		default:
			t.Fatalf("a dial has no class %q", got)
		}
	})
}

// notRefused are statuses that say nothing of what was asked.
var notRefused = []int{401, 402, 403, 404, 405, 406, 407, 408, 411, 415, 421, 425, 426, 428, 429, 431}

// says looks for a status in a reply. The client tells any 2xx that it cannot
// read as 200.
func says(reply []byte, status int) bool {
	return bytes.Contains(reply, fmt.Appendf(nil, " %03d", status)) || status == http.StatusOK && bytes.Contains(reply, []byte(" 2"))
}
