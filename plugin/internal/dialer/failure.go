package dialer

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/words"
)

// Error is a call's failure. Its text is "outcome: reason: details", followed by
// what else is known as "; call_id=… run_id=… http_status=… rule=… next_allowed=…". Pipelines
// take that apart: ParseError, or a pattern of their own for the first part.
type Error struct {
	Outcome     Outcome
	Reason      string
	CallID      string
	RunID       string // in place of CallID: the id of a run
	HTTPStatus  int    // 0: none
	Rule        string // which guard's rule decided
	NextAllowed string // when the call may be placed, RFC 3339
	Err         error  // the details
}

// Fail makes the result of a call that failed.
func Fail(outcome Outcome, reason string, err error) Result {
	return Error{Outcome: outcome, Reason: reason, Err: err}.result()
}

func (e Error) result() Result {
	return Result{
		Outcome: e.Outcome, Reason: e.Reason, CallID: e.CallID, HTTPStatus: e.HTTPStatus,
		Rule: e.Rule, NextAllowed: e.NextAllowed, Err: &e,
	}
}

// Names of what may follow a failure's details, in their order.
const (
	factCallID      = "call_id"
	factRunID       = "run_id"
	factHTTPStatus  = "http_status"
	factRule        = "rule"
	factNextAllowed = "next_allowed"
)

// Error is the failure as text, see there.
func (e *Error) Error() string {
	status := ""
	if e.HTTPStatus != 0 {
		status = strconv.Itoa(e.HTTPStatus)
	}
	var facts []string
	for _, fact := range [...]struct{ name, value string }{
		{factCallID, e.CallID}, {factRunID, e.RunID}, {factHTTPStatus, status}, {factRule, e.Rule}, {factNextAllowed, e.NextAllowed},
	} {
		if fact.value == "" {
			continue
		}
		if !plainFact.MatchString(fact.value) {
			fact.value = strconv.Quote(fact.value)
		}
		facts = append(facts, fact.name+"="+fact.value)
	}
	text := fmt.Sprintf("%s: %s: %v", e.Outcome, e.Reason, e.Err)
	if len(facts) > 0 {
		text += "; " + strings.Join(facts, " ")
	}
	return text
}

// Unwrap gives the details.
func (e *Error) Unwrap() error { return e.Err }

var (
	// failureText finds the first failure in a text. Benthos puts words of its own
	// before an error that it passes on, such as "rejecting due to failed processing: ".
	// The outcomes of success are there for a message that failed after its dial.
	failureText = regexp.MustCompile(`(?s)^(?:.*?: )??(` + strings.Join(words.OutcomeNames("happyrobot_dial"), "|") +
		`): ([a-z][a-z0-9_]*): (.*)$`)

	plainFact = regexp.MustCompile(`^[^\s"]+$`)
	fact      = `(?:` + factHTTPStatus + `=[1-9]\d{2}|(?:` + factCallID + `|` + factRunID + `|` + factRule + `|` + factNextAllowed + `)=(?:[^\s"]+|"(?:[^"\\]|\\.)*"))`
	facts     = regexp.MustCompile(`(?s)^(.*); (` + fact + `(?: ` + fact + `)*)$`)
	eachFact  = regexp.MustCompile(fact)
)

// ParseError reads the text of an Error. Details may hold anything, also what looks
// like a fact: only the last "; " counts, if nothing but facts follows it.
func ParseError(text string) (*Error, error) {
	parts := failureText.FindStringSubmatch(strings.TrimRight(text, "\r\n"))
	if parts == nil {
		return nil, errors.New("the text is not the failure of a dial, which reads `outcome: reason: details`")
	}
	e := &Error{Outcome: Outcome(parts[1]), Reason: parts[2]}
	details := parts[3]
	if known := facts.FindStringSubmatch(details); known != nil {
		details = known[1]
		for _, f := range eachFact.FindAllString(known[2], -1) {
			e.learn(f)
		}
	}
	e.Err = errors.New(details)
	return e, nil
}

// learn takes one fact, as name=value.
func (e *Error) learn(fact string) {
	name, value, _ := strings.Cut(fact, "=")
	if strings.HasPrefix(value, `"`) {
		if unquoted, err := strconv.Unquote(value); err == nil {
			value = unquoted
		}
	}
	switch name {
	case factCallID:
		e.CallID = value
	case factRunID:
		e.RunID = value
	case factHTTPStatus:
		e.HTTPStatus, _ = strconv.Atoi(value) // three digits, as the pattern says
	case factRule:
		e.Rule = value
	case factNextAllowed:
		e.NextAllowed = value
	}
}
