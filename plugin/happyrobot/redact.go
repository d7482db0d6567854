package happyrobot

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"github.com/Jeffail/gabs/v2"
	"github.com/tidwall/gjson"
)

// Redact removes the secrets that the API embeds in its replies, at any depth: the
// headers of hooks, and credentials. What customers put in stays, whatever its members
// are called: metadata, params, extracted values.
//
// JSON without a secret is returned as it is. Otherwise the objects that held one are
// written anew, with their members in the order of their names and their numbers as they
// were, and the rest stays byte by byte. JSON that may hold a secret and cannot be read
// is dropped whole. The argument is not changed.
func Redact(raw json.RawMessage) json.RawMessage {
	if !mayHoldSecret(raw) {
		return raw
	}
	if !validJSON(raw) {
		return nil
	}
	r := redaction{raw: raw, text: string(raw), kept: make([]byte, 0, len(raw))}
	r.value(0, len(raw), false, 0)
	switch {
	case r.failed:
		return nil
	case !r.found:
		return raw
	}
	return r.kept
}

// secretMember says whether a member of this name is secret. Headers are only in a
// hook: what a customer sends along may be called so.
func secretMember(name string, inHook bool) bool {
	switch name {
	case "api_key", "twilio_credentials":
		return true
	}
	return inHook && name == "headers"
}

func hookMember(name string) bool { return name == "hook" || name == "hooks" }

// customersMember names what customers put in.
func customersMember(name string) bool {
	return name == "metadata" || name == "params" || name == "extraction"
}

// secretHints are words without which JSON holds no secret. The names of secret members
// can also be written with escapes, of which those of letters begin like the last three.
var secretHints = [][]byte{[]byte("headers"), []byte("api_key"), []byte("twilio_credentials"), []byte(`\u005`), []byte(`\u006`), []byte(`\u007`)}

// mayHoldSecret is all that JSON without secrets costs.
func mayHoldSecret(raw []byte) bool {
	return slices.ContainsFunc(secretHints, func(hint []byte) bool { return bytes.Contains(raw, hint) })
}

// deepest is how many objects may lie around a secret that is found the quick way, which
// passes over a text once for each. Known secrets lie in three.
const deepest = 6

// redaction copies a valid document without its secrets. To decode and encode all of a
// call takes several times as long, and lists hold thousands of calls. So only objects
// that lose a member, and what does not lie in objects alone, are edited with gabs.
// BenchmarkRedactHooks compares the two.
type redaction struct {
	raw    []byte
	text   string // the same
	kept   []byte
	found  bool
	failed bool
}

// value copies the value that lies between two offsets. inHook says that headers in it
// are secret.
func (r *redaction) value(begin, end int, inHook bool, depth int) {
	if !mayHoldSecret(r.raw[begin:end]) {
		r.kept = append(r.kept, r.raw[begin:end]...)
		return
	}
	text := r.text[begin:end]
	value := gjson.Parse(text)
	if !value.IsObject() || depth == deepest {
		r.edit(text, inHook)
		return
	}
	kept, done := len(r.kept), begin
	quick := true
	value.ForEach(func(name, member gjson.Result) bool {
		at := begin + member.Index
		quick = !secretMember(name.Str, inHook) && strings.HasPrefix(r.text[at:], member.Raw)
		if quick && !customersMember(name.Str) {
			r.kept = append(r.kept, r.raw[done:at]...)
			done = at + len(member.Raw)
			r.value(at, done, inHook || hookMember(name.Str), depth+1)
		}
		return quick
	})
	if !quick {
		r.kept = r.kept[:kept]
		r.edit(text, inHook)
		return
	}
	r.kept = append(r.kept, r.raw[done:end]...)
}

// edit copies a value by decoding and encoding it.
func (r *redaction) edit(text string, inHook bool) {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	value, err := gabs.ParseJSONDecoder(dec)
	if err != nil { // nested too deep
		r.failed = true
		return
	}
	// What is decoded lacks members that others of the same name hide.
	if !strip(value, inHook) && !holdsSecret(json.NewDecoder(strings.NewReader(text)), inHook, false) {
		r.kept = append(r.kept, text...)
		return
	}
	r.found = true
	r.kept = append(r.kept, value.EncodeJSON()...)
}

// strip removes the secrets of a value, and reports whether there were any.
func strip(value *gabs.Container, inHook bool) (stripped bool) {
	switch value.Data().(type) {
	case map[string]any:
		for name, member := range value.ChildrenMap() {
			switch {
			case secretMember(name, inHook):
				stripped = value.Delete(name) == nil || stripped
			case !customersMember(name):
				stripped = strip(member, inHook || hookMember(name)) || stripped
			}
		}
	case []any:
		for _, item := range value.Children() {
			stripped = strip(item, inHook) || stripped
		}
	}
	return stripped
}

// holdsSecret reads the next value of valid JSON, and reports whether it has a secret,
// which hidden members may have, too.
func holdsSecret(dec *json.Decoder, inHook, customers bool) (found bool) {
	dec.UseNumber() // one that is no float64 would be an error
	token, _ := dec.Token()
	if token != json.Delim('{') && token != json.Delim('[') {
		return false
	}
	for dec.More() {
		name := ""
		if token == json.Delim('{') {
			member, _ := dec.Token()
			name, _ = member.(string)
		}
		found = found || !customers && secretMember(name, inHook)
		found = holdsSecret(dec, inHook || hookMember(name), customers || customersMember(name)) || found
	}
	_, _ = dec.Token() // the closing one
	return found
}
