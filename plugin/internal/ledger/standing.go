package ledger

import (
	"context"
	"time"
)

// clocksApart is how far the clocks of processes that share a store may differ for a
// date in a record to say anything. It bounds which calls of another process' attempt
// are looked for, and when such an attempt was surely over: a claim whose date is more
// than that and a lease ago is stale at first sight.
const clocksApart = time.Hour

// Standing is what the ledger knows of a dial. The zero Standing is that of a dial
// which may be claimed.
type Standing struct {
	Kind        Kind
	CallID      string   // Called
	Refs        []string // that the API was sent: for the call, or for each unresolved attempt whose record can be read
	Fingerprint string   // "" when a record could not be read
	Attempt     int      // number of the newest attempt, 0 for none
	Token       string   // of the newest attempt, which has its number alone only while it lasts; "" if its record cannot be read

	// Busy and InDoubt: the unresolved attempts began at Since or later, the last of them
	// at Last or before. Both are by this process' clock, and allow for what the others'
	// show. Since is zero when an unresolved record does not say when it began: one that
	// cannot be read, and one of a clock that is far ahead.
	Since, Last time.Time
	Unreadable  bool // InDoubt: an unresolved record cannot be read, so what the API was sent is not known

	// InDoubt: how often the dial has been sent, as far as that counts. TakeOver counts
	// from here; who knows that the newest attempt does not count takes it off.
	Sent int
	// InDoubt: Refused holds of each unresolved attempt, Shown of at least one.
	Finding

	Owner Owner // Busy
}

// Owner is whose claim makes a dial Busy.
type Owner struct {
	Process string    // a short name, "" for this process
	Claimed time.Time // by its clock
	Until   time.Time // by ours: the claim is stale then
}

func (o Owner) String() string {
	if o.Process == "" {
		return "another batch of this process"
	}
	return "another process (" + o.Process + ")"
}

// Kind of a Standing.
type Kind int

// Kinds of a Standing.
const (
	Free    Kind = iota // no attempt is recorded, or each came to nothing
	Claimed             // by us, just now
	Called              // the API has the call
	Busy                // another attempt may be under way right now
	InDoubt             // an attempt was made, and its owner will not report the outcome
)

// Known reads a dial's history to its end. It claims nothing; but see heal.
func (l *Ledger) Known(ctx context.Context, dial string) (Standing, error) {
	return l.known(ctx, dial, nil)
}

// known is Known with the first record, if it was read just now.
func (l *Ledger) known(ctx context.Context, dial string, first []byte) (s Standing, err error) {
	var unresolved, undated bool
	var newest attempt
	s.Refused = true
	for n := 1; ; n++ {
		stored, exists := first, n == 1 && first != nil
		if !exists {
			if stored, exists, err = l.read(ctx, key(dial, n)); err != nil {
				return Standing{}, err
			}
		}
		if !exists {
			break
		}
		s.Attempt = n
		r, derr := decodeRecord(stored)
		newest, s.Token = attempt{record: r}, r.Token
		if derr == nil && r.State == stateCalled {
			if n > 1 {
				l.heal(ctx, dial, r)
			}
			return Standing{Kind: Called, CallID: r.CallID, Refs: []string{r.sent(dial)}, Fingerprint: r.Fingerprint, Attempt: n}, nil
		}
		if derr == nil && r.State == stateVoid {
			continue
		}
		unresolved = true
		newest.seen = l.seen.first(key(dial, n), stored, time.Now())
		if derr != nil {
			s.Unreadable, undated, s.Last = true, true, newest.seen
			s.Sent, s.Refused = s.Sent+1, false
			continue
		}
		if s.Sent++; r.Sent > 0 {
			s.Sent = r.Sent
		}
		if r.Uncounted {
			s.Sent--
		}
		s.Refused, s.Shown = s.Refused && r.Refused, s.Shown || r.Shown
		s.Fingerprint = r.Fingerprint
		s.Refs = append(s.Refs, r.sent(dial))
		since, last := l.began(newest)
		if s.Since.IsZero() || since.Before(s.Since) {
			s.Since = since
		}
		undated, s.Last = undated || since.IsZero(), last
	}
	if undated {
		s.Since = time.Time{}
	}
	switch {
	case !unresolved:
		s.Kind, s.Refused = Free, false
	case newest.State == stateClaimed && l.alive(newest):
		s.Kind = Busy
		s.Owner = Owner{Claimed: newest.At, Until: newest.seen.Add(l.opts.Lease + Spare)}
		if !newest.ours() {
			s.Owner.Process = newest.process()
		}
	default:
		s.Kind = InDoubt
	}
	return s, nil
}

// attempt is a record of a history, and when this process first saw it.
type attempt struct {
	record
	seen time.Time
}

// began is between which moments an attempt began, by this process' clock. A date that was
// written by this machine's clock is believed, unless the clock was set back since. The
// date of a clock that is far ahead says nothing, so since is zero: the record may have
// been there for any time before it was seen.
func (l *Ledger) began(a attempt) (since, last time.Time) {
	switch {
	case a.ours(), l.exclusive() && !a.At.After(a.seen):
		return a.At, a.At
	case a.At.Sub(a.seen) > clocksApart:
		return time.Time{}, a.seen
	}
	since, last = a.At, a.At.Add(clocksApart)
	if a.seen.Before(since) {
		since = a.seen
	}
	if a.seen.Before(last) {
		last = a.seen
	}
	return since.Add(-clocksApart), last
}

// alive says whether a claim's owner may still be at work: until this process has seen
// the claim for a lease. Its date is of another clock, and counts in two cases only. If it
// is so far ahead that the clock must be wrong, the claim is in doubt, which is as safe. If
// it is so far back that no clock allows for it, the lease was over before: a claim of
// hours ago need not be seen for a lease by a process that may not live as long.
func (l *Ledger) alive(a attempt) bool {
	lease := l.opts.Lease + Spare
	switch {
	case a.ours():
	case l.exclusive():
		return false
	case a.At.Sub(a.seen) > lease, a.seen.Sub(a.At) > lease+clocksApart:
		return false
	}
	return time.Since(a.seen) < lease
}

// exclusive reports whether no other process can be using the store.
func (l *Ledger) exclusive() bool { return l.opts.Exclusive != nil && l.opts.Exclusive() }
