package platform

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// Redact removes the secrets that the API embeds in its replies, at any depth: headers,
// those of a trigger that was called included, and credentials. What a caller posted to an
// incoming hook stays, whatever its members are called: it is the member data beside
// headers and method. Columns of a list of runs are named by path, so a segment of a name counts.
//
// JSON without a secret is returned as it is; any other is written anew, with its numbers
// as they were. What may hold a secret and cannot be read is dropped. The argument is not
// changed.
func Redact(raw json.RawMessage) json.RawMessage {
	if !slices.ContainsFunc(hints, func(hint []byte) bool { return bytes.Contains(raw, hint) }) {
		return raw
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var value any
	if dec.Decode(&value) != nil {
		return nil
	}
	strip(value)
	var written bytes.Buffer
	enc := json.NewEncoder(&written)
	enc.SetEscapeHTML(false)
	if enc.Encode(value) != nil {
		return nil
	}
	return bytes.TrimSuffix(written.Bytes(), []byte("\n"))
}

// hints are what JSON without a secret has none of. Names can also be written with
// escapes, of which those of letters begin like the last three.
var hints = [][]byte{
	[]byte("eaders"), []byte("uthorization"), []byte("pi_key"), []byte("pi-key"), []byte("piKey"), []byte("credentials"),
	[]byte(`\u005`), []byte(`\u006`), []byte(`\u007`),
}

// secretNames are folded to lower case, without hyphens and underscores.
var secretNames = []string{"headers", "authorization", "apikey", "xapikey", "twiliocredentials"}

func secret(name string) bool {
	for segment := range strings.SplitSeq(name, ".") {
		if slices.Contains(secretNames, separators.Replace(strings.ToLower(segment))) {
			return true
		}
	}
	return false
}

// Hides says whether Redact removes a member at a dotted path, for the name of one of its
// segments: what is put there is not seen again in what the API lists and tells.
func Hides(path string) bool { return secret(path) }

var separators = strings.NewReplacer("-", "", "_", "")

func strip(value any) {
	switch value := value.(type) {
	case map[string]any:
		_, headers := value["headers"]
		_, method := value["method"]
		hook := headers && method // the output of an incoming hook
		for name, member := range value {
			switch {
			case secret(name):
				delete(value, name)
			case hook && name == "data": // what was posted
			default:
				strip(member)
			}
		}
	case []any:
		for _, item := range value {
			strip(item)
		}
	}
}
