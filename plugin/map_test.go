package plugin_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Lines of the map in doc.go begin with a file or a package, and may name other files.
var (
	mapLine = regexp.MustCompile(`(?m)^//\t([a-z]\S*) +`)
	goFile  = regexp.MustCompile(`[a-z_]+\*?\.go`)
	aPlace  = regexp.MustCompile("`((?:plugin|tests|cmd|config|resources)/[\\w./-]*)`")
	aTest   = regexp.MustCompile("`(Test\\w+)`")
)

func TestTheFileMapIsTrue(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("doc.go")
	require.NoError(t, err)
	named := map[string]bool{"doc.go": true}
	places := goFile.FindAllString(string(doc), -1)
	for _, line := range mapLine.FindAllStringSubmatch(string(doc), -1) {
		places = append(places, line[1])
	}
	for _, place := range places {
		if place == "import" {
			continue
		}
		found, err := filepath.Glob(place)
		require.NoError(t, err)
		if len(found) == 0 && slices.Contains(later, "plugin/"+place) {
			continue
		}
		assert.NotEmpty(t, found, "doc.go names %s, which is not there", place)
		for _, name := range found {
			named[name] = true
		}
	}
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, file := range files {
		if !strings.HasSuffix(file, "_test.go") {
			assert.True(t, named[file], "doc.go does not name %s", file)
		}
	}
	ours, _ := listPackages(t)
	for name := range ours {
		if name != "." {
			assert.True(t, named[name], "doc.go does not name %s", name)
		}
	}
}

func TestTheFileMapsOfPackagesAreTrue(t *testing.T) {
	t.Parallel()
	for _, folder := range []string{"internal/dialer", "internal/callfeed"} {
		doc, err := os.ReadFile(filepath.Join(folder, "doc.go"))
		require.NoError(t, err)
		named := append(goFile.FindAllString(string(doc), -1), "doc.go")
		var there []string
		files, err := filepath.Glob(filepath.Join(folder, "*.go"))
		require.NoError(t, err)
		for _, file := range files {
			if !strings.HasSuffix(file, "_test.go") {
				there = append(there, filepath.Base(file))
			}
		}
		slices.Sort(named)
		assert.Equal(t, there, slices.Compact(named), folder)
	}
}

// later are places that CONTRIBUTING.md or doc.go name before they are there.
var later = []string{
	"plugin/internal/guard", "plugin/guards.go",
}

func TestWhatContributingNamesIsThere(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../CONTRIBUTING.md")
	require.NoError(t, err)
	for _, match := range aPlace.FindAllStringSubmatch(string(text), -1) {
		place := match[1]
		if slices.ContainsFunc(later, func(l string) bool { return strings.HasPrefix(place, l) }) {
			continue
		}
		_, err := os.Stat(filepath.Join("..", place))
		require.NoError(t, err, "CONTRIBUTING.md names it")
	}
	tests := aTest.FindAllStringSubmatch(string(text), -1)
	require.NotEmpty(t, tests)
	exists := testsOf(t)
	for _, match := range tests {
		assert.True(t, exists[match[1]], "CONTRIBUTING.md names %s, which is no test", match[1])
	}
}

// testsOf are the names of all tests of the module.
func testsOf(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	head := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	err := fs.WalkDir(os.DirFS(".."), ".", func(file string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(file, "_test.go") {
			return err
		}
		text, err := os.ReadFile(filepath.Join("..", file))
		for _, match := range head.FindAllStringSubmatch(string(text), -1) {
			found[match[1]] = true
		}
		return err
	})
	require.NoError(t, err)
	return found
}
