package platform

import (
	"context"
	"encoding/json"
	"iter"
	"net/url"
	"regexp"
	"time"

	"github.com/tidwall/gjson"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

// Message is one turn of a session, or an event in it.
type Message struct {
	ID          string
	SessionID   string
	Role        string // an open word: user, assistant, representative, tool, event
	Status      string
	Content     string // may hold <Thoughts>, which nobody said: see Transcript
	Created     time.Time
	Filler      bool // a mere acknowledgement, which was said
	Interrupted bool
	TurnIndex   int             // -1 for none
	Raw         json.RawMessage // secrets removed
}

// UnmarshalJSON reads what can be read. It fails only for what is no object.
func (m *Message) UnmarshalJSON(b []byte) error {
	*m = Message{TurnIndex: -1}
	err := members(b, func(name string, v gjson.Result) {
		switch name {
		case "id":
			m.ID = text(v)
		case "session_id":
			m.SessionID = text(v)
		case "role":
			m.Role = text(v)
		case "status":
			m.Status = text(v)
		case "content":
			m.Content = text(v)
		case "timestamp":
			m.Created = moment(v)
		case "is_filler":
			m.Filler = truth(v)
		case "is_interrupted":
			m.Interrupted = truth(v)
		case "turn_index":
			if n, ok := whole(v); ok {
				m.TurnIndex = n
			}
		}
	})
	if err == nil {
		m.Raw = kept(b)
	}
	return err
}

// ListMessages reads what was said in a session, oldest first, page by page as it is taken,
// GET /sessions/{session_id}/messages. It ends at the first error, which comes with a zero
// Message. A message of another session is one.
func (c *Client) ListMessages(ctx context.Context, session string) iter.Seq2[Message, error] {
	return listOf(ctx, c, "listSessionMessages", map[string]string{"session_id": session}, url.Values{"sort": {string(Ascending)}}, func(item []byte) (m Message, err error) {
		if m.UnmarshalJSON(item) != nil {
			return Message{TurnIndex: -1, Raw: kept(item)}, nil
		}
		if !same(m.SessionID, session) {
			return m, errOther
		}
		return m, nil
	})
}

// thoughts are what a turn holds that nobody said; also one that does not end.
var thoughts = regexp.MustCompile(`(?is)<\s*thoughts?\b[^>]*>.*?(?:<\s*/\s*thoughts?\s*>|$)`)

// Transcript is a talk in the form of v1, by whose rules Text says who spoke: users,
// assistants and, on the platform, human representatives. Events, tools and thoughts are
// no speech. Fillers are: they were said.
func Transcript(messages []Message) happyrobot.Transcript {
	t := happyrobot.Transcript{Speakers: []string{"representative"}, Messages: make([]happyrobot.TranscriptMessage, len(messages))}
	for i, m := range messages {
		_ = json.Unmarshal(m.Raw, &t.Messages[i]) // which never fails, whatever it is
		t.Messages[i].Content = thoughts.ReplaceAllString(t.Messages[i].Content, " ")
	}
	return t
}
