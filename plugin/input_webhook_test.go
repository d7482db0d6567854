package plugin_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const hookSecret = "s3cret-of-the-hook"

// hooked is a pipeline behind a webhook. The test is its output: it takes each
// message from arrived, and answers it with its verdict.
type hooked struct {
	t       *testing.T
	url     string
	client  *http.Client
	arrived chan arrival
	stream  *service.Stream
	ended   chan struct{}
	over    chan struct{} // releases the output
	logs    *logs
}

type arrival struct {
	content string
	meta    map[string]string
	verdict chan<- error
}

func (a arrival) ack()  { a.verdict <- nil }
func (a arrival) nack() { a.verdict <- errors.New("the output is down") }

var listening = regexp.MustCompile(`Listening for events at (https?://[^\s"]+)`)

// hook starts one, with more fields and resources as YAML.
func hook(t *testing.T, resources string, fields ...string) *hooked {
	t.Helper()
	h := &hooked{t: t, arrived: make(chan arrival), ended: make(chan struct{}), over: make(chan struct{}), logs: &logs{}}
	env := service.NewEnvironment()
	require.NoError(t, env.RegisterCache("broken", service.NewConfigSpec(),
		func(*service.ParsedConfig, *service.Resources) (service.Cache, error) { return brokenCache{}, nil }))
	b := env.NewStreamBuilder()
	b.SetLogger(slog.New(slog.NewTextHandler(h.logs, nil)))
	if resources != "" {
		require.NoError(t, b.AddResourcesYAML(resources))
	}
	config := "happyrobot_webhook:\n  address: 127.0.0.1:0\n  " + strings.Join(fields, "\n  ")
	if !strings.Contains(config, "secrets:") {
		config += "\n  secret: " + hookSecret
	}
	require.NoError(t, b.AddInputYAML(config))
	require.NoError(t, b.AddConsumerFunc(h.consume))
	var err error
	h.stream, err = b.Build()
	require.NoError(t, err)
	go func() {
		defer close(h.ended)
		_ = h.stream.Run(context.Background())
	}()
	transport := &http.Transport{}
	h.client = &http.Client{Transport: transport, Timeout: time.Minute}
	t.Cleanup(func() {
		close(h.over)
		assert.NoError(t, h.stream.StopWithin(time.Minute)) // may have been stopped before
		<-h.ended
		transport.CloseIdleConnections()
		if t.Failed() {
			t.Log(h.logs.String())
		}
	})
	require.Eventually(t, func() bool {
		found := listening.FindStringSubmatch(h.logs.String())
		if found != nil {
			h.url = found[1]
		}
		return found != nil
	}, time.Minute, time.Millisecond, "the log tells where it listens")
	return h
}

func (h *hooked) consume(_ context.Context, msg *service.Message) error {
	content, err := msg.AsBytes()
	if err != nil {
		return err
	}
	verdict := make(chan error, 1)
	a := arrival{content: string(content), meta: map[string]string{}, verdict: verdict}
	_ = msg.MetaWalk(func(k, v string) error {
		a.meta[k] = v
		return nil
	})
	for queue := h.arrived; ; queue = nil {
		select {
		case queue <- a:
		case err := <-verdict:
			return err
		case <-h.over:
			return errors.New("the test is over")
		}
	}
}

// next is the next message that reaches the output.
func (h *hooked) next() arrival {
	h.t.Helper()
	select {
	case a := <-h.arrived:
		return a
	case <-time.After(time.Minute):
		require.FailNow(h.t, "no message arrived")
		return arrival{}
	}
}

// nothing says that no message is on its way: one sent now is the next to arrive.
func (h *hooked) nothing() {
	h.t.Helper()
	marker := fmt.Sprintf(`{"type":"marker","call":{"id":"marker-%d"}}`, time.Now().UnixNano())
	answered := h.send(marker)
	a := h.next()
	a.ack()
	assert.Equal(h.t, marker, a.content, "a message arrived that should not have")
	assert.Equal(h.t, http.StatusOK, (<-answered).status)
}

type answered struct {
	status int
	header http.Header
	body   string
}

func (h *hooked) request(method, url string, body io.Reader, header map[string]string) *http.Request {
	h.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, url, body)
	require.NoError(h.t, err)
	for k, v := range header {
		req.Header.Set(k, v)
	}
	return req
}

var withSecret = map[string]string{"x-hook-secret": hookSecret}

func (h *hooked) do(req *http.Request) answered {
	res, err := h.client.Do(req)
	if err != nil {
		return answered{body: err.Error()}
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	return answered{res.StatusCode, res.Header, string(b)}
}

// post sends an event and waits for the answer; send does not wait.
func (h *hooked) post(event string) answered {
	return h.do(h.request("POST", h.url, strings.NewReader(event), withSecret))
}

func (h *hooked) send(event string) <-chan answered {
	done := make(chan answered, 1)
	go func() { done <- h.post(event) }()
	return done
}

// pass sends an event all the way through.
func (h *hooked) pass(event string) arrival {
	h.t.Helper()
	done := h.send(event)
	a := h.next()
	a.ack()
	assert.Equal(h.t, http.StatusOK, (<-done).status)
	return a
}

func example(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("happyrobot", "testdata", name))
	require.NoError(t, err)
	return string(b)
}

func endOf(id string) string {
	return fmt.Sprintf(`{"type":"end","call":{"id":%q,"status":"Completed"}}`, id)
}

const memoryCache = "cache_resources:\n  - label: events\n    memory: {}\n"

func TestEventsOfBothKindsBecomeMessages(t *testing.T) {
	h := hook(t, "")
	a := h.pass(example(t, "webhook.call-hook-end.json"))
	assert.Contains(t, a.content, "Delivery slot confirmation")
	assert.NotContains(t, a.content, "REDACTED-EXAMPLE", "a hook's header value got through")
	assert.NotContains(t, a.content, `"headers"`)
	id := a.meta["happyrobot_event_id"]
	assert.True(t, strings.HasPrefix(id, "65ee00000000000000000101:end:Completed:"), id)
	assert.Equal(t, map[string]string{
		"happyrobot_event_kind": "call_hook", "happyrobot_event_type": "end", "happyrobot_event_id": id,
		"happyrobot_call_id": "65ee00000000000000000101", "happyrobot_call_status": "Completed",
	}, a.meta)

	event := example(t, "webhook.session-status-changed.json")
	a = h.pass(event)
	assert.Equal(t, event, a.content)
	assert.Equal(t, map[string]string{
		"happyrobot_event_kind": "cloudevent", "happyrobot_event_type": "session.status_changed",
		"happyrobot_event_id": "6f1c7d34-5a0e-4c0e-9a41-1f2f4f6f0001", "happyrobot_call_status": "completed", "happyrobot_previous_status": "in-progress",
		"happyrobot_run_id": "0b6c1d2e-0000-4000-8000-0000000000b1", "happyrobot_session_id": "0b6c1d2e-0000-4000-8000-0000000000c1",
	}, a.meta)

	a = h.pass(`{"specversion":"1.0","id":"1","type":"run.started"}`)
	assert.Equal(t, "run.started", a.meta["happyrobot_event_type"], "types are open words")
	a = h.pass(`{"type":"failure","call":{"id":"x","status":7,"big":12345678901234567890}}`)
	assert.Equal(t, "failure", a.meta["happyrobot_event_type"])
	assert.Contains(t, a.content, "12345678901234567890")
}

func TestAnEventIsAnsweredAfterTheAck(t *testing.T) {
	h := hook(t, "", "read_timeout: 30ms") // which must not end the wait for the ack
	done := h.send(endOf("a"))
	a := h.next()
	select {
	case got := <-done:
		t.Fatalf("answered with %d before the ack", got.status)
	case <-time.After(100 * time.Millisecond):
	}
	a.ack()
	got := <-done
	assert.Equal(t, http.StatusOK, got.status)
	assert.Empty(t, got.body)
}

func TestAnEventThatWasNotTakenIsGoodForAnotherTry(t *testing.T) {
	h := hook(t, memoryCache, "cache: events")
	done := h.send(endOf("a"))
	h.next().nack()
	got := <-done
	assert.Equal(t, http.StatusServiceUnavailable, got.status)
	assert.Equal(t, "5", got.header.Get("Retry-After"))
	assert.NotContains(t, got.body, "output", "strangers to the pipeline are told little")

	h.pass(endOf("a"))
	assert.Equal(t, http.StatusOK, h.post(endOf("a")).status, "now it is known")
	h.nothing()
}

func TestEventIDsOutliveTheStream(t *testing.T) {
	cache := fmt.Sprintf("cache_resources:\n  - label: events\n    bbolt: {path: %q}\n", filepath.Join(t.TempDir(), "events.db"))
	event := example(t, "webhook.session-status-changed.json")
	t.Run("first", func(t *testing.T) { hook(t, cache, "cache: events").pass(event) })
	t.Run("again", func(t *testing.T) {
		h := hook(t, cache, "cache: events")
		assert.Equal(t, http.StatusOK, h.post(event).status)
		h.nothing()
	})
	t.Run("another path", func(t *testing.T) { hook(t, cache, "cache: events", "path: /other").pass(event) })
}

func TestWhatMayRepeatIsNotTakenForRepeated(t *testing.T) {
	h := hook(t, memoryCache, "cache: events")
	for _, event := range []string{
		`{"type":"start","call":{"id":"a","status":"In progress"}}`,
		`{"type":"end","call":{"id":"a","status":"Completed","extraction":null}}`,
		`{"type":"end","call":{"id":"a","status":"Completed","extraction":{"slot":"10:00","who":"Ada"}}}`,
		`{"type":"end","call":{"id":"b","status":"Completed"}}`,
		`{"specversion":"1.0","id":"1","source":"s","type":"t"}`,
		`{"specversion":"1.0","id":"1","source":"another","type":"t"}`,
	} {
		h.pass(event)
	}
	for _, event := range []string{
		`{"type":"end","call":{"id":"a","status":"Completed"},"sent":"again"}`,
		`{"call":{"status":"Completed","extraction":{"who":"Ada","slot":"10:00"},"id":"a"},"type":"end"}`,
		`{"specversion":"1.0","id":"1","source":"s","type":"t","data":{}}`,
	} {
		assert.Equal(t, http.StatusOK, h.post(event).status)
	}
	h.nothing()
}

func TestTheSameEventAtTheSameTimeEntersOnce(t *testing.T) {
	h := hook(t, memoryCache, "cache: events")
	const senders = 5
	var written atomic.Int32
	answers := make(chan answered, senders)
	for range senders {
		req := h.request("POST", h.url, strings.NewReader(endOf("a")), withSecret)
		req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
			WroteRequest: func(httptrace.WroteRequestInfo) { written.Add(1) },
		}))
		go func() { answers <- h.do(req) }()
	}
	a := h.next()
	require.Eventually(t, func() bool { return written.Load() == senders }, time.Minute, time.Millisecond)
	a.ack()
	for range senders {
		assert.Equal(t, http.StatusOK, (<-answers).status)
	}
	h.nothing()
}

func TestARetryJoinsTheEventThatIsStillInThePipeline(t *testing.T) {
	h := hook(t, "", "timeout: 50ms") // no cache: it is known only while it is in there
	first := h.send(endOf("a"))
	a := h.next()
	assert.Equal(t, http.StatusServiceUnavailable, (<-first).status)
	for range 3 { // all the same as the first; none enters
		got := h.post(endOf("a"))
		assert.Equal(t, http.StatusServiceUnavailable, got.status)
		assert.NotEmpty(t, got.header.Get("Retry-After"))
	}
	a.ack()
	h.nothing()
}

func TestStrangersAndNonsenseAreRefused(t *testing.T) {
	h := hook(t, "", "max_body_bytes: 200", "path: /events", "secret_header: X-Secret")
	known := map[string]string{"X-Secret": hookSecret}
	with := func(secret string) map[string]string { return map[string]string{"X-Secret": secret} }
	base := strings.TrimSuffix(h.url, "/events")
	chunked := func(n int) io.Reader { return io.MultiReader(strings.NewReader(strings.Repeat(" ", n))) }
	for name, tc := range map[string]struct {
		method, url string
		header      map[string]string
		body        io.Reader
		status      int
	}{
		"no secret":           {"POST", h.url, nil, strings.NewReader(endOf("a")), 401},
		"empty secret":        {"POST", h.url, with(""), strings.NewReader(endOf("a")), 401},
		"beginning of it":     {"POST", h.url, with(hookSecret[:8]), strings.NewReader(endOf("a")), 401},
		"more than it":        {"POST", h.url, with(hookSecret + "x"), strings.NewReader(endOf("a")), 401},
		"another of a length": {"POST", h.url, with(strings.Repeat("x", len(hookSecret))), strings.NewReader(endOf("a")), 401},
		"wrong header":        {"POST", h.url, withSecret, strings.NewReader(endOf("a")), 401},
		"secret in the query": {"POST", h.url + "?X-Secret=" + hookSecret, nil, strings.NewReader(endOf("a")), 401},
		"GET":                 {"GET", h.url, known, nil, 405},
		"PUT":                 {"PUT", h.url, known, strings.NewReader(endOf("a")), 405},
		"wrong path":          {"POST", base + "/", known, strings.NewReader(endOf("a")), 404},
		"longer path":         {"POST", h.url + "/x", known, strings.NewReader(endOf("a")), 404},
		"large":               {"POST", h.url, known, strings.NewReader(strings.Repeat(" ", 201)), 413},
		"large in chunks":     {"POST", h.url, known, chunked(201), 413},
		"no JSON":             {"POST", h.url, known, strings.NewReader("<html>"), 400},
		"nothing":             {"POST", h.url, known, nil, 400},
		"cut JSON":            {"POST", h.url, known, strings.NewReader(`{"type":"end"`), 400},
		"two values":          {"POST", h.url, known, strings.NewReader(endOf("a") + endOf("b")), 400},
		"a list":              {"POST", h.url, known, strings.NewReader(`[` + endOf("a") + `]`), 400},
		"null":                {"POST", h.url, known, strings.NewReader(`null`), 400},
		"no event":            {"POST", h.url, known, strings.NewReader(`{"hello":"world"}`), 400},
		"no call id":          {"POST", h.url, known, strings.NewReader(`{"type":"end","call":{"status":"Completed"}}`), 400},
		"no type":             {"POST", h.url, known, strings.NewReader(`{"call":{"id":"a"}}`), 400},
		"no event id":         {"POST", h.url, known, strings.NewReader(`{"specversion":"1.0","type":"t"}`), 400},
	} {
		t.Run(name, func(t *testing.T) {
			got := h.do(h.request(tc.method, tc.url, tc.body, tc.header))
			assert.Equal(t, tc.status, got.status, got.body)
			assert.Less(t, len(got.body), 120, "little is said")
			assert.NotContains(t, got.body, hookSecret)
			assert.Empty(t, got.header.Get("Retry-After"), "it would be refused again")
			if tc.status == 405 {
				assert.Equal(t, "POST", got.header.Get("Allow"))
			}
		})
	}
	withSecret := h.request("POST", h.url, strings.NewReader(endOf("z")), known)
	go h.do(withSecret)
	a := h.next()
	a.ack()
	assert.Equal(t, endOf("z"), a.content, "nothing of the rest entered")
	assert.NotContains(t, h.logs.String(), "level=ERROR")
	assert.Equal(t, 2, strings.Count(h.logs.String(), "level=WARN"), "strangers cannot fill the log: one line for each kind of refusal")
	assert.Contains(t, h.logs.String(), "A request was refused (401): it has no header X-Secret")
	assert.Contains(t, h.logs.String(), "A request was refused (401): the secret in its header X-Secret is not the right one.")
	assert.NotContains(t, h.logs.String(), hookSecret[:8])
}

// raw talks to the webhook below HTTP.
func (h *hooked) raw(text string) *bufio.Reader {
	h.t.Helper()
	conn, err := net.Dial("tcp", strings.Split(strings.TrimPrefix(h.url, "http://"), "/")[0])
	require.NoError(h.t, err)
	h.t.Cleanup(func() { _ = conn.Close() })
	require.NoError(h.t, conn.SetDeadline(time.Now().Add(time.Minute)))
	_, err = io.WriteString(conn, text)
	require.NoError(h.t, err)
	return bufio.NewReader(conn)
}

func TestRefusalsDoNotWaitForTheBody(t *testing.T) {
	h := hook(t, "", "read_timeout: 1h")
	for _, tc := range []struct {
		secret string
		length int64
		status int
	}{{hookSecret, 10_000_000_000, 413}, {"guess", 10_000_000_000, 401}, {"guess", 1000, 401}} {
		answer := h.raw(fmt.Sprintf("POST /happyrobot HTTP/1.1\r\nHost: x\r\nx-hook-secret: %s\r\nContent-Length: %d\r\n\r\n{", tc.secret, tc.length))
		res, err := http.ReadResponse(answer, nil)
		require.NoError(t, err)
		assert.Equal(t, tc.status, res.StatusCode)
		assert.True(t, res.Close, "the connection ends, and with it the body")
	}
}

func TestSlowClientsAreLetGo(t *testing.T) {
	h := hook(t, "", "read_timeout: 100ms", "max_in_flight: 1")
	answer := h.raw("POST /happyrobot HTTP/1.1\r\nHost:")
	_, err := http.ReadResponse(answer, nil)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF, "headers that do not come")

	answer = h.raw("POST /happyrobot HTTP/1.1\r\nHost: x\r\nx-hook-secret: " + hookSecret + "\r\nContent-Length: 100\r\n\r\n{")
	res, err := http.ReadResponse(answer, nil)
	require.NoError(t, err)
	assert.Equal(t, http.StatusRequestTimeout, res.StatusCode, "a body that does not come")

	h.pass(endOf("a")) // and the only slot is free again
}

func TestMoreEventsThanCanWaitAreSentAway(t *testing.T) {
	h := hook(t, "", "max_in_flight: 1")
	first := h.send(endOf("a"))
	a := h.next()
	got := h.post(endOf("b"))
	assert.Equal(t, http.StatusServiceUnavailable, got.status)
	assert.NotEmpty(t, got.header.Get("Retry-After"))
	a.ack()
	assert.Equal(t, http.StatusOK, (<-first).status)
	h.pass(endOf("b"))
}

func TestAnEventThatNobodyTakesDoesNotEnterLater(t *testing.T) {
	h := hook(t, "", "timeout: 200ms")
	first := h.send(endOf("a"))
	a := h.next()
	// The pipeline holds a few more than its output; these do not all fit in.
	var waiting []<-chan answered
	for i := range 10 {
		waiting = append(waiting, h.send(endOf(fmt.Sprint("waiting-", i))))
	}
	for _, w := range append(waiting, first) {
		assert.Equal(t, http.StatusServiceUnavailable, (<-w).status)
	}
	a.ack()
	late := 0
	last := h.send(endOf("last"))
	for {
		a := h.next()
		a.ack()
		if a.content == endOf("last") {
			break
		}
		late++
	}
	assert.Equal(t, http.StatusOK, (<-last).status)
	assert.Less(t, late, 9, "what was given up while it waited for the pipeline does not enter it")
}

// brokenCache fails.
type brokenCache struct{}

var errBroken = errors.New("no connection")

func (brokenCache) Get(context.Context, string) ([]byte, error)               { return nil, errBroken }
func (brokenCache) Set(context.Context, string, []byte, *time.Duration) error { return errBroken }
func (brokenCache) Add(context.Context, string, []byte, *time.Duration) error { return errBroken }
func (brokenCache) Delete(context.Context, string) error                      { return errBroken }
func (brokenCache) Close(context.Context) error                               { return nil }

func TestWithoutItsCacheNoEventIsTaken(t *testing.T) {
	h := hook(t, "cache_resources:\n  - label: events\n    broken: {}\n", "cache: events")
	for range 2 {
		got := h.post(endOf("a"))
		assert.Equal(t, http.StatusServiceUnavailable, got.status)
		assert.NotEmpty(t, got.header.Get("Retry-After"))
	}
	assert.Equal(t, 1, strings.Count(h.logs.String(), "Event-id cache unavailable"), "told once")
	select {
	case <-h.arrived:
		t.Error("an event entered that nobody can remember")
	default:
	}
}
