package platform

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

// text is a text, or a number as it is written; "" for anything else.
func text(v gjson.Result) string {
	switch v.Type {
	case gjson.String:
		return strings.ToValidUTF8(strings.Clone(v.Str), "\ufffd")
	case gjson.Number:
		return strings.Clone(v.Raw)
	}
	return ""
}

// number is a number, also one that is written as text. ok is false for anything else.
func number(v gjson.Result) (n float64, ok bool) {
	switch v.Type {
	case gjson.Number:
		return v.Num, true
	case gjson.String:
		n, err := strconv.ParseFloat(strings.TrimSpace(v.Str), 64)
		return n, err == nil && n-n == 0 // neither infinite nor NaN
	}
	return 0, false
}

// whole is a number of things: neither negative nor absurd.
func whole(v gjson.Result) (int, bool) {
	n, ok := number(v)
	if !ok || n < 0 || n > 1<<40 {
		return 0, false
	}
	return int(n), true
}

// truth is a boolean, also one that is written as text or as 0 and 1.
func truth(v gjson.Result) bool {
	switch v.Type {
	case gjson.True:
		return true
	case gjson.Number:
		return v.Num == 1
	case gjson.String:
		is, err := strconv.ParseBool(strings.ToLower(strings.TrimSpace(v.Str)))
		return err == nil && is
	}
	return false
}

// moment is a time; zero for what is none.
func moment(v gjson.Result) time.Time {
	t, err := time.Parse(time.RFC3339, strings.TrimSpace(v.Str))
	if err != nil {
		return time.Time{}
	}
	return t
}

// mostNested is how many objects and lists a document may hold for the quick check, which
// calls itself for each level.
const mostNested = 100_000

// valid is the error of what is no JSON, or is nested too deep.
func valid(b []byte) error {
	if bytes.Count(b, []byte("["))+bytes.Count(b, []byte("{")) <= mostNested && gjson.ValidBytes(b) {
		return nil
	}
	var none json.RawMessage
	return json.Unmarshal(b, &none)
}

// members hands on the members of a JSON object by their exact names. It fails for what
// is no object.
func members(b []byte, take func(name string, v gjson.Result)) error {
	if err := valid(b); err != nil {
		return err
	}
	object := gjson.ParseBytes(b)
	if !object.IsObject() {
		return errNoObject
	}
	object.ForEach(func(name, v gjson.Result) bool {
		take(name.Str, v)
		return true
	})
	return nil
}

var (
	errNoObject = fmt.Errorf("%w: no object", happyrobot.ErrOtherForm)
	errNoList   = fmt.Errorf("%w: no list", happyrobot.ErrOtherForm)
	errNoID     = fmt.Errorf("%w: neither the id nor the status of what was asked for", happyrobot.ErrOtherForm)
	errOther    = fmt.Errorf("%w: the answer is about another object than the one asked for", happyrobot.ErrOtherForm)
)

// unwrapped is an object, or the one that it holds as data where that is all of it: lists
// and single objects are answered in either form.
func unwrapped(b []byte) []byte {
	object := gjson.ParseBytes(b)
	data := object.Get("data")
	if object.Get("id").Exists() || !data.IsObject() {
		return b
	}
	return []byte(data.Raw)
}

// kept is JSON as an object of ours keeps it: without secrets, in memory of its own.
func kept(b []byte) json.RawMessage { return Redact(bytes.Clone(b)) }

// same compares ids, which are written in either case.
func same(answered, asked string) bool { return answered == "" || strings.EqualFold(answered, asked) }

// stamp writes a time as the API wants it: UTC, with Z.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
