package happyrobot

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/tidwall/gjson"
)

// lenient is a member whose value is left zero when its JSON is of another type.
type lenient[T any] struct{ v T }

func (l *lenient[T]) UnmarshalJSON(b []byte) error {
	var v T
	if json.Unmarshal(b, &v) == nil {
		l.v = v
	}
	return nil
}

// isObject asks it of valid JSON. encoding/json takes null for any type.
func isObject(b []byte) bool {
	b = bytes.TrimLeft(b, " \t\r\n")
	return len(b) > 0 && b[0] == '{'
}

var errNoObject = fmt.Errorf("%w: no object", errShape)

// mostNested is how many objects and lists a document may hold for the quick
// check, which calls itself for each level.
const mostNested = 100_000

// validJSON is json.Valid at a third of the cost.
func validJSON(b []byte) bool {
	if bytes.Count(b, []byte("["))+bytes.Count(b, []byte("{")) > mostNested {
		return json.Valid(b) // which limits the depth
	}
	return gjson.ValidBytes(b)
}
