package plugin_test

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	module  = "github.com/benthos-happyrobot/benthos-happyrobot/"
	benthos = "github.com/redpanda-data/benthos/v4/"
)

// arrows are the packages of this module that a package may import, by their names
// below plugin. A package that is not listed here may import none.
var arrows = map[string][]string{
	".": {
		"happyrobot", "happyrobot/platform", "internal/boltfile", "internal/callfeed", "internal/dialer", "internal/guard", "internal/ledger",
		"internal/pause", "internal/phone", "internal/starter", "internal/store", "internal/webhook", "internal/words",
	},
	"command":           {".", "happyrobot", "internal/dialer", "internal/guard", "internal/ledger", "internal/phone", "internal/words"},
	"internal/dialer":   {"happyrobot", "internal/ledger", "internal/pause", "internal/words"},
	"internal/starter":  {"happyrobot", "happyrobot/platform", "internal/dialer", "internal/pause", "internal/words"},
	"internal/callfeed": {"happyrobot", "happyrobot/platform", "internal/pause", "internal/words"},
	"internal/guard":    {"internal/dialer", "internal/phone", "internal/store", "internal/words"},
	"internal/webhook":  {"happyrobot", "internal/pause", "internal/store"},
	"internal/boltfile": {"internal/pause", "internal/store"},
	"internal/ledger":   {"internal/pause", "internal/store"},
	"internal/phone":    {"internal/words"},
	"happyrobot":        {"internal/pause"},
	"happyrobot/*":      {"happyrobot"},
	"callsim":           {"callsim/internal/rig"},
	"callsim/platform":  {"callsim/internal/rig"},
	"connectors/*":      {"internal/pause", "internal/store", "internal/words"},
}

// arrowsOf are the arrows of a package. Connectors have the same: none to plugin, and none to each other.
func arrowsOf(name string) []string {
	if strings.HasPrefix(name, "happyrobot/") {
		return arrows["happyrobot/*"]
	}
	if strings.HasPrefix(name, "connectors/") {
		return arrows["connectors/*"]
	}
	return arrows[name]
}

// knowsBenthos says whether a package may use its types.
func knowsBenthos(name string) bool {
	return name == "." || name == "command" || name == "internal/pages" || strings.HasPrefix(name, "connectors/")
}

// linkConnectors are the folders of this module outside plugin of which programs and tests
// may import a connector.
var linkConnectors = []string{"cmd/", "tests/"}

// externalMost is how many packages of other modules a package may need, tests aside.
var externalMost = map[string]int{"internal/dialer": 20}

// listed is a package as `go list` prints it.
type listed struct {
	ImportPath string
	Standard   bool
	Imports    []string
	Deps       []string
}

// listPackages lists the packages of plugin by their names below it, and all that they need.
func listPackages(t *testing.T) (ours map[string]listed, standard map[string]bool) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=ImportPath,Standard,Imports,Deps", "./...").Output()
	require.NoError(t, err)
	ours, standard = map[string]listed{}, map[string]bool{}
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return ours, standard
		} else {
			require.NoError(t, err)
		}
		standard[p.ImportPath] = p.Standard
		if name, isOurs := ofPlugin(p.ImportPath); isOurs {
			ours[name] = p
		}
	}
}

// ofPlugin is the name of a package below plugin.
func ofPlugin(importPath string) (name string, ok bool) {
	if importPath == module+"plugin" {
		return ".", true
	}
	return strings.CutPrefix(importPath, module+"plugin/")
}

func TestImportsPointOneWay(t *testing.T) {
	t.Parallel()
	ours, standard := listPackages(t)
	for name, p := range ours {
		for _, path := range p.Imports {
			if imported, isOurs := ofPlugin(path); isOurs {
				assert.Contains(t, arrowsOf(name), imported, "%s must not import %s", name, imported)
			} else {
				assert.False(t, strings.HasPrefix(path, module), "%s must not import %s", name, path)
			}
		}
		external, ofBenthos := 0, ""
		for _, path := range p.Deps {
			if strings.HasPrefix(path, benthos) {
				ofBenthos = path
			}
			if !standard[path] && !strings.HasPrefix(path, module) {
				external++
			}
		}
		if !knowsBenthos(name) {
			assert.Empty(t, ofBenthos, "%s must know nothing of Benthos, also not through what it imports", name)
		}
		if most, bounded := externalMost[name]; bounded {
			assert.LessOrEqual(t, external, most, "packages of other modules that %s needs", name)
		}
	}
	for name := range externalMost {
		assert.Contains(t, ours, name)
	}
}

// Tests of plugin do not import connectors, either: they would test another set of components.
func TestOnlyProgramsAndTestsLinkConnectors(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-test", "-json=ImportPath,ForTest,Imports", "../...").Output()
	require.NoError(t, err)
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			ImportPath, ForTest string
			Imports             []string
		}
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return
		} else {
			require.NoError(t, err)
		}
		who := strings.TrimPrefix(p.ImportPath, module)
		for _, path := range p.Imports {
			connector, found := strings.CutPrefix(path, module+"plugin/connectors/")
			if !found {
				continue
			}
			connector, _, _ = strings.Cut(connector, " ")         // of a test's variant: "sql [... .test]"
			allowed := p.ForTest == module+"plugin/connectors" || // the tests of all of them
				p.ForTest == module+"plugin/connectors/"+connector ||
				strings.HasSuffix(p.ImportPath, ".test") || // what go test makes
				slices.ContainsFunc(linkConnectors, func(folder string) bool { return strings.HasPrefix(who, folder) })
			assert.True(t, allowed, "%s must not import the connector %s", p.ImportPath, connector)
		}
	}
}

// above are pairs of files of this package of which the first knows nothing of the others.
var above = map[string][]string{
	"message.go":     {"dial.go", "dial_calls.go", "output_dial.go", "processor_dial.go", "child_output.go"},
	"mapping.go":     {"message.go", "dial.go", "output_dial.go", "processor_dial.go", "processor_call.go", "processor_request.go"},
	"ledger_open.go": {"dial.go", "cache_bbolt.go"},
	"cache.go":       {"dial.go", "ledger_open.go", "cursor.go"},
	"batcherror.go":  {"output_dial.go"},
	"cache_bbolt.go": {"dial.go", "ledger_open.go"},
	"cursor.go":      {"input_calls.go"},
	// What the components are made of.
	"call_lookup.go":   {"processor_call.go"},
	"call_parts.go":    {"call_lookup.go", "processor_call.go", "input_calls.go"},
	"request_args.go":  {"processor_request.go"},
	"event_message.go": {"input_webhook.go"},
	// What the mapping of messages is made of.
	"message_shape.go": {"message.go"},
	"call_members.go":  {"message.go"},
	"dedupe_key.go":    {"message.go"},
	"dial_numbers.go":  {"message.go", "dial.go"},
	"transcripts.go":   {"processor_call.go", "input_calls.go", "input_webhook.go"},
}

// Which file uses a declaration of which other, by type: also a method, or a member of a
// struct. What other packages declare is unknown here, and does not matter.
func TestFilesOfThePluginUseEachOtherOneWay(t *testing.T) {
	t.Parallel()
	fset := token.NewFileSet()
	names, err := filepath.Glob("*.go")
	require.NoError(t, err)
	var files []*ast.File
	for _, name := range names {
		if !strings.HasSuffix(name, "_test.go") {
			file, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
			require.NoError(t, err)
			files = append(files, file)
		}
	}
	info := types.Info{Uses: map[*ast.Ident]types.Object{}}
	config := types.Config{Importer: noImports{}, Error: func(error) {}, FakeImportC: true}
	_, _ = config.Check("plugin", fset, files, &info)

	uses := map[string]map[string][]string{} // file, file that declares, what
	for use, object := range info.Uses {
		declared := fset.Position(object.Pos()).Filename
		user := fset.Position(use.Pos()).Filename
		if object.Pkg() == nil || object.Pkg().Path() != "plugin" || declared == user {
			continue
		}
		if uses[user] == nil {
			uses[user] = map[string][]string{}
		}
		if !slices.Contains(uses[user][declared], use.Name) {
			uses[user][declared] = append(uses[user][declared], use.Name)
		}
	}
	for _, user := range slices.Sorted(maps.Keys(above)) {
		assert.Contains(t, names, user)
		for _, declares := range above[user] {
			assert.Contains(t, names, declares)
			assert.Empty(t, uses[user][declares], "%s must use nothing that %s declares", user, declares)
		}
	}
	assert.NotEmpty(t, uses["dial_calls.go"]["message.go"], "the other way is used")
	assert.NotEmpty(t, uses["output_dial.go"]["dial.go"], "methods count")
}

// noImports takes every other package for an empty one.
type noImports struct{}

func (noImports) Import(path string) (*types.Package, error) {
	fake := types.NewPackage(path, filepath.Base(path))
	fake.MarkComplete()
	return fake, nil
}
