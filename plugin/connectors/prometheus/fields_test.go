package prometheus_test

import (
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	_ "github.com/benthos-happyrobot/benthos-happyrobot/plugin/connectors/prometheus"
)

// fields are those of Connect v4.105.0, by hand: path, type, default, secret. None is left out.
var fields = []struct {
	path, kind, value string
	secret            bool
}{
	{"use_histogram_timing", "bool", "false", false},
	{"histogram_buckets", "array", "[]", false},
	{"summary_quantiles_objectives", "array", `[{"error":0.05,"quantile":0.5},{"error":0.01,"quantile":0.9},{"error":0.001,"quantile":0.99}]`, false},
	{"summary_quantiles_objectives[].quantile", "float", "0", false},
	{"summary_quantiles_objectives[].error", "float", "0", false},
	{"add_process_metrics", "bool", "false", false},
	{"add_go_metrics", "bool", "false", false},
	{"push_url", "string", "", false},
	{"push_interval", "string", "", false},
	{"push_job_name", "string", `"benthos_push"`, false},
	{"push_basic_auth", "object", "", false},
	{"push_basic_auth.username", "string", `""`, false},
	{"push_basic_auth.password", "string", `""`, true},
	{"file_output_path", "string", `""`, false},
}

func TestFieldsAreThoseOfConnect(t *testing.T) {
	t.Parallel()
	view, found := service.GlobalEnvironment().GetMetricsConfig("prometheus")
	require.True(t, found)
	data, err := view.TemplateData()
	require.NoError(t, err)
	require.Len(t, data.Fields, len(fields))
	for i, want := range fields {
		have := data.Fields[i]
		assert.Equal(t, want.path, have.FullName)
		assert.Equal(t, want.kind, have.Type, want.path)
		assert.Equal(t, want.value, have.DefaultMarshalled, want.path)
		assert.Equal(t, want.secret, have.IsSecret, want.path)
		assert.NotEmpty(t, have.Description, want.path)
	}
}

func TestABadConfigNamesItsField(t *testing.T) {
	t.Parallel()
	for conf, field := range map[string]string{
		`{histogram_buckets: [1, 1]}`:                                            "histogram_buckets",
		`{histogram_buckets: [2, 1]}`:                                            "histogram_buckets",
		`{summary_quantiles_objectives: [{quantile: 90, error: 0.1}]}`:           "quantile",
		`{summary_quantiles_objectives: [{quantile: 0.9, error: -1}]}`:           "error",
		`{push_url: "http://u:hunter2@\u007f"}`:                                  "push_url",
		`{push_url: "http://gateway", push_job_name: ""}`:                        "push_job_name",
		`{push_url: "http://gateway", push_interval: soon}`:                      "push_interval",
		`{push_url: "http://gateway", push_interval: 0s}`:                        "push_interval",
		`{push_url: "http://gateway", push_job_name: "a", push_interval: "-1s"}`: "push_interval",
	} {
		err := start(t, conf)
		require.ErrorContains(t, err, field, conf)
		assert.NotContains(t, err.Error(), "hunter2")
	}
}

// start builds and runs a stream that ends at once, with a prometheus exporter.
func start(t *testing.T, conf string) error {
	t.Helper()
	b := service.NewEnvironment().NewStreamBuilder()
	require.NoError(t, b.SetLoggerYAML("level: none"))
	require.NoError(t, b.SetMetricsYAML("prometheus: "+conf))
	require.NoError(t, b.AddInputYAML(`generate: {count: 1, interval: "", mapping: 'root = "a"'}`))
	require.NoError(t, b.AddOutputYAML("drop: {}"))
	stream, err := b.Build()
	if err != nil {
		return err
	}
	return stream.Run(t.Context())
}
