package happyrobot

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/tidwall/gjson"
)

// Callback is what a workflow of the platform posts of its own: a Webhook node, whose body
// is its author's. Only the id of the run makes it one.
const Callback EventKind = "callback"

// ErrNoRunID is what a body is that could be a callback, and is none.
var ErrNoRunID = errors.New("the body has no run id")

// Names under which authors of workflows put the type of an event, the state that it
// reports, and the session that it is about: folded, so in any spelling. The first that
// is there counts.
var (
	callbackTypes    = []string{"eventtype", "event", "type"}
	callbackStates   = []string{"status", "status.current"}
	callbackSessions = []string{"sessionid", "session.id"}
)

// progressTypes are types, folded, that are posted many times in a run, each time with
// other contents.
var progressTypes = []string{"log", "logs", "progress", "running"}

// placeholderIDs are what stands, folded, where a workflow did not fill in the id.
var placeholderIDs = []string{"undefined", "null", "none", "nil", "nan", "runid", "currentrunid"}

// IsPlaceholder reports whether an id is none, but what stands where a workflow filled in
// nothing, such as undefined or {{run_id}}.
func IsPlaceholder(id string) bool {
	return strings.ContainsAny(id, "{}<>") || slices.Contains(placeholderIDs, Fold(id))
}

// ParseCallback reads the body of a callback, whose run id stands at a path of names with
// dots between them. What it tells beside that stands next to the run id or, for want of
// that, on top. It fails with ErrNoJSON or ErrNoRunID, the latter also where the id is none
// by ValidateOpaqueID.
//
// A callback has no id of its own, so one is made: of the run and the type, and of the
// state and the session where the body tells them, since one type may report several of
// either. Without a type, with one of progress, and where the run's id IsPlaceholder, the
// contents take part, in any order of members: two bodies are then the same event only if
// they say the same.
func ParseCallback(body []byte, runIDPath string) (Event, error) {
	body = bytes.TrimPrefix(body, byteOrderMark)
	if !utf8.Valid(body) || !json.Valid(body) {
		return Event{}, ErrNoJSON
	}
	if !isObject(body) || runIDPath == "" {
		return Event{}, ErrNoRunID
	}
	raw := RedactPlatform(body)
	top := gjson.ParseBytes(raw)
	run := textAt(top, runIDPath)
	if ValidateOpaqueID(run) != nil {
		return Event{}, ErrNoRunID
	}
	beside := []gjson.Result{top}
	if dot := strings.LastIndexByte(runIDPath, '.'); dot >= 0 {
		beside = append(membersAt(top, runIDPath[:dot]), top)
	}
	e := Event{Kind: Callback, RunID: run, Type: firstText(beside, callbackTypes, false), Raw: bytes.Clone(raw)}
	session := firstText(beside, callbackSessions, true)
	if ValidateOpaqueID(session) == nil {
		e.SessionID = session
	}
	known := []any{run, e.Type, firstText(beside, callbackStates, true), session}
	if e.Type == "" || slices.Contains(progressTypes, Fold(e.Type)) || IsPlaceholder(run) {
		known = append(known, inOneOrder(raw))
	}
	written, err := json.Marshal(known)
	if err != nil {
		return Event{}, ErrNoJSON
	}
	sum := sha256.Sum256(written)
	e.ID = hex.EncodeToString(sum[:16])
	return e, nil
}

// textAt is the text at a path of names, the last of those that are there more than once.
func textAt(object gjson.Result, path string) (text string) {
	for _, value := range membersAt(object, path) {
		if value.Type == gjson.String {
			text = value.Str
		}
	}
	return text
}

// firstText is the first text under one of the names, in one object after the other.
// Where numbers do as well, they are the text that they are written as.
func firstText(objects []gjson.Result, names []string, numbers bool) string {
	for _, object := range objects {
		for _, name := range names {
			found := ""
			for _, value := range foldedAt(object, name) {
				switch {
				case value.Type == gjson.String:
					found = strings.TrimSpace(value.Str)
				case value.Type == gjson.Number && numbers:
					found = value.Raw
				}
			}
			if found != "" {
				return found
			}
		}
	}
	return ""
}

// foldedAt is membersAt for a path of folded names.
func foldedAt(object gjson.Result, path string) (values []gjson.Result) {
	first, rest, deeper := strings.Cut(path, ".")
	object.ForEach(func(name, value gjson.Result) bool {
		switch {
		case Fold(name.Str) != first:
		case !deeper:
			values = append(values, value)
		case value.IsObject():
			values = append(values, foldedAt(value, rest)...)
		}
		return true
	})
	return values
}

// inOneOrder decodes JSON, whose objects are encoded in one order of members.
func inOneOrder(raw []byte) any {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var value any
	if dec.Decode(&value) != nil { // nested too deep
		return string(raw)
	}
	return value
}

func digest(value any) string {
	written, err := json.Marshal(value)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(written)
	return hex.EncodeToString(sum[:6])
}
