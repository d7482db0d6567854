package plugin

import (
	"embed"
	"fmt"
	"regexp"
	"strings"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/words"
)

//go:embed docs/src/*.md
var proseFiles embed.FS

// tableMark is where a table, or a list, stands in prose: {{outcomes happyrobot_dial}}.
var tableMark = regexp.MustCompile(`\{\{(\w+) (\w+)\}\}`)

// description is the prose of a component or a field: files of docs/src, one after the
// other, with the tables of its words.
func description(names ...string) string {
	var parts []string
	for _, name := range names {
		text, err := proseFiles.ReadFile("docs/src/" + name + ".md")
		if err != nil {
			panic(err) // it is embedded
		}
		parts = append(parts, strings.TrimSpace(string(text)))
	}
	return tableMark.ReplaceAllStringFunc(strings.Join(parts, "\n\n"), func(mark string) string {
		found := tableMark.FindStringSubmatch(mark)
		table := tableOf(found[1], found[2])
		if table == "" {
			panic(fmt.Sprintf("%s: no such table", mark)) // so does each test
		}
		return table
	})
}

func tableOf(kind, component string) string {
	switch kind {
	case "outcomes":
		return words.OutcomesOf(component)
	case "reasons":
		return words.ReasonsOf(component)
	case "metadata":
		return words.MetadataOf(component)
	case "metrics":
		return words.MetricsOf(component)
	case "causes":
		return words.CausesOf(component)
	case "answers":
		return answersTable()
	case "types":
		return typeList()
	}
	return ""
}
