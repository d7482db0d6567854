package plugin_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	_ "github.com/redpanda-data/benthos/v4/public/components/io"
	_ "github.com/redpanda-data/benthos/v4/public/components/pure"

	_ "github.com/benthos-happyrobot/benthos-happyrobot/plugin"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
)

func startSim(t *testing.T, opts callsim.Options) *callsim.Server {
	t.Helper()
	srv, err := callsim.Listen("127.0.0.1:0", opts)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, srv.Close()) })
	return srv
}

// sized is how much a test does: all, or in the fast lane (go test -short) a part.
func sized(all, part int) int {
	if testing.Short() {
		return part
	}
	return all
}

// soon bounds what a test waits for: far above what it takes on a busy machine.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// seen collects messages that reached an output of a stream under test.
type seen struct {
	mu   sync.Mutex
	msgs []map[string]any
}

func (s *seen) all() []map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]map[string]any(nil), s.msgs...)
}

// stream is a pipeline under test: a config with one producer in and what came out.
type stream struct {
	t    *testing.T
	send service.MessageBatchHandlerFunc
	out  *seen
	logs *logs
}

type logs struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// parts of a config, as YAML.
type parts struct {
	processors []string
	output     string // "" collects
	resources  string
}

// run starts a stream. `collect: {}` is an output that records what it gets.
func run(t *testing.T, p parts) *stream {
	t.Helper()
	s := &stream{t: t, out: &seen{}, logs: &logs{}}
	env := service.NewEnvironment()
	require.NoError(t, env.RegisterOutput("collect", service.NewConfigSpec(),
		func(*service.ParsedConfig, *service.Resources) (service.Output, int, error) { return s, 1, nil }))
	b := env.NewStreamBuilder()
	if p.resources != "" {
		require.NoError(t, b.AddResourcesYAML(p.resources))
	}
	for _, processor := range p.processors {
		require.NoError(t, b.AddProcessorYAML(processor))
	}
	if p.output == "" {
		p.output = "collect: {}"
	}
	require.NoError(t, b.AddOutputYAML(p.output))
	send, err := b.AddBatchProducerFunc()
	require.NoError(t, err)
	s.send = send
	b.SetLogger(slog.New(slog.NewTextHandler(s.logs, &slog.HandlerOptions{Level: slog.LevelInfo})))
	built, err := b.Build()
	require.NoError(t, err)
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		err := built.Run(ctx)
		if ctx.Err() == nil {
			t.Errorf("the stream ended: %v", err)
		}
		done <- err
	}()
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.logs.String())
		}
		cancel()
		select {
		case <-done:
		case <-time.After(time.Minute):
			t.Error("the stream did not stop")
		}
	})
	return s
}

func (s *stream) Connect(context.Context) error { return nil }
func (s *stream) Close(context.Context) error   { return nil }

func (s *stream) Write(_ context.Context, msg *service.Message) error {
	b, err := msg.AsBytes()
	if err != nil {
		return err
	}
	record := map[string]any{"content": string(b)}
	var v any
	if json.Unmarshal(b, &v) == nil {
		record["json"] = v
	}
	_ = msg.MetaWalkMut(func(k string, v any) error {
		record["@"+k] = fmt.Sprint(v)
		return nil
	})
	if msg.GetError() != nil {
		record["error"] = msg.GetError().Error()
	}
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	s.out.msgs = append(s.out.msgs, record)
	return nil
}

// deliver sends one batch and returns the stream's verdict on it.
func (s *stream) deliver(messages ...string) error {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	batch := make(service.MessageBatch, len(messages))
	for i, m := range messages {
		batch[i] = service.NewMessage([]byte(m))
	}
	return s.send(ctx, batch)
}

func lead(id string, phone string) string {
	return fmt.Sprintf(`{"id":%q,"phone":%q}`, id, phone)
}

// dialYAML is the body of a happyrobot_dial with quick settings.
func dialYAML(url string, extra ...string) string {
	return fmt.Sprintf(`
api_key: test-key
base_url: %s
timeout: 60s
settle: 300ms
default_region: US
dedupe_key: ${! json("id") }
call_mapping: |
  root.number_id = "64f0c0de00000000000000c1"
  root.phone_number = this.phone
  root.metadata.lead_id = this.id
  root.params = this.params | {}
retry: {initial_interval: 5ms, max_interval: 50ms}
%s`, url, strings.Join(extra, "\n"))
}

func indent(n int, text string) string {
	return strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n"+strings.Repeat(" ", n))
}

// dialParts is a stream that dials, and collects what fails.
func dialParts(url string, extra ...string) parts {
	return parts{output: fmt.Sprintf(`
fallback:
  - happyrobot_dial:
      %s
      batching: {count: 20, period: 10ms}
  - collect: {}
`, indent(6, dialYAML(url, extra...)))}
}

func TestDialOutputReportsEachMessagesFate(t *testing.T) {
	t.Parallel()
	srv := startSim(t, callsim.Options{})
	srv.Sim.Refuse("+12025550102", http.StatusUnprocessableEntity)
	srv.Sim.LoseAnswer("+12025550103")
	s := run(t, dialParts(srv.URL))

	require.NoError(t, s.deliver(
		lead("good", "(202) 555-0101"), lead("refused", "+12025550102"), lead("lost", "+12025550103")))

	assert.Equal(t, map[string]int{"good": 1, "lost": 1}, srv.Sim.CallsBy("metadata.lead_id"))
	failed := s.out.all()
	require.Len(t, failed, 1, "only the refused lead fails, not its neighbours")
	assert.Equal(t, lead("refused", "+12025550102"), failed[0]["content"])
	assert.True(t, strings.HasPrefix(failed[0]["@fallback_error"].(string), "rejected: refused: "), failed[0]["@fallback_error"])
}

func TestDialOutputCallsALeadOnce(t *testing.T) {
	t.Parallel()
	srv := startSim(t, callsim.Options{})
	s := run(t, dialParts(srv.URL))
	for range 3 {
		require.NoError(t, s.deliver(lead("a", "+12025550101"), lead("a", "+12025550101"), lead("b", "+12025550102")))
	}
	assert.Equal(t, map[string]int{"a": 1, "b": 1}, srv.Sim.CallsBy("metadata.lead_id"))
	assert.Empty(t, s.out.all())
}
