package prometheus

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// gateway is a Pushgateway that keeps the requests it gets.
type gateway struct {
	*httptest.Server
	mu     sync.Mutex
	pushed []string
	broken bool
}

func startGateway(t *testing.T) *gateway {
	t.Helper()
	g := &gateway{}
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		user, password, _ := r.BasicAuth()
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.broken {
			http.Error(w, "out of order", http.StatusServiceUnavailable)
			return
		}
		g.pushed = append(g.pushed, fmt.Sprintf("%s %s %s:%s %s", r.Method, r.URL.Path, user, password, body))
	}))
	t.Cleanup(g.Close)
	return g
}

func (g *gateway) all() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]string(nil), g.pushed...)
}

func (g *gateway) setBroken(broken bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.broken = broken
}

// logged runs a stream that goes on until the test ends it, and collects its log.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) count(part string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), part)
}

func startStream(t *testing.T, conf string) (log *logged, stop func() error) {
	t.Helper()
	log = &logged{}
	b := service.NewEnvironment().NewStreamBuilder()
	b.SetLogger(slog.New(slog.NewTextHandler(log, nil)))
	require.NoError(t, b.SetMetricsYAML("prometheus: "+conf))
	require.NoError(t, b.AddInputYAML(`generate: {interval: 1ms, mapping: 'root = "a"'}`))
	started, once := make(chan struct{}), sync.Once{}
	require.NoError(t, b.AddConsumerFunc(func(context.Context, *service.Message) error {
		once.Do(func() { close(started) })
		return nil
	}))
	stream, err := b.Build()
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = stream.Run(context.Background())
	}()
	select {
	case <-started: // before that, it cannot be stopped
	case <-time.After(time.Minute):
		t.Fatal("no message")
	}
	stop = func() error {
		err := stream.StopWithin(time.Minute)
		<-done
		return err
	}
	t.Cleanup(func() { _ = stop() })
	return log, stop
}

func TestPushAtTheEndOnly(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	address := strings.Replace(g.URL, "http://", "http://ann:s3cret@", 1)
	_, stop := startStream(t, fmt.Sprintf("{push_url: %q}", address))
	require.NoError(t, stop())
	require.Len(t, g.all(), 1)
	assert.Contains(t, g.all()[0], "PUT /metrics/job/benthos_push ann:s3cret ")
	assert.Contains(t, g.all()[0], "input_received")
}

func TestPushEveryIntervalAndAtTheEnd(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	log, stop := startStream(t, fmt.Sprintf("{push_url: %q, push_interval: 5ms, push_job_name: nightly, push_basic_auth: {username: bob, password: hunter2}}", g.URL))
	enough := func(n int) func() bool { return func() bool { return len(g.all()) >= n } }
	require.Eventually(t, enough(3), time.Minute, time.Millisecond)
	g.setBroken(true)
	require.Eventually(t, func() bool { return log.count("Pushing metrics failed; retrying") == 1 }, time.Minute, time.Millisecond)
	before := len(g.all())
	g.setBroken(false)
	require.Eventually(t, enough(before+3), time.Minute, time.Millisecond)
	require.Eventually(t, func() bool { return log.count("Metrics are pushed again") == 1 }, time.Minute, time.Millisecond)
	require.NoError(t, stop())
	assert.Equal(t, 1, log.count("Pushing metrics failed"), "once for all retries")
	assert.Zero(t, log.count("hunter2"))
	after := g.all()
	assert.Contains(t, after[len(after)-1], "PUT /metrics/job/nightly bob:hunter2 ")
	assert.Never(t, enough(len(after)+1), 50*time.Millisecond, 10*time.Millisecond, "nothing pushes after the end")
}

// Neither the last push nor the file keeps the other from being tried.
func TestCloseReportsWhatFailedAndDoesTheRest(t *testing.T) {
	t.Parallel()
	g, file := startGateway(t), filepath.Join(t.TempDir(), "metrics.txt")
	g.setBroken(true)
	address := strings.Replace(g.URL, "http://", "http://ann:s3cret@", 1)
	e := made(t, fmt.Sprintf("{push_url: %q, push_interval: 1h, file_output_path: %q}", address, file))
	e.NewCounterCtor("sent")().Incr(4)
	err := e.Close(t.Context())
	require.ErrorContains(t, err, "pushing metrics for the last time")
	assert.NotContains(t, err.Error(), "s3cret")
	text, readErr := os.ReadFile(file)
	require.NoError(t, readErr)
	assert.Contains(t, string(text), "\nsent 4\n")
	assert.Equal(t, err, e.Close(t.Context()), "again, it does nothing")

	g.setBroken(false)
	e = made(t, fmt.Sprintf("{push_url: %q, file_output_path: %q}", g.URL, filepath.Join(file, "none")))
	require.ErrorContains(t, e.Close(t.Context()), "file_output_path")
	assert.Len(t, g.all(), 1)
}

func TestAFileIsWrittenWhenTheStreamEnds(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "metrics.txt")
	_, stop := startStream(t, fmt.Sprintf("{file_output_path: %q}", file))
	assert.NoFileExists(t, file)
	require.NoError(t, stop())
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Contains(t, string(text), "# TYPE input_received counter\n")
}
