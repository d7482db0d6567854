package prometheus

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// Side by side: what a component does for each message, and the bare client.
func BenchmarkIncr(b *testing.B) {
	labels, values := []string{"label", "path", "outcome"}, []string{"dial", "root.output", "accepted"}
	b.Run("exporter", func(b *testing.B) {
		counters := made(b, "{}").NewCounterCtor("happyrobot_dial_outcomes", labels...)
		b.ReportAllocs()
		for b.Loop() {
			counters(values...).Incr(1)
		}
	})
	b.Run("bare", func(b *testing.B) {
		counters := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "happyrobot_dial_outcomes"}, labels)
		b.ReportAllocs()
		for b.Loop() {
			counters.WithLabelValues(values...).Inc()
		}
	})
}

// Connect's exporter allocates one object for an increment, its wrapper of the counter.
func TestAnIncrementAllocatesItsWrapperAlone(t *testing.T) {
	e := made(t, "{}")
	counters, values := e.NewCounterCtor("sent", "label", "path"), []string{"a", "b"}
	if n := testing.AllocsPerRun(1000, func() { counters(values...).Incr(1) }); n > 1 {
		t.Errorf("%v allocations", n)
	}
}
