package plugin_test

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
)

// gauges is a metrics exporter that remembers all values of gauges, by name and by
// their cause.
type gauges struct {
	mu  sync.Mutex
	set map[string][]int64
}

func (g *gauges) of(name string) []int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]int64(nil), g.set[name]...)
}

type gauge func(int64)

func (g gauge) Set(v int64) { g(v) }

type nothing struct{}

func (nothing) Incr(int64)   {}
func (nothing) Timing(int64) {}

func (g *gauges) NewCounterCtor(string, ...string) service.MetricsExporterCounterCtor {
	return func(...string) service.MetricsExporterCounter { return nothing{} }
}

func (g *gauges) NewTimerCtor(string, ...string) service.MetricsExporterTimerCtor {
	return func(...string) service.MetricsExporterTimer { return nothing{} }
}

func (g *gauges) NewGaugeCtor(name string, labels ...string) service.MetricsExporterGaugeCtor {
	return func(values ...string) service.MetricsExporterGauge {
		series := name
		for i, label := range labels {
			if label == "cause" {
				series += " " + values[i]
			}
		}
		return gauge(func(v int64) {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.set[series] = append(g.set[series], v)
		})
	}
}

func (g *gauges) Close(context.Context) error { return nil }

func TestEachCauseOfAPauseIsAMetricFromTheStart(t *testing.T) {
	t.Parallel()
	srv, seen := startSim(t, callsim.Options{}), &gauges{set: map[string][]int64{}}
	srv.Sim.Inject(callsim.Fault{Kind: callsim.Refuse, Status: http.StatusUnauthorized, Times: 2})
	env := service.NewEnvironment()
	require.NoError(t, env.RegisterMetricsExporter("gauges", service.NewConfigSpec(), func(*service.ParsedConfig, *service.Logger) (service.MetricsExporter, error) { return seen, nil }))
	b := env.NewStreamBuilder()
	require.NoError(t, b.SetLoggerYAML("level: none"))
	require.NoError(t, b.SetMetricsYAML("gauges: {}"))
	require.NoError(t, b.AddInputYAML(`generate: {count: 1, interval: "", mapping: 'root = {"id":"a","phone":"+12025550101"}'}`))
	require.NoError(t, b.AddOutputYAML("happyrobot_dial:\n  "+indent(2, dialYAML(srv.URL, "failures: {drop: {}}"))))
	stream, err := b.Build()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.NoError(t, stream.Run(ctx))

	for _, cause := range []string{"rate_limited", "unanswered", "claimed_elsewhere", "ledger", "receipts", "failures"} {
		assert.Equal(t, []int64{0}, seen.of("happyrobot_paused "+cause), cause)
	}
	assert.Equal(t, []int64{0, 1, 0}, seen.of("happyrobot_paused setup"))
	assert.Equal(t, []int64{0, 1, 0}, seen.of("happyrobot_dial_on_hold"), "the older name of it")
}
