package callsim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Kind of a Fault.
type Kind string

// Kinds of faults. Those of the first group strike before anything is done. Those of
// the second strike afterwards: the calls are created, or the operation has done its
// work. Those of the third strike dials only.
const (
	Refuse      Kind = "refuse"       // answer Status (and RetryAfter)
	ErrorBefore Kind = "error_before" // answer 5xx
	CutBefore   Kind = "cut_before"   // cut the connection before the body is read
	CutInBody   Kind = "cut_in_body"  // cut it in the middle of the request's body

	LoseAnswer Kind = "lose_answer" // cut the connection instead of answering
	CutBody    Kind = "cut_body"    // cut it in the middle of the answer
	ErrorAfter Kind = "error_after" // answer 5xx
	WrongType  Kind = "wrong_type"  // answer 200 with HTML
	NotJSON    Kind = "not_json"    // answer 200 with half a document, complete as HTTP
	Delay      Kind = "delay"       // answer after Delay

	Part          Kind = "part"            // create only a Fraction of a batch; answer those, or Status
	DropEcho      Kind = "drop_echo"       // never show metadata.custom of these calls
	DropEchoReply Kind = "drop_echo_reply" // leave it out of the reply only
	Hide          Kind = "hide"            // list these calls only after Delay
	DropID        Kind = "drop_id"         // show these calls with a number in place of their id
)

// Fault is a rule: what goes wrong with which requests. Which requests are meant is
// decided by Operation and To; of those, After are spared, Probability and Times say
// how many are struck, and For says until when.
type Fault struct {
	Kind        Kind     `json:"kind"`
	Operation   string   `json:"operation,omitempty"`   // operation id; "" is both dials, "*" every one
	To          string   `json:"to,omitempty"`          // only dials that hold this number
	Probability float64  `json:"probability,omitempty"` // 0 is always
	Times       int      `json:"times,omitempty"`       // 0 is without end
	After       int      `json:"after,omitempty"`       // spare the first of the requests meant
	For         Duration `json:"for,omitempty"`         // on the wall, from when the rule is added: an outage; 0 is without end
	Status      int      `json:"status,omitempty"`
	RetryAfter  string   `json:"retry_after,omitempty"` // the header as it is, or "date:2s": the date in 2s, which HTTP cuts to a whole second
	Delay       Duration `json:"delay,omitempty"`
	Fraction    float64  `json:"fraction,omitempty"` // 0 is half
}

// known holds all operations there are. It is no sync.OnceValue because New leads
// back here.
var known struct {
	once       sync.Once
	operations map[string]bool
}

func isOperation(name string) bool {
	known.once.Do(func() { known.operations = New(Options{}).operations })
	return known.operations[name]
}

// Validate reports why a rule could never strike, or not as it says: a test with such a
// rule would pass for the wrong reason.
func (f Fault) Validate() error {
	anyDial := f.Operation == "" || f.Operation == "*"
	if !anyDial && !isOperation(f.Operation) {
		return fmt.Errorf("operation: unknown operation %q", f.Operation)
	}
	if f.To != "" && !anyDial && !isDial(f.Operation) {
		return fmt.Errorf("to: %s has no recipient to match", f.Operation)
	}
	switch f.Kind {
	case CutBefore, CutInBody:
		if f.To != "" {
			return fmt.Errorf("%s strikes before the request is read, so it cannot depend on whom it calls", f.Kind)
		}
	case Delay, Hide:
		if f.Delay <= 0 {
			return fmt.Errorf("%s needs a delay", f.Kind)
		}
	case Refuse, ErrorBefore, ErrorAfter, LoseAnswer, CutBody, WrongType, NotJSON, Part, DropEcho, DropEchoReply, DropID:
	default:
		return fmt.Errorf("unknown fault kind %q", f.Kind)
	}
	if !anyDial && !f.Kind.strikes(f.Operation) {
		return fmt.Errorf("%s cannot strike %s", f.Kind, f.Operation)
	}
	if f.Probability < 0 || f.Probability > 1 || f.Fraction < 0 || f.Fraction > 1 {
		return fmt.Errorf("probability and fraction must be within 0 and 1")
	}
	if f.Times < 0 || f.After < 0 || f.For < 0 {
		return fmt.Errorf("times, after and for must not be negative")
	}
	if f.Status != 0 && (f.Status < 200 || f.Status > 599) {
		return fmt.Errorf("status: %d is no final status of HTTP", f.Status)
	}
	if in, ok := strings.CutPrefix(f.RetryAfter, retryDate); ok {
		if _, err := time.ParseDuration(in); err != nil {
			return fmt.Errorf("retry_after: %w", err)
		}
	}
	return nil
}

func isDial(operation string) bool { return operation == opDial || operation == opDialBatch }

// strikes says whether a kind makes sense for an operation.
func (k Kind) strikes(operation string) bool {
	switch k {
	case Part: // one call has no parts
		return operation == opDialBatch
	case DropEcho, DropEchoReply, Hide, DropID:
		return isDial(operation)
	}
	return true
}

// retryDate begins a RetryAfter that is a date relative to the answer.
const retryDate = "date:"

// setRetryAfter writes the header, if any.
func (f *Fault) setRetryAfter(h http.Header) {
	if f.RetryAfter == "" {
		return
	}
	value := f.RetryAfter
	if in, ok := strings.CutPrefix(value, retryDate); ok {
		d, _ := time.ParseDuration(in) // Validate has seen it
		value = time.Now().Add(d).UTC().Format(http.TimeFormat)
	}
	h.Set("Retry-After", value)
}

// FaultState is a rule with its history.
type FaultState struct {
	ID int `json:"id"`
	Fault
	Matched  int `json:"matched"`  // requests it was meant for
	Injected int `json:"injected"` // those it struck

	ends time.Time // zero for never
}

// Duration is a time.Duration written "200ms" in JSON.
type Duration time.Duration

// UnmarshalJSON reads "200ms".
func (d *Duration) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("a duration is text such as \"200ms\": %w", err)
	}
	v, err := time.ParseDuration(s)
	*d = Duration(v)
	return err
}

// MarshalJSON writes "200ms".
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(d).String()) }

// Inject adds a rule and returns its number, which no other rule of this Sim ever has.
// It panics where Validate returns an error. A request is struck by one rule at most:
// by the first added, except that for dials CutBefore and CutInBody come first, then
// Refuse and ErrorBefore, then all others.
func (s *Sim) Inject(f Fault) (id int) {
	if err := f.Validate(); err != nil {
		panic("callsim: " + err.Error())
	}
	if f.Status == 0 {
		switch f.Kind {
		case Refuse:
			f.Status = http.StatusUnprocessableEntity
		case ErrorBefore, ErrorAfter:
			f.Status = http.StatusInternalServerError
		}
	}
	if f.Fraction == 0 {
		f.Fraction = 0.5
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules++
	st := &FaultState{ID: s.rules, Fault: f}
	if f.For > 0 {
		st.ends = time.Now().Add(time.Duration(f.For))
	}
	s.faults = append(s.faults, st)
	return st.ID
}

// Refuse injects a refusal of every dial that holds a number.
func (s *Sim) Refuse(phone string, status int) {
	s.Inject(Fault{Kind: Refuse, To: phone, Status: status})
}

// LoseAnswer injects the loss of one answer: the calls of the first dial that holds a
// number are created, and the connection is cut.
func (s *Sim) LoseAnswer(phone string) { s.Inject(Fault{Kind: LoseAnswer, To: phone, Times: 1}) }

// ClearFaults removes all rules, and with them how often they struck.
func (s *Sim) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
	s.wake()
}

// Faults returns the rules and how often they struck, in the order they were added.
func (s *Sim) Faults() []FaultState {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]FaultState, len(s.faults))
	for i, f := range s.faults {
		out[i] = *f
	}
	return out
}

// strike finds the rule that strikes a request, if any. The caller holds the lock.
func (s *Sim) strike(operation string, batch []dialRequest, want func(Kind) bool) *Fault {
	for _, f := range s.faults {
		if !want(f.Kind) || !f.meant(operation, batch) || (!f.ends.IsZero() && !time.Now().Before(f.ends)) {
			continue
		}
		f.Matched++
		if f.Matched <= f.After || (f.Times > 0 && f.Injected >= f.Times) {
			continue
		}
		if f.Probability > 0 && s.rng.Float64() >= f.Probability {
			continue
		}
		f.Injected++
		s.wake()
		return &f.Fault
	}
	return nil
}

func (f *FaultState) meant(operation string, batch []dialRequest) bool {
	if f.Operation != "*" && f.Operation != operation && (f.Operation != "" || !isDial(operation)) {
		return false
	}
	if !f.Kind.strikes(operation) {
		return false
	}
	if f.To == "" {
		return true
	}
	for _, r := range batch {
		if r.phone == f.To {
			return true
		}
	}
	return false
}

func (f *Fault) delay() time.Duration { return time.Duration(f.Delay) }
