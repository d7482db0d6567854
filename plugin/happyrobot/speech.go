package happyrobot

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/tidwall/gjson"
)

// Speakers are the roles whose messages were spoken: all that the documentation of
// either generation lists as such. Every other role is left out of a text, since the
// set is open and a prompt or a tool's result must not pass for speech under a new
// name.
var speakers = []string{"assistant", "user"}

// silent are the roles that are known not to speak. Nothing is lost with them.
var silent = []string{"system", "developer", "tool", "function", "tool_result", "event"}

// spokenTypes are the types of a message that may be speech, and spokenParts those of
// a part of its content. The API documents neither, so every other type is left out.
var (
	spokenTypes = []string{"", "message", "text"}
	spokenParts = []string{"text", "input_text", "output_text"}
)

// TranscriptMessage is one turn. Content may be missing where a turn only calls
// a tool. Role is an open word: system, assistant, user, tool. Type, Name and
// ToolCallID hold the JSON of a value that is no text.
type TranscriptMessage struct {
	Role       string
	Content    string // the parts that are text, joined
	Type       string // documented for no message; "" for none
	Name       string // the documentation has it on a tool's messages only: the tool
	ToolCallID string // set on the answer of a tool
}

// UnmarshalJSON reads what can be read: one odd message must not lose the others.
func (m *TranscriptMessage) UnmarshalJSON(b []byte) error {
	*m = readMessage(gjson.ParseBytes(b))
	return nil
}

// readMessages reads a list of messages, each of which has its place.
func readMessages(list gjson.Result) (messages []TranscriptMessage) {
	if !list.IsArray() {
		return nil
	}
	list.ForEach(func(_, value gjson.Result) bool {
		messages = append(messages, readMessage(value))
		return true
	})
	return messages
}

// readMessage takes members by their exact names. encoding/json takes "Role" for
// "role", and a prompt could pass for speech under the second.
func readMessage(value gjson.Result) (m TranscriptMessage) {
	if !value.IsObject() {
		return m
	}
	value.ForEach(func(name, value gjson.Result) bool {
		switch name.Str {
		case "role":
			m.Role = textOf(value)
		case "content":
			m.Content = contentOf(value)
		case "type":
			m.Type = wordOf(value)
		case "name":
			m.Name = wordOf(value)
		default:
			if ofTool(name.Str, value) {
				m.ToolCallID = wordOf(value)
			}
		}
		return true
	})
	return m
}

// ofTool reports whether a member, such as tool_call_id, tool_use_id or toolCallId,
// says that what it stands in is a tool's. Who calls a tool may speak as well.
func ofTool(name string, value gjson.Result) bool {
	const tool = "tool"
	if len(name) < len(tool) || !strings.EqualFold(name[:len(tool)], tool) || name == "tool_calls" || name == "toolCalls" {
		return false
	}
	switch value.Type {
	case gjson.Null, gjson.False:
		return false
	case gjson.String:
		return value.Str != ""
	case gjson.JSON:
		return strings.TrimLeft(value.Raw, "[{ \t\r\n") != value.Raw[len(value.Raw)-1:] // not empty
	default:
		return true
	}
}

// textOf is a value that is text, else "".
func textOf(value gjson.Result) string {
	return strings.ToValidUTF8(strings.Clone(value.Str), "\ufffd")
}

// wordOf is a value as text, whatever its type; "" for null.
func wordOf(value gjson.Result) string {
	switch value.Type {
	case gjson.Null:
		return ""
	case gjson.String:
		return textOf(value)
	default:
		return strings.Clone(value.Raw)
	}
}

// contentOf is the text of a message's content, which comes as one string or in parts.
func contentOf(value gjson.Result) string {
	if !value.IsArray() {
		return partText(value)
	}
	var joined strings.Builder
	value.ForEach(func(_, part gjson.Result) bool {
		joined.WriteString(partText(part))
		return true
	})
	return joined.String()
}

// partText is the text of one part. Parts of other types, such as images and the
// results of tools, are no speech. A part without a type is, unless it is a tool's;
// one whose type is null or no text is of an unknown type.
func partText(value gjson.Result) string {
	if !value.IsObject() {
		return textOf(value)
	}
	text, spoken, typed, tools := "", false, false, false
	value.ForEach(func(name, value gjson.Result) bool {
		switch name.Str {
		case "type":
			typed, spoken = true, slices.Contains(spokenParts, folded(textOf(value)))
		case "text":
			text = textOf(value)
		default:
			tools = tools || ofTool(name.Str, value)
		}
		return true
	})
	if tools || typed && !spoken {
		return ""
	}
	return text
}

func folded(word string) string { return strings.ToLower(strings.TrimSpace(word)) }

// speaks reports whether a message was said by one of the two who talk. A message
// with a name was not: the documentation gives names to the answers of tools only. A
// name could be a speaker's, but a tool's result in the text does more harm than a
// turn that is missing there and reported.
func (m TranscriptMessage) speaks(speakers []string) bool {
	return slices.Contains(speakers, folded(m.Role)) && m.ToolCallID == "" && m.named() == "" && m.spokenType()
}

func (m TranscriptMessage) named() string { return strings.TrimSpace(m.Name) }

func (m TranscriptMessage) spokenType() bool { return slices.Contains(spokenTypes, folded(m.Type)) }

// kind is the role of a message as a log may show it, and what else keeps a speaker's
// message out of the text.
func (m TranscriptMessage) kind(speakers []string) string {
	role := m.Role
	if slices.Contains(speakers, folded(role)) {
		switch {
		case m.ToolCallID != "":
			role += " of a tool"
		case m.named() != "":
			role += " with a name"
		case !m.spokenType():
			role += " of type " + m.Type
		}
	}
	return roleName(role)
}

// speakers are the roles whose messages were spoken.
func (t Transcript) speakers() []string {
	if len(t.Speakers) == 0 {
		return speakers
	}
	return slices.Concat(speakers, t.Speakers)
}

// Text is the talk as plain lines, "assistant: Hello?", of speakers only.
func (t Transcript) Text() string {
	var lines []string
	speakers := t.speakers()
	for _, m := range t.Messages {
		if said := strings.Join(strings.Fields(m.Content), " "); said != "" && m.speaks(speakers) {
			lines = append(lines, folded(m.Role)+": "+said)
		}
	}
	return strings.Join(lines, "\n")
}

const (
	maxRoles    = 10 // named in a note
	maxRoleName = 40 // bytes of each
)

// TextNote says why Text is empty, naming the roles that there are. It is empty
// when Text is not.
func (t Transcript) TextNote() string {
	if t.Text() != "" {
		return ""
	}
	if len(t.Messages) == 0 {
		return "the transcript has no messages"
	}
	count, speakers := map[string]int{}, t.speakers()
	for _, m := range t.Messages {
		count[m.kind(speakers)]++
	}
	var roles []string
	for _, role := range slices.Sorted(maps.Keys(count)) {
		if len(roles) == maxRoles {
			roles = append(roles, "others")
			break
		}
		roles = append(roles, fmt.Sprintf("%s (%d)", role, count[role]))
	}
	return fmt.Sprintf("no message has text and the role of a speaker (%s); roles found: %s", strings.Join(speakers, ", "), strings.Join(roles, ", "))
}

// UnknownRoles lists the roles whose messages Text leaves out without knowing that
// they do not speak. Those of speakers with a name or of another type are among them.
func (t Transcript) UnknownRoles() []string {
	found, speakers := map[string]bool{}, t.speakers()
	for _, m := range t.Messages {
		known := m.ToolCallID != "" && slices.Contains(speakers, folded(m.Role)) || slices.Contains(silent, folded(m.Role))
		if strings.TrimSpace(m.Content) != "" && !m.speaks(speakers) && !known {
			found[m.kind(speakers)] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// roleName is a role as a log may show it.
func roleName(role string) string {
	role = strings.ToValidUTF8(role[:min(len(role), 2*maxRoleName)], "")
	name := cmp.Or(Excerpt(folded(role)), "none")
	for len(name) > maxRoleName {
		_, size := utf8.DecodeLastRuneInString(name)
		name = name[:len(name)-size]
	}
	return name
}
