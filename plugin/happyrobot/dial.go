package happyrobot

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"github.com/tidwall/gjson"
)

// OutboundCall is one call to place. Members that this version does not know
// are kept in Extra and sent along. Source: page dial/create-batched-outbound-calls.
type OutboundCall struct {
	NumberID        string // number to call from, an id
	PhoneNumber     string // number to call, E.164
	UseCaseID       string
	AgentID         string
	ModelID         string
	PromptID        string
	Language        string // an open enum, such as en-US
	Params          any    // values for the prompt
	Metadata        map[string]any
	CampaignID      string
	ScheduledFor    string // ISO 8601, UTC; empty is at once
	MaxDurationMins *int
	Extra           map[string]any

	encoded []byte // by Encode
}

// fields pairs the members with their places, in the order of the page.
func (c *OutboundCall) fields() []struct {
	name string
	text *string
} {
	return []struct {
		name string
		text *string
	}{
		{"number_id", &c.NumberID}, {"phone_number", &c.PhoneNumber}, {"use_case_id", &c.UseCaseID},
		{"agent_id", &c.AgentID}, {"model_id", &c.ModelID}, {"prompt_id", &c.PromptID},
		{"language", &c.Language}, {"campaign_id", &c.CampaignID}, {"scheduled_for", &c.ScheduledFor},
	}
}

// Encode writes the call as JSON and keeps that: what is sent is what was encoded,
// whatever becomes of the members. Absent members are left out, and equal calls
// give equal bytes.
func (c *OutboundCall) Encode() ([]byte, error) {
	b := append(make([]byte, 0, 384), '{')
	for _, f := range c.fields() {
		if *f.text != "" {
			b = appendText(appendName(b, f.name), *f.text)
		}
	}
	if c.MaxDurationMins != nil {
		b = strconv.AppendInt(appendName(b, memberMaxDuration), int64(*c.MaxDurationMins), 10)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Extra)) {
		if err := appendMember(&b, name, c.Extra[name]); err != nil {
			return nil, err
		}
	}
	if c.Params != nil {
		if err := appendMember(&b, memberParams, c.Params); err != nil {
			return nil, err
		}
	}
	if c.Metadata != nil { // last, where Mark finds it
		if err := appendMember(&b, memberMetadata, c.Metadata); err != nil {
			return nil, err
		}
	}
	c.encoded = append(b, '}')
	return c.encoded, nil
}

// Mark gives an encoded call's metadata one more member, without encoding the rest
// again. Neither Metadata nor the bytes that Encode gave are changed.
func (c *OutboundCall) Mark(member, value string) {
	marked := make([]byte, 0, len(c.encoded)+len(member)+len(value)+24)
	if c.Metadata != nil {
		marked = append(marked, c.encoded[:len(c.encoded)-2]...) // up to the closing braces
	} else {
		marked = append(appendName(append(marked, c.encoded[:len(c.encoded)-1]...), memberMetadata), '{')
	}
	marked = appendText(appendName(marked, member), value)
	c.encoded = append(marked, "}}"...)
}

// MarshalJSON is Encode for encoding/json.
func (c OutboundCall) MarshalJSON() ([]byte, error) {
	if c.encoded != nil {
		return c.encoded, nil
	}
	return c.Encode()
}

const (
	memberParams      = "params"
	memberMetadata    = "metadata"
	memberMaxDuration = "max_duration_mins"
)

// appendName begins a member of an object.
func appendName(b []byte, name string) []byte {
	if b[len(b)-1] != '{' {
		b = append(b, ',')
	}
	return append(appendText(b, name), ':')
}

// appendText writes a string. Most are plain, and need no encoder.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' || s[i] == '"' || s[i] == '\\' {
			quoted, _ := json.Marshal(s) // a string can always be encoded
			return append(b, quoted...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

// appendMember writes a member of any value. Objects and texts, which is what leads
// are made of, are written here; encoding/json takes the rest.
func appendMember(b *[]byte, name string, v any) error {
	*b = appendName(*b, name)
	switch v := v.(type) {
	case string:
		*b = appendText(*b, v)
	case map[string]any:
		*b = append(*b, '{')
		for _, member := range slices.Sorted(maps.Keys(v)) { // equal objects give equal bytes
			if err := appendMember(b, member, v[member]); err != nil {
				return err
			}
		}
		*b = append(*b, '}')
	default:
		value, err := json.Marshal(v)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		*b = append(*b, value...)
	}
	return nil
}

// FieldError is a member of a call that is not as the API wants it.
type FieldError struct {
	Field   string
	Problem string
}

// Error names the field and the problem, never the value.
func (e *FieldError) Error() string { return e.Field + ": " + e.Problem }

// UnmarshalJSON takes null for absent, keeps the precision of numbers, and
// answers a FieldError for a member of the wrong type.
func (c *OutboundCall) UnmarshalJSON(b []byte) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	var m map[string]any
	if err := dec.Decode(&m); err != nil {
		return errors.New("the call must be a JSON object")
	}
	return c.FromObject(m)
}

// FromObject takes a decoded JSON object for a call, like UnmarshalJSON. Nested
// values are shared, the object itself is not changed. An empty text is an absent
// member, except in params, which may be anything.
func (c *OutboundCall) FromObject(object map[string]any) error {
	*c = OutboundCall{}
	known := 0
	for _, f := range c.fields() {
		v, given := object[f.name]
		if !given {
			continue
		}
		known++
		switch v := v.(type) {
		case nil:
		case string:
			*f.text = v
		case []byte: // it and a time come of mappings
			*f.text = string(v)
		case time.Time:
			*f.text = v.Format(time.RFC3339Nano)
		default:
			return &FieldError{f.name, fmt.Sprintf("must be text, not %s", kindOf(v))}
		}
	}
	if v, given := object[memberParams]; given {
		known++
		c.Params = v
	}
	if v, given := object[memberMetadata]; given {
		known++
		switch v := v.(type) {
		case nil:
		case map[string]any:
			c.Metadata = v
		default:
			if v == "" {
				break
			}
			return &FieldError{memberMetadata, fmt.Sprintf("must be an object, not %s", kindOf(v))}
		}
	}
	if v, given := object[memberMaxDuration]; given {
		known++
		switch v := v.(type) {
		case nil:
		case json.Number, int64, float64, int, uint64:
			minutes, whole := wholeNumber(v)
			if !whole {
				return &FieldError{memberMaxDuration, "must be a whole number of minutes"}
			}
			c.MaxDurationMins = &minutes
		default:
			if v == "" { // as an export writes an empty cell
				break
			}
			return &FieldError{memberMaxDuration, fmt.Sprintf("must be a whole number of minutes, not %s", kindOf(v))}
		}
	}
	if known < len(object) {
		c.Extra = maps.Clone(object)
		for _, f := range c.fields() {
			delete(c.Extra, f.name)
		}
		for _, member := range []string{memberParams, memberMetadata, memberMaxDuration} {
			delete(c.Extra, member)
		}
	}
	return nil
}

func kindOf(v any) string {
	switch v.(type) {
	case bool:
		return "a boolean"
	case json.Number, float64, int64, int, uint64:
		return "a number"
	case string:
		return "text"
	case []any:
		return "a list"
	default:
		return "an object"
	}
}

// CreatedCall is the API's answer for a call it created. It has no status.
type CreatedCall struct {
	ID             string
	OrganizationID string
	Metadata       CallMetadata
	Created        time.Time
	Raw            json.RawMessage // secrets removed
}

// UnmarshalJSON reads what can be read.
func (c *CreatedCall) UnmarshalJSON(b []byte) error {
	if !isObject(b) {
		return errNoObject
	}
	c.read(gjson.ParseBytes(b))
	c.Raw = Redact(bytes.Clone(b))
	return nil
}

// read takes the typed members of an object. A reply holds a kilobyte and more for
// each call, of which this needs little: decoding it all was most of what a dial
// cost.
func (c *CreatedCall) read(object gjson.Result) {
	*c = CreatedCall{}
	object.ForEach(func(name, value gjson.Result) bool {
		switch name.Str {
		case "id":
			c.ID = strings.Clone(value.Str) // not to keep the whole reply
		case "organization_id":
			c.OrganizationID = strings.Clone(value.Str)
		case memberMetadata:
			c.Metadata.read(value)
		case "created":
			c.Created, _ = time.Parse(time.RFC3339, value.Str)
		}
		return true
	})
}

// CreateOutboundCalls places calls with one request, POST /dial/outbound-batched,
// and never repeats it: an error that is not certain to have come before the
// request left means that the calls may have been placed. The reply may be in
// any order and need not list every call.
func (c *Client) CreateOutboundCalls(ctx context.Context, calls []OutboundCall) ([]CreatedCall, error) {
	const op = "createOutboundCallsBatched"
	body := append(make([]byte, 0, 512*len(calls)), '[')
	for i, call := range calls {
		one, err := call.MarshalJSON()
		if err != nil {
			return nil, &Error{Op: op, Err: fmt.Errorf("encoding the calls: %w", err), notSent: true}
		}
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, one...)
	}
	body = append(body, ']')
	reply, err := c.once(ctx, request{op: op, method: http.MethodPost, path: "/dial/outbound-batched", body: &dialBody{json: body}, limit: maxListBytes, expect: int(c.dialReply.Load())})
	if err != nil {
		return nil, err
	}
	c.dialReply.Store(int64(len(reply)))
	if !validJSON(reply) {
		return nil, &Error{Op: op, Status: http.StatusOK, Err: errors.New("decoding the reply: not JSON, or cut short")}
	}
	items := gjson.Parse(unsafe.String(unsafe.SliceData(reply), len(reply))) //nolint:gosec // nobody changes the reply any more
	if !items.IsArray() {
		return nil, &Error{Op: op, Status: http.StatusOK, Err: fmt.Errorf("decoding the reply: %w: no list of calls", errShape)}
	}
	created := make([]CreatedCall, 0, len(calls))
	items.ForEach(func(_, item gjson.Result) bool {
		if !item.IsObject() { // an odd item must not lose its neighbours
			return true
		}
		var one CreatedCall
		one.read(item)
		if !c.opts.OmitRaw {
			one.Raw = Redact([]byte(item.Raw))
		}
		created = append(created, one)
		return true
	})
	return created, nil
}
