package dialer

import (
	"context"
	"fmt"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/ledger"
)

// This file says who decides a claim left by a crash: the next process to see its lead.
// It treats the claim as an attempt of its own that was not answered. Once the claim is
// stale, it looks the call up, records it if the API lists it, and otherwise does what
// on_unknown says, as it does with a call in doubt of its own.

// resolve decides calls whose earlier attempt, by another process, has an unknown
// outcome: as one of our own that was not answered. It returns those to dial again.
func (r *run) resolve(ctx context.Context, doubts []*job) (again []*job, err error) {
	now := time.Now()
	e := evidence{action: actions[happyrobot.ClassUnknown], began: now, ended: now, settled: now}
	for _, j := range doubts {
		since := j.doubt.Since
		if since.IsZero() { // a record that cannot be read could be of any time in the window
			since = now.Add(-r.opts.Window)
		}
		if since.Before(e.began) {
			e.began = since
		}
		if s := j.doubt.Last.Add(r.opts.Timeout + r.opts.Settle); s.After(e.settled) {
			e.settled = s
		}
	}
	e.keep = func(hits []hit) { again = append(again, r.takeOverFound(ctx, hits)...) }
	_, doubtful, err := r.created(ctx, doubts, e)
	if err != nil {
		return nil, err
	}
	again = append(again, r.onUnknown(doubtful, func(j *job) int { return j.doubt.Attempt })...)
	return again, ctx.Err()
}

// takeOverFound records calls that came of another process's attempts. It returns those
// that another process has taken over since: the ledger knows what became of them.
func (r *run) takeOverFound(ctx context.Context, hits []hit) (lost []*job) {
	var taken []hit
	for _, h := range hits {
		d := h.job.call.dial()
		if d.Ref = h.call.Ref; h.job.doubt.Fingerprint != "" {
			d.Fingerprint = h.job.doubt.Fingerprint
		}
		claim, won, err := r.ledger.TakeOver(ctx, d, h.job.doubt)
		switch {
		case err != nil: // shutting down: undecided
		case won:
			h.job.claim = claim
			taken = append(taken, h)
		default:
			lost = append(lost, h.job)
		}
	}
	r.accept(ctx, taken)
	for _, h := range taken {
		j := h.job
		if j.result.Outcome == Accepted && j.conflicts(j.doubt) {
			j.result = conflict(h.call.ID, "a call with other contents")
		}
		j.result.Ref = j.otherRef(h.call.Ref)
	}
	return lost
}

// onUnknown decides doubtful calls: they are held, or else returned, to be dialed again.
// attempt is the number of the attempt that is in doubt.
func (r *run) onUnknown(doubtful []*job, attempt func(*job) int) (redial []*job) {
	for _, j := range doubtful {
		// Where the API drops our reference, being absent proves nothing.
		if r.opts.OnUnknown == RedialAbsent && !j.unclear() && !r.echoMissing.Load() && !j.unnamed() && !j.conflicts(j.doubt) {
			j.ruledOut = attempt(j)
			redial = append(redial, j)
			continue
		}
		j.result = r.notFound(j)
	}
	return redial
}

// refs are the names that the API may list a call under: that of this process, and those
// of earlier attempts, when dial_ref_salt may have been another.
func (j *job) refs() []string { return append([]string{j.call.Ref}, j.doubt.Refs...) }

// unnamed says whether an attempt of a call may have had a name that nobody knows: its
// record cannot be read, and a salt is in use.
func (j *job) unnamed() bool {
	return j.doubt.Kind == ledger.InDoubt && j.doubt.Since.IsZero() && j.call.Ref != j.call.key()
}

// notFound is the result of a call in doubt that no list showed.
func (r *run) notFound(j *job) Result {
	const notAgain = "the call may have been placed, and %s; it is not dialed again"
	switch {
	case j.conflicts(j.doubt):
		return conflict("", "a call with other contents, which may have been placed and was not found")
	case j.notLookedUp:
		return Fail(Held, ReasonNotLookedUp, fmt.Errorf(notAgain, fmt.Sprintf("the list of calls could not be read within %v", r.opts.MaxElapsedTime)))
	case j.unnamed():
		return Fail(Held, ReasonUnknown, fmt.Errorf(notAgain, "the ledger's record of it cannot be read, so its dial_ref is not known"))
	case j.unmarked:
		return Fail(Held, ReasonUnknown, fmt.Errorf(notAgain, "the API lists a call to its number without a dial_ref"))
	}
	return Fail(Held, ReasonUnknown, fmt.Errorf(notAgain, fmt.Sprintf("%v later the API did not list it", r.opts.Settle)))
}
