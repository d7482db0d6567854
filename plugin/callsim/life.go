package callsim

import (
	"cmp"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"time"
)

// HookHeader and HookSecret stand in the use case that the API embeds in every
// call, as they do in the documentation's examples. The secret must never get past
// a client.
const (
	HookHeader = "x-hook-secret"
	HookSecret = "sim-hook-secret-2b7e"
)

const (
	organizationID = "64f0c0de00000000000000aa"
	firstAgent     = "64f0c0de00000000000000d1"
	firstNumber    = "64f0c0de00000000000000c1"
	firstUseCase   = "64f0c0de00000000000000b1"

	// What every use case is but for its id.
	useCaseModel    = "Fast"
	useCaseLanguage = "en-US"
	useCaseMinutes  = 5
	useCase         = `"organization_id":"` + organizationID + `","name":"Delivery slot confirmation",` +
		`"extract_with_ai":[{"name":"slot_confirmed","description":"Did the customer accept?","type":"string","example":"yes","required":true}],` +
		`"classification_tags":[{"name":"confirmed","description":"Slot accepted"},{"name":"unclear","description":"No clear answer"}],` +
		`"language":"` + useCaseLanguage + `","timezone":"America/New_York","hooks":[{"url":"https://hooks.example.com/calls","headers":[{"key":"` + HookHeader + `","value":"` +
		HookSecret + `"}]}],"params":{},"amd":true,"amd_behavior":"Message","max_duration_mins":5,"model":"` + useCaseModel + `"}`
)

// The stages of a call, from its creation, in simulated time.
const (
	queuedUntil    = 2 * time.Second
	initiatedUntil = 4 * time.Second
	ringingUntil   = 15 * time.Second
	talkAtLeast    = 20 * time.Second
)

// life is what a call is now.
type life struct {
	status       string
	final        bool
	connected    bool
	duration     time.Duration
	sinceEnd     time.Duration // simulated
	transcribed  bool
	missingIs404 bool // how the API says that there is no transcript
}

// fate is a call's end: as arranged, or drawn from its number in the sequence, the
// same each time.
func fate(c *call) (status string, talk time.Duration) {
	status, talk = drawFate(c.seq)
	a := c.arranged
	if a == nil || (a.Talk == 0 && a.EndsAs == "") {
		return status, talk
	}
	// What was arranged of the one must not be contradicted by what was drawn of
	// the other.
	switch {
	case a.Talk > 0:
		status, talk = "Completed", time.Duration(a.Talk)
	case a.Talk < 0:
		status, talk = "No answer", 0
	case slices.Contains(withoutTalk, a.EndsAs):
		talk = 0
	default:
		talk = max(talk, talkAtLeast)
	}
	return cmp.Or(a.EndsAs, status), talk
}

// withoutTalk are the ends of calls that never connected.
var withoutTalk = []string{"No answer", "Busy", "AMD Terminated", "Failed", "Canceled", "Missed", "Abandoned"}

func drawFate(seq uint64) (status string, talk time.Duration) {
	h := seq * 0x9e3779b97f4a7c15
	talk = talkAtLeast + time.Duration(h>>32%40)*time.Second
	switch p := h >> 40 % 100; {
	case p < 60:
		return "Completed", talk
	case p < 70:
		return "Transferred", talk
	case p < 85:
		return "No answer", 0
	case p < 92:
		return "Busy", 0
	case p < 97:
		return "AMD Terminated", 0
	default:
		return "Failed", 0
	}
}

// life computes a call's present. The caller holds the lock.
func (s *Sim) life(c *call) life {
	age := s.rig.Now() - c.starts
	end, talk := fate(c)
	l := life{missingIs404: c.seq%2 == 0}
	switch {
	case c.canceled:
		l.status, l.final = "Canceled", true
	case age < 0:
		l.status = "Scheduled"
	case age < queuedUntil:
		l.status = "Queued"
	case age < initiatedUntil:
		l.status = "Initiated"
	case age < ringingUntil:
		l.status = "Ringing"
	case age < ringingUntil+talk:
		l.status = "In progress"
		if c.arranged != nil && c.arranged.During != "" {
			l.status = c.arranged.During
		}
	default:
		l.status, l.final = end, true
		l.connected, l.duration = talk > 0, talk
		l.sinceEnd = age - ringingUntil - talk
		l.transcribed = l.connected && l.sinceEnd >= s.opts.TranscriptDelay && (c.arranged == nil || !c.arranged.Silent)
	}
	return l
}

func quote(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

// phoneOf is the organization's number with an id: each has one of its own, as
// far as numbers for examples go.
func phoneOf(numberID string) string {
	if numberID == firstNumber {
		return "+12025550150"
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(numberID))
	return fmt.Sprintf("+120255501%02d", h.Sum32()%100)
}

// appendMetadata writes a call's metadata. The caller holds the lock.
func (s *Sim) appendMetadata(b []byte, c *call, echo bool) []byte {
	from, to := phoneOf(c.asked.number), c.asked.phone
	if c.kind() == inbound {
		from, to = to, from
	}
	b = append(b, `"metadata":{"from":"`+from+`","to":"`+to+`","tags":[]`...)
	if echo && !c.echoDropped && c.asked.metadata != nil {
		b = append(append(b, `,"custom":`...), c.asked.metadata...)
	}
	return append(b, '}')
}

func appendUseCase(b []byte, c *call) []byte {
	return append(b, `{"id":`+quote(cmp.Or(c.asked.useCase, firstUseCase))+`,`+useCase...)
}

// appendParams writes the params of the request, where they are an object.
func appendParams(b []byte, c *call) []byte {
	b = append(b, `,"params":`...)
	if c.asked.params == nil {
		return append(b, `{}`...)
	}
	return append(b, c.asked.params...)
}

func appendCreated(b []byte, c *call) []byte {
	b = append(b, `,"created":"`...)
	b = c.created.UTC().AppendFormat(b, time.RFC3339Nano)
	return append(b, '"')
}

// shownID is the id as JSON.
func (c *call) shownID() string {
	if c.idDropped {
		return strconv.FormatUint(c.seq, 10)
	}
	return `"` + c.id + `"`
}

// appendReply writes the reply to a dial. The caller holds the lock.
func (s *Sim) appendReply(b []byte, c *call, echo bool) []byte {
	b = append(b, `{"id":`+c.shownID()+`,"organization_id":"`+organizationID+`",`...)
	b = s.appendMetadata(b, c, echo)
	b = appendUseCase(append(b, `,"use_case":`...), c)
	b = appendParams(b, c)
	b = appendCreated(b, c)
	return append(b, '}')
}

// appendCall writes a call as lists and reads show it. The caller holds the lock.
func (s *Sim) appendCall(b []byte, c *call) []byte {
	if c.arranged != nil {
		return append(b, c.arranged.dress(s.appendPlainCall(nil, c))...)
	}
	return s.appendPlainCall(b, c)
}

func (s *Sim) appendPlainCall(b []byte, c *call) []byte {
	l, asked := s.life(c), c.asked
	b = append(b, `{"id":`+c.shownID()+`,"organization_id":"`+organizationID+`","type":"`+c.kind()+`","provider":"Twilio","status":`+quote(l.status)+`,`...)
	b = s.appendMetadata(b, c, true)
	b = appendUseCase(append(b, `,"use_case":`...), c)
	b = append(b, `,"agent":{"id":`+quote(cmp.Or(asked.agent, firstAgent))+`,"name":"Kim"},"language":"`+cmp.Or(asked.language, useCaseLanguage)+`"`...)
	b = appendParams(b, c)
	b = appendCreated(b, c)
	b = append(b, `,"viewed_by":[],"notes":[],"samples":[],"ratings":[],"max_duration_mins":`...)
	b = strconv.AppendInt(b, int64(cmp.Or(asked.minutes, useCaseMinutes)), 10)
	if asked.prompt != "" {
		b = append(b, `,"prompt_id":`+quote(asked.prompt)...)
	}
	if asked.campaign != "" {
		b = append(b, `,"campaign_id":`+quote(asked.campaign)...)
	}
	if !asked.scheduled.IsZero() {
		b = append(b, `,"scheduled_for":"`...)
		b = append(asked.scheduled.UTC().AppendFormat(b, time.RFC3339Nano), '"')
	}
	if l.connected {
		b = append(b, `,"duration":`...)
		b = strconv.AppendInt(b, int64(l.duration/time.Second), 10)
		b = append(b, `,`+outcome...)
	}
	return append(b, '}')
}

// outcome is what is drawn from every talk.
const (
	extracted = "yes"
	outcome   = `"extraction":{"slot_confirmed":"` + extracted + `"},"classification":{"tag":"confirmed","reasoning":"The customer agreed to the proposed time."}`
)

// transcript writes what was said. The caller holds the lock.
func (s *Sim) transcript(c *call, l life) []byte {
	messages := `{"id":"m0","role":"system","content":"(prompt omitted)","start":0},` +
		`{"id":"m1","role":"assistant","content":"Hello, this is about your delivery.","start":1.2,"end":2.9},` +
		`{"id":"m2","role":"user","content":"Yes, ten o'clock suits me.","start":3.4,"end":4.6},` +
		`{"id":"m3","role":"assistant","start":5,"tool_calls":[{"type":"function","id":"tc_1","function":{"name":"book_slot","arguments":"{\"slot\":\"10:00\"}"}}]},` +
		`{"id":"m4","role":"tool","name":"book_slot","tool_call_id":"tc_1","content":"ok","start":5.4},` +
		`{"id":"m5","role":"assistant","content":"Booked. Goodbye.","start":6,"end":7.5`
	if l.status == "Transferred" {
		messages += `,"transfer_contact":{"type":"Sales Rep","name":"Dana Example"}`
	}
	messages += `}`
	if !l.transcribed {
		messages = ""
	}
	return fmt.Appendf(nil, `{"id":"t%s","organization_id":"%s","call_id":"%s","start_time":%d,"messages":[%s]}`,
		c.id[1:], organizationID, c.id, c.created.Add(ringingUntil).Unix(), messages)
}
