package happyrobot_test

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

// dialError dials a server that answers so, and gives the error.
func dialError(t *testing.T, answer http.HandlerFunc) *happyrobot.Error {
	t.Helper()
	srv := httptest.NewServer(answer)
	t.Cleanup(srv.Close)
	_, err := newClient(t, srv.URL, nil).CreateOutboundCalls(t.Context(), oneCall())
	var e *happyrobot.Error
	require.ErrorAs(t, err, &e)
	return e
}

func TestRetryAfterIsReadInEveryForm(t *testing.T) {
	soon := time.Now().Add(90 * time.Second).UTC().Format(http.TimeFormat)
	for header, want := range map[string][2]time.Duration{
		"":                               {0, 0},
		"0":                              {0, 0},
		"7":                              {7 * time.Second, 7 * time.Second},
		" 7 ":                            {7 * time.Second, 7 * time.Second},
		"1.5":                            {1500 * time.Millisecond, 1500 * time.Millisecond},
		"-5":                             {0, 0},
		"-1e300":                         {0, 0},
		"3600":                           {time.Hour, time.Hour},
		"99999999999999999999":           {time.Hour, time.Hour},
		"1e300":                          {time.Hour, time.Hour},
		"Inf":                            {time.Hour, time.Hour},
		"NaN":                            {time.Hour, time.Hour},
		"soon":                           {0, 0},
		soon:                             {80 * time.Second, 90 * time.Second},
		"Wed, 21 Oct 2015 07:28:00 GMT":  {0, 0},
		"Fri, 31 Dec 2199 23:59:59 GMT":  {time.Hour, time.Hour},
		"Friday, 31-Dec-99 23:59:59 GMT": {0, time.Hour},
	} {
		e := dialError(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", header)
			w.WriteHeader(http.StatusTooManyRequests)
		})
		assert.GreaterOrEqual(t, e.RetryAfter, want[0], "Retry-After: %q", header)
		assert.LessOrEqual(t, e.RetryAfter, want[1], "Retry-After: %q", header)
	}
}

func TestAnErrorQuotesTheAPIShortAndWithoutNumbers(t *testing.T) {
	for name, body := range map[string]string{
		"a message":        `{"message":"the number +1 (202) 555-0101 is barred"}`,
		"an error word":    `{"error":"the number 12025550101 is barred"}`,
		"plain text":       "the number 202.555.0101 is barred",
		"a nested message": `{"message":{"text":"the number +1-202-555-0101 is barred"}}`,
		"HTML":             "<p>the number +12025550101</p><p>is barred</p>",
	} {
		e := dialError(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusUnprocessableEntity)
			_, _ = io.WriteString(w, body)
		})
		assert.Contains(t, e.Body, "is barred", name)
		for _, text := range []string{e.Error(), e.Body, e.Message} {
			assert.NotRegexp(t, `555.?0101`, text, name)
		}
	}
}

func TestAnErrorKeepsLittleOfALongReply(t *testing.T) {
	for name, word := range map[string]string{"letters": "x", "blanks": " \n", "many bytes each": "é", "no UTF-8": "\xff", "numbers": " +12025550101,"} {
		e := dialError(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadGateway)
			_, _ = io.WriteString(w, strings.Repeat(word, 1<<20))
		})
		assert.LessOrEqual(t, len(e.Body), 300, name)
		assert.True(t, utf8.ValidString(e.Body), name)
		assert.NotContains(t, e.Body, "0101", name)
	}
}

// An API that repeats the key that it refuses must not put it into our logs.
func TestErrorsNeverHoldTheKeyEvenWhenTheAPIRepeatsIt(t *testing.T) {
	for name, format := range map[string]string{
		"in a message": `{"message":"bad token Bearer %s"}`, "in text": "unknown key %s", "after blanks": strings.Repeat(" ", 4000) + "%s",
		"across the end of what is read": strings.Repeat(" ", 4<<10-6) + "%s",
	} {
		e := dialError(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = fmt.Fprintf(w, format, testKey)
		})
		for _, text := range []string{e.Error(), e.Body, e.Message, fmt.Sprintf("%+v", e)} {
			assert.NotContains(t, text, testKey[:6], name)
		}
	}
}

func TestErrorsHoldNeitherTheTargetNorThePeersNumbers(t *testing.T) {
	for _, answer := range []string{
		"HTTP/1.1 %s called\r\n\r\n", "HTTP/1.1 200 OK\r\ncalled %s\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: %sx\r\n\r\n",
	} {
		srv := serveRaw(t, func(conn net.Conn, _ int) bool { say(answer, testNumber)(conn); return false })
		_, err := newClient(t, srv.url+"/secret-path", nil).CreateOutboundCalls(t.Context(), oneCall())
		require.Error(t, err)
		assert.Contains(t, err.Error(), "(number)")
		assert.NotContains(t, err.Error(), testNumber[1:])
		assert.NotContains(t, err.Error(), "secret-path")
	}
}

func TestABadKeyOrAddressIsRefusedWithoutRepeatingIt(t *testing.T) {
	for _, key := range []string{"", "Bearer sk-secret", "sk-secret\n", "sk\tsecret", "sk-secret\x7f"} {
		_, err := happyrobot.New(happyrobot.Options{APIKey: key})
		require.ErrorContains(t, err, "api_key: ", "%q", key)
		assert.NotContains(t, err.Error(), "secret")
	}
	for _, url := range []string{"app.happyrobot.ai", "ftp://h/", "https://", "https://h/?q=secret", "https://h/#secret", "https://user:secret@h:port/"} {
		_, err := happyrobot.New(happyrobot.Options{APIKey: testKey, BaseURL: url})
		require.ErrorContains(t, err, "base_url: ", url)
		assert.NotContains(t, err.Error(), "secret")
	}
}

func TestIsNotFoundSeesThroughWrapping(t *testing.T) {
	e := dialError(t, http.NotFound)
	assert.True(t, happyrobot.IsNotFound(fmt.Errorf("reading: %w", e)))
	assert.False(t, happyrobot.IsNotFound(dialError(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGone) })))
	assert.False(t, happyrobot.IsNotFound(nil))
}
