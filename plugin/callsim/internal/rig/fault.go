package rig

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Kind of a Fault.
type Kind string

// Kinds of faults that any API has. Those of the first group strike before anything is
// done, those of the second when the operation has done its work.
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
)

// Fault is a rule: what goes wrong with which requests. Which requests are meant is
// decided by Operation and To; of those, After are spared, Probability and Times say
// how many are struck, and For says until when.
type Fault struct {
	Kind        Kind     `json:"kind"`
	Operation   string   `json:"operation,omitempty"`   // operation id; "" is every one that makes phones ring, "*" every one
	To          string   `json:"to,omitempty"`          // only requests that hold this value
	Probability float64  `json:"probability,omitempty"` // 0 is always
	Times       int      `json:"times,omitempty"`       // 0 is without end
	After       int      `json:"after,omitempty"`       // spare the first of the requests meant
	For         Duration `json:"for,omitempty"`         // on the wall, from when the rule is added: an outage; 0 is without end
	Status      int      `json:"status,omitempty"`
	RetryAfter  string   `json:"retry_after,omitempty"` // the header as it is, or "date:2s": the date in 2s, which HTTP cuts to a whole second
	Delay       Duration `json:"delay,omitempty"`
	Fraction    float64  `json:"fraction,omitempty"` // 0 is half
}

// Table is what faults must know of an API.
type Table struct {
	Operations map[string]bool          // every one there is
	Dials      map[string]bool          // those that make phones ring
	Own        map[Kind]map[string]bool // kinds that this API alone has, by the operations that they can strike
	Timed      []Kind                   // those that need a delay
	Status     map[Kind]int             // of kinds that answer with one
}

// Check reports why a rule could never strike, or not as it says.
func (t *Table) Check(f Fault) error {
	anyDial := f.Operation == "" || f.Operation == "*"
	if !anyDial && !t.Operations[f.Operation] {
		return fmt.Errorf("operation: unknown operation %q", f.Operation)
	}
	if f.To != "" && !anyDial && !t.Dials[f.Operation] {
		return fmt.Errorf("to: %s has no recipient to match", f.Operation)
	}
	needsDelay := f.Kind == Delay
	switch f.Kind {
	case CutBefore, CutInBody:
		if f.To != "" {
			return fmt.Errorf("%s strikes before the request is read, so it cannot depend on whom it calls", f.Kind)
		}
	case Delay, Refuse, ErrorBefore, ErrorAfter, LoseAnswer, CutBody, WrongType, NotJSON:
	default:
		if t.Own[f.Kind] == nil {
			return fmt.Errorf("unknown fault kind %q", f.Kind)
		}
	}
	for _, kind := range t.Timed {
		needsDelay = needsDelay || kind == f.Kind
	}
	if needsDelay && f.Delay <= 0 {
		return fmt.Errorf("%s needs a delay", f.Kind)
	}
	if !anyDial && !t.strikes(f.Kind, f.Operation) {
		return fmt.Errorf("%s cannot strike %s", f.Kind, f.Operation)
	}
	if f.Probability < 0 || f.Probability > 1 || f.Fraction < 0 || f.Fraction > 1 {
		return errors.New("probability and fraction must be within 0 and 1")
	}
	if f.Times < 0 || f.After < 0 || f.For < 0 {
		return errors.New("times, after and for must not be negative")
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

// strikes says whether a kind makes sense for an operation.
func (t *Table) strikes(k Kind, operation string) bool {
	own, ok := t.Own[k]
	return !ok || own[operation]
}

// retryDate begins a RetryAfter that is a date relative to the answer.
const retryDate = "date:"

// SetRetryAfter writes the header, if any.
func (f *Fault) SetRetryAfter(h http.Header) {
	if f.RetryAfter == "" {
		return
	}
	value := f.RetryAfter
	if in, ok := strings.CutPrefix(value, retryDate); ok {
		d, _ := time.ParseDuration(in) // Check has seen it
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

// Inject adds a rule and returns its number, which no other rule of this Rig ever has.
// It panics where the table's Check returns an error.
func (r *Rig) Inject(f Fault) (id int) {
	if err := r.opts.Table.Check(f); err != nil {
		panic("callsim: " + err.Error())
	}
	if f.Status == 0 {
		f.Status = r.opts.Table.Status[f.Kind]
	}
	if f.Fraction == 0 {
		f.Fraction = 0.5
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rules++
	st := &FaultState{ID: r.rules, Fault: f}
	if f.For > 0 {
		st.ends = time.Now().Add(time.Duration(f.For))
	}
	r.faults = append(r.faults, st)
	return st.ID
}

// ClearFaults removes all rules, and with them how often they struck.
func (r *Rig) ClearFaults() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = nil
	r.Wake()
}

// ClearFault removes one rule, by the number that Inject returned.
func (r *Rig) ClearFault(id int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = slices.DeleteFunc(r.faults, func(f *FaultState) bool { return f.ID == id })
	r.Wake()
}

// Faults returns the rules and how often they struck, in the order they were added.
func (r *Rig) Faults() []FaultState {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]FaultState, len(r.faults))
	for i, f := range r.faults {
		out[i] = *f
	}
	return out
}

// Strike finds the rule that strikes a request, if any: the first added of those that want
// takes. Holds says whether the request holds a rule's To. It takes the lock.
func (r *Rig) Strike(operation string, holds func(string) bool, want func(Kind) bool) *Fault {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.faults {
		if !want(f.Kind) || !r.meant(f, operation, holds) || (!f.ends.IsZero() && !time.Now().Before(f.ends)) {
			continue
		}
		f.Matched++
		if f.Matched <= f.After || (f.Times > 0 && f.Injected >= f.Times) {
			continue
		}
		if f.Probability > 0 && r.rng.Float64() >= f.Probability {
			continue
		}
		f.Injected++
		r.Wake()
		struck := f.Fault
		return &struck
	}
	return nil
}

func (r *Rig) meant(f *FaultState, operation string, holds func(string) bool) bool {
	t := r.opts.Table
	if f.Operation != "*" && f.Operation != operation && (f.Operation != "" || !t.Dials[operation]) {
		return false
	}
	if !t.strikes(f.Kind, operation) {
		return false
	}
	return f.To == "" || holds != nil && holds(f.To)
}
