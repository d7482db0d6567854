package happyrobot

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// RedactPlatform removes the secrets that the API of the platform embeds in its replies, and
// workflows in their callbacks, at any depth and in any spelling: headers, those of a
// trigger that was called included, and credentials. What a caller posted to an incoming
// hook stays, whatever its members are called: it is the member data beside headers and
// method. Columns of a list of runs are named by path, so a segment of a name counts.
//
// JSON without a secret is returned as it is; any other is written anew, with its numbers
// as they were. What may hold a secret and cannot be read is dropped. The argument is not
// changed.
func RedactPlatform(raw json.RawMessage) json.RawMessage {
	lower := bytes.ToLower(raw)
	if !slices.ContainsFunc(platformHints, func(hint []byte) bool { return bytes.Contains(lower, hint) }) {
		return raw
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var value any
	if dec.Decode(&value) != nil {
		return nil
	}
	stripPlatform(value)
	var written bytes.Buffer
	enc := json.NewEncoder(&written)
	enc.SetEscapeHTML(false)
	if enc.Encode(value) != nil {
		return nil
	}
	return bytes.TrimSuffix(written.Bytes(), []byte("\n"))
}

// platformHints are what JSON without a secret has none of, in lower case. Names can also be
// written with escapes.
var platformHints = [][]byte{
	[]byte("headers"), []byte("authorization"), []byte("api_key"), []byte("api-key"), []byte("apikey"), []byte("credentials"),
	[]byte(`\u002d`), []byte(`\u004`), []byte(`\u005`), []byte(`\u006`), []byte(`\u007`), []byte(`\u212a`),
}

// platformSecrets are folded to lower case, without hyphens and underscores.
var platformSecrets = []string{"headers", "authorization", "apikey", "xapikey", "twiliocredentials"}

func platformSecret(name string) bool {
	for segment := range strings.SplitSeq(name, ".") {
		if slices.Contains(platformSecrets, nameSeparators.Replace(strings.ToLower(segment))) {
			return true
		}
	}
	return false
}

var nameSeparators = strings.NewReplacer("-", "", "_", "")

func stripPlatform(value any) {
	switch value := value.(type) {
	case map[string]any:
		var headers, method bool
		for name := range value {
			headers = headers || strings.EqualFold(name, "headers")
			method = method || strings.EqualFold(name, "method")
		}
		hook := headers && method // the output of an incoming hook
		for name, member := range value {
			switch {
			case platformSecret(name):
				delete(value, name)
			case hook && strings.EqualFold(name, "data"): // what was posted
			default:
				stripPlatform(member)
			}
		}
	case []any:
		for _, item := range value {
			stripPlatform(item)
		}
	}
}
