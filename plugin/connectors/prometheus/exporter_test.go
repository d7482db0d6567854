package prometheus

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// made makes an exporter from YAML.
func made(t testing.TB, conf string) *exporter {
	t.Helper()
	parsed, err := spec().ParseYAML(conf, nil)
	require.NoError(t, err)
	c, err := configFromParsed(parsed)
	require.NoError(t, err)
	e, err := newExporter(c, service.MockResources().Logger())
	require.NoError(t, err)
	return e
}

func scrape(t *testing.T, e *exporter) string {
	t.Helper()
	response := httptest.NewRecorder()
	e.HandlerFunc()(response, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	require.Equal(t, http.StatusOK, response.Code, response.Body)
	return response.Body.String()
}

func TestValuesAndUnits(t *testing.T) {
	t.Parallel()
	for conf, took := range map[string]string{
		"{}":                           "took{label=\"a\",quantile=\"0.5\"} 2.5e+08\ntook{label=\"a\",quantile=\"0.9\"} 2.5e+08\ntook{label=\"a\",quantile=\"0.99\"} 2.5e+08\ntook_sum{label=\"a\"} 2.5e+08\ntook_count{label=\"a\"} 1\n",
		"{use_histogram_timing: true}": "took_sum{label=\"a\"} 0.25\ntook_count{label=\"a\"} 1\n",
	} {
		e := made(t, conf)
		c := e.NewCounterCtor("sent", "label")("a")
		c.Incr(2)
		c.(interface{ IncrFloat64(float64) }).IncrFloat64(0.5)
		c.Incr(-1)
		g := e.NewGaugeCtor("level")()
		g.Set(3)
		g.(interface{ SetFloat64(float64) }).SetFloat64(7.25)
		e.NewTimerCtor("took", "label")("a").Timing(250_000_000)
		text := scrape(t, e)
		assert.Contains(t, text, "\nsent{label=\"a\"} 2.5\n")
		assert.Contains(t, text, "\nlevel 7.25\n")
		assert.Contains(t, text, took)
	}
}

// The first use of a name wins; what conflicts is ignored, and neither panics nor breaks the scrape.
func TestConflictsAreIgnored(t *testing.T) {
	t.Parallel()
	for name, conflict := range map[string]func(e *exporter){
		"kind":                  func(e *exporter) { e.NewGaugeCtor("sent", "label")("a").Set(99) },
		"a timer":               func(e *exporter) { e.NewTimerCtor("sent", "label")("a").Timing(99) },
		"fewer labels":          func(e *exporter) { e.NewCounterCtor("sent")().Incr(99) },
		"more labels":           func(e *exporter) { e.NewCounterCtor("sent", "label", "path")("a", "99").Incr(99) },
		"other labels":          func(e *exporter) { e.NewCounterCtor("sent", "path")("99").Incr(99) },
		"series of a timer":     func(e *exporter) { e.NewCounterCtor("took_count")().Incr(99) },
		"timer of a series":     func(e *exporter) { e.NewTimerCtor("level")().Timing(99) },
		"metric of the process": func(e *exporter) { e.NewGaugeCtor("process_open_fds")().Set(-99) },
		"reserved label":        func(e *exporter) { e.NewTimerCtor("slow", "quantile")("99").Timing(99) },
		"label twice":           func(e *exporter) { e.NewCounterCtor("twice", "a", "a")("99", "99").Incr(99) },
		"empty name":            func(e *exporter) { e.NewCounterCtor("")().Incr(99) },
		"wrong number":          func(e *exporter) { e.NewCounterCtor("sent", "label")("a", "99").Incr(99) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := made(t, "{add_process_metrics: true}")
			e.NewCounterCtor("sent", "label")("a").Incr(1)
			e.NewTimerCtor("took")().Timing(1)
			e.NewGaugeCtor("level_sum")().Set(1)
			conflict(e)
			conflict(e)
			e.NewCounterCtor("sent", "label")("a").Incr(1)
			text := scrape(t, e)
			assert.Contains(t, text, "\nsent{label=\"a\"} 2\n")
			assert.NotContains(t, strings.ReplaceAll(text, "quantile=\"0.99\"", ""), "99\n")
			assert.Len(t, e.reported, 1, "told once")
		})
	}
}

func TestLabelValuesAreMadeText(t *testing.T) {
	t.Parallel()
	e := made(t, "{}")
	e.NewCounterCtor("sent", "label")("\xff!").Incr(1)
	e.NewGaugeCtor("level", "label")("\xff!").Set(1)
	e.NewTimerCtor("took", "label")("\xff!").Timing(1)
	text := scrape(t, e)
	for _, name := range []string{"sent", "level", "took_count"} {
		assert.Contains(t, text, "\n"+name+"{label=\"\uFFFD!\"} 1\n")
	}
}

func TestSeriesOfAStreamThatEndsAreRemoved(t *testing.T) {
	t.Parallel()
	e := made(t, "{}")
	for _, stream := range []string{"a", "b"} {
		e.NewCounterCtor("sent", "label", "path", "stream")("x", "y", stream).Incr(1)
		e.NewGaugeCtor("level", "stream")(stream).Set(1)
		e.NewTimerCtor("took", "stream")(stream).Timing(1)
	}
	e.DeleteSeriesPartialMatch(map[string]string{"stream": "a"})
	text := scrape(t, e)
	assert.NotContains(t, text, `stream="a"`)
	for _, name := range []string{"sent{label=\"x\",path=\"y\",", "level{", "took_count{"} {
		assert.Contains(t, text, "\n"+name+"stream=\"b\"} 1\n")
	}
	e.NewCounterCtor("sent", "label", "path", "stream")("x", "y", "a").Incr(5)
	assert.Contains(t, scrape(t, e), "\nsent{label=\"x\",path=\"y\",stream=\"a\"} 5\n", "a stream of that name starts again")
}

func TestAllMayUseAnExporterAtOnce(t *testing.T) {
	t.Parallel()
	e := made(t, "{}")
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 100 {
				e.NewCounterCtor("sent", "label")(fmt.Sprint(j % 7)).Incr(1)
				e.NewTimerCtor("took")().Timing(1)
				switch i {
				case 0:
					e.HandlerFunc()(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/metrics", nil))
				case 1:
					e.DeleteSeriesPartialMatch(map[string]string{"label": "none"})
				case 2:
					e.NewGaugeCtor("sent")().Set(1)
				}
			}
		})
	}
	all.Wait()
	assert.Contains(t, scrape(t, e), "\ntook_count 800\n")
}

func TestProcessAndGoMetricsAreThereWhenAsked(t *testing.T) {
	t.Parallel()
	assert.Empty(t, scrape(t, made(t, "{}")))
	assert.Contains(t, scrape(t, made(t, "{add_process_metrics: true}")), "\nprocess_open_fds ")
	assert.Contains(t, scrape(t, made(t, "{add_go_metrics: true}")), "\ngo_goroutines ")
}
