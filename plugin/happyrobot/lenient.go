package happyrobot

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/tidwall/gjson"
)

// Calls and transcripts are read with gjson. A member is taken by its exact name, where
// encoding/json takes "Role" for "role"; every one of those with the same name is seen;
// an odd one does not lose the others; and lists of thousands cost a fraction of
// decoding them: see the benchmarks in reading_bench_test.go. What is small is decoded.

// lenient is a member whose value is left zero when its JSON is of another type.
type lenient[T any] struct{ v T }

func (l *lenient[T]) UnmarshalJSON(b []byte) error {
	var v T
	if json.Unmarshal(b, &v) == nil {
		l.v = v
	}
	return nil
}

// isObject reports whether valid JSON is an object. encoding/json takes null for any type.
func isObject(b []byte) bool {
	b = bytes.TrimLeft(b, " \t\r\n")
	return len(b) > 0 && b[0] == '{'
}

var errNoObject = fmt.Errorf("%w: no object", ErrOtherForm)

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
