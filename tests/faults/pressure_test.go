package faults

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
)

// outage is how long the troubles below last, and how the retries are paced: two
// seconds with quick retries, or with RELIABILITY_MINUTE=1 the minute of real
// life with the retries that components have by default.
type outage struct {
	lasts, longest time.Duration // of the trouble; between two tries
	retry          string
}

func anOutage() outage {
	if os.Getenv("RELIABILITY_MINUTE") != "" {
		return outage{time.Minute, 30 * time.Second, "retry: {initial_interval: 500ms, max_interval: 30s}"}
	}
	lasts := 2 * time.Second
	if testing.Short() {
		lasts = 500 * time.Millisecond
	}
	return outage{lasts, 100 * time.Millisecond, "retry: {initial_interval: 10ms, max_interval: 100ms}"}
}

// mostTries bounds the requests of an outage in which so many ask at a time. A
// pause is half of the longest on average, the first ones less, and what is in
// flight meets the trouble at once.
func (o outage) mostTries(askers int) int {
	return askers*(int(3*o.lasts/o.longest)+6) + 2*maxInFlight
}

func TestTroubleOfTheAPIHoldsTheStreamAndFailsNothing(t *testing.T) {
	t.Parallel()
	refuse := func(status int, retryAfter string) func(*testing.T, *world) {
		return func(_ *testing.T, w *world) {
			w.api.sim.Inject(callsim.Fault{Kind: callsim.Refuse, Operation: "*", Status: status, RetryAfter: retryAfter})
		}
	}
	clear := func(_ *testing.T, w *world) { w.api.sim.ClearFaults() }
	down := func(t *testing.T, w *world) { require.NoError(t, w.api.down()) }
	up := func(t *testing.T, w *world) { require.NoError(t, w.api.up()) }
	for name, tt := range map[string]struct {
		begin, end func(*testing.T, *world)
		apart      bool // each request has a connection of its own
		side       side
		asked      time.Duration    // the pause that the API asks for
		askers     int              // how many ask at a time whether it is over; 0 for one
		silent     bool             // no request may leave
		felt       func(*world) int // how often the stream met the trouble; nil for its requests
		held       int              // leads that may be told as held
		quick      bool             // in the fast lane, too
	}{
		"key revoked":          {begin: refuse(http.StatusUnauthorized, ""), end: clear},
		"no credit":            {begin: refuse(http.StatusPaymentRequired, ""), end: clear},
		"key forbidden":        {begin: refuse(http.StatusForbidden, ""), end: clear},
		"path gone":            {begin: refuse(http.StatusNotFound, ""), end: clear},
		"429":                  {begin: refuse(http.StatusTooManyRequests, ""), end: clear, quick: true},
		"429 with Retry-After": {begin: refuse(http.StatusTooManyRequests, "1"), end: clear, asked: time.Second},
		"API down":             {begin: down, end: up, apart: true},
		// A connection that dies idle may be used before that is noticed. What was
		// written to it may have arrived, for all one knows.
		"API down, connections idle": {begin: down, end: up, held: maxInFlight * maxBatch, askers: maxInFlight},
		"API broken, list trusted":   {begin: refuse(http.StatusServiceUnavailable, ""), end: clear, side: redialAbsent, askers: maxInFlight},
		// What was in flight when it broke may have been called: somebody has to look.
		"API broken": {begin: refuse(http.StatusServiceUnavailable, ""), end: clear, quick: true, held: maxInFlight * maxBatch, askers: maxInFlight},
		"rate limit full": {begin: func(_ *testing.T, w *world) { w.limit.full.Store(true) }, end: func(_ *testing.T, w *world) { w.limit.full.Store(false) }, silent: true,
			felt: func(w *world) int { return int(w.limit.refused.Load()) }},
		"ledger down": {begin: func(_ *testing.T, w *world) { w.ledger.set(1) }, end: func(_ *testing.T, w *world) { w.ledger.set(0) }, silent: true,
			felt: func(w *world) int { return w.ledger.strikesSoFar() }},
	} {
		t.Run(name, func(t *testing.T) {
			if testing.Short() && !tt.quick {
				t.Skip("the fast lane leaves this out: it meets two of the troubles")
			}
			t.Parallel()
			o := anOutage()
			w := newWorld(t, tt.side, tt.apart, o.retry, quickBatching, "ledger: ledger", "rate_limit: limit")
			leads := makeLeads(30 * maxBatch)
			w.feed(t, leads[:10*maxBatch])()

			tt.begin(t, w)
			before := w.requests.n.Load()
			wait := w.feed(t, leads[10*maxBatch:])
			if tt.felt == nil {
				tt.felt = func(w *world) int { return int(w.requests.n.Load() - before) }
			}
			began := time.Now()
			require.Eventually(t, func() bool { return tt.felt(w) > 0 }, time.Minute, time.Millisecond, "the stream never meets the trouble")
			time.Sleep(o.lasts) // the outage itself: nothing is waited for
			tries := int(w.requests.n.Load() - before)
			o.lasts = time.Since(began) // on a busy machine, longer
			assert.Zero(t, w.acked.Load()-10, "batches acknowledged in the outage")
			assert.Zero(t, w.out.failed(), "leads that failed in the outage")
			if tt.silent {
				assert.Zero(t, tries, "requests in the outage")
			} else {
				most := o.mostTries(max(tt.askers, 1))
				if tt.asked > 0 {
					most = int(o.lasts/tt.asked) + 4*maxInFlight
				}
				assert.LessOrEqual(t, tries, most, "requests in the outage")
			}
			t.Logf("%d requests in %v", tries, o.lasts)

			tt.end(t, w)
			wait()
			calls := w.api.sim.CallsBy("metadata.lead_id")
			held := 0
			for _, lead := range leads {
				why := w.out.failureOf(lead)
				switch {
				case len(why) > 0 && isHeld(why[0]):
					held++
					assert.LessOrEqual(t, calls[lead], 1, lead)
				default:
					assert.Empty(t, why, lead)
					assert.Equal(t, 1, calls[lead], lead)
				}
			}
			assert.LessOrEqual(t, held, tt.held)
		})
	}
}

// world is a stream with all around it that may fail.
type world struct {
	*stream
	api      *api
	limit    *limit
	ledger   *unsteady
	requests *requestCounter
	acked    atomic.Int64 // batches
}

func newWorld(t *testing.T, s side, apart bool, extra ...string) *world {
	t.Helper()
	if s == "" {
		s = hold
	}
	var cut *wire
	if apart {
		cut = &wire{} // which cuts nothing
	}
	api, err := serve(callsim.Options{}, cut, nil)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, api.close()) })
	w := &world{api: api, limit: &limit{}, requests: &requestCounter{}, ledger: &unsteady{
		cacheFault: cacheFault{ops: []string{opGet, opAdd, opSet, opDelete}}, matched: spared + 1, // no strike but by rate
	}}
	w.stream, err = start(config{
		output:  dialConfig(api.url, s, extra...),
		caches:  []string{"label: store\nmemory: {}", "label: ledger\nunsteady: {cache: store}"},
		limits:  []string{"label: limit\ntoggled: {}"},
		metrics: "count_requests: {}",
	},
		func(env *service.Environment) error { return registerUnsteadyCache(env, w.ledger) },
		func(env *service.Environment) error {
			return env.RegisterRateLimit("toggled", service.NewConfigSpec(), func(*service.ParsedConfig, *service.Resources) (service.RateLimit, error) { return w.limit, nil })
		},
		func(env *service.Environment) error {
			return env.RegisterMetricsExporter("count_requests", service.NewConfigSpec(), func(*service.ParsedConfig, *service.Logger) (service.MetricsExporter, error) {
				return w.requests, nil
			})
		})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, w.stop()) })
	return w
}

// feed begins to deliver leads in batches, several at a time; the function that
// it returns waits until all are acknowledged.
func (w *world) feed(t *testing.T, leads []string) (wait func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	queue := make(chan []string)
	var wg sync.WaitGroup
	for range 2 * maxInFlight {
		wg.Go(func() {
			for batch := range queue {
				if assert.NoError(t, w.deliver(ctx, batch)) {
					w.acked.Add(1)
				}
			}
		})
	}
	wg.Go(func() {
		defer close(queue)
		for batch := range slices.Chunk(leads, maxBatch) {
			select {
			case queue <- batch:
			case <-ctx.Done():
				return
			}
		}
	})
	return func() {
		wg.Wait()
		cancel()
	}
}

// limit is a rate limit that is either full or without end.
type limit struct {
	full    atomic.Bool
	refused atomic.Int64
}

func (l *limit) Access(context.Context) (time.Duration, error) {
	if l.full.Load() {
		l.refused.Add(1)
		return 10 * time.Millisecond, nil
	}
	return 0, nil
}

func (l *limit) Close(context.Context) error { return nil }

// requestCounter is a metrics exporter that counts the client's own requests:
// those that nobody answers are seen nowhere else.
type requestCounter struct{ n atomic.Int64 }

func (c *requestCounter) NewCounterCtor(name string, _ ...string) service.MetricsExporterCounterCtor {
	return func(...string) service.MetricsExporterCounter {
		if name == "happyrobot_requests" {
			return incr(func(n int64) { c.n.Add(n) })
		}
		return incr(func(int64) {})
	}
}

func (c *requestCounter) NewTimerCtor(string, ...string) service.MetricsExporterTimerCtor {
	return func(...string) service.MetricsExporterTimer { return ignored{} }
}

func (c *requestCounter) NewGaugeCtor(string, ...string) service.MetricsExporterGaugeCtor {
	return func(...string) service.MetricsExporterGauge { return ignored{} }
}

func (c *requestCounter) Close(context.Context) error { return nil }

type incr func(int64)

func (i incr) Incr(n int64) { i(n) }

type ignored struct{}

func (ignored) Timing(int64) {}
func (ignored) Set(int64)    {}

// One lead of each batch is refused whoever it comes with.
func TestAPoisonLeadCostsItsNeighboursNothing(t *testing.T) {
	t.Parallel()
	sizes := []int{20, 2, 64}
	if testing.Short() {
		sizes = sizes[:1]
	}
	for _, size := range sizes {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, hold, false, quickRetry, fmt.Sprintf("max_calls_per_request: %d", size), fmt.Sprintf("batching: {count: %d, period: 1m}", size))
			const batches = 6 // all calls together fit on a page of the list
			leads := makeLeads(batches * size)
			poison := map[string]bool{}
			levels := 0 // log2 of the batch, rounded up
			for n := 1; n < size; n *= 2 {
				levels++
			}
			n := 0
			for batch := range slices.Chunk(leads, size) {
				bad := batch[n*(size-1)/(batches-1)] // from the first to the last place
				n++
				poison[bad] = true
				w.api.sim.Refuse(phoneOf(bad), http.StatusUnprocessableEntity)
				dials, lists := w.api.sim.RequestsOf("createOutboundCallsBatched"), w.api.sim.RequestsOf("listCalls")

				require.NoError(t, w.deliver(t.Context(), batch))

				dials, lists = w.api.sim.RequestsOf("createOutboundCallsBatched")-dials, w.api.sim.RequestsOf("listCalls")-lists
				assert.LessOrEqual(t, dials, 2*levels+1, "dials to isolate one of %d", size)
				if n > 1 { // the first refusal of all is looked up until settle has passed
					// The newest call, a page and the empty one after it.
					assert.LessOrEqual(t, lists, 3*levels, "lookups to isolate one of %d", size)
				}
			}
			calls := w.api.sim.CallsBy("metadata.lead_id")
			for _, lead := range leads {
				why := w.out.failureOf(lead)
				if poison[lead] {
					assert.Zero(t, calls[lead])
					if assert.Len(t, why, 1, "the refused lead fails once") {
						assert.True(t, strings.HasPrefix(why[0], "rejected: refused: "), why[0])
					}
					continue
				}
				assert.Equal(t, 1, calls[lead], lead)
				assert.Empty(t, why, lead)
			}
		})
	}
}
