package plugin_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
)

// topic is an input that delivers one batch until it is acknowledged, in this stream
// or the next. What is refused is delivered again, and what is not is not: so a
// message for which Benthos blames another is lost, as it would be with Kafka.
type topic struct {
	batch []*service.Message

	mu    sync.Mutex
	given bool
	acked bool
}

func (s *topic) Connect(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.given = false
	return nil
}

func (s *topic) ReadBatch(ctx context.Context) (service.MessageBatch, service.AckFunc, error) {
	s.mu.Lock()
	give := !s.given && !s.acked
	s.given = true
	s.mu.Unlock()
	if !give {
		<-ctx.Done()
		return nil, nil, ctx.Err()
	}
	return service.MessageBatch(s.batch).DeepCopy(), func(_ context.Context, err error) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.acked = err == nil
		return nil
	}, nil
}

func (s *topic) Close(context.Context) error { return nil }

func (s *topic) done() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.acked
}

// shelf is an output that keeps records, or does not.
type shelf struct {
	mu      sync.Mutex
	records []record
	tries   int
	// refuse decides on each write; nil takes everything.
	refuse func(try int, batch service.MessageBatch) error
	// closed makes writes wait for ever, and Connect fail.
	closed bool
}

type record struct {
	Outcome    string `json:"outcome"`
	Reason     string `json:"reason"`
	Details    string `json:"details"`
	DialRef    string `json:"dial_ref"`
	CallID     string `json:"call_id"`
	HTTPStatus int    `json:"http_status"`
	Call       any    `json:"call"`
	Lead       any    `json:"lead"`

	raw     map[string]any
	meta    map[string]any
	errored bool
}

func (r record) lead() string {
	if lead, ok := r.Lead.(map[string]any); ok {
		return fmt.Sprint(lead["id"])
	}
	return fmt.Sprint(r.Lead)
}

func (s *shelf) Connect(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errors.New("closed")
	}
	return nil
}

func (s *shelf) Close(context.Context) error { return nil }

func (s *shelf) WriteBatch(_ context.Context, batch service.MessageBatch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tries++
	var err error
	if s.refuse != nil {
		err = s.refuse(s.tries, batch)
	}
	var some *service.BatchError
	refused := map[int]bool{}
	if errors.As(err, &some) {
		some.WalkMessages(func(i int, _ *service.Message, err error) bool { //nolint:staticcheck // nothing changed this batch
			refused[i] = err != nil
			return true
		})
	} else if err != nil {
		return err
	}
	for i, msg := range batch {
		if refused[i] {
			continue
		}
		b, _ := msg.AsBytes()
		r := record{meta: map[string]any{}, errored: msg.GetError() != nil}
		if err := errors.Join(json.Unmarshal(b, &r), json.Unmarshal(b, &r.raw)); err != nil {
			return err
		}
		_ = msg.MetaWalkMut(func(k string, v any) error { r.meta[k] = v; return nil })
		s.records = append(s.records, r)
	}
	return err
}

// set changes how a shelf takes records.
func (s *shelf) set(refuse func(int, service.MessageBatch) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = refuse
}

func (s *shelf) tried() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tries
}

func (s *shelf) all() []record {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]record(nil), s.records...)
}

// told counts the records by lead and outcome.
func (s *shelf) told() map[string]int {
	told := map[string]int{}
	for _, r := range s.all() {
		told[r.lead()+" "+r.Outcome]++
	}
	return told
}

// filing is a stream that reads a topic, dials, and files what becomes of each lead.
type filing struct {
	srv      *callsim.Server
	in       *topic
	receipts *shelf
	failures *shelf
	logs     *logs
}

func newFiling(t *testing.T, messages ...string) *filing {
	t.Helper()
	f := &filing{srv: startSim(t, callsim.Options{}), in: &topic{}, receipts: &shelf{}, failures: &shelf{}, logs: &logs{}}
	for _, m := range messages {
		f.in.batch = append(f.in.batch, service.NewMessage([]byte(m)))
	}
	return f
}

// start runs the stream. stop ends it: once all is done, or at once.
func (f *filing) start(t *testing.T, processors, output, resources string) (stop func(now bool)) {
	t.Helper()
	built, err := f.build(t, processors, output, resources)
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- built.Run(context.Background()) }()
	var once sync.Once
	stop = func(now bool) {
		once.Do(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			if now {
				cancel()
			}
			if err := built.Stop(ctx); !now {
				assert.NoError(t, err)
			}
			select {
			case err := <-ended:
				require.NoError(t, err)
			case <-time.After(time.Minute):
				assert.Fail(t, "the stream does not end")
			}
		})
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(f.logs.String())
		}
		stop(true)
	})
	return stop
}

func (f *filing) build(t *testing.T, processors, output, resources string) (*service.Stream, error) {
	t.Helper()
	env := service.NewEnvironment()
	require.NoError(t, env.RegisterBatchInput("topic", service.NewConfigSpec(),
		func(*service.ParsedConfig, *service.Resources) (service.BatchInput, error) {
			return service.AutoRetryNacksBatched(f.in), nil
		}))
	require.NoError(t, env.RegisterBatchOutput("shelf", service.NewConfigSpec().Field(service.NewStringField("of")),
		func(conf *service.ParsedConfig, _ *service.Resources) (service.BatchOutput, service.BatchPolicy, int, error) {
			of, err := conf.FieldString("of")
			return map[string]*shelf{"receipts": f.receipts, "failures": f.failures}[of], service.BatchPolicy{}, 1, err
		}))
	b := env.NewStreamBuilder()
	b.SetLogger(slog.New(slog.NewTextHandler(f.logs, &slog.HandlerOptions{Level: slog.LevelInfo})))
	b.SetThreads(1)
	require.NoError(t, b.AddInputYAML("topic: {}"))
	if processors != "" {
		require.NoError(t, b.AddProcessorYAML(processors))
	}
	if resources != "" {
		require.NoError(t, b.AddResourcesYAML(resources))
	}
	if err := b.AddOutputYAML(output); err != nil {
		return nil, err
	}
	return b.Build()
}

// await waits until the topic is acknowledged, the whole of it.
func (f *filing) await(t *testing.T) {
	t.Helper()
	require.Eventually(t, f.in.done, time.Minute, time.Millisecond, "the batch is not acknowledged")
}

// dialing is the output under test, with both child outputs.
func (f *filing) dialing(extra ...string) string {
	extra = append([]string{"batching: {count: 20, period: 5ms}", "receipts: {shelf: {of: receipts}}", "failures: {shelf: {of: failures}}"}, extra...)
	return "happyrobot_dial:\n  " + indent(2, dialYAML(f.srv.URL, extra...))
}
