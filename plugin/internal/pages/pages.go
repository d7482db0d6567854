// Package pages makes the page of a component from its spec, and holds the pages of
// plugin/docs to what they are made of. Only tests import it: those of plugin and of
// plugin/connectors, which must not know each other.
package pages

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Updating says whether pages are to be written, with UPDATE_DOCS=1.
func Updating() bool { return os.Getenv("UPDATE_DOCS") != "" }

// AreFresh compares pages, by the name of their file, with those of a folder, or writes them.
func AreFresh(t *testing.T, folder string, pages map[string][]byte) {
	t.Helper()
	for name, want := range pages {
		file := filepath.Join(folder, name)
		if Updating() {
			require.NoError(t, os.WriteFile(file, want, 0o644)) //nolint:gosec // to be read by everybody
		}
		have, err := os.ReadFile(file)
		require.NoError(t, err, "write it with `make docs`")
		assert.Equal(t, string(want), string(have), "%s is stale: run `make docs`", file)
	}
}

// xref is a link to a page of Benthos' site, in descriptions of its own fields: our pages
// are no AsciiDoc, and it has none beside them.
var xref = regexp.MustCompile(`xref:[^\[\s]+\[([^\]]+)\]`)

// Component is the page of a component: its spec with the prose of its description, and
// a section between prose and fields.
func Component(t *testing.T, view *service.ConfigView, section string) []byte {
	t.Helper()
	c, err := view.TemplateData()
	require.NoError(t, err)
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
		writeField(&b, f)
	}
	return b.Bytes()
}

func writeField(b *bytes.Buffer, f service.TemplateDataPluginField) {
	fmt.Fprintf(b, "\n### `%s`\n\n%s\n\nType: `%s`", f.FullName, xref.ReplaceAllString(f.Description, "$1"), f.Type)
	if f.DefaultMarshalled != "" {
		fmt.Fprintf(b, ", default `%s`", f.DefaultMarshalled)
	}
	if f.IsSecret {
		b.WriteString(", secret")
	}
	b.WriteString(".\n")
	for _, option := range f.AnnotatedOptions {
		fmt.Fprintf(b, "\n- `%s`: %s", option[0], option[1])
	}
	if len(f.AnnotatedOptions) > 0 {
		b.WriteString("\n")
	}
	if len(f.ExamplesMarshalled) > 0 {
		fmt.Fprintf(b, "\n```yaml\n%s\n```\n", strings.TrimSpace(strings.Join(f.ExamplesMarshalled, "\n")))
	}
}
