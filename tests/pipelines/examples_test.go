package pipelines

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/tests/program"
)

var yamlBlock = regexp.MustCompile("(?s)```yaml\n(.*?)\n```")

// A reader copies an example and lints it before any key is at hand.
func TestExamplesOfTheDocumentationLintWithoutSecrets(t *testing.T) {
	dir, examples := t.TempDir(), 0
	for _, page := range append(configs(t, "README.md"), configs(t, "plugin/docs/*.md")...) {
		text, err := os.ReadFile(filepath.Join(program.Root, page))
		require.NoError(t, err)
		shown := string(text)
		if page != "README.md" { // before these is what the component looks like, and after them are single fields
			_, shown, _ = strings.Cut(shown, "\n## Examples\n")
			shown, _, _ = strings.Cut(shown, "\n## Fields\n")
		}
		for n, block := range yamlBlock.FindAllStringSubmatch(shown, -1) {
			name := fmt.Sprintf("%s-%d.yaml", strings.TrimSuffix(filepath.Base(page), ".md"), n)
			require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(block[1]), 0o600))
			examples++
		}
	}
	assert.GreaterOrEqual(t, examples, 15)
	out, err := program.Run(t, bare(), "lint", "--skip-env-var-check", filepath.Join(dir, "*.yaml"))
	require.NoError(t, err, out)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "mistake.yaml"), []byte("output: { happyrobot_dial: { api_key: ${KEY}, setle: 1s } }\n"), 0o600))
	out, err = program.Run(t, bare(), "lint", "--skip-env-var-check", filepath.Join(dir, "*.yaml"))
	require.Error(t, err, "they are read")
	assert.Contains(t, out, "setle")
}
