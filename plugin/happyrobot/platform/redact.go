package platform

import (
	"encoding/json"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

// Redact removes the secrets that the API embeds in its replies: see
// happyrobot.RedactPlatform.
func Redact(raw json.RawMessage) json.RawMessage { return happyrobot.RedactPlatform(raw) }

// Hides says whether Redact removes a member at a dotted path, for the name of one of its
// segments: what is put there is not seen again in what the API lists and tells.
func Hides(path string) bool {
	object, err := json.Marshal(map[string]int{path: 1})
	return err == nil && string(Redact(object)) == "{}"
}
