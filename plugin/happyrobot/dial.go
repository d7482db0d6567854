package happyrobot

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"time"
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

// MarshalJSON leaves absent members out; equal calls give equal bytes.
func (c OutboundCall) MarshalJSON() ([]byte, error) {
	m := make(map[string]any, 8+len(c.Extra))
	maps.Copy(m, c.Extra)
	for _, f := range c.fields() {
		if *f.text != "" {
			m[f.name] = *f.text
		}
	}
	if c.Params != nil {
		m["params"] = c.Params
	}
	if c.Metadata != nil {
		m["metadata"] = c.Metadata
	}
	if c.MaxDurationMins != nil {
		m["max_duration_mins"] = *c.MaxDurationMins
	}
	return json.Marshal(m) // sorts the members
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
// values are shared, the object itself is not changed.
func (c *OutboundCall) FromObject(object map[string]any) error {
	m := maps.Clone(object)
	*c = OutboundCall{}
	for _, f := range c.fields() {
		switch v := m[f.name].(type) {
		case nil:
		case string:
			*f.text = v
		default:
			return &FieldError{f.name, fmt.Sprintf("must be text, not %s", kindOf(v))}
		}
		delete(m, f.name)
	}
	c.Params = m["params"]
	switch v := m["metadata"].(type) {
	case nil:
	case map[string]any:
		c.Metadata = v
	default:
		return &FieldError{"metadata", fmt.Sprintf("must be an object, not %s", kindOf(v))}
	}
	switch v := m["max_duration_mins"].(type) {
	case nil:
	case json.Number, int64, float64, int, uint64:
		minutes, err := strconv.Atoi(fmt.Sprint(v))
		if err != nil {
			return &FieldError{"max_duration_mins", "must be a whole number of minutes"}
		}
		c.MaxDurationMins = &minutes
	default:
		return &FieldError{"max_duration_mins", fmt.Sprintf("must be a whole number of minutes, not %s", kindOf(v))}
	}
	for _, known := range []string{"params", "metadata", "max_duration_mins"} {
		delete(m, known)
	}
	if len(m) > 0 {
		c.Extra = m
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
	if err := c.read(b); err != nil {
		return err
	}
	c.Raw = Redact(bytes.Clone(b))
	return nil
}

// read reads the typed members.
func (c *CreatedCall) read(b []byte) error {
	if !isObject(b) {
		return errNoObject
	}
	var m struct {
		ID             lenient[string]       `json:"id"`
		OrganizationID lenient[string]       `json:"organization_id"`
		Metadata       lenient[CallMetadata] `json:"metadata"`
		Created        timestamp             `json:"created"`
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return err
	}
	*c = CreatedCall{ID: m.ID.v, OrganizationID: m.OrganizationID.v, Metadata: m.Metadata.v, Created: m.Created.Time}
	return nil
}

// CreateOutboundCalls places calls with one request, POST /dial/outbound-batched,
// and never repeats it: an error that is not certain to have come before the
// request left means that the calls may have been placed. The reply may be in
// any order and need not list every call.
func (c *Client) CreateOutboundCalls(ctx context.Context, calls []OutboundCall) ([]CreatedCall, error) {
	const op = "createOutboundCallsBatched"
	body, err := json.Marshal(calls)
	if err != nil {
		return nil, &Error{Op: op, Err: fmt.Errorf("encoding the calls: %w", err), notSent: true}
	}
	reply, err := c.once(ctx, request{op: op, method: http.MethodPost, path: "/dial/outbound-batched", body: &dialBody{json: body}, limit: maxListBytes})
	if err != nil {
		return nil, err
	}
	var items []json.RawMessage
	if err := json.Unmarshal(reply, &items); err != nil {
		return nil, &Error{Op: op, Status: http.StatusOK, Err: fmt.Errorf("decoding the reply: %w", decodeError(err))}
	}
	created := make([]CreatedCall, 0, len(items))
	for _, item := range items {
		var one CreatedCall
		read := one.UnmarshalJSON
		if c.opts.OmitRaw {
			read = one.read
		}
		if read(item) == nil { // an odd item must not lose its neighbours
			created = append(created, one)
		}
	}
	return created, nil
}
