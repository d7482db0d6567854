package happyrobot

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// EncodedCall is a call to place as the JSON that is sent for it. Nothing changes one
// any more. The zero EncodedCall is a call without members, which the API refuses.
type EncodedCall struct {
	number   string
	json     []byte // an object; nil for {}
	metadata bool   // the object ends with metadata, an object
}

// Encode writes the call as JSON. Absent members are left out, and equal calls give
// equal bytes. It fails for a value in Params, Metadata or Extra that is no JSON.
func (c *OutboundCall) Encode() (EncodedCall, error) {
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
			return EncodedCall{}, err
		}
	}
	if c.Params != nil {
		if err := appendMember(&b, memberParams, c.Params); err != nil {
			return EncodedCall{}, err
		}
	}
	if c.Metadata != nil { // last, where Mark finds it
		if err := appendMember(&b, memberMetadata, c.Metadata); err != nil {
			return EncodedCall{}, err
		}
	}
	return EncodedCall{number: c.PhoneNumber, json: append(b, '}'), metadata: c.Metadata != nil}, nil
}

// MarshalJSON is Encode for encoding/json.
func (c OutboundCall) MarshalJSON() ([]byte, error) {
	encoded, err := c.Encode()
	return encoded.json, err
}

// Number is the number to call, as it is sent.
func (c EncodedCall) Number() string { return c.number }

// Bytes is the JSON object that is sent. It must not be changed.
func (c EncodedCall) Bytes() []byte {
	if c.json == nil {
		return []byte("{}")
	}
	return c.json
}

// MarshalJSON is Bytes for encoding/json.
func (c EncodedCall) MarshalJSON() ([]byte, error) { return c.Bytes(), nil }

// Mark returns the call with one more member of its metadata, a text, without encoding
// the rest again. The member must not be among Metadata already. The call itself stays
// as it is.
func (c EncodedCall) Mark(member, value string) EncodedCall {
	b := c.Bytes()
	marked := make([]byte, 0, len(b)+len(memberMetadata)+len(member)+len(value)+16)
	if c.metadata {
		marked = append(marked, b[:len(b)-2]...) // up to the closing braces
	} else {
		marked = append(appendName(append(marked, b[:len(b)-1]...), memberMetadata), '{')
	}
	marked = appendText(appendName(marked, member), value)
	return EncodedCall{number: c.number, json: append(marked, "}}"...), metadata: true}
}

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
