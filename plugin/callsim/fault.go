package callsim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// Kind of a Fault.
type Kind string

// Kinds of faults. Those of the second group create the calls all the same.
const (
	Refuse      Kind = "refuse"       // answer Status (and RetryAfter)
	ErrorBefore Kind = "error_before" // answer 5xx
	CutBefore   Kind = "cut_before"   // cut the connection before the body is read
	CutInBody   Kind = "cut_in_body"  // cut it in the middle of the request's body

	LoseAnswer    Kind = "lose_answer"     // cut the connection instead of answering
	CutBody       Kind = "cut_body"        // cut it in the middle of the answer
	ErrorAfter    Kind = "error_after"     // answer 5xx
	WrongType     Kind = "wrong_type"      // answer 200 with HTML
	NotJSON       Kind = "not_json"        // answer 200 with half a document, complete as HTTP
	Part          Kind = "part"            // create only a Fraction; answer those, or Status
	DropEcho      Kind = "drop_echo"       // never show metadata.custom of these calls
	DropEchoReply Kind = "drop_echo_reply" // leave it out of the reply only
	Hide          Kind = "hide"            // list these calls only after Delay
	Delay         Kind = "delay"           // answer after Delay
)

// Fault is a rule: what goes wrong with which requests.
type Fault struct {
	Kind        Kind     `json:"kind"`
	Operation   string   `json:"operation,omitempty"`   // operation id; "" is both dials, "*" every one
	To          string   `json:"to,omitempty"`          // only dials that hold this number
	Probability float64  `json:"probability,omitempty"` // 0 is always
	Times       int      `json:"times,omitempty"`       // 0 is without end
	After       int      `json:"after,omitempty"`       // spare the first of the requests meant
	Status      int      `json:"status,omitempty"`
	RetryAfter  string   `json:"retry_after,omitempty"` // the header as it is
	Delay       Duration `json:"delay,omitempty"`
	Fraction    float64  `json:"fraction,omitempty"` // 0 is half
}

// Validate refuses a rule that could never strike, which would let a test pass
// for the wrong reason.
func (f Fault) Validate() error {
	switch f.Kind {
	case CutBefore, CutInBody:
		if f.To != "" {
			return fmt.Errorf("%s strikes before the request is read, so it cannot depend on whom it calls", f.Kind)
		}
	case Refuse, ErrorBefore, LoseAnswer, CutBody, ErrorAfter, WrongType, NotJSON, Part, DropEcho, DropEchoReply, Hide, Delay:
	default:
		return fmt.Errorf("%q is no kind of fault", f.Kind)
	}
	return nil
}

// FaultState is a rule with its history.
type FaultState struct {
	ID int `json:"id"`
	Fault
	Matched  int `json:"matched"`  // requests it was meant for
	Injected int `json:"injected"` // those it struck
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

// Inject adds a rule. A refusal comes before
// whatever creates the calls; else, of several that strike, the first added wins.
func (s *Sim) Inject(f Fault) (id int) {
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
	st := &FaultState{ID: len(s.faults) + 1, Fault: f}
	s.faults = append(s.faults, st)
	return st.ID
}

// Refuse refuses every dial that holds a number.
func (s *Sim) Refuse(phone string, status int) {
	s.Inject(Fault{Kind: Refuse, To: phone, Status: status})
}

// LoseAnswer creates the first dial that holds a number, and says nothing.
func (s *Sim) LoseAnswer(phone string) { s.Inject(Fault{Kind: LoseAnswer, To: phone, Times: 1}) }

// ClearFaults ends all rules.
func (s *Sim) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// Faults tells the rules and how often they struck.
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
		if !want(f.Kind) || !f.meant(operation, batch) {
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
		return &f.Fault
	}
	return nil
}

func (f *FaultState) meant(operation string, batch []dialRequest) bool {
	dial := operation == opDial || operation == opDialBatch
	if f.Operation != "*" && f.Operation != operation && (f.Operation != "" || !dial) {
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
