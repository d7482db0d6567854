package prometheus_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	_ "github.com/redpanda-data/benthos/v4/public/components/io"
	_ "github.com/redpanda-data/benthos/v4/public/components/pure"
)

// pipeline has components of every kind that has metrics, labelled and not, and metrics of the config.
const pipeline = `
rate_limit_resources:
  - label: limit
    local: {count: 100000, interval: 1s}
cache_resources:
  - label: kept
    memory: {}
input:
  label: leads
  generate: {interval: 5ms, mapping: 'root = {"id": counter(), "topic": "a"}'}
buffer: {memory: {}}
pipeline:
  threads: 1
  processors:
    - label: limited
      rate_limit: {resource: limit}
    - cache: {resource: kept, operator: add, key: '${! json("id") % 3 }', value: v}
    - cache: {resource: kept, operator: get, key: '${! json("id") % 5 }'}
    - catch: [{mapping: root = this}]
    - metric: {type: counter, name: my.dotted-name, labels: {topic: 'a', also: 'b'}}
    - metric: {type: counter_by, name: halves, value: 0.5}
    - metric: {type: gauge, name: level, value: '7.5'}
    - metric: {type: timing, name: took, value: 1000000}
output:
  label: sink
  switch:
    cases:
      - check: this.id % 4 == 0
        output: {fallback: [{reject: no}, {drop: {}}]}
      - output:
          broker:
            outputs: [{drop: {}}, {label: second, drop: {}}]
            batching: {count: 2, period: 10ms}
`

// modes are configs of the exporter, each with its recorded table.
var modes = map[string]string{
	"summary":   "{}",
	"histogram": "{use_histogram_timing: true, histogram_buckets: [0.001, 0.1]}",
	"quantiles": "{summary_quantiles_objectives: [{quantile: 0.75, error: 0.01}]}",
}

// TestSeriesAreThoseOfConnect compares names, kinds and labels with those that the program
// gave when it had Connect's exporter. OLD_PROGRAM=<such a program> records them again.
func TestSeriesAreThoseOfConnect(t *testing.T) {
	t.Parallel()
	for mode, conf := range modes {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join("testdata", "series_"+mode+".txt")
			if program := os.Getenv("OLD_PROGRAM"); program != "" {
				require.NoError(t, os.WriteFile(file, []byte(strings.Join(seriesOf(t, runOld(t, program, conf)), "\n")+"\n"), 0o644))
			}
			recorded, err := os.ReadFile(file)
			require.NoError(t, err)
			want := strings.Split(strings.TrimSpace(string(recorded)), "\n")
			url := run(t, conf)
			require.EventuallyWithT(t, func(c *assert.CollectT) {
				text, err := get(url)
				assert.NoError(c, err)
				assert.Equal(c, want, seriesIn(text))
			}, 30*time.Second, 20*time.Millisecond)
		})
	}
}

// run starts the pipeline, and gives the address of its metrics.
func run(t *testing.T, conf string) string {
	t.Helper()
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	b := service.NewEnvironment().NewStreamBuilder()
	b.SetHTTPMux(mux)
	require.NoError(t, b.SetYAML(pipeline))
	require.NoError(t, b.SetLoggerYAML("level: none"))
	require.NoError(t, b.SetMetricsYAML("prometheus: "+conf))
	stream, err := b.Build()
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = stream.Run(t.Context())
	}()
	t.Cleanup(func() { <-done }) // its context has ended
	return server.URL + "/metrics"
}

func runOld(t *testing.T, program, conf string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "pipeline.yaml")
	address := httptest.NewServer(nil) // for a free port
	address.Close()
	host := strings.TrimPrefix(address.URL, "http://")
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, "http: {address: %s}\nmetrics: {prometheus: %s}\n%s", host, conf, pipeline), 0o600))
	c := exec.CommandContext(t.Context(), program, "run", file)
	require.NoError(t, c.Start())
	t.Cleanup(func() { _ = c.Wait() })
	return address.URL + "/metrics"
}

func get(url string) (string, error) {
	response, err := http.Get(url)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d: %s", response.StatusCode, text)
	}
	return string(text), err
}

// seriesOf scrapes until three scrapes in a row, a moment apart, show the same series.
func seriesOf(t *testing.T, url string) (found []string) {
	t.Helper()
	same := 0
	require.Eventually(t, func() bool {
		text, err := get(url)
		now := seriesIn(text)
		if err == nil && len(now) > 0 && slices.Equal(now, found) {
			same++
		} else {
			same, found = 0, now
		}
		return same == 3
	}, time.Minute, 500*time.Millisecond)
	return found
}

var sample = regexp.MustCompile(`^(\w+(?:\{.*\})?) \S+$`)

// seriesIn are the kinds of metrics and the series of a scrape, without values, sorted.
func seriesIn(text string) (found []string) {
	for line := range bytes.Lines([]byte(text)) {
		line := strings.TrimSpace(string(line))
		if rest, isType := strings.CutPrefix(line, "# TYPE "); isType {
			found = append(found, "TYPE "+rest)
		} else if match := sample.FindStringSubmatch(line); match != nil {
			found = append(found, match[1])
		}
	}
	slices.Sort(found)
	return found
}
