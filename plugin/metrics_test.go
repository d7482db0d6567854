package plugin_test

import (
	"context"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/words"
)

// series is a metrics exporter that remembers the last value of counters and gauges, by
// name and, in brackets, the values of labels that the component gives.
type series struct {
	mu     sync.Mutex
	values map[string]int64
}

type value struct {
	of   *series
	name string
}

func (v value) Incr(n int64) {
	v.of.mu.Lock()
	defer v.of.mu.Unlock()
	v.of.values[v.name] += n
}

func (v value) Set(n int64) {
	v.of.mu.Lock()
	defer v.of.mu.Unlock()
	v.of.values[v.name] = n
}

func (s *series) value(name string, labels, values []string) value {
	for i, label := range labels {
		if label != "label" && label != "path" {
			name += "[" + values[i] + "]"
		}
	}
	return value{s, name}
}

func (s *series) NewCounterCtor(name string, labels ...string) service.MetricsExporterCounterCtor {
	return func(values ...string) service.MetricsExporterCounter { return s.value(name, labels, values) }
}

func (s *series) NewTimerCtor(string, ...string) service.MetricsExporterTimerCtor {
	return func(...string) service.MetricsExporterTimer { return nothing{} }
}

func (s *series) NewGaugeCtor(name string, labels ...string) service.MetricsExporterGaugeCtor {
	return func(values ...string) service.MetricsExporterGauge { return s.value(name, labels, values) }
}

func (s *series) Close(context.Context) error { return nil }

func (s *series) all() map[string]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	copied := map[string]int64{}
	for name, value := range s.values {
		if strings.HasPrefix(name, "happyrobot_") {
			copied[name] = value
		}
	}
	return copied
}

// openLabels are metrics with a label whose values nobody can list.
var openLabels = map[string]string{words.MetricRequests: "status is whatever the API answers"}

// idleSeries are the series that a component has before anything happens, by the words.
func idleSeries(component string) map[string]int64 {
	labels := map[string]func(words.Metric) []string{
		"outcome": func(words.Metric) []string { return words.OutcomeNames(component) },
		"cause":   func(words.Metric) []string { return words.CauseNames(component) },
		"reason":  func(words.Metric) []string { return []string{"deleted", "expired"} },
		"result": func(m words.Metric) (results []string) { // its meaning lists them
			for _, result := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(m.Meaning, -1) {
				results = append(results, result[1])
			}
			return results
		},
	}
	want := map[string]int64{}
	for _, m := range words.Metrics {
		if m.Kind == words.Timer || openLabels[m.Name] != "" || !strings.Contains(" "+strings.Join(m.Components, " ")+" ", " "+component+" ") {
			continue
		}
		if len(m.Labels) == 0 {
			want[m.Name] = 0
			continue
		}
		for _, value := range labels[m.Labels[0]](m) {
			want[m.Name+"["+value+"]"] = 0
		}
	}
	return want
}

func TestSeriesOfAnIdleComponentAreThereAtZero(t *testing.T) {
	t.Parallel()
	srv := startSim(t, callsim.Options{})
	api := "api_key: test-key\nbase_url: " + srv.URL + "\n"
	const never = "generate: {interval: 1h, mapping: 'root = deleted()'}"
	for name, test := range map[string]struct{ component, input, processor, output string }{
		"dial, output":    {component: "happyrobot_dial", output: "happyrobot_dial:\n  " + indent(2, dialYAML(srv.URL))},
		"dial, processor": {component: "happyrobot_dial", processor: "happyrobot_dial:\n  " + indent(2, dialYAML(srv.URL))},
		"call":            {component: "happyrobot_call", processor: "happyrobot_call:\n  " + indent(2, api+"call_id: a")},
		"request":         {component: "happyrobot_request", processor: "happyrobot_request:\n  " + indent(2, api+"operation: getUsage")},
		"calls":           {component: "happyrobot_calls", input: "happyrobot_calls:\n  " + indent(2, api+"cache: kept\npoll_interval: 1h")},
		"webhook":         {component: "happyrobot_webhook", input: "happyrobot_webhook: {address: '127.0.0.1:0', secret: s3cret}"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seen := &series{values: map[string]int64{}}
			env := service.NewEnvironment()
			require.NoError(t, env.RegisterMetricsExporter("series", service.NewConfigSpec(), func(*service.ParsedConfig, *service.Logger) (service.MetricsExporter, error) { return seen, nil }))
			b := env.NewStreamBuilder()
			require.NoError(t, b.SetLoggerYAML("level: none"))
			require.NoError(t, b.SetMetricsYAML("series: {}"))
			require.NoError(t, b.AddCacheYAML("label: kept\nmemory: {}"))
			require.NoError(t, b.AddInputYAML(orElse(test.input, never)))
			if test.processor != "" {
				require.NoError(t, b.AddProcessorYAML(test.processor))
			}
			require.NoError(t, b.AddOutputYAML(orElse(test.output, "drop: {}")))
			stream, err := b.Build()
			require.NoError(t, err)
			done := make(chan error, 1)
			go func() { done <- stream.Run(context.Background()) }()
			want := idleSeries(test.component)
			require.NotEmpty(t, want)
			require.EventuallyWithT(t, func(c *assert.CollectT) {
				have := seen.all()
				for name := range have {
					if strings.HasPrefix(name, words.MetricRequests+"[") {
						delete(have, name)
					}
				}
				assert.Equal(c, want, have)
			}, 30*time.Second, 10*time.Millisecond)
			require.NoError(t, stream.StopWithin(time.Minute))
			<-done
		})
	}
}

func orElse(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
