package callsim

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim/internal/rig"
)

// Webhooks says who is told when calls change. Delivery is at least once and in
// no order: a receiver must deduplicate, and read the call.
type Webhooks struct {
	CallURL    string        // gets the hook of a use case: start and end of each call
	SessionURL string        // gets the platform's event session.status_changed
	Header     string        // of the secret; default HookHeader
	Secret     string        // "" sends none
	Attempts   int           // until an event that is not answered 2xx is given up; default 5
	Pause      time.Duration // before the second attempt, twice as long before each further one; default 100ms
	Twice      float64       // probability that an event is sent again although it was taken
	Talks      float64       // probability that the end of a talk is sent with the talk itself
}

func (o Webhooks) wanted() bool { return o.CallURL != "" || o.SessionURL != "" }

// WebhookStats are the events so far. When Taken and GivenUp make up all Events,
// none is under way.
type WebhookStats = rig.NoticeStats

// teller looks at calls and reports their changes, until stopped.
type teller struct {
	*rig.Teller
	sim  *Sim
	opts Webhooks

	// Of the goroutine that looks.
	rng  *rand.Rand
	seen int // calls looked at so far
	open []*told
	sent uint64 // events so far, for their ids
}

// told is a call that has not ended, and what was said about it.
type told struct {
	*call
	started bool
	session string
}

func startTelling(s *Sim, opts Webhooks) *teller {
	t := &teller{sim: s, opts: opts}
	t.rng = rand.New(rand.NewPCG(s.Seed(), 1)) //nolint:gosec // repeatable on purpose
	t.Teller = rig.Tell(rig.Delivery{
		Header: cmp.Or(opts.Header, HookHeader), Secret: opts.Secret, Attempts: cmp.Or(opts.Attempts, 5), Pause: opts.Pause, Twice: opts.Twice,
	}, t.rng, t.changes)
	return t
}

// changes compares all open calls with what was told about them.
func (t *teller) changes() (changed []rig.Notice) {
	t.sim.rig.Lock()
	defer t.sim.rig.Unlock()
	for _, c := range t.sim.calls[t.seen:] {
		t.open = append(t.open, &told{call: c})
	}
	t.seen = len(t.sim.calls)
	open := t.open[:0]
	for _, c := range t.open {
		l := t.sim.life(c.call)
		changed = append(changed, t.changesOf(c, l)...)
		if !l.final && !c.deleted {
			open = append(open, c)
		}
	}
	clear(t.open[len(open):])
	t.open = open
	return changed
}

func (t *teller) changesOf(c *told, l life) (changed []rig.Notice) {
	hook := func(kind string, l life, talk string) {
		if t.opts.CallURL != "" {
			changed = append(changed, rig.Notice{URL: t.opts.CallURL, MediaType: "application/json", Body: t.sim.hookPayload(kind, c.call, l, talk)})
		}
	}
	if !c.started && !c.canceled && l.status != "Scheduled" && l.status != "Queued" {
		c.started = true
		begun := l
		if l.final { // the leap that passed over it all does not take away its beginning
			begun = life{status: "Initiated"}
		}
		hook("start", begun, "")
	}
	if l.final {
		hook("end", l, t.talkOf(c.call, l))
	}
	if session := sessionStatus(l); session != c.session {
		if t.opts.SessionURL != "" {
			t.sent++
			changed = append(changed, rig.Notice{
				URL: t.opts.SessionURL, MediaType: "application/cloudevents+json",
				Body: t.sim.sessionPayload(c.call, t.sent, c.session, session, t.sim.rig.Today()),
			})
		}
		c.session = session
	}
	return changed
}

// talkOf draws the talk that the end of a call carries, "" for none.
func (t *teller) talkOf(c *call, l life) string {
	if t.opts.Talks <= 0 || !l.connected || c.arranged != nil && c.arranged.Silent {
		return "" // and nothing is drawn: a seed gives the run that it gave before
	}
	if t.rng.Float64() >= t.opts.Talks {
		return ""
	}
	return hookTalk
}

// WebhookStats returns the events so far; all zero when no receiver is named.
func (s *Sim) WebhookStats() WebhookStats {
	if s.teller == nil {
		return WebhookStats{}
	}
	return s.teller.Stats()
}

// HookPrompt stands in the talk that a hook carries, prompts and results of tools
// included. It was never said.
const HookPrompt = "You are Kim. The gate code is 4711."

// hookTalk is the talk as a hook carries it: by the vendor's own models, which know
// no times.
const hookTalk = `{"messages":[{"id":"m0","role":"system","content":"` + HookPrompt + `"},` +
	`{"id":"m1","role":"assistant","content":"Hello, this is about your delivery."},` +
	`{"id":"m2","role":"user","content":"Yes, ten o'clock suits me."},` +
	`{"id":"m3","role":"assistant","content":"","tool_calls":[{"type":"function","id":"tc_1","function":{"name":"book_slot","arguments":"{\"slot\":\"10:00\"}"}}]},` +
	`{"id":"m4","role":"tool","name":"book_slot","tool_call_id":"tc_1","content":"{\"door\":\"4711\"}"},` +
	`{"id":"m5","role":"assistant","content":"Booked. Goodbye."}],"tools":{"book_slot":{"description":"Books a slot."}}}`

// hookPayload is the hook of a use case, in the only form that is documented: the
// use case stands in "assistant", secrets included. The caller holds the lock.
func (s *Sim) hookPayload(kind string, c *call, l life, talk string) []byte {
	b := []byte(`{"id":"` + c.id + `","organization_id":"` + organizationID + `","type":"` + c.kind() + `","provider":"Twilio","status":` + quote(l.status) + `,`)
	b = s.appendMetadata(b, c, true)
	b = appendUseCase(append(b, `,"assistant":`...), c)
	b = appendParams(b, c)
	if l.connected {
		b = append(b, `,`+outcome+`}`...)
	} else {
		b = append(b, `,"extraction":null,"classification":null}`...)
	}
	if c.arranged != nil {
		b = c.arranged.dress(b)
	}
	b = append([]byte(`{"type":"`+kind+`","call":`), b...)
	if talk != "" {
		b = append(append(b, `,"content":`...), talk...)
	}
	return append(b, '}')
}

// sessionStatus is a status in the platform's words, which are fewer.
func sessionStatus(l life) string {
	switch l.status {
	case "Scheduled", "Queued", "Initiated", "Ringing":
		return "queued"
	case "In progress", "Completed", "Busy", "Canceled", "Failed":
		return strings.ReplaceAll(strings.ToLower(l.status), " ", "-")
	case "Transferred":
		return "completed"
	case "No answer":
		return "missed"
	case "AMD Terminated":
		return "voicemail"
	}
	if l.final {
		return "completed"
	}
	return "in-progress"
}

// sessionPayload is the platform's event. As there, nothing in it leads to the
// call: not its id, not its number. The caller holds the lock.
func (s *Sim) sessionPayload(c *call, event uint64, previous, current string, at time.Time) []byte {
	id := func(kind string, n uint64) string {
		return fmt.Sprintf(`"%08x-00%s-4000-8000-%012x"`, uint32(s.Seed()), kind, n)
	}
	now := quote(at.UTC().Format(time.RFC3339))
	status := `"current":"` + current + `","updated_at":` + now
	if previous != "" {
		status = `"previous":"` + previous + `",` + status
	}
	return []byte(`{"specversion":"1.0","id":` + id("ee", event) + `,"source":"https://platform.happyrobot.ai","type":"session.status_changed","time":` + now +
		`,"datacontenttype":"application/json","data":{"schema_version":"2025-07-08","org_id":` + id("aa", 0) + `,"run_id":` + id("b1", c.seq) +
		`,"session_id":` + id("c1", c.seq) + `,"use_case_id":` + id("d1", 0) + `,"version_id":` + id("e1", 0) +
		`,"status":{` + status + `},"org":{"name":"Example Deliveries"},"use_case":{"name":"Delivery slot confirmation","version":"3"}}}`)
}
