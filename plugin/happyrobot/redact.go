package happyrobot

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/Jeffail/gabs/v2"
)

// secretHints are words without which a call holds no secret that we know of.
var secretHints = [][]byte{[]byte(`"headers"`), []byte(`"api_key"`), []byte(`"twilio_credentials"`)}

// Redact removes the secrets that the API embeds in calls: the header values of
// hooks, and credentials. Text that is no JSON is dropped whole.
func Redact(raw json.RawMessage) json.RawMessage {
	suspect := false
	for _, hint := range secretHints {
		suspect = suspect || bytes.Contains(raw, hint)
	}
	if !suspect {
		return raw
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	doc, err := gabs.ParseJSONDecoder(dec)
	if err != nil {
		return nil
	}
	for _, secret := range []string{
		"use_case.hooks.*.headers", "use_case.hook.headers", "assistant.hooks.*.headers", "assistant.hook.headers",
		"api_key", "twilio_credentials", "organization.api_key", "organization.twilio_credentials",
	} {
		remove(doc, secret)
	}
	return doc.Bytes()
}

// remove deletes a dotted path, in which * is every element of a list.
func remove(doc *gabs.Container, path string) {
	if before, after, ok := strings.Cut(path, ".*."); ok {
		for _, element := range doc.Path(before).Children() {
			remove(element, after)
		}
		return
	}
	_ = doc.DeleteP(path) // absent is as good
}
