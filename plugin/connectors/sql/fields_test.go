package sql_test

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// connectsFields are those of sql_raw in Connect v4.105.0: path, type, kind, default
// ("-" for none), and who has it (p: the processor, o: the output).
const connectsFields = `
driver string scalar - po
dsn string scalar - po
query string scalar - po
unsafe_dynamic_query bool scalar false po
args_mapping string scalar - po
exec_only bool scalar - p
queries object array - po
queries[].query string scalar - po
queries[].args_mapping string scalar - po
queries[].exec_only bool scalar - p
queries[].when string scalar - o
max_in_flight int scalar 64 o
init_files string array - po
init_statement string scalar - po
conn_max_idle_time string scalar - po
conn_max_life_time string scalar - po
conn_max_idle int scalar 2 po
conn_max_open int scalar - po
batching object  - o
batching.count int scalar 0 o
batching.byte_size int scalar 0 o
batching.period string scalar "" o
batching.check string scalar "" o
batching.processors processor array - o
`

// driversLeftOut are the drivers of Connect that are not here.
var driversLeftOut = []string{"mysql", "clickhouse", "mssql", "sqlite", "oracle", "snowflake", "trino", "gocosmos", "spanner", "databricks"}

const cacheFields = `
dsn string scalar -
table string scalar -
key_column string scalar "key"
value_column string scalar "value"
expires_column string scalar "expires_at"
default_ttl string scalar ""
sweep_interval string scalar "1m"
conn_max_open int scalar 10
`

type field struct {
	Name        string          `json:"name"`
	Type        string          `json:"type"`
	Kind        string          `json:"kind"`
	Description string          `json:"description"`
	Default     json.RawMessage `json:"default"`
	Children    []field         `json:"children"`
}

func fieldsOf(t *testing.T, view *service.ConfigView) (fields []string) {
	t.Helper()
	spec, err := view.FormatJSON()
	require.NoError(t, err)
	var component struct {
		Config field `json:"config"`
	}
	require.NoError(t, json.Unmarshal(spec, &component))
	var walk func(prefix string, f field)
	walk = func(prefix string, f field) {
		for _, child := range f.Children {
			byDefault := "-"
			if child.Default != nil && string(child.Default) != "{}" {
				byDefault = string(child.Default)
			}
			path := prefix + child.Name
			assert.NotEmpty(t, child.Description, path)
			fields = append(fields, strings.Join([]string{path, child.Type, child.Kind, byDefault}, " "))
			if child.Kind == "array" {
				path += "[]"
			}
			walk(path+".", child)
		}
	}
	walk("", component.Config)
	return fields
}

func lines(text string) []string { return strings.Split(strings.TrimSpace(text), "\n") }

func connects(of string) (fields []string) {
	for _, line := range lines(connectsFields) {
		at := strings.LastIndexByte(line, ' ')
		if strings.Contains(line[at:], of) {
			fields = append(fields, line[:at])
		}
	}
	return fields
}

func TestFieldsAreThoseOfConnect(t *testing.T) {
	env := service.GlobalEnvironment()
	env.WalkProcessors(func(name string, view *service.ConfigView) {
		if name == "sql_raw" {
			assert.ElementsMatch(t, connects("p"), fieldsOf(t, view))
		}
	})
	env.WalkOutputs(func(name string, view *service.ConfigView) {
		if name == "sql_raw" {
			assert.ElementsMatch(t, connects("o"), fieldsOf(t, view))
		}
	})
	env.WalkCaches(func(name string, view *service.ConfigView) {
		if name == "postgres" {
			assert.ElementsMatch(t, lines(cacheFields), fieldsOf(t, view))
		}
	})
}

func TestThePagesListWhatIsLeftOut(t *testing.T) {
	for _, page := range []string{"processor_sql_raw.md", "output_sql_raw.md"} {
		prose, err := os.ReadFile(page)
		require.NoError(t, err)
		_, rest, ok := strings.Cut(string(prose), "## What it lacks compared with Connect\n")
		require.True(t, ok, page)
		section, _, _ := strings.Cut(rest, "\n## ")
		listed := regexp.MustCompile("(?m)^- Drivers: (.*)$").FindStringSubmatch(section)
		require.NotNil(t, listed, page)
		var drivers []string
		for _, name := range regexp.MustCompile("`([a-z]+)`").FindAllStringSubmatch(listed[1], -1) {
			drivers = append(drivers, name[1])
		}
		assert.ElementsMatch(t, driversLeftOut, drivers, page)
	}
}

func TestWhatCannotWorkIsRefusedByTheLinter(t *testing.T) {
	for name, c := range map[string]struct{ kind, yaml, want string }{
		"a processor":       {"p", "driver: postgres\ndsn: postgres://db\nquery: SELECT 1", ""},
		"the other name":    {"p", "driver: pgx\ndsn: postgres://db\nquery: SELECT 1", ""},
		"another driver":    {"p", "driver: mysql\ndsn: x\nquery: SELECT 1", "driver mysql is not in this program; build with Connect, see https://github.com/benthos-happyrobot/benthos-happyrobot#build-with-connect"},
		"no query":          {"p", "driver: postgres\ndsn: postgres://db", "either `query` or `queries` is required"},
		"an output":         {"o", "driver: postgres\ndsn: postgres://db\nqueries:\n  - query: SELECT 1", ""},
		"another's output":  {"o", "driver: clickhouse\ndsn: x\nquery: SELECT 1", "driver clickhouse is not in this program; build with Connect, see https://github.com/benthos-happyrobot/benthos-happyrobot#build-with-connect"},
		"no query either":   {"o", "driver: postgres\ndsn: postgres://db", "either `query` or `queries` is required"},
		"when, and else":    {"o", "driver: postgres\ndsn: postgres://db\nqueries:\n  - { query: SELECT 1, when: root = true }\n  - query: SELECT 2", ""},
		"else before when":  {"o", "driver: postgres\ndsn: postgres://db\nqueries:\n  - query: SELECT 2\n  - { query: SELECT 1, when: root = true }", "it must be the last one"},
		"a field not there": {"o", "driver: postgres\ndsn: postgres://db\nquery: SELECT 1\nset_suffix: x", "field set_suffix not recognised"},
		"a cache":           {"c", "dsn: postgres://db\ntable: t", ""},
		"no table":          {"c", "dsn: postgres://db\ntable: ''", "`table` must name a table"},
		"no column":         {"c", "dsn: postgres://db\ntable: t\nkey_column: ''", "`key_column` must name a column"},
		"no time to live":   {"c", "dsn: postgres://db\ntable: t\ndefault_ttl: 0s", "must be longer than zero"},
		"no connections":    {"c", "dsn: postgres://db\ntable: t\nconn_max_open: 0", "must be at least 1"},
	} {
		builder := service.NewStreamBuilder()
		var err error
		indented := func(by string) string { return strings.ReplaceAll("\n"+c.yaml, "\n", "\n"+by) }
		switch c.kind {
		case "p":
			err = builder.AddProcessorYAML("sql_raw:" + indented("  "))
		case "o":
			err = builder.AddOutputYAML("sql_raw:" + indented("  "))
		default:
			err = builder.AddCacheYAML("label: c\npostgres:" + indented("  "))
		}
		if c.want == "" {
			require.NoError(t, err, name)
			continue
		}
		require.ErrorContains(t, err, c.want, name)
	}
}

func TestWhatTheLinterDoesNotSeeIsRefusedAtTheStart(t *testing.T) {
	for yaml, want := range map[string]string{
		"driver: mysql\ndsn: x\nquery: SELECT 1":                            "driver mysql is not in this program; build with Connect, see https://github.com/benthos-happyrobot/benthos-happyrobot#build-with-connect",
		"driver: postgres\ndsn: 'postgres://u:sesame@h:p'\nquery: SELECT 1": "field dsn: ",
		"driver: postgres\ndsn: postgres://db":                              "either field query or field queries is required",
	} {
		builder := service.NewStreamBuilder()
		builder.DisableLinting()
		require.NoError(t, builder.AddProcessorYAML("sql_raw:"+strings.ReplaceAll("\n"+yaml, "\n", "\n  ")))
		_, err := builder.AddProducerFunc()
		require.NoError(t, err)
		require.NoError(t, builder.AddOutputYAML("drop: {}"))
		stream, err := builder.Build()
		if err == nil {
			err = stream.Run(t.Context())
		}
		require.ErrorContains(t, err, want)
		assert.NotContains(t, err.Error(), "sesame")
	}
}
