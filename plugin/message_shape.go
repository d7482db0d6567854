package plugin

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/words"
)

// What to do about a message that is not a JSON object.
const (
	shapeArray = "the message is a JSON array, which is not JSON lines: none of it is called; write one JSON object per line, as `jq -c '.[]' leads.json` does"
	shapeLines = "the message is JSON that spans lines, or a part of it: none of it is called; write one JSON object per line, as `jq -c . leads.json` does, or remove the commas at the ends of lines"
	shapeUTF16 = "the message is UTF-16 text: save the file as UTF-8"
	shapeCR    = "the message is several lines that end with CR: lines must end with LF"
	shapeMany  = "the message is several objects on one line: none of it is called; `jq -c .` writes one per line"
	shapeCut   = "the message is longer than max_line_bytes, and cut"
	shapeGzip  = "the message is compressed: unpack it first"
	shapeNUL   = "the message holds NUL bytes: the file is damaged"
	shapeMark  = "the message begins with a byte order mark: remove it, or read files with the scanner `happyrobot_leads` or `skip_bom`"
)

// ofNoObject are the reasons for which a message that is not an object may be
// rejected although its members were never looked at.
var ofNoObject = []string{words.InvalidJSON, words.MappingFailed, words.DedupeKeyFailed, words.MissingField, words.InvalidField}

// explainShape replaces the error of a message that is not one JSON object by one that
// says so. mapping is the field that maps it. A message that made a call keeps it, whatever its shape.
func explainShape(msg *service.Message, mapping string, err error) error {
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
	case jsonErr == nil && isArray && reasonOf(err) == words.MappingFailed:
		return badInput(words.MappingFailed, "%s: %s", mapping, shapeArray)
	case jsonErr == nil && isArray:
		return badInput(words.InvalidJSON, shapeArray)
	case jsonErr == nil:
		return err
	}
	if reasonOf(err) != words.InvalidJSON {
		return err // the mapping does not need JSON
	}
	if shape := shapeOf(content, trimmed); shape != "" {
		return badInput(words.InvalidJSON, "%s", shape)
	}
	return err
}

// shapeOf says what a text is that is no JSON, if it can be seen.
func shapeOf(content, trimmed []byte) string {
	switch {
	case bytes.HasPrefix(content, utf8Mark):
		return shapeMark
	case bytes.HasPrefix(content, []byte("\x1f\x8b")):
		return shapeGzip
	case slices.ContainsFunc(utf16Mark, func(mark []byte) bool { return bytes.HasPrefix(content, mark) }) || 3*bytes.Count(content, []byte{0}) > len(content):
		return shapeUTF16
	case bytes.IndexByte(content, 0) >= 0:
		return shapeNUL
	case bytes.HasPrefix(trimmed, []byte("[")):
		return shapeArray
	case bytes.IndexByte(trimmed, '\r') >= 0 && bytes.IndexByte(trimmed, '\n') < 0:
		return shapeCR
	case opensJSONOnly(trimmed):
		return shapeLines
	case beginsWithObjects(trimmed):
		return shapeMany
	case bytes.HasSuffix(content, []byte(cutMark)):
		return shapeCut
	}
	return ""
}

// opensJSONOnly says whether a text is an object over several lines, several of them,
// something else around them, or the first line of an object.
func opensJSONOnly(text []byte) bool {
	first, _, spans := bytes.Cut(text, []byte("\n"))
	if !bytes.HasPrefix(text, []byte("{")) {
		return spans && opensDocument(first, false)
	}
	return spans || opensDocument(text, false)
}

// beginsWithObjects says whether a text is an object and the beginning of another.
func beginsWithObjects(text []byte) bool {
	if !bytes.HasPrefix(text, []byte("{")) {
		return false
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	if err := decoder.Decode(new(json.RawMessage)); err != nil {
		return false
	}
	return bytes.HasPrefix(bytes.TrimSpace(text[decoder.InputOffset():]), []byte("{"))
}
