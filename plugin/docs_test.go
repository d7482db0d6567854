package plugin_test

import (
	"bytes"
	"fmt"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/redpanda-data/benthos/v4/public/bloblang"
	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pages"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/words"
)

// TestDocsAreFresh compares plugin/docs with the components' specs. Run it with
// UPDATE_DOCS=1 to write them.
func TestDocsAreFresh(t *testing.T) {
	t.Parallel()
	env := service.NewEnvironment()
	made := map[string][]byte{}
	sections := map[string]string{"happyrobot_dial": callMembersTable(t)} // between a page's prose and its fields
	for _, page := range componentPages(t, env) {
		made[page.file] = pages.Component(t, page.view, sections[page.name])
	}
	bloblang.NewEnvironment().WalkMethods(func(name string, view *bloblang.MethodView) {
		if name == "parse_phone_number" || name == "parse_dial_error" {
			made["bloblang_"+name+".md"] = methodPage(name, view.TemplateData())
		}
	})
	require.Len(t, made, 14)
	made["words.md"] = []byte(words.Page(wordsLink))

	pages.AreFresh(t, "docs", made)

	proseOfConnectors, err := filepath.Glob("connectors/*/*.md") // their pages are made in connectors/docs_test.go
	require.NoError(t, err)
	for _, file := range proseOfConnectors {
		made[filepath.Base(file)] = nil
	}
	files, err := filepath.Glob("docs/*.md")
	require.NoError(t, err)
	for _, file := range files {
		assert.Contains(t, made, filepath.Base(file), "%s documents nothing", file)
	}
}

// wordsLink is the page of a component, from that of the words. Both dials give the same.
func wordsLink(component string) string {
	for _, kind := range []string{"output_", "processor_", "input_", "cache_"} {
		if _, err := os.Stat(filepath.Join("docs", kind+component+".md")); err == nil {
			return kind + component + ".md"
		}
	}
	return component
}

func TestDocsAreFreshInTheReadme(t *testing.T) {
	t.Parallel()
	const file = "../README.md"
	readme, err := os.ReadFile(file)
	require.NoError(t, err)
	begin := bytes.Index(readme, []byte("| Outcome | When | Then |\n"))
	require.GreaterOrEqual(t, begin, 0)
	length := bytes.Index(readme[begin:], []byte("\n\n"))
	require.Positive(t, length)
	want := words.OutcomesOf("happyrobot_dial")
	if pages.Updating() {
		readme = slices.Concat(readme[:begin], []byte(want), readme[begin+length:])
		require.NoError(t, os.WriteFile(file, readme, 0o644))
		return
	}
	assert.Equal(t, want, string(readme[begin:begin+length]), "README.md is stale: run `make docs`")
}

// Words that no page explains are a mistake.
func TestEveryPageExplainsTheWordsOfItsComponent(t *testing.T) {
	t.Parallel()
	for page, component := range map[string]string{
		"output_happyrobot_dial": "happyrobot_dial", "processor_happyrobot_dial": "happyrobot_dial",
		"output_happyrobot_workflow": "happyrobot_workflow", "processor_happyrobot_workflow": "happyrobot_workflow",
		"processor_happyrobot_call": "happyrobot_call", "processor_happyrobot_request": "happyrobot_request",
		"input_happyrobot_calls": "happyrobot_calls", "input_happyrobot_webhook": "happyrobot_webhook",
	} {
		text, err := os.ReadFile(filepath.Join("docs", page+".md"))
		require.NoError(t, err)
		for kind, table := range map[string]string{
			"outcomes": words.OutcomesOf(component), "reasons": words.ReasonsOf(component),
			"metadata": words.MetadataOf(component), "metrics": words.MetricsOf(component),
		} {
			assert.Contains(t, string(text), table, "%s.md lacks {{%s %s}}", page, kind, component)
		}
	}
}

// Prose that no description uses is a mistake, too.
func TestEveryProseIsOnAPage(t *testing.T) {
	t.Parallel()
	written, err := filepath.Glob("docs/src/*.md")
	require.NoError(t, err)
	used := map[string]bool{}
	eachLiteral(t, func(_, text string, _ token.Position) { used[text] = true })
	for _, file := range written {
		assert.True(t, used[strings.TrimSuffix(filepath.Base(file), ".md")], "%s is on no page", file)
	}
}

// documentedComponent is a component of this module, and the file of its page.
type documentedComponent struct {
	file, name string
	view       *service.ConfigView
}

func componentPages(t *testing.T, env *service.Environment) (all []documentedComponent) {
	t.Helper()
	component := func(kind, name string, get func(string) (*service.ConfigView, bool)) {
		view, ok := get(name)
		require.True(t, ok, name)
		all = append(all, documentedComponent{kind + "_" + name + ".md", name, view})
	}
	component("input", "happyrobot_webhook", env.GetInputConfig)
	component("output", "happyrobot_dial", env.GetOutputConfig)
	component("processor", "happyrobot_dial", env.GetProcessorConfig)
	component("output", "happyrobot_workflow", env.GetOutputConfig)
	component("processor", "happyrobot_workflow", env.GetProcessorConfig)
	component("processor", "happyrobot_call", env.GetProcessorConfig)
	component("processor", "happyrobot_request", env.GetProcessorConfig)
	component("input", "happyrobot_calls", env.GetInputConfig)
	component("processor", "happyrobot_run", env.GetProcessorConfig)
	component("input", "happyrobot_runs", env.GetInputConfig)
	component("cache", "bbolt", env.GetCacheConfig)
	component("scanner", "happyrobot_leads", env.GetScannerConfig)
	return all
}

// The list above is complete: whatever this package registers, by its name.
func TestEveryComponentHasAPage(t *testing.T) {
	t.Parallel()
	env := service.NewEnvironment()
	documented := map[string]bool{}
	for _, page := range componentPages(t, env) {
		documented[strings.TrimSuffix(page.file, ".md")] = true
	}
	registered := 0
	check := func(kind string) func(string, *service.ConfigView) {
		return func(name string, _ *service.ConfigView) {
			if strings.HasPrefix(name, "happyrobot_") || name == "bbolt" {
				registered++
				assert.True(t, documented[kind+"_"+name], "componentPages lacks the %s %s", kind, name)
			}
		}
	}
	env.WalkInputs(check("input"))
	env.WalkOutputs(check("output"))
	env.WalkProcessors(check("processor"))
	env.WalkCaches(check("cache"))
	env.WalkScanners(check("scanner"))
	assert.Len(t, documented, registered)
}

func methodPage(name string, m bloblang.TemplateMethodData) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# %s\n\nA Bloblang method.\n\n%s\n", name, m.Description)
	for _, p := range m.Params.Definitions {
		fmt.Fprintf(&b, "\n- `%s`: %s\n", p.Name, p.Description)
	}
	for _, e := range m.Examples {
		fmt.Fprintf(&b, "\n%s\n\n```coffee\n%s\n", e.Summary, e.Mapping)
		for _, r := range e.Results {
			fmt.Fprintf(&b, "\n# In:  %s\n# Out: %s\n", r[0], r[1])
		}
		b.WriteString("```\n")
	}
	return b.Bytes()
}
