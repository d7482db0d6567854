package words

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// constants are the exported words of words.go, by name.
func constants(t *testing.T) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "words.go", nil, 0)
	require.NoError(t, err)
	found := map[string]string{}
	for _, decl := range file.Decls {
		general, ok := decl.(*ast.GenDecl)
		if !ok || general.Tok != token.CONST {
			continue
		}
		for _, spec := range general.Specs {
			value := spec.(*ast.ValueSpec)
			for i, name := range value.Names {
				literal, ok := value.Values[i].(*ast.BasicLit)
				if !ok || !name.IsExported() {
					continue // another word's alias
				}
				text, err := strconv.Unquote(literal.Value)
				require.NoError(t, err)
				found[name.Name] = text
			}
		}
	}
	return found
}

func TestEveryWordHasAMeaning(t *testing.T) {
	explained := map[string]bool{Counter: true, Gauge: true, Timer: true}
	meaning := func(name, text string) {
		explained[name] = true
		assert.NotEmpty(t, text, name)
		assert.NotContains(t, text, "|", "%s: would end a cell of its table", name)
		assert.False(t, strings.HasSuffix(text, "."), name)
	}
	for _, o := range Outcomes {
		meaning(o.Name, o.When)
		meaning(o.Name, o.Then)
	}
	for _, r := range Reasons {
		meaning(r.Name, r.Meaning)
	}
	for _, c := range Causes {
		meaning(c.Name, c.Meaning)
	}
	for _, m := range Metadata {
		meaning(m.Name, m.Meaning)
	}
	for _, m := range Metrics {
		meaning(m.Name, m.Meaning)
		assert.Contains(t, []string{Counter, Gauge, Timer}, m.Kind, m.Name)
		assert.NotEmpty(t, m.Components, m.Name)
	}
	explained[Deleted] = true // in the meaning of MetricCallsDropped
	all := map[string]bool{}
	for name, word := range constants(t) {
		all[word] = true
		assert.True(t, explained[word], "%s stands in no table", name)
	}
	for word := range explained {
		assert.True(t, all[word], "%s is no constant", word)
	}
}

func TestAReasonIsOfAnOutcomeThatItsComponentHas(t *testing.T) {
	has := map[[2]string]bool{}
	for _, o := range Outcomes {
		key := [2]string{o.Component, o.Name}
		assert.False(t, has[key], "%v stands twice", key)
		has[key] = true
	}
	seen := map[[3]string]bool{}
	for _, r := range Reasons {
		assert.True(t, has[[2]string{r.Component, r.Outcome}], "%v", r)
		key := [3]string{r.Component, r.Outcome, r.Name}
		assert.False(t, seen[key], "%v stands twice", key)
		seen[key] = true
	}
}
