package platform

import (
	"encoding/json"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

// Redact removes the secrets that the API embeds in its replies: see
// happyrobot.RedactPlatform.
func Redact(raw json.RawMessage) json.RawMessage { return happyrobot.RedactPlatform(raw) }
