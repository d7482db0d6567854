package platform

import (
	"net/http"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim/internal/rig"
)

// Fault is a rule: what goes wrong with which requests. Operation "" means the three that
// start runs; To is a value of the payload, at any depth, such as a number or a reference.
type Fault rig.Fault

// FaultState is a rule with its history.
type FaultState struct {
	ID int `json:"id"`
	Fault
	Matched  int `json:"matched"`  // requests it was meant for
	Injected int `json:"injected"` // those it struck
}

// Kind of a Fault.
type Kind = rig.Kind

// Duration is a time.Duration written "200ms" in JSON.
type Duration = rig.Duration

// RequestCount is how often an operation was answered with a status; 0 is a connection
// cut without one.
type RequestCount = rig.RequestCount

// Kinds of faults. Those of the first group strike before anything is done. Those of the
// second strike afterwards: the run exists, or the operation has done its work. Those of
// the third strike what starts runs only.
const (
	Refuse      = rig.Refuse       // answer Status (and RetryAfter)
	ErrorBefore = rig.ErrorBefore  // answer 5xx, 502 by default
	CutBefore   = rig.CutBefore    // cut the connection before the body is read
	CutInBody   = rig.CutInBody    // cut it in the middle of the request's body
	Firewall    = Kind("firewall") // answer Status, 403 by default, with a page of HTML
	Redirect    = Kind("redirect") // answer 307 to a login page

	LoseAnswer = rig.LoseAnswer // cut the connection instead of answering
	CutBody    = rig.CutBody    // cut it in the middle of the answer
	ErrorAfter = rig.ErrorAfter // answer 5xx, 502 by default
	WrongType  = rig.WrongType  // answer 200 with HTML
	NotJSON    = rig.NotJSON    // answer 200 with half a document, complete as HTTP
	Delay      = rig.Delay      // answer after Delay

	NoID        = Kind("no_id")        // answer without an id
	TwoIDs      = Kind("two_ids")      // answer with two
	Hide        = Kind("hide")         // list and show this run only after Delay
	DropColumns = Kind("drop_columns") // list this run without columns
	LateColumns = Kind("late_columns") // list it without those of the trigger until it is over
)

var starts = map[string]bool{opTrigger: true, opHook: true, opHookIn: true}

// table tells the rules about the operations. Route fills it.
var table = &rig.Table{
	Operations: operations, Dials: starts,
	Own: map[Kind]map[string]bool{
		Firewall: operations, Redirect: operations, NoID: starts, TwoIDs: starts, Hide: starts, DropColumns: starts, LateColumns: starts,
	},
	Timed: []Kind{Hide},
	Status: map[Kind]int{
		Refuse: http.StatusUnprocessableEntity, ErrorBefore: http.StatusBadGateway, ErrorAfter: http.StatusBadGateway,
		Firewall: http.StatusForbidden, Redirect: http.StatusTemporaryRedirect,
	},
}

// Validate reports why a rule could never strike, or not as it says: a test with such a
// rule would pass for the wrong reason.
func (f Fault) Validate() error { return table.Check(rig.Fault(f)) }

// Inject adds a rule and returns its number, which no other rule of this Sim ever has.
// It panics where Validate returns an error. A request is struck by one rule at most:
// by the first added, except that CutBefore and CutInBody come first, then what is answered
// before anything is done, then all others.
func (s *Sim) Inject(f Fault) (id int) { return s.rig.Inject(rig.Fault(f)) }

// LoseAnswer injects the loss of one answer: the run of the first trigger that holds a
// value is started, and the connection is cut.
func (s *Sim) LoseAnswer(value string) { s.Inject(Fault{Kind: LoseAnswer, To: value, Times: 1}) }

// ClearFaults removes all rules, and with them how often they struck.
func (s *Sim) ClearFaults() { s.rig.ClearFaults() }

// ClearFault removes one rule, by the number that Inject returned.
func (s *Sim) ClearFault(id int) { s.rig.ClearFault(id) }

// Faults returns the rules and how often they struck, in the order they were added.
func (s *Sim) Faults() []FaultState {
	rules := s.rig.Faults()
	out := make([]FaultState, len(rules))
	for i, f := range rules {
		out[i] = FaultState{ID: f.ID, Fault: Fault(f.Fault), Matched: f.Matched, Injected: f.Injected}
	}
	return out
}

// early are faults that strike before the body is read.
func early(k Kind) bool { return k == CutBefore || k == CutInBody }

// refusing are faults that strike before anything is done.
func refusing(k Kind) bool {
	return k == Refuse || k == ErrorBefore || k == Firewall || k == Redirect
}

// late are all others.
func late(k Kind) bool { return !early(k) && !refusing(k) }
