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

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/words"
)

// TestDocsAreFresh compares plugin/docs with the components' specs. Run it with
// UPDATE_DOCS=1 to write them.
func TestDocsAreFresh(t *testing.T) {
	t.Parallel()
	env := service.NewEnvironment()
	pages := map[string][]byte{}
	sections := map[string]string{"happyrobot_dial": callMembersTable(t)} // between a page's prose and its fields
	for _, page := range componentPages(t, env) {
		data, err := page.view.TemplateData()
		require.NoError(t, err)
		pages[page.file] = componentPage(data, sections[data.Name])
	}
	bloblang.NewEnvironment().WalkMethods(func(name string, view *bloblang.MethodView) {
		if name == "parse_phone_number" || name == "parse_dial_error" {
			pages["bloblang_"+name+".md"] = methodPage(name, view.TemplateData())
		}
	})
	require.Len(t, pages, 10)
	pages["words.md"] = []byte(words.Page(wordsLink))

	for name, want := range pages {
		file := filepath.Join("docs", name)
		if os.Getenv("UPDATE_DOCS") != "" {
			require.NoError(t, os.MkdirAll("docs", 0o755))
			require.NoError(t, os.WriteFile(file, want, 0o644))
		}
		have, err := os.ReadFile(file)
		require.NoError(t, err, "write it with `make docs`")
		assert.Equal(t, string(want), string(have), "%s is stale: run `make docs`", file)
	}
	files, err := filepath.Glob("docs/*.md")
	require.NoError(t, err)
	assert.Len(t, files, len(pages), "a page documents nothing")
}

// wordsLink is the page of a component, from that of the words. Both dials give the same.
func wordsLink(component string) string {
	for _, kind := range []string{"output_", "processor_", "input_"} {
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
	if os.Getenv("UPDATE_DOCS") != "" {
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
	file string
	view *service.ConfigView
}

func componentPages(t *testing.T, env *service.Environment) (pages []documentedComponent) {
	t.Helper()
	component := func(kind, name string, get func(string) (*service.ConfigView, bool)) {
		view, ok := get(name)
		require.True(t, ok, name)
		pages = append(pages, documentedComponent{kind + "_" + name + ".md", view})
	}
	component("input", "happyrobot_webhook", env.GetInputConfig)
	component("output", "happyrobot_dial", env.GetOutputConfig)
	component("processor", "happyrobot_dial", env.GetProcessorConfig)
	component("processor", "happyrobot_call", env.GetProcessorConfig)
	component("processor", "happyrobot_request", env.GetProcessorConfig)
	component("input", "happyrobot_calls", env.GetInputConfig)
	component("cache", "bbolt", env.GetCacheConfig)
	component("scanner", "happyrobot_leads", env.GetScannerConfig)
	return pages
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

func componentPage(c service.TemplateDataPlugin, section string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# %s\n\nType: %s\n\n%s\n\n```yaml\n%s```\n", c.Name, c.Type, c.Summary, c.CommonConfigYAML)
	if d := strings.TrimSpace(c.Description); d != "" {
		fmt.Fprintf(&b, "\n%s\n", d)
	}
	for i, e := range c.Examples {
		if i == 0 {
			b.WriteString("\n## Examples\n")
		}
		fmt.Fprintf(&b, "\n### %s\n\n", e.Title)
		if e.Summary != "" {
			fmt.Fprintf(&b, "%s\n\n", e.Summary)
		}
		fmt.Fprintf(&b, "```yaml\n%s\n```\n", strings.TrimSpace(e.Config))
	}
	b.WriteString(section)
	b.WriteString("\n## Fields\n")
	for _, f := range c.Fields {
		fmt.Fprintf(&b, "\n### `%s`\n\n%s\n\nType: `%s`", f.FullName, f.Description, f.Type)
		if f.DefaultMarshalled != "" {
			fmt.Fprintf(&b, ", default `%s`", f.DefaultMarshalled)
		}
		if f.IsSecret {
			b.WriteString(", secret")
		}
		b.WriteString(".\n")
		for _, option := range f.AnnotatedOptions {
			fmt.Fprintf(&b, "\n- `%s`: %s", option[0], option[1])
		}
		if len(f.AnnotatedOptions) > 0 {
			b.WriteString("\n")
		}
		if len(f.ExamplesMarshalled) > 0 {
			fmt.Fprintf(&b, "\n```yaml\n%s\n```\n", strings.TrimSpace(strings.Join(f.ExamplesMarshalled, "\n")))
		}
	}
	return b.Bytes()
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
