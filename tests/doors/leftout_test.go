package doors

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/tests/program"
)

// leftOut are configs that use what the distribution does not have.
var leftOut = map[string]string{
	"command":           `pipeline: { processors: [ { command: { name: touch, args_mapping: 'root = [ "MARKER" ]' } } ] }`,
	"subprocess":        `pipeline: { processors: [ { subprocess: { name: touch, args: [ MARKER ] } } ] }`,
	"crash":             `pipeline: { processors: [ { crash: 'over' } ] }`,
	"subprocess input":  `input: { subprocess: { name: touch, args: [ MARKER ] } }`,
	"subprocess output": `output: { subprocess: { name: touch, args: [ MARKER ] } }`,
	"dynamic input":     `input: { dynamic: {} }`,
	"dynamic output":    `output: { dynamic: {} }`,
	"nested":            `output: { fallback: [ { switch: { cases: [ { output: { subprocess: { name: touch, args: [ MARKER ] } } } ] } } ] }`,
	"resource":          `processor_resources: [ { label: x, command: { name: touch, args_mapping: 'root = [ "MARKER" ]' } } ]`,
}

func TestTheDistributionRunsNoPrograms(t *testing.T) {
	for name, section := range leftOut {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			marker := filepath.Join(t.TempDir(), "a-program-ran")
			text := strings.ReplaceAll(section, "MARKER", marker) + "\n"
			for key, rest := range map[string]string{
				"input:":  "input: { generate: { count: 1, mapping: 'root = {}' } }\n",
				"output:": "output: { drop: {} }\n",
			} {
				if !strings.HasPrefix(text, key) {
					text += rest
				}
			}
			config := write(t, "config.yaml", text)
			component := strings.Fields(name)[0]
			commands := [][]string{{"lint", config}, {"run", "-s", "http.enabled=false", config}, {"run", "--chilled", "-s", "http.enabled=false", config}}
			if testing.Short() {
				commands = commands[:1]
			}
			for _, args := range commands {
				if component == "resource" && args[0] == "run" {
					continue // Benthos builds a resource when it is used first
				}
				out, err := program.Run(t, os.Environ(), args...)
				require.Error(t, err, args)
				if component != "nested" && component != "resource" {
					assert.Contains(t, out, component)
				}
			}
			assert.NoFileExists(t, marker)
		})
	}
}

func TestListsAndSchemasDoNotKnowWhatIsLeftOut(t *testing.T) {
	list := func(t *testing.T, args ...string) string {
		out, err := program.Run(t, os.Environ(), append([]string{"list"}, args...)...)
		require.NoError(t, err, out)
		return out
	}
	check := func(t *testing.T, names []string) {
		assert.Subset(t, names, []string{"happyrobot_dial", "http_client", "file", "mapping"})
		for _, name := range []string{"command", "subprocess", "dynamic", "crash"} {
			assert.NotContains(t, names, name)
		}
	}
	t.Run("list", func(t *testing.T) {
		var names []string
		for _, found := range regexp.MustCompile(`(?m)^\s*- (\S+)`).FindAllStringSubmatch(list(t), -1) {
			names = append(names, found[1])
		}
		check(t, names)
	})
	t.Run("JSON schema", func(t *testing.T) {
		var schema struct {
			Definitions map[string]struct {
				AllOf []struct {
					AnyOf []struct{ Properties map[string]any }
				}
			}
		}
		require.NoError(t, json.Unmarshal([]byte(list(t, "--format", "jsonschema")), &schema))
		var names []string
		for _, kind := range schema.Definitions {
			for _, all := range kind.AllOf {
				for _, component := range all.AnyOf {
					names = slices.AppendSeq(names, maps.Keys(component.Properties))
				}
			}
		}
		check(t, names)
	})
	t.Run("full", func(t *testing.T) {
		var full map[string]any
		require.NoError(t, json.Unmarshal([]byte(list(t, "--format", "json-full-scrubbed")), &full))
		var names []string
		for _, kind := range []string{"inputs", "processors", "outputs", "caches", "rate-limits", "buffers", "metrics", "tracers", "scanners"} {
			for _, component := range full[kind].([]any) {
				names = append(names, component.(map[string]any)["name"].(string))
			}
		}
		check(t, names)
	})
	for _, expression := range []string{"dynamic", "stdin/command", "stdin/subprocess", "stdin//dynamic"} {
		out, err := program.Run(t, os.Environ(), "create", expression)
		assert.Error(t, err, out)
	}
}

// A template is a config, too: one that becomes a left-out component is refused where
// it is used, and by template lint where it has a test.
func TestTemplatesCannotBringBackWhatIsLeftOut(t *testing.T) {
	marker := filepath.Join(t.TempDir(), "a-program-ran")
	template := write(t, "template.yaml", `
name: sneaky
type: processor
fields: []
mapping: 'root.command = { "name": "touch", "args_mapping": "root = [ \"`+marker+`\" ]" }'
tests: [ { name: it is built, config: {} } ]
`)
	config := write(t, "config.yaml", `
input: { generate: { count: 1, mapping: 'root = {}' } }
pipeline: { processors: [ { sneaky: {} } ] }
output: { drop: {} }
`)
	for _, args := range [][]string{
		{"run", "-s", "http.enabled=false", "-t", template, config},
		{"run", "--chilled", "-s", "http.enabled=false", "-t", template, config},
		{"-t", template, "run", "-s", "http.enabled=false", config},
		{"template", "lint", template},
	} {
		out, err := program.Run(t, os.Environ(), args...)
		require.Error(t, err, args)
		assert.Contains(t, out, "command", args)
	}
	assert.NoFileExists(t, marker)

	harmless := write(t, "harmless.yaml", `
name: harmless
type: processor
fields: []
mapping: 'root.log = { "message": "here" }'
tests: [ { name: it is built, config: {}, expected: { log: { message: here } } } ]
`)
	out, err := program.Run(t, os.Environ(), "template", "lint", harmless)
	assert.NoError(t, err, out)
}

func TestBloblIsThereWithoutItsServer(t *testing.T) {
	mapping, input := write(t, "mapping.blobl", `root.phone = this.phone.parse_phone_number("US").e164`), write(t, "input.jsonl", `{"phone":"(415) 555-0100"}`)
	out, err := program.Run(t, os.Environ(), "blobl", "-f", mapping, "-i", input)
	require.NoError(t, err, out)
	assert.JSONEq(t, `{"phone":"+14155550100"}`, out)

	out, err = program.Run(t, os.Environ(), "blobl", "-i", input, `root = `)
	require.Error(t, err)
	assert.Contains(t, out, "failed to parse mapping")

	for _, args := range [][]string{{"blobl", "server"}, {"blobl", "-t", "2", "server", "--no-open"}, {"studio", "pull"}, {"studio"}} {
		out, err := program.Run(t, os.Environ(), args...)
		require.Error(t, err, out)
		assert.Contains(t, out, "not part of this distribution")
	}
}

// The services for tests have no passwords.
func TestTheComposeFilePublishesOnLoopbackOnly(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(program.Root, "tests", "services", "compose.yaml"))
	require.NoError(t, err)
	published := regexp.MustCompile(`ports: \[ (.*) \]`).FindAllStringSubmatch(string(text), -1)
	assert.Len(t, published, strings.Count(string(text), "ports:"))
	for _, ports := range published {
		assert.Regexp(t, `^"127\.0\.0\.1:\d+:\d+"$`, ports[1])
	}
}

// A connector that starts programs would be another door. These packages are known:
// what they have of that kind is left out.
func TestNothingElseInTheDistributionStartsPrograms(t *testing.T) {
	program.Long(t, "it reads the source of every dependency")
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f",
		`{{if not .Standard}}{{.ImportPath}}|{{.Dir}}|{{join .Imports " "}}|{{join .GoFiles " "}}{{end}}`, "./cmd/benthos-happyrobot")
	list.Dir = program.Root
	out, err := list.Output()
	require.NoError(t, err)
	var starting []string
	packages := 0
	for line := range strings.Lines(string(out)) {
		parts := strings.Split(strings.TrimSpace(line), "|")
		if len(parts) != 4 {
			continue
		}
		packages++
		name, dir, imports, files := parts[0], parts[1], strings.Fields(parts[2]), strings.Fields(parts[3])
		if slices.Contains(imports, "os/exec") || slices.Contains(imports, "plugin") {
			starting = append(starting, name)
			continue
		}
		for _, file := range files {
			text, err := os.ReadFile(filepath.Join(dir, file))
			require.NoError(t, err)
			if startsProcess.Match(text) {
				starting = append(starting, name)
				break
			}
		}
	}
	assert.Greater(t, packages, 100, "otherwise nothing was looked at")
	assert.ElementsMatch(t, []string{
		"github.com/redpanda-data/benthos/v4/internal/impl/io",   // command, subprocess
		"github.com/redpanda-data/benthos/v4/internal/cli/blobl", // its server opens a browser
		"golang.org/x/sys/unix",                                  // unix.Exec itself: whoever calls it would be found
	}, starting)
}

// startsProcess finds what starts a program without os/exec.
var startsProcess = regexp.MustCompile(`\b(?:(?:syscall|unix|windows)\.(?:ForkExec|StartProcess|Exec|CreateProcess\w*)|os\.StartProcess)\b`)

func TestAProgramThatIsStartedWithoutOSExecIsFound(t *testing.T) {
	for text, found := range map[string]bool{
		"_, err := syscall.ForkExec(name, args, nil)": true, "os.StartProcess(name, args, attr)": true, "return unix.Exec(name, args, env)": true,
		"db.Exec(query)": false, "syscall.Kill(pid, 9)": false, "syscall.ExecuteLater()": false,
	} {
		assert.Equal(t, found, startsProcess.MatchString(text), text)
	}
}
