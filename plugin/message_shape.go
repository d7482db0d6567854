package plugin

import (
	"bytes"
	"slices"

	"github.com/redpanda-data/benthos/v4/public/service"
)

// What to do about a message that is not a JSON object.
const (
	shapeArray = "the message is a JSON array, which is not JSON lines: none of it is called; write one JSON object per line, as `jq -c '.[]' leads.json` does"
	shapeLines = "the message is JSON that spans lines, or a part of it: none of it is called; write one JSON object per line, as `jq -c . leads.json` does, or remove the commas at the ends of lines"
	shapeUTF16 = "the message is UTF-16 text: save the file as UTF-8"
	shapeMark  = "the message begins with a byte order mark: remove it, or read files with the scanner `happyrobot_leads` or `skip_bom`"
)

// ofNoObject are the reasons for which a message that is not an object may be
// rejected although its members were never looked at.
var ofNoObject = []string{reasonInvalidJSON, reasonMapping, reasonDedupeKey, reasonMissingField, reasonInvalidField}

// explainShape replaces the error of a message that is not one JSON object by one that
// says so. A message that made a call keeps it, whatever its shape.
func explainShape(msg *service.Message, err error) error {
	if err == nil || !slices.Contains(ofNoObject, reasonOf(err)) {
		return err
	}
	content, bytesErr := msg.AsBytes()
	if bytesErr != nil {
		return err
	}
	trimmed := bytes.TrimSpace(content)
	value, jsonErr := msg.AsStructured()
	_, isArray := value.([]any)
	switch {
	case jsonErr == nil && isArray && reasonOf(err) == reasonMapping:
		return badInput(reasonMapping, "call_mapping: %s", shapeArray)
	case jsonErr == nil && isArray:
		return badInput(reasonInvalidJSON, shapeArray)
	case jsonErr == nil:
		return err
	}
	if reasonOf(err) != reasonInvalidJSON {
		return err // the mapping does not need JSON
	}
	switch {
	case bytes.HasPrefix(content, utf8Mark):
		return badInput(reasonInvalidJSON, shapeMark)
	case slices.ContainsFunc(utf16Mark, func(mark []byte) bool { return bytes.HasPrefix(content, mark) }) || bytes.IndexByte(content, 0) >= 0:
		return badInput(reasonInvalidJSON, shapeUTF16)
	case bytes.HasPrefix(trimmed, []byte("[")):
		return badInput(reasonInvalidJSON, shapeArray)
	case opensJSONOnly(trimmed):
		return badInput(reasonInvalidJSON, shapeLines)
	}
	return err
}

// opensJSONOnly says whether a text is an object over several lines, several of them,
// or the first line of one.
func opensJSONOnly(text []byte) bool {
	return bytes.HasPrefix(text, []byte("{")) && (bytes.IndexByte(text, '\n') >= 0 || opensDocument(text, false))
}
