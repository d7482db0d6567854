package starter

import (
	"regexp"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot/platform"
)

// refText is the form of a reference.
var refText = regexp.MustCompile(`^[0-9a-f]{32}$`)

// ownPlaces are where a run shows the reference that it was started with, as paths behind
// its trigger: that of the payload, and the same where a hook nests what it was sent. A
// reference there decides alone, since a lead may quote another's elsewhere.
type ownPlaces [2]string

func placesOf(field string) ownPlaces { return ownPlaces{field, "data." + field} }

// inColumns are the references at the own places among columns, whose keys are <node>.<path>:
// those of the trigger, or of any node while trigger is "". What is no reference, such as a
// dash or a text that is cut off, is not there.
func (p ownPlaces) inColumns(columns []byte, trigger string) (refs []string) {
	at := [2][]string{}
	gjson.ParseBytes(columns).ForEach(func(key, value gjson.Result) bool {
		node, path, _ := strings.Cut(key.Str, ".")
		if trigger != "" && !strings.EqualFold(node, trigger) {
			return true
		}
		if i := slices.Index(p[:], path); i >= 0 {
			if ref, ok := reference(value); ok {
				at[i] = append(at[i], ref)
			}
		}
		return true
	})
	if trigger != "" && len(at[0]) > 0 {
		return at[0]
	}
	return append(at[0], at[1]...)
}

// inData is the reference at the own place in what a trigger was given, "" for none.
func (p ownPlaces) inData(data []byte) string {
	for _, path := range p {
		at := gjson.ParseBytes(data)
		for name := range strings.SplitSeq(path, ".") {
			at = at.Get(gjson.Escape(name))
		}
		if ref, ok := reference(at); ok {
			return ref
		}
	}
	return ""
}

func reference(v gjson.Result) (ref string, ok bool) {
	ref = strings.TrimSpace(v.Str)
	return ref, v.Type == gjson.String && refText.MatchString(ref)
}

// quoted are all texts of the form of a reference in a value, at any place.
func quoted(value []byte) []string {
	refs := []string{}
	for text := range platform.Texts(value) {
		if text = strings.TrimSpace(text); refText.MatchString(text) {
			refs = append(refs, text)
		}
	}
	return refs
}
