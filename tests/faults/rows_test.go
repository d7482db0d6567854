package faults

import (
	"net/http"
	"slices"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
)

// Settings of every side. A call that may have been placed is looked for during
// settle; what takes longer than timeout is given up, and only where answers are
// made to come late is that brief: a busy machine is no fault.
const (
	timeout = 20 * time.Second
	brief   = time.Second
	slow    = 2 * brief
	settle  = 500 * time.Millisecond
	soon    = settle / 4 // a list lag that settle allows for
	late    = 3 * settle // one that it does not
)

// row is a line of the table: what goes wrong.
type row struct {
	name   string
	faults []callsim.Fault // a request is struck by one of them at most
	always []callsim.Fault // how the API is, at every rate
	opts   callsim.Options
	cache  *cacheFault
	wire   bool
	brief  bool // the timeout
	wrap   func(http.Handler) http.Handler

	// except are sides that make no promise here, for the reason why, which the
	// table tells.
	except []side
	why    string
}

func (r row) promises(s side) bool { return !slices.Contains(r.except, s) }

func one(f callsim.Fault) []callsim.Fault { return []callsim.Fault{f} }

// rows are all faults that the simulator, the ledger and the wire know, alone
// and mixed. The table in tests/reliability.md has each of them.
func rows() []row {
	lag := func(d time.Duration) callsim.Options { return callsim.Options{Visibility: d} }
	all := []row{
		{name: "answer lost after creating", faults: one(callsim.Fault{Kind: callsim.LoseAnswer})},
		{name: "500 before creating", faults: one(callsim.Fault{Kind: callsim.ErrorBefore})},
		{name: "500 after creating", faults: one(callsim.Fault{Kind: callsim.ErrorAfter})},
		{name: "503 after creating", faults: one(callsim.Fault{Kind: callsim.ErrorAfter, Status: http.StatusServiceUnavailable})},
		{name: "half a batch created, 200", faults: one(callsim.Fault{Kind: callsim.Part})},
		{name: "half a batch created, 500", faults: one(callsim.Fault{Kind: callsim.Part, Status: http.StatusInternalServerError})},
		{name: "half a batch created, 422", faults: one(callsim.Fault{Kind: callsim.Part, Status: http.StatusUnprocessableEntity})},
		{name: "half a batch created, 429", faults: one(callsim.Fault{Kind: callsim.Part, Status: http.StatusTooManyRequests})},
		{name: "half a batch created, 402", faults: one(callsim.Fault{Kind: callsim.Part, Status: http.StatusPaymentRequired})},
		{name: "half a batch created, 403", faults: one(callsim.Fault{Kind: callsim.Part, Status: http.StatusForbidden})},
		{name: "half a batch created, 404", faults: one(callsim.Fault{Kind: callsim.Part, Status: http.StatusNotFound})},
		{name: "429", faults: one(callsim.Fault{Kind: callsim.Refuse, Status: http.StatusTooManyRequests})},
		{name: "429, Retry-After in seconds", faults: one(callsim.Fault{Kind: callsim.Refuse, Status: http.StatusTooManyRequests, RetryAfter: "1"})},
		{name: "429, Retry-After as a date", faults: one(callsim.Fault{
			Kind: callsim.Refuse, Status: http.StatusTooManyRequests, RetryAfter: inTwoSeconds})},
		{name: "401, the key refused", faults: one(callsim.Fault{Kind: callsim.Refuse, Status: http.StatusUnauthorized})},
		{name: "404 on the dial path", faults: one(callsim.Fault{Kind: callsim.Refuse, Status: http.StatusNotFound})},
		{name: "408", faults: one(callsim.Fault{Kind: callsim.Refuse, Status: http.StatusRequestTimeout})},
		{name: "422, the whole batch", faults: one(callsim.Fault{Kind: callsim.Refuse})},
		{name: "200, cut short as JSON", faults: one(callsim.Fault{Kind: callsim.NotJSON})},
		{name: "200, HTML of the wrong type", faults: one(callsim.Fault{Kind: callsim.WrongType})},
		{name: "connection cut before the headers", wire: true},
		{name: "connection cut before the body", faults: one(callsim.Fault{Kind: callsim.CutBefore})},
		{name: "connection cut in the body", faults: one(callsim.Fault{Kind: callsim.CutInBody})},
		{name: "connection cut in the reply", faults: one(callsim.Fault{Kind: callsim.CutBody})},
		{name: "answer later than timeout", faults: one(callsim.Fault{Kind: callsim.Delay, Delay: callsim.Duration(slow)}), brief: true},
		{name: "answer late, within timeout", faults: one(callsim.Fault{Kind: callsim.Delay, Delay: callsim.Duration(slow)})},
		{name: "reference missing in the reply", faults: one(callsim.Fault{Kind: callsim.DropEchoReply})},
		{name: "reference missing everywhere", faults: one(callsim.Fault{Kind: callsim.DropEcho})},
		{name: "no reference ever, answer lost", faults: one(callsim.Fault{Kind: callsim.LoseAnswer}), wrap: withoutEcho},
		{name: "no reference ever, half a batch created, 422", faults: one(callsim.Fault{Kind: callsim.Part, Status: http.StatusUnprocessableEntity}), wrap: withoutEcho},
		{name: "list lag within settle", faults: one(callsim.Fault{Kind: callsim.Hide, Delay: callsim.Duration(soon)})},
		{name: "answer lost, list lag within settle", faults: one(callsim.Fault{Kind: callsim.LoseAnswer}), opts: lag(soon)},
		{name: "answer lost, list lag beyond settle", faults: one(callsim.Fault{Kind: callsim.LoseAnswer}), opts: lag(late), except: []side{redialAbsent},
			why: "`redial_absent` trusts that a call which was placed is listed within `settle`"},
		{name: "half a batch created, 422, list lag within settle", faults: one(callsim.Fault{Kind: callsim.Part, Status: http.StatusUnprocessableEntity}), opts: lag(soon)},
		{name: "answer lost, lists fail", faults: one(callsim.Fault{Kind: callsim.LoseAnswer}), always: []callsim.Fault{
			{Kind: callsim.ErrorBefore, Operation: "listCalls", Probability: 0.3}, {Kind: callsim.CutBefore, Operation: "listCalls", Probability: 0.3}}},
		{name: "ledger down before the claim", cache: &cacheFault{ops: []string{opAdd, opGet}}},
		{name: "ledger down after the call", cache: &cacheFault{ops: []string{opSet, opDelete}}},
		{name: "ledger's answers lost", cache: &cacheFault{ops: []string{opAdd, opSet, opDelete}, written: true}},
		{name: "answer lost, ledger unsteady", faults: one(callsim.Fault{Kind: callsim.LoseAnswer}), cache: &cacheFault{ops: []string{opGet, opAdd, opSet, opDelete}}},
	}
	unsteady := cacheFault{ops: []string{opGet, opAdd, opSet, opDelete}}
	lost := unsteady
	lost.written = true
	mixed := row{name: "all of these mixed", wire: true, brief: true, cache: &unsteady}
	lagging := row{name: "all of these mixed but refusals in part, list lag within settle", wire: true, brief: true, cache: &lost, opts: lag(soon)}
	for _, r := range all {
		for _, f := range r.faults {
			if r.wrap != nil || len(r.always) > 0 || r.opts != (callsim.Options{}) {
				continue // how an API is, not what goes wrong with a request
			}
			mixed.faults = append(mixed.faults, f)
			if f.Kind != callsim.Part || f.Status == 0 || f.Status >= 500 {
				lagging.faults = append(lagging.faults, f)
			}
		}
	}
	return append(all, mixed, lagging)
}

// inTwoSeconds is replaced by that date, as a header has it, when a run begins.
const inTwoSeconds = "in two seconds"
