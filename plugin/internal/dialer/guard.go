package dialer

import (
	"context"
	"fmt"
	"time"
)

// Guard says whether a call may be placed now: calling hours, lists, limits. A dialer
// asks its guards in their order; the first that does not allow a call decides. All
// methods are safe for concurrent use.
//
// Guards judge new calls only. A call that is about to be refused or put off is first
// looked up in the ledger: if it is known there, it is a duplicate, in doubt, or dialed
// elsewhere, as without guards. Trouble of a guard's own, such as a list that cannot be read, is a verdict,
// Pause or Refuse, and never Allow. Verdicts that leave out what they need, or are not one
// for each call, are programming errors: the dialer panics.
//
// Call.Body never changes: it is sent as it is, and the ledger knows its contents by their
// fingerprint. If a guard needs something in the request, such as a scheduled time or a
// maximum duration, it is put there where the call is built.
type Guard interface {
	// Check judges one call by what is in memory. It is pure: it neither waits nor
	// reads nor writes anything else, and gives the same verdict for the same call, time
	// and rules. It is asked before all waiting, and again after it: that moment and the
	// request are little more than half a timeout apart.
	Check(now time.Time, c *Call) Verdict

	// LookUp judges calls that may be judged only by what a store says, all at once. It
	// is asked after the second Check and before the claims are taken, about at least
	// one call, and again each time a call gets that far. It must not write. Nil allows
	// all; otherwise there is one verdict for each call, in their order. An error says
	// that ctx ended.
	LookUp(ctx context.Context, now time.Time, calls []*Call) ([]Verdict, error)

	// Reserve takes what these calls use up: a place in a limit, a share of a budget.
	// This process has just taken their claims. Verdicts and errors are as LookUp's. A
	// call for which something is reserved already, such as by a process that has died
	// since, keeps that. Nothing stays reserved for a call that is not allowed.
	Reserve(ctx context.Context, now time.Time, calls []*Call) ([]Verdict, error)

	// Commit says that these calls were created and recorded: what was reserved is used
	// up. That includes calls for which another process had reserved.
	Commit(ctx context.Context, calls []*Call)

	// Release says that the claims of these calls are given up, since certainly none was
	// created: what was reserved is free. It comes before others can take the claims,
	// and includes calls for which nothing is reserved. A call of unknown outcome
	// gets neither Commit nor Release: it may have been created, and keeps its place.
	Release(ctx context.Context, calls []*Call)
}

// Ruling is the kind of a Verdict.
type Ruling int

// Rulings.
const (
	Allow Ruling = iota // as far as this guard is concerned

	// Later is not before a moment: the call waits, unclaimed, and blocks no other call of
	// its batch. Dial returns when the last call is decided, so a batch ends with its
	// latest call. Later is for waits of about a minute; a call that may not be placed for
	// hours gets Refuse with NextAllowed.
	Later

	Refuse // the call fails, unless the ledger knows it
	Pause  // nothing may leave: the stream waits, and asks again
)

// Verdict is what a guard says of a call. The zero Verdict allows it.
type Verdict struct {
	Ruling Ruling

	NotBefore time.Time // Later; a time that is past is soon
	Cause     Cause     // Later and Pause, which need it: what the wait is reported as

	Outcome     Outcome   // Refuse, and so are the next four
	Reason      string    // like Outcome, Refuse needs it
	Rule        string    // that decided; "" for none
	NextAllowed time.Time // when the call may be placed; zero if that is not known
	LocalTime   time.Time // where the phone is, in its zone; zero if that is not known

	Why error // all but Allow need it: fit for the log, without a number
}

// mustBeWhole panics if the verdict of a guard lacks what it needs: a call would fail
// without an outcome, or wait without a reason, and nobody could tell why.
func (v *Verdict) mustBeWhole(g Guard) {
	switch v.Ruling {
	case Allow:
	case Later, Pause:
		if v.Cause == "" || v.Why == nil {
			panic(fmt.Sprintf("guard %T: a verdict Later or Pause needs a Cause and a Why", g))
		}
	case Refuse:
		if v.Outcome == "" || v.Reason == "" || v.Why == nil {
			panic(fmt.Sprintf("guard %T: a verdict Refuse needs an Outcome, a Reason and a Why", g))
		}
	default:
		panic(fmt.Sprintf("guard %T: no such ruling: %d", g, v.Ruling))
	}
}

// result is that of a refused call.
func (v *Verdict) result() Result {
	failure := Error{Outcome: v.Outcome, Reason: v.Reason, Rule: v.Rule, Err: v.Why}
	if !v.NextAllowed.IsZero() {
		failure.NextAllowed = v.NextAllowed.UTC().Format(time.RFC3339)
	}
	result := failure.result()
	if !v.LocalTime.IsZero() {
		result.LocalTime = v.LocalTime.Format(time.RFC3339)
	}
	return result
}
