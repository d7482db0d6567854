package happyrobot

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// Speakers are the roles whose messages were spoken: all that the documentation of
// either generation lists as such. Every other role is left out of a text, since the
// set is open and a prompt or a tool's result must not pass for speech under a new
// name.
var speakers = []string{"assistant", "user"}

// silent are the roles that are known not to speak. Nothing is lost with them.
var silent = []string{"system", "developer", "tool", "function", "tool_result", "event"}

// TranscriptMessage is one turn. Content may be missing where a turn only calls
// a tool. Role is an open word: system, assistant, user, tool.
type TranscriptMessage struct {
	Role       string
	Content    string // the parts that are text, joined
	ToolCallID string // set on the answer of a tool
}

// UnmarshalJSON reads what can be read: one odd message must not lose the others.
func (m *TranscriptMessage) UnmarshalJSON(b []byte) error {
	var v lenient[struct {
		Role       lenient[string]  `json:"role"`
		Content    lenient[content] `json:"content"`
		ToolCallID lenient[string]  `json:"tool_call_id"`
	}]
	_ = v.UnmarshalJSON(b) // never fails
	*m = TranscriptMessage{Role: v.v.Role.v, Content: string(v.v.Content.v), ToolCallID: v.v.ToolCallID.v}
	return nil
}

// content is a message's text, which comes as one string or in parts.
type content string

// UnmarshalJSON joins the parts that are text. Parts of other types, such as images
// and the results of tools, are no speech.
func (c *content) UnmarshalJSON(b []byte) error {
	var whole string
	if json.Unmarshal(b, &whole) == nil {
		*c = content(whole)
		return nil
	}
	var parts []lenient[part]
	if json.Unmarshal(b, &parts) != nil {
		parts = make([]lenient[part], 1) // a single part, or neither form
		_ = parts[0].UnmarshalJSON(b)
	}
	var joined strings.Builder
	for _, p := range parts {
		joined.WriteString(string(p.v))
	}
	*c = content(joined.String())
	return nil
}

// part is the text of one part.
type part string

func (p *part) UnmarshalJSON(b []byte) error {
	var bare string
	if json.Unmarshal(b, &bare) == nil {
		*p = part(bare)
		return nil
	}
	var typed struct {
		Type *string         `json:"type"`
		Text lenient[string] `json:"text"`
	}
	if err := json.Unmarshal(b, &typed); err != nil {
		return err
	}
	if typed.Type == nil || folded(*typed.Type) == "text" {
		*p = part(typed.Text.v)
	}
	return nil
}

func folded(word string) string { return strings.ToLower(strings.TrimSpace(word)) }

// speaks reports whether a message was said by one of the two who talk.
func (m TranscriptMessage) speaks() bool {
	return slices.Contains(speakers, folded(m.Role)) && m.ToolCallID == ""
}

// Text is the talk as plain lines, "assistant: Hello?", of speakers only.
func (t Transcript) Text() string {
	var lines []string
	for _, m := range t.Messages {
		if said := strings.Join(strings.Fields(m.Content), " "); said != "" && m.speaks() {
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
	count := map[string]int{}
	for _, m := range t.Messages {
		count[roleName(m.Role)]++
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
// they do not speak.
func (t Transcript) UnknownRoles() []string {
	found := map[string]bool{}
	for _, m := range t.Messages {
		role := folded(m.Role)
		if strings.TrimSpace(m.Content) != "" && !slices.Contains(speakers, role) && !slices.Contains(silent, role) {
			found[roleName(m.Role)] = true
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
