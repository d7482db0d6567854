package plugin_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Secrets that were read from a file end in a line break, which no header can carry.
// Benthos writes it as two characters, a backslash and an n.
func TestASecretMayEndInALineBreak(t *testing.T) {
	t.Setenv("MOUNTED", hookSecret+"\n")
	t.Setenv("WINDOWS", hookSecret+"\r\n")
	for name, fields := range map[string][]string{
		"quoted":              {`secrets: [ "` + hookSecret + `\n" ]`},
		"of windows":          {`secrets: [ "` + hookSecret + `\r\n" ]`},
		"several lines":       {`secrets: [ another, "` + hookSecret + ` \n\n" ]`},
		"a block":             {"secrets:\n    - |\n      " + hookSecret, "path: /"},
		"a variable":          {"secrets: [ ${MOUNTED} ]"},
		"a quoted variable":   {`secrets: [ "${MOUNTED}" ]`},
		"a variable, windows": {`secrets: [ "${WINDOWS}" ]`},
	} {
		t.Run(name, func(t *testing.T) {
			h := hook(t, "", fields...)
			h.pass(endOf("a"))
			assert.Equal(t, 1, strings.Count(h.logs.String(), "The line break at the end of `secrets` was removed"))
			assert.NotContains(t, h.logs.String(), hookSecret)
		})
	}
	t.Run("and may not hold one", func(t *testing.T) {
		h := hook(t, "", `secrets: [ '`+hookSecret+`\n' ]`)
		got := h.do(h.request("POST", h.url, strings.NewReader("{}"), map[string]string{"x-hook-secret": hookSecret + `\n`}))
		assert.Equal(t, http.StatusBadRequest, got.status, "whoever ends a secret in a backslash and an n is still let in")
	})
}

func TestASlashAtTheEndOfThePathIsNone(t *testing.T) {
	for configured, asked := range map[string]string{"/events": "/events/", "/events/": "/events", "/": "/"} {
		h := hook(t, memoryCache, "cache: events", "path: "+configured)
		base := strings.TrimSuffix(h.url, configured)
		h.pass(endOf("a"))
		got := h.do(h.request("POST", base+asked, strings.NewReader(endOf("a")), withSecret))
		assert.Equal(t, http.StatusOK, got.status, "%s is %s, with the same memory", asked, configured)
		assert.Equal(t, http.StatusNotFound, h.do(h.request("POST", base+asked+"//", nil, withSecret)).status)
	}
}

func TestTypesOfEventsAreFolded(t *testing.T) {
	h := hook(t, "")
	for _, tt := range [][2]string{
		{"START", "start"}, {" start ", "start"}, {"End", "end"}, {"Session.Status_Changed", "session.status_changed"},
		{"Transfer", "Transfer"}, // an open word stays as it is
	} {
		written, folded := tt[0], tt[1]
		a := h.pass(fmt.Sprintf(`{"type":%q,"call":{"id":"a"}}`, written))
		assert.Equal(t, folded, a.meta["happyrobot_event_type"], written)
		assert.Contains(t, a.content, written, "the message is the event")
		assert.Equal(t, "a:"+written+":", a.meta["happyrobot_event_id"], "as earlier versions made it")
	}
}

func gzipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := io.WriteString(w, text)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.String()
}

func TestBodiesMayBeCompressedAndBeginWithAMark(t *testing.T) {
	h := hook(t, "", "max_body_bytes: 100000")
	event := endOf("a")
	const mark = "\ufeff"
	bomb := gzipped(t, strings.Repeat(" ", 10_000_000)+event)
	require.Less(t, len(bomb), 100_000)
	for name, tc := range map[string]struct {
		encoding, body string
		status         int
	}{
		"plain":              {"", event, 200},
		"mark":               {"", mark + event, 200},
		"identity":           {"identity", event, 200},
		"gzip":               {"gzip", gzipped(t, event), 200},
		"GZIP":               {" GZIP ", gzipped(t, event), 200},
		"gzip and mark":      {"gzip", gzipped(t, mark+event), 200},
		"up to the limit":    {"gzip", gzipped(t, event+strings.Repeat(" ", 100_000-len(event))), 200},
		"past the limit":     {"gzip", gzipped(t, event+strings.Repeat(" ", 100_001-len(event))), 413},
		"a bomb":             {"gzip", bomb, 413},
		"two marks":          {"", mark + mark + event, 400},
		"not gzip":           {"gzip", event, 400},
		"a damaged sum":      {"gzip", gzipped(t, event)[:20] + strings.Repeat("x", 20), 400},
		"gzip cut short":     {"gzip", gzipped(t, event)[:20], 400},
		"gzip of nothing":    {"gzip", "", 400},
		"unsaid gzip":        {"", gzipped(t, event), 400},
		"br":                 {"br", event, 415},
		"gzip twice":         {"gzip, gzip", gzipped(t, gzipped(t, event)), 415},
		"deflate after gzip": {"gzip,deflate", event, 415},
	} {
		t.Run(name, func(t *testing.T) {
			req := h.request("POST", h.url, strings.NewReader(tc.body), withSecret)
			if tc.encoding != "" {
				req.Header.Set("Content-Encoding", tc.encoding)
			}
			done := make(chan answered, 1)
			go func() { done <- h.do(req) }()
			if tc.status == http.StatusOK {
				a := h.next()
				a.ack()
				assert.JSONEq(t, event, a.content)
				assert.NotContains(t, a.content, mark)
			}
			got := <-done
			assert.Equal(t, tc.status, got.status, got.body)
			if tc.status == http.StatusUnsupportedMediaType {
				assert.Equal(t, "gzip", got.header.Get("Accept-Encoding"))
			}
		})
	}
	h.nothing()
}

// open opens a connection and writes to it.
func (h *hooked) open(text string) net.Conn {
	h.t.Helper()
	conn, err := net.Dial("tcp", strings.Split(strings.TrimPrefix(h.url, "http://"), "/")[0])
	require.NoError(h.t, err)
	h.t.Cleanup(func() { _ = conn.Close() })
	require.NoError(h.t, conn.SetDeadline(time.Now().Add(time.Minute)))
	_, err = io.WriteString(conn, text)
	require.NoError(h.t, err)
	return conn
}

func TestConnectionsThatWaitKeepNoSenderOut(t *testing.T) {
	h := hook(t, "", "max_connections: 8", "max_in_flight: 8", "read_timeout: 1h", "timeout: 1h")
	request := "POST /happyrobot HTTP/1.1\r\nHost: x\r\nx-hook-secret: " + hookSecret + "\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n"
	var half []net.Conn
	for i := range 40 { // nothing, half a header, and a sender whose secret is wrong
		half = append(half, h.open([]string{"", "POST / HT", strings.Replace(request, hookSecret, "guess", 1)[:60]}[i%3]))
	}
	h.pass(endOf("a"))
	_, err := half[0].Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF, "the oldest has been closed")
	assert.Equal(t, 1, strings.Count(h.logs.String(), "A connection was closed to make room for another: all 8"), "however many there were")

	// Senders who know the secret are not closed for strangers, nor for each other.
	var senders []net.Conn
	says := func(conn net.Conn, text string) {
		said := make([]byte, len(text))
		_, err := io.ReadFull(conn, said)
		require.NoError(t, err)
		require.Equal(t, text, string(said))
	}
	for i := range 8 {
		sender := h.open(fmt.Sprintf(request, len(endOf(fmt.Sprint(i)))))
		says(sender, "HTTP/1.1 100 Continue\r\n\r\n")
		senders = append(senders, sender)
		for range 8 {
			h.open("")
		}
	}
	_, err = h.open("").Read(make([]byte, 1))
	require.Error(t, err, "all serve, so a new one is refused")
	refused := "A connection was refused: all 8 (`max_connections`) serve senders who know the secret."
	require.Eventually(t, func() bool { return strings.Contains(h.logs.String(), refused) }, time.Minute, time.Millisecond)
	assert.Equal(t, 1, strings.Count(h.logs.String(), "A connection was closed to make room"), "none was for that")
	for i, sender := range senders {
		_, err := io.WriteString(sender, endOf(fmt.Sprint(i)))
		require.NoError(t, err)
		a := h.next()
		assert.Equal(t, endOf(fmt.Sprint(i)), a.content)
		a.ack()
		says(sender, "HTTP/1.1 200 OK")
	}
	h.pass(endOf("after"))
}
