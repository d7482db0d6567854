package happyrobot

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Transcript is what was said in a call.
type Transcript struct {
	ID       string
	CallID   string
	Messages []TranscriptMessage
	Raw      json.RawMessage
}

// TranscriptMessage is one turn. Content may be missing where a turn only calls
// a tool. Role is an open word: system, assistant, user, tool.
type TranscriptMessage struct {
	Role    string
	Content string
}

// UnmarshalJSON reads what can be read.
func (t *Transcript) UnmarshalJSON(b []byte) error {
	var m struct {
		ID       lenient[string] `json:"id"`
		CallID   lenient[string] `json:"call_id"`
		Messages lenient[[]lenient[struct {
			Role    lenient[string] `json:"role"`
			Content lenient[string] `json:"content"`
		}]] `json:"messages"` // one odd message must not lose the others
	}
	if !isObject(b) {
		return errNoObject
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return err
	}
	*t = Transcript{ID: m.ID.v, CallID: m.CallID.v, Raw: bytes.Clone(b)}
	for _, msg := range m.Messages.v {
		t.Messages = append(t.Messages, TranscriptMessage{Role: msg.v.Role.v, Content: msg.v.Content.v})
	}
	return nil
}

// Text is the talk as plain lines, "assistant: Hello?", without prompts and tools.
func (t Transcript) Text() string {
	var lines []string
	for _, m := range t.Messages {
		content := strings.Join(strings.Fields(m.Content), " ")
		if content != "" && m.Role != "system" && m.Role != "tool" {
			lines = append(lines, m.Role+": "+content)
		}
	}
	return strings.Join(lines, "\n")
}

// GetTranscript reads a call's transcript. What the API answers while there is
// none is not documented: an empty one, or an error for which IsNotFound holds.
func (c *Client) GetTranscript(ctx context.Context, id string) (t Transcript, err error) {
	path, err := callPath(id, "/transcript")
	if err != nil {
		return Transcript{}, err
	}
	err = c.read(ctx, request{op: "getTranscript", path: path, limit: maxReplyBytes}, &t)
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
		return fmt.Errorf("%w: no URL", errShape)
	}
	return nil
}

// GetRecording reads where a call's recording is. The path is inferred.
func (c *Client) GetRecording(ctx context.Context, id string) (rec Recording, err error) {
	path, err := callPath(id, "/recording")
	if err != nil {
		return Recording{}, err
	}
	err = c.read(ctx, request{op: "getRecordingUrl", path: path, limit: maxReplyBytes}, &rec)
	return rec, err
}

// GetCallLogs reads a call's logs as they come: neither path nor shape is documented.
func (c *Client) GetCallLogs(ctx context.Context, id string) (logs json.RawMessage, err error) {
	path, err := callPath(id, "/logs")
	if err != nil {
		return nil, err
	}
	err = c.read(ctx, request{op: "getCallLogs", path: path, limit: maxReplyBytes}, &logs)
	return Redact(logs), err // a log may show the hooks that were called
}
