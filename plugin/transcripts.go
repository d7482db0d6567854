package plugin

import (
	"sync"

	"github.com/Jeffail/gabs/v2"
	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/words"
)

// Members that we add to a transcript.
const (
	transcriptText = "text"
	transcriptNote = "text_note" // beside an empty text: why it is empty
)

// maxToldRoles bounds what an API can make a component remember and log.
const maxToldRoles = 20

// transcriptTexts adds texts to transcripts, and reports what they leave out: in
// the log once, and in a metric.
type transcriptTexts struct {
	log      *service.Logger
	empty    *service.MetricCounter
	messages string // where a message has what its text leaves out

	mu        sync.Mutex
	toldEmpty bool
	toldRoles map[string]bool
}

func newTranscriptTexts(res *service.Resources, messages string) *transcriptTexts {
	t := &transcriptTexts{log: res.Logger(), messages: messages, empty: res.Metrics().NewCounter(words.MetricTranscriptsWithoutText), toldRoles: map[string]bool{}}
	t.empty.Incr(0)
	return t
}

// add gives the JSON object of a transcript its text.
func (t *transcriptTexts) add(object *gabs.Container, transcript happyrobot.Transcript) error {
	text, note := transcript.Text(), ""
	if _, err := object.Set(text, transcriptText); err != nil {
		return err
	}
	_ = object.Delete(transcriptNote) // an error says that there was none
	if text == "" {
		note = transcript.TextNote()
		if _, err := object.Set(note, transcriptNote); err != nil {
			return err
		}
		t.empty.Incr(1)
	}
	t.tell(note, transcript.UnknownRoles())
	return nil
}

func (t *transcriptTexts) tell(note string, unknown []string) {
	t.mu.Lock()
	var roles []string
	for _, role := range unknown {
		if !t.toldRoles[role] && len(t.toldRoles) < maxToldRoles {
			t.toldRoles[role] = true
			roles = append(roles, role)
		}
	}
	empty := note != "" && !t.toldEmpty
	t.toldEmpty = t.toldEmpty || empty
	t.mu.Unlock()
	for _, role := range roles {
		t.log.Warnf("Messages with the role %q are left out of transcript.text, since the API documents no such speaker; they stay in %s. Reported once for each role.", role, t.messages)
	}
	if empty {
		t.log.Warnf("A transcript has an empty text: %s. Reported once; counted in happyrobot_transcripts_without_text, and each such transcript has a text_note.", note)
	}
}
