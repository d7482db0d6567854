package platform

import (
	"encoding/json"
	"iter"
	"strings"

	"github.com/tidwall/gjson"
)

// mostDeep is how deep a text is looked for: through objects, lists and JSON in texts.
const mostDeep = 64

// Texts are all texts in a JSON value, at any depth, each as it is. A text that is JSON
// itself is followed by those in it: lists and objects of a column come so. Names of
// members are none.
func Texts(value json.RawMessage) iter.Seq[string] {
	return func(yield func(string) bool) {
		if valid(value) == nil {
			texts(gjson.ParseBytes(value), 0, yield)
		}
	}
}

func texts(v gjson.Result, depth int, yield func(string) bool) bool {
	switch {
	case depth > mostDeep:
		return true
	case v.IsObject() || v.IsArray():
		more := true
		v.ForEach(func(_, item gjson.Result) bool {
			more = texts(item, depth+1, yield)
			return more
		})
		return more
	case v.Type == gjson.String:
		if !yield(v.Str) {
			return false
		}
		if inner := strings.TrimSpace(v.Str); inner != "" && strings.ContainsRune(`{["`, rune(inner[0])) && valid([]byte(inner)) == nil {
			return texts(gjson.Parse(inner), depth+1, yield)
		}
	}
	return true
}

// Holds reports whether a text of a JSON value is the reference, blanks around it aside. It
// is found wherever it is: among the columns of a run in a list, and in the output of its
// trigger, which nests what was posted for a hook and does not for a predefined request.
// An empty reference is nowhere.
func Holds(value json.RawMessage, reference string) bool {
	if reference == "" {
		return false
	}
	for found := range Texts(value) {
		if strings.TrimSpace(found) == reference {
			return true
		}
	}
	return false
}
