package plugin_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/words"
)

// allWords are the words of package words.
func allWords() (known map[string]bool) {
	known = map[string]bool{}
	for _, o := range words.Outcomes {
		known[o.Name] = true
	}
	for _, r := range words.Reasons {
		known[r.Name] = true
	}
	for _, c := range words.Causes {
		known[c.Name] = true
	}
	for _, m := range words.Metadata {
		known[m.Name] = true
	}
	for _, m := range words.Metrics {
		known[m.Name] = true
	}
	known[words.Deleted] = true
	return known
}

// alike are literals that only look like a word of ours, by file and literal. A folder
// stands for the files in it.
var alike = map[string]map[string]string{
	"plugin/output_dial.go":              {"receipts": "a field's name", "failures": "a field's name"},
	"plugin/dial_fields.go":              {"dry_run": "a field's name", "call_rate_limit": "a field's name"},
	"plugin/ledger_open.go":              {"ledger": "a field's name"},
	"plugin/dedupe_key.go":               {"deleted": "a function of Bloblang"},
	"plugin/internal/webhook/answers.go": {"too_large": "an answer to a sender, not a reason"},
	"plugin/happyrobot/class.go": {
		"setup": "a class of answers, whatever is made of it", "refused": "likewise", "not_found": "likewise",
		"unknown": "likewise", "unreadable": "likewise", "too_large": "likewise",
	},
	"plugin/internal/ledger/record.go":          {"held": "what records on disk say, whatever the outcome is called"},
	"plugin/internal/phone/vanity.go":           {"unknown": "what people write for a number", "refused": "likewise", "deleted": "likewise"},
	"plugin/internal/phone/types.go":            {"unknown": "a type of number"},
	"plugin/callsim":                            {"accepted": "the pretend API's answer", "unknown": "its operation of that name"},
	"plugin/callsim/platform":                   {"unknown": "likewise"},
	"plugin/happyrobot/platform/second_look.go": {"refused_by_firewall": "a finding, whatever is made of it"},
	"cmd/demo/report.go":                        {"duplicate": "reads records as a user does; cmd cannot import plugin/internal"},
	"cmd/benthos-happyrobot/main.go":            {"unknown": "a build without a date"},
	"cmd/benthos-happyrobot/caches.go":          {"ledger": "a field's name"},
}

func TestWordsAreLiteralsInOneFileOnly(t *testing.T) {
	t.Parallel()
	known, used := allWords(), map[string]bool{}
	eachLiteral(t, func(file, text string, at token.Position) {
		if !known[text] || file == "plugin/internal/words/words.go" {
			return
		}
		for _, place := range []string{file, filepath.Dir(file)} {
			if alike[place][text] != "" {
				used[place+" "+text] = true
				return
			}
		}
		t.Errorf("%s: %q is a word: take it from package words, or list this place in alike", at, text)
	})
	for place, literals := range alike {
		for text := range literals {
			assert.True(t, used[place+" "+text], "alike: %s has no literal %q", place, text)
		}
	}
}

// Names that users see, wherever they stand in a text. A pipeline labels its resources
// as it likes, so in YAML only metadata that is read counts.
var (
	anyName  = regexp.MustCompile(`\bhappyrobot_[a-z_]+`)
	nameRead = regexp.MustCompile(`(?:@|meta\(")happyrobot_[a-z_]+`)
)

func TestEveryNameInATextExists(t *testing.T) {
	t.Parallel()
	known := allWords()
	for _, name := range []string{
		"happyrobot_dial", "happyrobot_call", "happyrobot_request", "happyrobot_calls", "happyrobot_webhook", "happyrobot_leads",
		"happyrobot_workflow", "happyrobot_runs", "happyrobot_run",
		"happyrobot_api", "happyrobot_platform", // rate limits of resources/
		"happyrobot_cache_facts",                                                                          // store.FactsKey
		"happyrobot_cache_data",                                                                           // store.ContentsKey
		"happyrobot_cache_mark",                                                                           // store.MarkKey
		"happyrobot_cache_names_ledger", "happyrobot_cache_names_cursor", "happyrobot_cache_names_events", // store.Trial
		"happyrobot_probe_", // begins the keys of a store.Trial
	} {
		known[name] = true
	}
	check := func(where, text string, names *regexp.Regexp) {
		for _, name := range names.FindAllString(text, -1) {
			name = strings.TrimPrefix(strings.TrimPrefix(name, "@"), `meta("`)
			assert.True(t, known[name], "%s: nothing is called %s", where, name)
		}
	}
	eachLiteral(t, func(_, text string, at token.Position) { check(at.String(), text, anyName) })
	for pattern, names := range map[string]*regexp.Regexp{
		"../README.md": anyName, "../CONTRIBUTING.md": anyName, "docs/*.md": anyName, "docs/src/*.md": anyName,
		"../config/*.yaml": nameRead, "../resources/*": nameRead,
	} {
		files, err := filepath.Glob(pattern)
		require.NoError(t, err)
		for _, file := range files {
			content, err := os.ReadFile(file)
			if err == nil { // and is no folder
				check(file, string(content), names)
			}
		}
	}
}

func TestMetricsAreMadeAsTheirTableSays(t *testing.T) {
	t.Parallel()
	kinds := map[string]string{"NewCounter": words.Counter, "NewGauge": words.Gauge, "NewTimer": words.Timer}
	byName := map[string]words.Metric{}
	for _, m := range words.Metrics {
		byName[m.Name] = m
	}
	constants := constantsOf(t, "internal/words/words.go")
	made := map[string]bool{}
	eachFile(t, func(file string, tree *ast.File, fset *token.FileSet) {
		if strings.HasPrefix(file, "plugin/connectors/") {
			return // whose metrics have the names that Connect gave them
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			method, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || kinds[method.Sel.Name] == "" || len(call.Args) == 0 {
				return true
			}
			if maker, ok := method.X.(*ast.Ident); ok && maker.Name == "time" {
				return true
			}
			at := fset.Position(call.Pos())
			name, ok := call.Args[0].(*ast.SelectorExpr)
			if !assert.True(t, ok, "%s: the metric's name is not of package words", at) {
				return true
			}
			metric, ok := byName[constants[name.Sel.Name]]
			if !assert.True(t, ok, "%s: words.%s is no metric", at, name.Sel.Name) {
				return true
			}
			made[metric.Name] = true
			var labels []string
			for _, arg := range call.Args[1:] {
				literal, ok := arg.(*ast.BasicLit)
				require.True(t, ok, "%s: a label is a literal", at)
				label, err := strconv.Unquote(literal.Value)
				require.NoError(t, err)
				labels = append(labels, label)
			}
			assert.Equal(t, metric.Kind, kinds[method.Sel.Name], "%s: %s", at, metric.Name)
			assert.Equal(t, metric.Labels, labels, "%s: %s", at, metric.Name)
			return true
		})
	})
	for name := range byName {
		assert.True(t, made[name], "no component makes %s", name)
	}
}

// eachFile parses the program's own files, in plugin and cmd.
func eachFile(t *testing.T, visit func(file string, tree *ast.File, fset *token.FileSet)) {
	t.Helper()
	fset := token.NewFileSet()
	for _, root := range []string{"plugin", "cmd"} {
		err := fs.WalkDir(os.DirFS(".."), root, func(file string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
				return err
			}
			tree, err := parser.ParseFile(fset, filepath.Join("..", file), nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			visit(file, tree, fset)
			return nil
		})
		require.NoError(t, err)
	}
}

// eachLiteral visits the string literals of the program's own files, but for imports and tags.
func eachLiteral(t *testing.T, visit func(file, text string, at token.Position)) {
	t.Helper()
	eachFile(t, func(file string, tree *ast.File, fset *token.FileSet) {
		ast.Inspect(tree, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ImportSpec:
				return false
			case *ast.Field:
				if n.Tag != nil {
					n.Tag = nil
				}
			case *ast.BasicLit:
				if n.Kind != token.STRING {
					return true
				}
				text, err := strconv.Unquote(n.Value)
				require.NoError(t, err)
				visit(file, text, fset.Position(n.Pos()))
			}
			return true
		})
	})
}

// constantsOf are the string constants of a file, by name.
func constantsOf(t *testing.T, file string) map[string]string {
	t.Helper()
	tree, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	require.NoError(t, err)
	found := map[string]string{}
	ast.Inspect(tree, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != len(spec.Names) {
			return true
		}
		for i, name := range spec.Names {
			if literal, ok := spec.Values[i].(*ast.BasicLit); ok && literal.Kind == token.STRING {
				found[name.Name], err = strconv.Unquote(literal.Value)
				require.NoError(t, err)
			}
		}
		return true
	})
	return found
}
