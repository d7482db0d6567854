package happyrobot

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"unicode/utf8"

	"github.com/tidwall/gjson"
)

// EventKind is one of the forms in which the API, or a workflow, reports on calls.
type EventKind string

// Forms of events.
const (
	CloudEvent EventKind = "cloudevent" // of the platform: runs and sessions, no call of v1
	CallHook   EventKind = "call_hook"  // of a use case: a call of v1
)

// Event is what the API posts to a webhook. Types and statuses are open words.
type Event struct {
	Kind       EventKind
	ID         string // of the sender; of a hook and a callback, which have none, made from their contents
	Source     string // of a CloudEvent
	Type       string // such as session.status_changed, start, end: documented ones in the documented spelling; of a callback the author's, which may be empty
	Status     string // of a hook and a CloudEvent
	Previous   string // status of a CloudEvent
	CallID     string // of a hook
	RunID      string // of a CloudEvent and a callback, as the next
	SessionID  string
	Transcript *Transcript     // of a hook that carries the talk, without Raw; nil for none
	Raw        json.RawMessage // secrets removed
}

// What is no event.
var (
	ErrNoJSON  = errors.New("the body is not JSON")
	ErrNoEvent = errors.New("the body is neither a CloudEvent with id and type, nor a call hook with type and call.id")
)

// eventTypes finds a documented type by its folded word.
var eventTypes = func() map[string]string {
	found := map[string]string{}
	for _, documented := range []string{"start", "end", "session.status_changed"} {
		found[Fold(documented)] = documented
	}
	return found
}()

// byteOrderMark may stand in front of a body. It is no part of the JSON.
var byteOrderMark = []byte("\xef\xbb\xbf")

// ParseEvent reads the body of a webhook, whatever the event's type. It fails with
// ErrNoJSON or ErrNoEvent, and for nothing else: a member of another type than documented
// is left zero.
func ParseEvent(body []byte) (Event, error) {
	body = bytes.TrimPrefix(body, byteOrderMark)
	if !utf8.Valid(body) || !json.Valid(body) { // json takes any bytes in a string
		return Event{}, ErrNoJSON
	}
	if !isObject(body) {
		return Event{}, ErrNoEvent
	}
	var m struct {
		SpecVersion lenient[string] `json:"specversion"`
		ID          lenient[string] `json:"id"`
		Source      lenient[string] `json:"source"`
		Type        lenient[string] `json:"type"`
		Data        lenient[struct {
			RunID     lenient[string] `json:"run_id"`
			SessionID lenient[string] `json:"session_id"`
			Status    lenient[struct {
				Current  lenient[string] `json:"current"`
				Previous lenient[string] `json:"previous"`
			}] `json:"status"`
		}] `json:"data"`
		Call lenient[hookedCall] `json:"call"`
	}
	if err := json.Unmarshal(body, &m); err != nil {
		return Event{}, ErrNoJSON
	}
	call := m.Call.v
	e := Event{Type: cmp.Or(eventTypes[Fold(m.Type.v)], m.Type.v), Raw: Redact(bytes.Clone(body))}
	switch {
	case e.Type != "" && m.SpecVersion.v != "" && m.ID.v != "":
		e.Kind, e.ID, e.Source = CloudEvent, m.ID.v, m.Source.v
		data := m.Data.v
		e.RunID, e.SessionID = data.RunID.v, data.SessionID.v
		e.Status, e.Previous = data.Status.v.Current.v, data.Status.v.Previous.v
	case e.Type != "" && call.ID.v != "":
		e.Kind, e.CallID, e.Status = CallHook, call.ID.v, call.Status.v
		// Of the type as it was written: an event keeps the id that it had before types were folded.
		e.ID = call.ID.v + ":" + m.Type.v + ":" + e.Status
		if found := call.found(); found != "" {
			e.ID += ":" + found
		}
		// No part of the id: an event has had the same one since before talks were read.
		if messages := talkOf(body); len(messages) > 0 {
			e.Transcript = &Transcript{CallID: e.CallID, Messages: messages}
		}
	default:
		return Event{}, ErrNoEvent
	}
	return e, nil
}

// talkOf is the talk that a hook carries, by the exact names of members: see readMessage.
func talkOf(body []byte) (messages []TranscriptMessage) {
	for _, list := range membersAt(gjson.ParseBytes(body), "content.messages") {
		messages = readMessages(list)
	}
	return messages
}

type hookedCall struct {
	ID             lenient[string] `json:"id"`
	Status         lenient[string] `json:"status"`
	Extraction     any             `json:"extraction"`
	Classification any             `json:"classification"`
}

// found digests what the API extracted from the talk. An end that is posted again once
// that is known is a new event, not a repetition.
func (c hookedCall) found() string {
	if c.Extraction == nil && c.Classification == nil {
		return ""
	}
	return digest([]any{c.Extraction, c.Classification}) // in one order of members
}
