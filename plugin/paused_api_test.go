package plugin_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/words"
)

// door fails while it is shut.
type door struct{ shut atomic.Bool }

func (d *door) open() error {
	if d.shut.Load() {
		return errors.New("the door is shut")
	}
	return nil
}

func (d *door) Close(context.Context) error { return nil }

type flakyLimit struct{ door }

func (f *flakyLimit) Access(context.Context) (time.Duration, error) { return 0, f.open() }

type flakyCache struct {
	door
	values sync.Map
}

func (f *flakyCache) Get(_ context.Context, key string) ([]byte, error) {
	value, there := f.values.Load(key)
	if !there {
		return nil, cmp.Or(f.open(), service.ErrKeyNotFound)
	}
	return value.([]byte), f.open()
}

func (f *flakyCache) Set(_ context.Context, key string, value []byte, _ *time.Duration) error {
	if err := f.open(); err != nil {
		return err
	}
	f.values.Store(key, bytes.Clone(value))
	return nil
}

func (f *flakyCache) Add(_ context.Context, key string, value []byte, _ *time.Duration) error {
	if err := f.open(); err != nil {
		return err
	}
	if _, there := f.values.LoadOrStore(key, bytes.Clone(value)); there {
		return service.ErrKeyAlreadyExists
	}
	return nil
}

func (f *flakyCache) Delete(_ context.Context, key string) error {
	f.values.Delete(key)
	return f.open()
}

// watchedStream is a stream whose metrics and log are looked at. start adds its parts.
type watchedStream struct {
	seen *gauges
	logs *logs
	stop func()
}

func watch(t *testing.T, env *service.Environment, start func(*service.StreamBuilder)) *watchedStream {
	t.Helper()
	w := &watchedStream{seen: &gauges{set: map[string][]int64{}}, logs: &logs{}}
	require.NoError(t, env.RegisterMetricsExporter("gauges", service.NewConfigSpec(), func(*service.ParsedConfig, *service.Logger) (service.MetricsExporter, error) { return w.seen, nil }))
	b := env.NewStreamBuilder()
	b.SetLogger(slog.New(slog.NewTextHandler(w.logs, nil)))
	require.NoError(t, b.SetMetricsYAML("gauges: {}"))
	start(b)
	stream, err := b.Build()
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- stream.Run(context.Background()) }()
	w.stop = func() {
		_ = stream.StopWithin(30 * time.Second)
		<-done
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(w.logs.String())
		}
	})
	return w
}

// shows waits until the metric of a cause had these values, one after the other.
func (w *watchedStream) shows(t *testing.T, cause string, values ...int64) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		assert.Equal(c, values, w.seen.of(words.MetricPaused+" "+cause), cause)
	}, time.Minute, time.Millisecond)
}

// onlyCause checks that no cause but one was ever shown, and all were from the start.
func (w *watchedStream) onlyCause(t *testing.T, component, but string) {
	t.Helper()
	for _, cause := range words.CauseNames(component) {
		if cause != but {
			assert.Equal(t, []int64{0}, w.seen.of(words.MetricPaused+" "+cause), cause)
		}
	}
}

// troubles of an API, by the cause that they are.
var troubles = map[string]callsim.Fault{
	words.CauseSetup:       {Kind: callsim.Refuse, Operation: "*", Status: http.StatusUnauthorized},
	words.CauseRateLimited: {Kind: callsim.Refuse, Operation: "*", Status: http.StatusTooManyRequests},
	words.CauseUnanswered:  {Kind: callsim.CutBefore, Operation: "*"},
}

func TestProcessorsShowWhatTheyWaitFor(t *testing.T) {
	t.Parallel()
	for component, yaml := range map[string]string{
		"happyrobot_call":    `call_id: '${! json("call_id") }'`,
		"happyrobot_request": "operation: getUsage",
	} {
		for cause, fault := range troubles {
			t.Run(component+" "+cause, func(t *testing.T) {
				t.Parallel()
				srv := startSim(t, callsim.Options{})
				id := ended(t, srv.Sim, callsim.Arrival{EndsAs: "Completed"})
				srv.Sim.Inject(fault)
				var send service.MessageBatchHandlerFunc
				w := watch(t, service.NewEnvironment(), func(b *service.StreamBuilder) {
					var err error
					send, err = b.AddBatchProducerFunc()
					require.NoError(t, err)
					require.NoError(t, b.AddProcessorYAML(component+": {api_key: k, base_url: '"+srv.URL+"', retry: {initial_interval: 5ms, max_interval: 50ms}, "+yaml+"}"))
					require.NoError(t, b.AddOutputYAML("drop: {}"))
				})
				defer w.stop()
				sent := make(chan error, 1)
				go func() {
					sent <- send(soon(t), service.MessageBatch{service.NewMessage([]byte(ask(id)))})
				}()
				w.shows(t, cause, 0, 1)
				srv.Sim.ClearFaults()
				require.NoError(t, <-sent)
				w.shows(t, cause, 0, 1, 0)
				w.onlyCause(t, component, cause)
				assert.Equal(t, 1, strings.Count(w.logs.String(), "API request failed; retrying ("+cause+"): "))
				assert.Equal(t, 1, strings.Count(w.logs.String(), "API requests are answered again, after "))
			})
		}
	}
}

// seldom makes the client of an input leave the repeating to it.
const seldom = "poll_interval: 20ms, retry: {initial_interval: 24h, max_interval: 24h}"

func TestTheInputShowsWhatItWaitsFor(t *testing.T) {
	t.Parallel()
	for cause, fault := range troubles {
		t.Run(cause, func(t *testing.T) {
			t.Parallel()
			srv := startSim(t, callsim.Options{})
			ended(t, srv.Sim, callsim.Arrival{EndsAs: "Completed"})
			srv.Sim.Inject(fault)
			came := make(chan struct{}, 1)
			w := watch(t, service.NewEnvironment(), func(b *service.StreamBuilder) {
				require.NoError(t, b.AddCacheYAML(memoryCursor))
				require.NoError(t, b.AddInputYAML("happyrobot_calls: {api_key: k, base_url: '"+srv.URL+"', cache: cursor, "+seldom+"}"))
				require.NoError(t, b.AddConsumerFunc(func(context.Context, *service.Message) error { came <- struct{}{}; return nil }))
			})
			w.shows(t, cause, 0, 1)
			srv.Sim.ClearFaults()
			<-came
			w.shows(t, cause, 0, 1, 0)
			assert.Equal(t, 1, strings.Count(w.logs.String(), "Listing calls failed; retrying, nothing is lost ("+cause+"): "))
			assert.Equal(t, 1, strings.Count(w.logs.String(), "Listing calls works again, after "))

			srv.Sim.Inject(fault)
			w.shows(t, cause, 0, 1, 0, 1)
			w.stop()
			w.shows(t, cause, 0, 1, 0, 1, 0) // a component that stops waits for nothing
			w.onlyCause(t, "happyrobot_calls", cause)
			assert.Equal(t, 1, strings.Count(w.logs.String(), "Listing calls works again, after "), "the trouble is not over")
		})
	}
}

func TestTheInputShowsThatItWaitsForItsCursor(t *testing.T) {
	t.Parallel()
	srv, kept := startSim(t, callsim.Options{}), &flakyCache{}
	kept.shut.Store(true)
	env := service.NewEnvironment()
	require.NoError(t, env.RegisterCache("flaky", service.NewConfigSpec(), func(*service.ParsedConfig, *service.Resources) (service.Cache, error) { return kept, nil }))
	came := make(chan struct{}, 10)
	w := watch(t, env, func(b *service.StreamBuilder) {
		require.NoError(t, b.AddCacheYAML("label: cursor\nflaky: {}"))
		require.NoError(t, b.AddInputYAML("happyrobot_calls: {api_key: k, base_url: '"+srv.URL+"', cache: cursor, "+seldom+"}"))
		require.NoError(t, b.AddConsumerFunc(func(context.Context, *service.Message) error { came <- struct{}{}; return nil }))
	})
	defer w.stop()
	w.shows(t, words.CauseLedger, 0, 1)
	kept.shut.Store(false)
	w.shows(t, words.CauseLedger, 0, 1, 0)

	kept.shut.Store(true)
	ended(t, srv.Sim, callsim.Arrival{EndsAs: "Completed"})
	<-came
	w.shows(t, words.CauseLedger, 0, 1, 0, 1)
	kept.shut.Store(false)
	w.shows(t, words.CauseLedger, 0, 1, 0, 1, 0)
	w.onlyCause(t, "happyrobot_calls", words.CauseLedger)
	assert.Equal(t, 1, strings.Count(w.logs.String(), "Saving the cursor failed (ledger); "))
	assert.Equal(t, 1, strings.Count(w.logs.String(), "The cursor is saved again (ledger), after "))
}

func TestARateLimitThatCannotBeAskedIsShown(t *testing.T) {
	t.Parallel()
	srv, limit := startSim(t, callsim.Options{}), &flakyLimit{}
	limit.shut.Store(true)
	env := service.NewEnvironment()
	require.NoError(t, env.RegisterRateLimit("flaky", service.NewConfigSpec(), func(*service.ParsedConfig, *service.Resources) (service.RateLimit, error) { return limit, nil }))
	w := watch(t, env, func(b *service.StreamBuilder) {
		require.NoError(t, b.AddResourcesYAML("rate_limit_resources: [{label: limit, flaky: {}}]"))
		require.NoError(t, b.AddInputYAML(`generate: {count: 1, interval: "", mapping: 'root = {}'}`))
		require.NoError(t, b.AddProcessorYAML("happyrobot_request: {api_key: k, base_url: '"+srv.URL+"', rate_limit: limit, operation: getUsage}"))
		require.NoError(t, b.AddOutputYAML("drop: {}"))
	})
	w.shows(t, words.CauseRateLimited, 0, 1)
	limit.shut.Store(false)
	w.shows(t, words.CauseRateLimited, 0, 1, 0)
	w.stop()
	w.onlyCause(t, "happyrobot_request", words.CauseRateLimited)
	assert.Equal(t, 1, strings.Count(w.logs.String(), "Requests to the API wait (rate_limited): "))
	assert.Equal(t, 1, strings.Count(w.logs.String(), "Requests to the API no longer wait (rate_limited), after "))
}
