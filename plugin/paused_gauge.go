package plugin

import (
	"strings"
	"sync"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/dialer"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/words"
)

// pausedGauge shows what a component waits for, by cause, as the metric happyrobot_paused.
type pausedGauge struct {
	paused *service.MetricGauge
	onHold *service.MetricGauge // its older name, for the API's causes; nil for none
	series *pausedSeries

	// Both belong to the lock of the series.
	own    map[string]int // of the waits in the series, those of this component
	closed bool
}

// pausedSeries counts the waits of all components with the same series: copies of an
// output, and the threads of a pipeline.
type pausedSeries struct {
	mu      sync.Mutex
	waiting map[string]int // by cause
}

// pausedSeriesKey is what the labels of the series are made of.
type pausedSeriesKey struct{ stream, label, path string }

// newPausedGauge makes the metric with all causes of a component from the start, so that
// an alert on it can tell "not paused" from "not there".
func newPausedGauge(res *service.Resources, component string) *pausedGauge {
	key := pausedSeriesKey{res.StreamID(), res.Label(), strings.Join(res.Path(), ".")}
	shared, _ := res.GetOrSetGeneric(key, &pausedSeries{waiting: map[string]int{}})
	g := &pausedGauge{
		paused: res.Metrics().NewGauge(words.MetricPaused, "cause"),
		series: shared.(*pausedSeries), own: map[string]int{},
	}
	g.series.mu.Lock()
	defer g.series.mu.Unlock()
	for _, cause := range words.CauseNames(component) {
		g.show(cause)
	}
	return g
}

// showOnHold shows the API's causes under the older name, too.
func (g *pausedGauge) showOnHold(onHold *service.MetricGauge) {
	g.series.mu.Lock()
	defer g.series.mu.Unlock()
	g.onHold = onHold
	g.holds()
}

// counts is for a notice of a cause. Several may be of one.
func (g *pausedGauge) counts(cause string) func(inTrouble bool) {
	waits := g.wait()
	return func(inTrouble bool) {
		if inTrouble {
			waits(cause)
		} else {
			waits("")
		}
	}
}

// wait is one of those who may wait: it takes the cause, which may change, and "" when
// the wait is over.
func (g *pausedGauge) wait() func(cause string) {
	var now string
	return func(cause string) {
		g.series.mu.Lock()
		defer g.series.mu.Unlock()
		if cause == now || g.closed {
			return
		}
		if now != "" {
			g.count(now, -1)
		}
		if cause != "" {
			g.count(cause, 1)
		}
		now = cause
	}
}

// count changes how many wait for a cause. The lock of the series is held.
func (g *pausedGauge) count(cause string, more int) {
	g.own[cause] += more
	g.series.waiting[cause] += more
	g.show(cause)
	if g.onHold != nil {
		g.holds()
	}
}

// show sets the metric of a cause. The lock of the series is held.
func (g *pausedGauge) show(cause string) {
	g.paused.Set(int64(min(g.series.waiting[cause], 1)), cause)
}

// holds sets the older metric. The lock of the series is held.
func (g *pausedGauge) holds() {
	waiting := g.series.waiting
	api := waiting[words.CauseSetup] + waiting[words.CauseRateLimited] + waiting[words.CauseUnanswered]
	g.onHold.Set(int64(min(api, 1)))
}

// close ends all waits of the component: it stops, and waits for nothing any more.
func (g *pausedGauge) close() {
	g.series.mu.Lock()
	defer g.series.mu.Unlock()
	g.closed = true
	for cause, waits := range g.own {
		if waits > 0 {
			g.count(cause, -waits)
		}
	}
}

// causeOf is what is waited for when a request failed so.
func causeOf(err error) string { return string(dialer.CauseOf(happyrobot.ClassOf(err))) }
