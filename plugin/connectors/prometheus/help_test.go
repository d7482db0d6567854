package prometheus

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/words"
)

// metricMade finds names of metrics in source.
var metricMade = regexp.MustCompile(`\.(?:Get|New)(?:Counter|Gauge|Timer)(?:Vec)?\((?:fmt\.Sprintf\()?"(\w+(?:%v\w+)?)"`)

func TestEveryMetricOfBenthosIsExplained(t *testing.T) {
	t.Parallel()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/redpanda-data/benthos/v4").Output()
	require.NoError(t, err)
	source := os.DirFS(strings.TrimSpace(string(dir)))
	found := map[string]bool{}
	require.NoError(t, fs.WalkDir(source, ".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return err
		}
		text, err := fs.ReadFile(source, file)
		for _, match := range metricMade.FindAllSubmatch(text, -1) {
			if name, one := string(match[1]), strings.Contains(string(match[1]), "%v"); !one {
				found[name] = true
			} else {
				for _, tier := range []string{"1", "2", "3", "4", "5"} {
					found[strings.Replace(name, "%v", tier, 1)] = true
				}
			}
		}
		return err
	}))
	for name := range found {
		assert.Contains(t, ofBenthos, name)
	}
	for name, text := range ofBenthos {
		assert.True(t, found[name], "Benthos has no metric %s", name)
		assert.Regexp(t, `^[A-Z].*\.$`, text)
	}
}

func TestEveryMetricOfAConnectorIsExplained(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../*/*.go")
	require.NoError(t, err)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, match := range metricMade.FindAllSubmatch(text, -1) {
			assert.Contains(t, ofConnectors, string(match[1]), "help.go lacks a metric of %s", file)
		}
	}
}

func TestHelpOfOurMetricsIsTheTableOfWords(t *testing.T) {
	t.Parallel()
	e := made(t, "{}")
	for _, m := range words.Metrics {
		switch m.Kind {
		case words.Counter:
			e.NewCounterCtor(m.Name)().Incr(0)
		case words.Gauge:
			e.NewGaugeCtor(m.Name)().Set(0)
		case words.Timer:
			e.NewTimerCtor(m.Name)().Timing(0)
		}
	}
	e.NewCounterCtor("theirs")().Incr(0)
	text := scrape(t, e)
	for _, m := range words.Metrics {
		assert.Contains(t, text, "# HELP "+m.Name+" "+sentence(m.Meaning)+"\n")
	}
	assert.NotContains(t, text, "`")
	assert.Contains(t, text, "# HELP theirs A counter that this program has no description of.\n")
}
