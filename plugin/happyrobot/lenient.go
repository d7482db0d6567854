package happyrobot

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
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

// timestamp is an RFC 3339 time, zero when it is anything else.
type timestamp struct{ time.Time }

func (t *timestamp) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) == nil {
		t.Time, _ = time.Parse(time.RFC3339, s)
	}
	return nil
}
