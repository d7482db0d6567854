package doors

import (
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/tests/program"
)

const howToBuild = "not in this program; build with Connect, see https://github.com/benthos-happyrobot/benthos-happyrobot#build-with-connect"

// absent are sections of a config, one line each, that name what a build with Connect has.
var absent = map[string]string{
	"input aws_s3":      `input: { aws_s3: { bucket: b } }`,
	"output mongodb":    `output: { mongodb: { url: u } }`,
	"processor msgpack": `pipeline: { processors: [ { msgpack: { operator: to_json } } ] }`,
	"cache memcached":   `cache_resources: [ { label: c, memcached: { addresses: [ a ] } } ]`,
	"buffer sqlite":     `buffer: { sqlite: { path: p } }`,
	"metrics statsd":    `metrics: { statsd: { address: a } }`,
	"tracer jaeger":     `tracer: { jaeger: { agent_address: a } }`,
	"scanner avro":      `input: { file: { paths: [ leads.avro ], scanner: { avro: {} } } }`,
	"output questdb":    `output: { fallback: [ { drop: {} }, { questdb: {} } ] }`, // within another, and without fields
	"processor command": `pipeline: { processors: [ { try: [ { command: { name: date } } ] } ] }`,
}

// absentConfig is a config whose second line is the section.
func absentConfig(t *testing.T, section string) string {
	var text strings.Builder
	text.WriteString("# This does not lint.\n" + section + "\n")
	for line := range strings.Lines(endless + `
pipeline: { processors: [ { noop: {} } ] }
tests: [ { name: it is linted first, target_processors: /pipeline/processors, input_batch: [ { content: '{}' } ] } ]
`) {
		if kind, _, _ := strings.Cut(line, ":"); !strings.HasPrefix(section, kind+":") {
			text.WriteString(line)
		}
	}
	return write(t, "config.yaml", text.String())
}

func TestAComponentOfConnectIsExplained(t *testing.T) {
	for name, section := range absent {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config, kind := absentConfig(t, section), strings.Fields(name)[0]
			out, err := program.Run(t, os.Environ(), "lint", config)
			require.Error(t, err)
			assert.Contains(t, out, "config.yaml(2,")
			assert.Contains(t, out, name+": "+howToBuild)
			if testing.Short() {
				return
			}
			commands := [][]string{{"run", config}, {"-c", config}, {"test", config}, {"run", "--chilled", "-s", "http.enabled=false", config}}
			switch kind {
			case "cache":
				// Benthos builds a resource when it is used first: chilled, this one runs.
				commands = append(commands[:3], []string{"streams", "-s", "http.enabled=false", "-r", config})
			case "metrics", "tracer":
				commands = append(commands, []string{"streams", "-s", "http.enabled=false", "-o", config})
			default:
				commands = append(commands, []string{"streams", "-s", "http.enabled=false", config})
			}
			for _, args := range commands {
				out, err := program.Run(t, os.Environ(), args...)
				require.Error(t, err, args)
				assert.Contains(t, out, name+": "+howToBuild, args)
			}
		})
	}
}

func TestTheRESTAPIExplainsAComponentOfConnect(t *testing.T) {
	program.Long(t, "it starts a process")
	address := freeAddress(t)
	process := program.Start(t, os.Environ(), "streams", "--api", "-o", write(t, "http.yaml", basicAuth("")), "-s", "http.address="+address)
	waitUntilItAnswers(t, process, address, "/streams")
	status, body := request{http.MethodPost, "/streams/absent", absent["input aws_s3"] + "\noutput: { drop: {} }\n"}.send(t, address, password)
	assert.Equal(t, http.StatusBadRequest, status)
	assert.Contains(t, body, "input aws_s3: "+howToBuild)
	status, body = request{http.MethodPost, "/resources/cache/absent", "memcached: { addresses: [ a ] }\n"}.send(t, address, password)
	assert.Equal(t, http.StatusBadRequest, status)
	assert.Contains(t, body, "cache memcached: "+howToBuild)
}

// A hint says what this program has instead.
func TestWhatHasASuccessorIsNamedWithIt(t *testing.T) {
	for section, hint := range map[string]string{
		`cache_resources: [ { label: c, sql: {} } ]`:         " (PostgreSQL as a cache is postgres, which reads the same table)",
		`input: { kafka_franz: { topics: [ leads ] } }`:      " (Kafka is read by the input redpanda)",
		`output: { sql_insert: { driver: postgres } }`:       " (PostgreSQL is written by sql_raw)",
		`input: { nats: { urls: [ u ], subject: leads } }`:   "",
		`pipeline: { processors: [ { redis_script: {} } ] }`: "",
	} {
		out, err := program.Run(t, os.Environ(), "lint", absentConfig(t, section))
		require.Error(t, err, section)
		assert.Contains(t, out, howToBuild+hint)
	}
}

// A name that nobody knows is a typing error, and stays Benthos' to explain.
func TestAnUnknownNameIsNotExplained(t *testing.T) {
	out, err := program.Run(t, os.Environ(), "lint", absentConfig(t, `input: { kafka_frantz: {} }`))
	require.Error(t, err)
	assert.Contains(t, out, "kafka_frantz")
	assert.NotContains(t, out, "not in this program")
}

// What is explained exists nowhere else: no list, no schema, no example; and a template
// of that name is itself.
func TestWhatIsAbsentIsInNoList(t *testing.T) {
	text, err := os.ReadFile(program.Root + "/cmd/benthos-happyrobot/absent.txt")
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	assert.True(t, slices.IsSorted(lines))
	var there []string
	list, err := program.Run(t, os.Environ(), "list")
	require.NoError(t, err, list)
	kind := ""
	for line := range strings.Lines(list) {
		line = strings.TrimSpace(line)
		if name, isName := strings.CutPrefix(line, "- "); isName {
			there = append(there, kind+" "+name)
		} else {
			kind = map[string]string{
				"Inputs:": "input", "Outputs:": "output", "Processors:": "processor", "Caches:": "cache", "Buffers:": "buffer",
				"Metrics:": "metrics", "Tracers:": "tracer", "Scanners:": "scanner",
			}[line]
		}
	}
	assert.Contains(t, there, "input generate")
	for _, line := range lines {
		words := strings.Fields(line)
		assert.False(t, slices.Contains(there, words[0]+" "+words[1]), "%s is there", line)
	}
	for _, args := range [][]string{{"list", "--format", "jsonschema"}, {"list", "--format", "json-full"}, {"list", "--format", "cue"}, {"echo", write(t, "config.yaml", endless)}} {
		out, err := program.Run(t, os.Environ(), args...)
		require.NoError(t, err, args)
		assert.False(t, regexp.MustCompile(`"couchbase"|\bcouchbase:`).MatchString(out), args)
	}
	out, err := program.Run(t, os.Environ(), "create", "aws_s3")
	require.Error(t, err, out)

	template := write(t, "template.yaml", "name: msgpack\ntype: processor\nfields: []\nmapping: 'root.log = { \"message\": \"here\" }'\n")
	out, err = program.Run(t, os.Environ(), "lint", "-t", template, absentConfig(t, `pipeline: { processors: [ { msgpack: {} } ] }`))
	assert.NoError(t, err, out)
}
