// Package metrics_test looks at metrics as Prometheus scrapes them from a program with
// the plugin and the connectors.
package metrics_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
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

	_ "github.com/benthos-happyrobot/benthos-happyrobot/plugin"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim/platform"
	_ "github.com/benthos-happyrobot/benthos-happyrobot/plugin/connectors/prometheus"
)

// idle is a pipeline with all components that have metrics, in which nothing happens.
const idle = `
cache_resources: [{label: kept, memory: {}}]
input:
  broker:
    inputs:
      - happyrobot_calls: {api_key: k, base_url: %[1]s, cache: kept, poll_interval: 1h}
      - happyrobot_runs: {api_key: k, base_url: %[2]s, workflows: [appointment-reminders], cache: kept, poll_interval: 1h}
      - happyrobot_webhook: {address: "127.0.0.1:0", secret: s}
pipeline:
  processors:
    - happyrobot_call: {api_key: k, base_url: %[1]s, call_id: a}
    - happyrobot_run: {api_key: k, base_url: %[2]s, run_id: a}
    - happyrobot_request: {api_key: k, base_url: %[1]s, operation: getUsage}
output:
  happyrobot_dial: {api_key: k, base_url: %[1]s}
`

// row is a metric of the page of words.
var row = regexp.MustCompile("(?m)^\\| `(happyrobot_\\w+)` \\| \\[`happyrobot.* \\| (counter|gauge|timer) \\| (?:`(\\w+)`(?:, `(\\w+)`)?)? \\| (.+) \\|$")

func TestAnIdlePipelineHasEverySeriesOfTheDocumentedMetrics(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../plugin/docs/words.md")
	require.NoError(t, err)
	sim, err := callsim.Listen("127.0.0.1:0", callsim.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, sim.Close()) })
	runs, err := platform.Listen("127.0.0.1:0", platform.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, runs.Close()) })
	url := start(t, fmt.Sprintf(idle, sim.URL, runs.URL))

	rows := row.FindAllStringSubmatch(string(page), -1)
	require.Len(t, rows, strings.Count(between(string(page), "## Metrics", "\n## "), "\n| `"), "each row is read")
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		text := scrape(c, url)
		for _, metric := range rows {
			name, kind, label, second, meaning := metric[1], metric[2], metric[3], metric[4], metric[5]
			if kind == "timer" || second != "" {
				continue // has no series before something happens
			}
			assert.Contains(c, strings.ToLower(text), strings.ToLower("# HELP "+name+" "+strings.ReplaceAll(meaning, "`", "")+".\n"))
			assert.Contains(c, text, "# TYPE "+name+" "+kind+"\n")
			assert.Equal(c, valuesOf(string(page), name, label, meaning), seriesOf(c, text, name, label), name)
		}
	}, 30*time.Second, 20*time.Millisecond)
}

func between(text, from, to string) string {
	_, text, _ = strings.Cut(text, from)
	text, _, _ = strings.Cut(text, to)
	return text
}

var (
	quoted  = regexp.MustCompile("`([a-z_]+)`")
	outcome = regexp.MustCompile("(?m)^\\| `(\\w+)` \\| \\[`(\\w+)`\\]")
	cause   = regexp.MustCompile("(?m)^\\| `(\\w+)` \\|")
)

// valuesOf are the values that the page gives a label of a metric, sorted.
func valuesOf(page, name, label, meaning string) (values []string) {
	switch label {
	case "":
		return []string{""}
	case "outcome":
		component := map[string]string{
			"happyrobot_dial_outcomes": "happyrobot_dial", "happyrobot_call_lookups": "happyrobot_call",
			"happyrobot_request_outcomes": "happyrobot_request", "happyrobot_calls_emitted": "happyrobot_calls",
			"happyrobot_run_lookups": "happyrobot_run", "happyrobot_runs_emitted": "happyrobot_runs",
		}[name]
		for _, match := range outcome.FindAllStringSubmatch(between(page, "## Outcomes", "\n## "), -1) {
			if match[2] == component {
				values = append(values, match[1])
			}
		}
	case "cause":
		for _, match := range cause.FindAllStringSubmatch(between(page, "## Causes", "\n## "), -1) {
			values = append(values, match[1])
		}
	default: // the meaning lists them
		for _, match := range quoted.FindAllStringSubmatch(meaning, -1) {
			if match[1] != "max_call_age" && match[1] != "max_run_age" {
				values = append(values, match[1])
			}
		}
	}
	slices.Sort(values)
	return slices.Compact(values)
}

// seriesOf are the values of a label in a scrape, sorted, without repetition. All are 0.
func seriesOf(c *assert.CollectT, text, name, label string) (values []string) {
	for _, match := range regexp.MustCompile(`(?m)^`+name+`\{(.*)\} (\S+)$`).FindAllStringSubmatch(text, -1) {
		value := ""
		if label != "" {
			found := regexp.MustCompile(label + `="(\w+)"`).FindStringSubmatch(match[1])
			if assert.NotNil(c, found, match[0]) {
				value = found[1]
			}
		}
		values = append(values, value)
		assert.Equal(c, "0", match[2], match[0])
	}
	slices.Sort(values)
	return slices.Compact(values)
}

// start runs a pipeline until the test ends, and gives the address of its metrics.
func start(t *testing.T, pipeline string) string {
	t.Helper()
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	b := service.NewEnvironment().NewStreamBuilder()
	b.SetHTTPMux(mux)
	require.NoError(t, b.SetYAML(pipeline))
	require.NoError(t, b.SetLoggerYAML("level: none"))
	require.NoError(t, b.SetMetricsYAML("prometheus: {}"))
	stream, err := b.Build()
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = stream.Run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-done })
	return server.URL + "/metrics"
}

func scrape(c *assert.CollectT, url string) string {
	response, err := http.Get(url)
	require.NoError(c, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(c, err)
	return string(text)
}
