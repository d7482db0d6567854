package happyrobot

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tidwall/gjson"
)

// Transcript is what was said in a call. Source: page calls/get-transcript.
type Transcript struct {
	ID       string
	CallID   string
	Messages []TranscriptMessage
	Raw      json.RawMessage // nil for that of an Event

	Speakers []string // roles that speak beside user and assistant, in lower case; none in v1
}

// UnmarshalJSON reads what can be read. It fails only for what is no object.
func (t *Transcript) UnmarshalJSON(b []byte) error {
	if !isObject(b) {
		return errNoObject
	}
	*t = Transcript{Raw: bytes.Clone(b)}
	gjson.ParseBytes(b).ForEach(func(name, value gjson.Result) bool {
		switch name.Str {
		case "id":
			t.ID = textOf(value)
		case "call_id":
			t.CallID = textOf(value)
		case "messages":
			t.Messages = readMessages(value)
		}
		return true
	})
	return nil
}

// GetTranscript reads a call's transcript, GET /calls/{id}/transcript, and repeats that
// until it is answered. What the API answers while there is none is not documented: an
// empty one, or an error for which IsNotFound holds. An answer that names another call is
// unreadable.
func (c *Client) GetTranscript(ctx context.Context, id string) (t Transcript, err error) {
	path, err := callPath(id, "/transcript")
	if err != nil {
		return Transcript{}, err
	}
	err = c.readOf(ctx, request{op: "getTranscript", path: path, limit: maxReplyBytes}, id, &t)
	return t, err
}

// Recording is where a call's recording can be fetched. The URL is signed and
// of unknown lifetime: fetch it at once and do not store it.
type Recording struct {
	URL string
	Raw json.RawMessage
}

// UnmarshalJSON takes a bare URL, {"url": ...}, or any member with a URL: the
// reply's shape is not documented.
func (r *Recording) UnmarshalJSON(b []byte) error {
	*r = Recording{Raw: bytes.Clone(b)}
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	switch v := v.(type) {
	case string:
		r.URL = v
	case map[string]any:
		if u, ok := v["url"].(string); ok {
			r.URL = u
			break
		}
		for _, name := range slices.Sorted(maps.Keys(v)) { // the same one each time
			if u, ok := v[name].(string); ok && r.URL == "" && (strings.HasPrefix(u, "https://") || strings.HasPrefix(u, "http://")) {
				r.URL = u
			}
		}
	}
	if r.URL == "" {
		return fmt.Errorf("%w: no URL", ErrOtherForm)
	}
	return nil
}

// GetRecording reads where a call's recording is, GET /calls/{id}/recording, and repeats
// that until it is answered. No page describes it: the path is inferred.
func (c *Client) GetRecording(ctx context.Context, id string) (rec Recording, err error) {
	path, err := callPath(id, "/recording")
	if err != nil {
		return Recording{}, err
	}
	err = c.readOf(ctx, request{op: "getRecordingUrl", path: path, limit: maxReplyBytes}, id, &rec)
	return rec, err
}

// GetCallLogs reads a call's logs as they come, GET /calls/{id}/logs, secrets removed, and
// repeats that until it is answered. Neither path nor shape is documented.
func (c *Client) GetCallLogs(ctx context.Context, id string) (logs json.RawMessage, err error) {
	path, err := callPath(id, "/logs")
	if err != nil {
		return nil, err
	}
	err = c.readOf(ctx, request{op: "getCallLogs", path: path, limit: maxReplyBytes}, id, &logs)
	return Redact(logs), err // a log may show the hooks that were called
}
