package happyrobot

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/Jeffail/gabs/v2"
	"github.com/tidwall/gjson"
)

// Callback is what a workflow of the platform posts of its own: a Webhook node, whose body
// is its author's. Only the id of the run makes it one.
const Callback EventKind = "callback"

// ErrNoRunID is what a body is that could be a callback, and is none.
var ErrNoRunID = errors.New("the body has no run id")

// Names under which authors of workflows put the type of an event, the state that it
// reports, and the session that it is about. The first that is there as text counts.
var (
	callbackTypes    = []string{"event_type", "eventType", "event", "type"}
	callbackStates   = []string{"status", "status.current"}
	callbackSessions = []string{"session_id", "sessionId"}
)

// loggedType is the one type that is known to be posted many times in a run, each time
// with other contents (the vendor's demonstration).
const loggedType = "log"

// ParseCallback reads the body of a callback, whose run id stands at a path of names with
// dots between them. What it tells beside that stands next to the run id or, for want of
// that, on top. It fails with ErrNoJSON or ErrNoRunID, the latter also where the id is none
// by ValidateOpaqueID.
//
// A callback has no id of its own, so one is made: of the run and the type, and of the
// state and the session where the body tells them, since one type may report several of
// either. Without a type, and with that of a log, the contents take part, in any order of
// members: two bodies are then the same event only if they say the same.
func ParseCallback(body []byte, runIDPath string) (Event, error) {
	body = bytes.TrimPrefix(body, byteOrderMark)
	if !utf8.Valid(body) || !json.Valid(body) {
		return Event{}, ErrNoJSON
	}
	if !isObject(body) || runIDPath == "" {
		return Event{}, ErrNoRunID
	}
	raw := Redact(withoutTriggerHeaders(body))
	top := gjson.ParseBytes(raw)
	run := textAt(top, runIDPath)
	if ValidateOpaqueID(run) != nil {
		return Event{}, ErrNoRunID
	}
	beside := []gjson.Result{top}
	if dot := strings.LastIndexByte(runIDPath, '.'); dot >= 0 {
		beside = append(membersAt(top, runIDPath[:dot]), top)
	}
	e := Event{Kind: Callback, RunID: run, Type: firstText(beside, callbackTypes), Raw: bytes.Clone(raw)}
	if session := firstText(beside, callbackSessions); ValidateOpaqueID(session) == nil {
		e.SessionID = session
	}
	e.ID = e.RunID + ":" + e.Type
	told := []any{firstText(beside, callbackStates), e.SessionID}
	switch {
	case e.Type == "" || strings.EqualFold(e.Type, loggedType):
		e.ID += ":" + digest(inOneOrder(raw))
	case told[0] != "" || told[1] != "":
		e.ID += ":" + digest(told)
	}
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
func firstText(objects []gjson.Result, names []string) string {
	for _, object := range objects {
		for _, name := range names {
			if text := strings.TrimSpace(textAt(object, name)); text != "" {
				return text
			}
		}
	}
	return ""
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

// withoutTriggerHeaders removes the headers of the request that started the run, where the
// author of a workflow hands on the output of its trigger: they hold the trigger's key.
// That output is known by its method beside the headers.
func withoutTriggerHeaders(body []byte) []byte {
	if !bytes.Contains(body, []byte("headers")) || !bytes.Contains(body, []byte("method")) {
		return body
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	whole, err := gabs.ParseJSONDecoder(dec)
	if err != nil || !dropTriggerHeaders(whole) {
		return body
	}
	return whole.EncodeJSON()
}

func dropTriggerHeaders(value *gabs.Container) (dropped bool) {
	switch value.Data().(type) {
	case map[string]any:
		of := value.ChildrenMap()
		if of["headers"] != nil && of["method"] != nil {
			dropped = value.Delete("headers") == nil
		}
		for _, member := range of {
			dropped = dropTriggerHeaders(member) || dropped
		}
	case []any:
		for _, item := range value.Children() {
			dropped = dropTriggerHeaders(item) || dropped
		}
	}
	return dropped
}
