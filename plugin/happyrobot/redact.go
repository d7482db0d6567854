package happyrobot

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// secretHints are words without which JSON holds no secret that we know of.
// The last begins an escape, behind which a member's name could hide.
var secretHints = [][]byte{[]byte("headers"), []byte("api_key"), []byte("twilio_credentials"), []byte(`\u00`)}

// Redact removes the secrets that the API embeds in its replies, at any depth: the
// headers of hooks, and credentials. The rest stays as it was, byte by byte, and so
// does all that customers put in: metadata, params, extracted values.
// Text that is no JSON is dropped whole.
func Redact(raw json.RawMessage) json.RawMessage {
	if !slices.ContainsFunc(secretHints, func(hint []byte) bool { return bytes.Contains(raw, hint) }) {
		return raw
	}
	if !json.Valid(raw) {
		return nil
	}
	s := scanner{json: raw}
	s.value(s.space(0), false)
	if len(s.cuts) == 0 {
		return raw
	}
	kept := make([]byte, 0, len(raw))
	from := 0
	for _, cut := range s.cuts {
		kept = append(kept, raw[from:cut.from]...)
		from = cut.to
	}
	return append(kept, raw[from:]...)
}

// scanner walks valid JSON and notes what to cut out. Decoding and encoding each
// call again would cost many times as much.
type scanner struct {
	json []byte
	cuts []span
}

type span struct{ from, to int }

// value passes over the value at i and answers where it ends. inHook says that
// headers in it are secret.
func (s *scanner) value(i int, inHook bool) int {
	switch s.json[i] {
	case '{':
		return s.object(i, inHook)
	case '[':
		i = s.space(i + 1)
		for s.json[i] != ']' {
			if i = s.space(s.value(i, inHook)); s.json[i] == ',' {
				i = s.space(i + 1)
			}
		}
		return i + 1
	case '"':
		return s.text(i)
	default: // a number or a word
		for i < len(s.json) && strings.IndexByte(",]} \t\r\n", s.json[i]) < 0 {
			i++
		}
		return i
	}
}

func (s *scanner) object(i int, inHook bool) int {
	comma := -1 // the one before the member, once a member was kept
	kept := false
	i = s.space(i + 1)
	for s.json[i] != '}' {
		begin := i
		i = s.text(i)
		name := memberName(s.json[begin:i])
		i = s.space(s.space(i) + 1) // past the colon
		var secret, hook, customers bool
		switch string(name) {
		case "api_key", "twilio_credentials":
			secret = true
		case "headers":
			secret = inHook
		case "hooks", "hook":
			hook = true
		case "metadata", "params", "extraction":
			customers = true
		}
		cuts := len(s.cuts)
		end := s.value(i, inHook || hook)
		if secret || customers {
			s.cuts = s.cuts[:cuts]
		}
		i = s.space(end)
		last := s.json[i] != ','
		if secret {
			cut := span{begin, end}
			if kept {
				cut.from = comma
			} else if !last {
				cut.to = i + 1
			}
			s.cuts = append(s.cuts, cut)
		} else {
			kept = true
		}
		if !last {
			comma = i
			i = s.space(i + 1)
		}
	}
	return i + 1
}

// text passes over the string whose opening quote is at i.
func (s *scanner) text(i int) int {
	for i++; s.json[i] != '"'; i++ {
		if s.json[i] == '\\' {
			i++
		}
	}
	return i + 1
}

func (s *scanner) space(i int) int {
	for i < len(s.json) && (s.json[i] == ' ' || s.json[i] == '\n' || s.json[i] == '\t' || s.json[i] == '\r') {
		i++
	}
	return i
}

// memberName takes the quotes, and escapes if there are any, off a name.
func memberName(quoted []byte) []byte {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return quoted[1 : len(quoted)-1]
	}
	var name string
	_ = json.Unmarshal(quoted, &name) // valid, as all of it is
	return []byte(name)
}
