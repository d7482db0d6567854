package callsim

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// HookSecret stands in the use case that the API embeds in every call, as it
// does in the documentation's examples. It must never get past a client.
const HookSecret = "sim-hook-secret-2b7e"

const (
	organizationID = "64f0c0de00000000000000aa"
	agent          = `{"id":"64f0c0de00000000000000d1","name":"Kim"}`
	useCase        = `{"id":"64f0c0de00000000000000b1","organization_id":"` + organizationID + `","name":"Delivery slot confirmation",` +
		`"extract_with_ai":[{"name":"slot_confirmed","description":"Did the customer accept?","type":"string","example":"yes","required":true}],` +
		`"classification_tags":[{"name":"confirmed","description":"Slot accepted"},{"name":"unclear","description":"No clear answer"}],` +
		`"language":"en-US","timezone":"America/New_York","hooks":[{"url":"https://hooks.example.com/calls","headers":[{"key":"x-hook-secret","value":"` +
		HookSecret + `"}]}],"params":{},"amd":true,"amd_behavior":"Message","max_duration_mins":5,"model":"Fast"}`
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

// fate draws a call's end from its number in the sequence, the same each time.
func fate(c *call) (status string, talk time.Duration) {
	h := c.seq * 0x9e3779b97f4a7c15
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
	start := c.created
	if c.scheduled.After(start) {
		start = c.scheduled
	}
	age := time.Duration(float64(time.Since(start))*s.opts.Speed) + s.advanced
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
	default:
		l.status, l.final = end, true
		l.connected, l.duration = talk > 0, talk
		l.sinceEnd = age - ringingUntil - talk
		l.transcribed = l.connected && l.sinceEnd >= s.opts.TranscriptDelay
	}
	return l
}

func quote(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

// appendMetadata writes a call's metadata. The caller holds the lock.
func (s *Sim) appendMetadata(b []byte, c *call, echo bool) []byte {
	b = append(b, `"metadata":{"from":"+12025550150","to":`...)
	b = append(b, quote(c.to)...)
	b = append(b, `,"tags":[]`...)
	if echo && !c.echoDropped && c.custom != nil {
		b = append(append(b, `,"custom":`...), c.custom...)
	}
	return append(b, '}')
}

// appendParams writes the params of the request, where they are an object.
func appendParams(b []byte, c *call) []byte {
	var r struct {
		Params map[string]json.RawMessage `json:"params"`
	}
	if json.Unmarshal(c.request, &r) != nil || r.Params == nil {
		return append(b, `,"params":{}`...)
	}
	p, _ := json.Marshal(r.Params)
	return append(append(b, `,"params":`...), p...)
}

// appendCreated writes the reply to a dial. The caller holds the lock.
func (s *Sim) appendCreated(b []byte, c *call, echo bool) []byte {
	b = append(b, `{"id":"`+c.id+`","organization_id":"`+organizationID+`",`...)
	b = s.appendMetadata(b, c, echo)
	b = append(b, `,"use_case":`+useCase...)
	b = appendParams(b, c)
	b = append(b, `,"created":"`...)
	b = c.created.UTC().AppendFormat(b, time.RFC3339Nano)
	return append(b, `"}`...)
}

// appendCall writes a call as lists and reads show it. The caller holds the lock.
func (s *Sim) appendCall(b []byte, c *call) []byte {
	l := s.life(c)
	b = append(b, `{"id":"`+c.id+`","organization_id":"`+organizationID+`","type":"Outbound","provider":"Twilio","status":`+quote(l.status)+`,`...)
	b = s.appendMetadata(b, c, true)
	b = append(b, `,"use_case":`+useCase+`,"agent":`+agent+`,"language":"en-US"`...)
	b = appendParams(b, c)
	b = append(b, `,"created":"`...)
	b = c.created.UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","viewed_by":[],"notes":[],"samples":[],"ratings":[]`...)
	if !c.scheduled.IsZero() {
		b = append(b, `,"scheduled_for":`+quote(c.scheduled.UTC().Format(time.RFC3339))...)
	}
	if l.connected {
		b = append(b, `,"duration":`...)
		b = strconv.AppendInt(b, int64(l.duration/time.Second), 10)
		b = append(b, `,"extraction":{"slot_confirmed":"yes"},"classification":{"tag":"confirmed","reasoning":"The customer agreed to the proposed time."}`...)
	}
	return append(b, '}')
}

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
