package callsim

import (
	"net/http"
	"sync"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim/internal/rig"
)

// Kind of a Fault.
type Kind = rig.Kind

// Kinds of faults. Those of the first group strike before anything is done. Those of
// the second strike afterwards: the calls are created, or the operation has done its
// work. Those of the third strike dials only.
const (
	Refuse      = rig.Refuse      // answer Status (and RetryAfter)
	ErrorBefore = rig.ErrorBefore // answer 5xx
	CutBefore   = rig.CutBefore   // cut the connection before the body is read
	CutInBody   = rig.CutInBody   // cut it in the middle of the request's body

	LoseAnswer = rig.LoseAnswer // cut the connection instead of answering
	CutBody    = rig.CutBody    // cut it in the middle of the answer
	ErrorAfter = rig.ErrorAfter // answer 5xx
	WrongType  = rig.WrongType  // answer 200 with HTML
	NotJSON    = rig.NotJSON    // answer 200 with half a document, complete as HTTP
	Delay      = rig.Delay      // answer after Delay

	Part          = Kind("part")            // create only a Fraction of a batch; answer those, or Status
	DropEcho      = Kind("drop_echo")       // never show metadata.custom of these calls
	DropEchoReply = Kind("drop_echo_reply") // leave it out of the reply only
	Hide          = Kind("hide")            // list these calls only after Delay
	DropID        = Kind("drop_id")         // show these calls with a number in place of their id
)

// Fault is a rule: what goes wrong with which requests. Operation "" means both dials, and
// To is a number that a dial holds. Which requests are meant is decided by the two; of
// those, After are spared, Probability and Times say how many are struck, and For says
// until when.
type Fault rig.Fault

// FaultState is a rule with its history.
type FaultState struct {
	ID int `json:"id"`
	Fault
	Matched  int `json:"matched"`  // requests it was meant for
	Injected int `json:"injected"` // those it struck
}

// Duration is a time.Duration written "200ms" in JSON.
type Duration = rig.Duration

var dials = map[string]bool{opDial: true, opDialBatch: true}

func isDial(operation string) bool { return dials[operation] }

// newTable tells the rules about this API. Routing adds the operations.
func newTable() *rig.Table {
	return &rig.Table{
		Operations: map[string]bool{}, Dials: dials, Timed: []Kind{Hide},
		// One call has no parts.
		Own:    map[Kind]map[string]bool{Part: {opDialBatch: true}, DropEcho: dials, DropEchoReply: dials, Hide: dials, DropID: dials},
		Status: map[Kind]int{Refuse: http.StatusUnprocessableEntity, ErrorBefore: http.StatusInternalServerError, ErrorAfter: http.StatusInternalServerError},
	}
}

// known is the table with all operations there are. It is no sync.OnceValue because New
// leads back here.
var known struct {
	once  sync.Once
	table *rig.Table
}

// Validate reports why a rule could never strike, or not as it says: a test with such a
// rule would pass for the wrong reason.
func (f Fault) Validate() error {
	known.once.Do(func() { known.table = New(Options{}).table })
	return known.table.Check(rig.Fault(f))
}

// Inject adds a rule and returns its number, which no other rule of this Sim ever has.
// It panics where Validate returns an error. A request is struck by one rule at most:
// by the first added, except that for dials CutBefore and CutInBody come first, then
// Refuse and ErrorBefore, then all others.
func (s *Sim) Inject(f Fault) (id int) { return s.rig.Inject(rig.Fault(f)) }

// Refuse injects a refusal of every dial that holds a number.
func (s *Sim) Refuse(phone string, status int) {
	s.Inject(Fault{Kind: Refuse, To: phone, Status: status})
}

// LoseAnswer injects the loss of one answer: the calls of the first dial that holds a
// number are created, and the connection is cut.
func (s *Sim) LoseAnswer(phone string) { s.Inject(Fault{Kind: LoseAnswer, To: phone, Times: 1}) }

// ClearFaults removes all rules, and with them how often they struck.
func (s *Sim) ClearFaults() { s.rig.ClearFaults() }

// Faults returns the rules and how often they struck, in the order they were added.
func (s *Sim) Faults() []FaultState {
	rules := s.rig.Faults()
	out := make([]FaultState, len(rules))
	for i, f := range rules {
		out[i] = FaultState{ID: f.ID, Fault: Fault(f.Fault), Matched: f.Matched, Injected: f.Injected}
	}
	return out
}
