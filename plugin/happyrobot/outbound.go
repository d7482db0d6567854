package happyrobot

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
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

const (
	memberParams      = "params"
	memberMetadata    = "metadata"
	memberMaxDuration = "max_duration_mins"
)

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
