package callsim

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim/internal/rig"
)

const (
	opDial      = "createOutboundCall"
	opDialBatch = "createOutboundCallsBatched"
)

// maxDialBytes is what the pretend API reads of a dial.
const maxDialBytes = 64 << 20

// dialRequest is one call asked for, checked. What was not given is empty.
type dialRequest struct {
	raw       json.RawMessage // as received
	phone     string
	metadata  json.RawMessage
	params    json.RawMessage // nil unless an object: the API shows no other
	scheduled time.Time
	minutes   int

	number, useCase, agent, prompt, campaign, language string
}

var e164 = regexp.MustCompile(`^\+[1-9]\d{6,14}$`)

// languages are those that any documentation lists.
var languages = []string{
	"en-US", "en-GB", "es-MX", "es-ES", "pt-PT", "de-DE", "fr-FR", "pl-PL", "ro-RO", "it-IT", "es-CO", "zh-CN", "hi-IN", "ja-JP", "sv-SE",
}

// parseDial checks one call as a strict API would.
func parseDial(raw json.RawMessage) (dialRequest, string) {
	r := dialRequest{raw: raw}
	var m map[string]json.RawMessage
	if json.Unmarshal(raw, &m) != nil || m == nil {
		return r, "must be an object"
	}
	var ok bool
	for _, id := range [...]struct {
		name string
		into *string
	}{{"number_id", &r.number}, {"use_case_id", &r.useCase}, {"agent_id", &r.agent}, {"model_id", nil}} {
		if _, given := m[id.name]; !given && id.name != "number_id" {
			continue
		}
		s, ok := text(m, id.name)
		if !ok || utf8.RuneCountInString(s) != 24 {
			return r, id.name + " must be an id of 24 characters"
		}
		if id.into != nil {
			*id.into = s
		}
	}
	if r.phone, ok = text(m, "phone_number"); !ok || !e164.MatchString(r.phone) {
		return r, "phone_number must be a number in E.164 form"
	}
	if r.language, ok = text(m, "language"); !ok || r.language != "" && !slices.Contains(languages, r.language) {
		return r, "language must be one that is documented, such as en-US"
	}
	for _, name := range [...]string{"prompt_id", "campaign_id", "assistant_id", "voice_id", "model"} {
		if _, ok := text(m, name); !ok {
			return r, name + " must be text"
		}
	}
	r.prompt, _ = text(m, "prompt_id")
	r.campaign, _ = text(m, "campaign_id")
	if r.metadata = m["metadata"]; len(r.metadata) > 0 && r.metadata[0] != '{' {
		return r, "metadata must be an object"
	}
	if p := m["params"]; len(p) > 0 && p[0] == '{' {
		r.params = p
	}
	if when, given := m["scheduled_for"]; given {
		var s string
		var err error
		if json.Unmarshal(when, &s) != nil {
			return r, "scheduled_for must be a date and time"
		}
		if r.scheduled, err = time.Parse(time.RFC3339, s); err != nil {
			return r, "scheduled_for must be a date and time"
		}
	}
	if minutes, given := m["max_duration_mins"]; given {
		if json.Unmarshal(minutes, &r.minutes) != nil || r.minutes < 1 {
			return r, "max_duration_mins must be a positive whole number"
		}
	}
	return r, ""
}

// text reads a member that must be text where given; "" is none.
func text(m map[string]json.RawMessage, name string) (s string, ok bool) {
	v, given := m[name]
	if !given {
		return "", true
	}
	ok = v[0] == '"' && json.Unmarshal(v, &s) == nil
	return s, ok
}

func (s *Sim) dial(operation string) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		// Faults that strike before the body is read cannot know whom it names.
		if f := s.rig.Strike(operation, nil, func(k Kind) bool { return k == CutBefore || k == CutInBody }); f != nil {
			if f.Kind == CutInBody {
				s.rig.CutInRequest(req, operation)
			}
			s.rig.Cut(operation)
		}
		body, err := io.ReadAll(io.LimitReader(req.Body, maxDialBytes))
		if err != nil {
			s.rig.Cut(operation)
		}
		batch, problem, status := s.parseBatch(operation, body)
		// What a request is refused for comes before anything that creates its calls.
		f := s.rig.Strike(operation, calls(batch), func(k Kind) bool { return k == Refuse || k == ErrorBefore })
		if f == nil {
			f = s.rig.Strike(operation, calls(batch), func(k Kind) bool {
				return k != Refuse && k != ErrorBefore && k != CutBefore && k != CutInBody
			})
		}
		kind := Kind("")
		if f != nil {
			kind = f.Kind
		}
		if kind == Delay {
			s.rig.Pause(req.Context(), time.Duration(f.Delay))
		}
		switch kind {
		case Refuse, ErrorBefore:
			f.SetRetryAfter(w.Header())
			s.fail(w, operation, f.Status, "refused on request")
			return
		}
		if problem != "" {
			s.fail(w, operation, status, problem)
			return
		}
		s.place(w, operation, batch, f)
	}
}

func (s *Sim) parseBatch(operation string, body []byte) (batch []dialRequest, problem string, status int) {
	items := []json.RawMessage{body}
	if operation == opDialBatch {
		items = nil
		if json.Unmarshal(body, &items) != nil || items == nil {
			return nil, "the body must be a JSON array", http.StatusUnprocessableEntity
		}
	}
	s.rig.Lock()
	s.largest.calls = max(s.largest.calls, len(items))
	s.largest.bytes = max(s.largest.bytes, len(body))
	s.rig.Unlock()
	batch = make([]dialRequest, 0, len(items))
	for i, item := range items {
		r, wrong := parseDial(item)
		if wrong != "" && problem == "" {
			problem, status = fmt.Sprintf("item %d: %s", i, wrong), http.StatusUnprocessableEntity
		}
		batch = append(batch, r)
	}
	if s.opts.MaxBatch > 0 && len(items) > s.opts.MaxBatch {
		problem, status = fmt.Sprintf("at most %d calls in a request", s.opts.MaxBatch), http.StatusRequestEntityTooLarge
	}
	return batch, problem, status
}

// place creates a good batch and answers, or does not, as the fault has it.
func (s *Sim) place(w http.ResponseWriter, operation string, batch []dialRequest, f *rig.Fault) {
	if f == nil {
		f = &rig.Fault{}
	}
	if f.Kind == Part {
		batch = batch[:int(f.Fraction*float64(len(batch)))]
	}
	var hide time.Duration
	if f.Kind == Hide {
		hide = time.Duration(f.Delay)
	}
	s.rig.Lock()
	made := s.create(batch, hide, f.Kind)
	if !s.opts.KeepOrder {
		s.rig.Rand().Shuffle(len(made), func(i, j int) { made[i], made[j] = made[j], made[i] })
	}
	reply := make([]byte, 0, 1024*(len(made)+1))
	if operation == opDialBatch {
		reply = append(reply, '[')
	}
	for i, c := range made {
		if i > 0 {
			reply = append(reply, ',')
		}
		reply = s.appendReply(reply, c, f.Kind != DropEchoReply)
	}
	if operation == opDialBatch {
		reply = append(reply, ']')
	}
	s.rig.Unlock()

	switch f.Kind {
	case LoseAnswer:
		s.rig.Cut(operation)
	case ErrorAfter:
		f.SetRetryAfter(w.Header())
		s.fail(w, operation, f.Status, "failed on request")
		return
	case WrongType:
		s.rig.ReplyHTML(w, operation)
		return
	case NotJSON:
		reply = reply[:len(reply)/2]
	case CutBody:
		s.rig.CutInAnswer(w, operation, http.StatusOK, reply)
	case Part:
		if f.Status != 0 && f.Status != http.StatusOK {
			s.fail(w, operation, f.Status, "created in part, on request")
			return
		}
	}
	s.reply(w, operation, reply)
}

// calls says whom a batch calls.
func calls(batch []dialRequest) func(phone string) bool {
	return func(phone string) bool {
		return slices.ContainsFunc(batch, func(r dialRequest) bool { return r.phone == phone })
	}
}
