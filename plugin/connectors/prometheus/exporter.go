package prometheus

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/redpanda-data/benthos/v4/public/service"
)

// exporter keeps the metrics of all components in one registry.
type exporter struct {
	conf     config
	log      *service.Logger
	registry *prometheus.Registry
	handler  http.Handler
	pusher   *pusher // nil without push_url

	mu       sync.Mutex
	families map[string]family // by name
	exposed  map[string]string // the names of all series, and the metric that they are of
	reported map[string]bool   // conflicts

	closing sync.Once
	closed  error
}

// family is all that has one name.
type family struct {
	vec    vec
	labels []string
}

// vec is what the vectors of all kinds can do.
type vec interface {
	prometheus.Collector
	DeletePartialMatch(labels prometheus.Labels) int
}

func newExporter(c config, log *service.Logger) (*exporter, error) {
	e := &exporter{
		conf: c, log: log, registry: prometheus.NewRegistry(),
		families: map[string]family{}, exposed: map[string]string{}, reported: map[string]bool{},
	}
	if c.processMetrics {
		if err := e.registry.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})); err != nil {
			return nil, fmt.Errorf("%s: %w", mpFieldAddProcessMetrics, err)
		}
	}
	if c.goMetrics {
		if err := e.registry.Register(collectors.NewGoCollector()); err != nil {
			return nil, fmt.Errorf("%s: %w", mpFieldAddGoMetrics, err)
		}
	}
	e.handler = promhttp.HandlerFor(e.registry, promhttp.HandlerOpts{})
	if c.pushURL != "" {
		e.pusher = startPusher(c, e.registry, log)
	}
	return e, nil
}

// HandlerFunc is what Benthos serves at /metrics and /stats.
func (e *exporter) HandlerFunc() http.HandlerFunc { return e.handler.ServeHTTP }

// NewCounterCtor gives the counters of a name.
func (e *exporter) NewCounterCtor(name string, labels ...string) service.MetricsExporterCounterCtor {
	counters, err := familyOf(e, name, labels, []string{name}, func() *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help("counter", name)}, labels)
	})
	if err != nil {
		return func(...string) service.MetricsExporterCounter { return ignored{} }
	}
	return func(values ...string) service.MetricsExporterCounter {
		c, err := counters.GetMetricWithLabelValues(values...)
		if err != nil {
			if c, err = counters.GetMetricWithLabelValues(valid(values)...); err != nil {
				e.report(name, err)
				return ignored{}
			}
		}
		return counter{c}
	}
}

// NewGaugeCtor gives the gauges of a name.
func (e *exporter) NewGaugeCtor(name string, labels ...string) service.MetricsExporterGaugeCtor {
	gauges, err := familyOf(e, name, labels, []string{name}, func() *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help("gauge", name)}, labels)
	})
	if err != nil {
		return func(...string) service.MetricsExporterGauge { return ignored{} }
	}
	return func(values ...string) service.MetricsExporterGauge {
		g, err := gauges.GetMetricWithLabelValues(values...)
		if err != nil {
			if g, err = gauges.GetMetricWithLabelValues(valid(values)...); err != nil {
				e.report(name, err)
				return ignored{}
			}
		}
		return gauge{g}
	}
}

// NewTimerCtor gives the timers of a name: histograms in seconds, or summaries in nanoseconds.
func (e *exporter) NewTimerCtor(name string, labels ...string) service.MetricsExporterTimerCtor {
	var timers prometheus.ObserverVec
	var err error
	unit := 1.0
	if e.conf.histograms {
		unit = 1e9
		timers, err = familyOf(e, name, labels, []string{name, name + "_bucket", name + "_sum", name + "_count"}, func() *prometheus.HistogramVec {
			return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help("timer", name), Buckets: e.conf.buckets}, labels)
		})
	} else {
		timers, err = familyOf(e, name, labels, []string{name, name + "_sum", name + "_count"}, func() *prometheus.SummaryVec {
			return prometheus.NewSummaryVec(prometheus.SummaryOpts{Name: name, Help: help("timer", name), Objectives: e.conf.quantiles}, labels)
		})
	}
	if err != nil {
		return func(...string) service.MetricsExporterTimer { return ignored{} }
	}
	return func(values ...string) service.MetricsExporterTimer {
		o, err := timers.GetMetricWithLabelValues(values...)
		if err != nil {
			if o, err = timers.GetMetricWithLabelValues(valid(values)...); err != nil {
				e.report(name, err)
				return ignored{}
			}
		}
		return timer{o, unit}
	}
}

// familyOf gives what has a name, and makes it at first use. A name has one kind and one
// set of labels: Prometheus takes no other, and a scrape with both would fail altogether.
func familyOf[V vec](e *exporter, name string, labels, series []string, create func() V) (V, error) {
	e.mu.Lock()
	v, err := familyLocked(e, name, labels, series, create)
	e.mu.Unlock()
	if err != nil {
		e.report(name, err)
	}
	return v, err
}

func familyLocked[V vec](e *exporter, name string, labels, series []string, create func() V) (v V, err error) {
	if known, found := e.families[name]; found {
		v, same := known.vec.(V)
		switch {
		case !same:
			return v, errors.New("another component uses the name for another kind of metric")
		case !slices.Equal(known.labels, labels):
			return v, fmt.Errorf("another component uses the name with the labels [%s], not [%s]", strings.Join(known.labels, ", "), strings.Join(labels, ", "))
		}
		return v, nil
	}
	for _, s := range series {
		if of, taken := e.exposed[s]; taken {
			return v, fmt.Errorf("its series %s is one of the metric %s already", s, of)
		}
	}
	for _, reserved := range []string{"le", "quantile"} {
		if len(series) > 1 && slices.Contains(labels, reserved) {
			return v, fmt.Errorf("a timer cannot have the label %s", reserved)
		}
	}
	v = create()
	if err := e.registry.Register(v); err != nil {
		return v, err
	}
	e.families[name] = family{v, slices.Clone(labels)}
	for _, s := range series {
		e.exposed[s] = name
	}
	return v, nil
}

// report logs once why a metric is ignored.
func (e *exporter) report(name string, why error) {
	text := name + ": " + why.Error()
	e.mu.Lock()
	known := e.reported[text]
	e.reported[text] = true
	e.mu.Unlock()
	if !known {
		e.log.Errorf("Metric ignored: %s", text)
	}
}

// valid makes text of label values: Prometheus takes no other.
func valid(values []string) []string {
	texts := make([]string, len(values))
	for i, value := range values {
		texts[i] = strings.ToValidUTF8(value, "\uFFFD")
	}
	return texts
}

// DeleteSeriesPartialMatch removes the series of a stream that has ended.
func (e *exporter) DeleteSeriesPartialMatch(labels map[string]string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, f := range e.families {
		f.vec.DeletePartialMatch(labels)
	}
}

type counter struct{ c prometheus.Counter }

func (c counter) Incr(n int64) { c.IncrFloat64(float64(n)) }

// IncrFloat64 ignores what is no increment, which would panic or spoil the series for good.
func (c counter) IncrFloat64(n float64) {
	if n >= 0 {
		c.c.Add(n)
	}
}

type gauge struct{ g prometheus.Gauge }

func (g gauge) Set(v int64) { g.g.Set(float64(v)) }

func (g gauge) SetFloat64(v float64) { g.g.Set(v) }

type timer struct {
	o    prometheus.Observer
	unit float64 // in nanoseconds
}

func (t timer) Timing(ns int64) { t.o.Observe(float64(ns) / t.unit) }

// ignored stands for a metric that cannot be.
type ignored struct{}

func (ignored) Incr(int64)          {}
func (ignored) IncrFloat64(float64) {}
func (ignored) Set(int64)           {}
func (ignored) SetFloat64(float64)  {}
func (ignored) Timing(int64)        {}
