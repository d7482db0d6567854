// Package connectors_test tests what holds for every connector.
package connectors_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pages"
	// Here the import of every connector, each on a line.
	_ "github.com/benthos-happyrobot/benthos-happyrobot/plugin/connectors/kafka"
	_ "github.com/benthos-happyrobot/benthos-happyrobot/plugin/connectors/prometheus"
	_ "github.com/benthos-happyrobot/benthos-happyrobot/plugin/connectors/redis"
	_ "github.com/benthos-happyrobot/benthos-happyrobot/plugin/connectors/sql"
)

const docs = "../docs"

// registered are all components there are, by the name of their page: nothing but
// connectors is linked here.
func registered() map[string]*service.ConfigView {
	found := map[string]*service.ConfigView{}
	add := func(kind string) func(string, *service.ConfigView) {
		return func(name string, view *service.ConfigView) { found[kind+"_"+name+".md"] = view }
	}
	env := service.NewEnvironment()
	env.WalkInputs(add("input"))
	env.WalkOutputs(add("output"))
	env.WalkProcessors(add("processor"))
	env.WalkCaches(add("cache"))
	env.WalkRateLimits(add("rate_limit"))
	env.WalkBuffers(add("buffer"))
	env.WalkScanners(add("scanner"))
	env.WalkMetrics(add("metrics"))
	env.WalkTracers(add("tracer"))
	return found
}

// prose are the files of all connectors' prose. plugin's test takes a page for a
// connector's when its prose is there.
func prose(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("*/*.md")
	require.NoError(t, err)
	return files
}

func TestDocsAreFresh(t *testing.T) {
	t.Parallel()
	made := map[string][]byte{}
	for name, view := range registered() {
		made[name] = pages.Component(t, view, "")
	}
	require.NotEmpty(t, made)
	pages.AreFresh(t, docs, made)
}

func TestEveryComponentOfAConnectorHasAPage(t *testing.T) {
	t.Parallel()
	written := map[string]bool{}
	for _, file := range prose(t) {
		written[filepath.Base(file)] = true
	}
	for name := range registered() {
		assert.True(t, written[name], "no connector has the prose %s", name)
		assert.FileExists(t, filepath.Join(docs, name), "run `make docs`")
	}
}

func TestEveryProseOfAConnectorIsOnAPage(t *testing.T) {
	t.Parallel()
	for _, file := range prose(t) {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		page, err := os.ReadFile(filepath.Join(docs, filepath.Base(file)))
		require.NoError(t, err, "%s is of no component", file)
		assert.Contains(t, string(page), strings.TrimSpace(string(text)), "%s is not on its page: is it embedded in Description?", file)
	}
}

// Otherwise nothing here would hold for it.
func TestEveryConnectorIsLinked(t *testing.T) {
	t.Parallel()
	this, err := os.ReadFile("docs_test.go")
	require.NoError(t, err)
	folders, err := filepath.Glob("*/*.go")
	require.NoError(t, err)
	require.NotEmpty(t, folders)
	for _, file := range folders {
		assert.Contains(t, string(this), `/plugin/connectors/`+filepath.Dir(file)+`"`, "import it in docs_test.go")
	}
}
