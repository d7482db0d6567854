package dialer

import (
	"context"
	"errors"
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
		if since.IsZero() { // a record that does not say when could be of any time in the window
			since = now.Add(-r.opts.Window)
		}
		if since.Before(e.began) {
			e.began = since
		}
		if s := j.doubt.Last.Add(r.opts.Timeout + r.opts.settleOf(j.doubt.Sent)); s.After(e.settled) {
			e.settled = s
		}
	}
	e.keep = func(hits []hit) { again = append(again, r.takeOverFound(ctx, hits)...) }
	_, doubtful, err := r.created(ctx, doubts, e)
	if err != nil {
		return nil, err
	}
	refused, doubtful := split(doubtful, func(j *job) bool { return j.doubt.Refused && !j.unclear() && !j.conflicts(j.doubt) })
	for _, j := range refused {
		j.ruleOut(j.doubt.Attempt, j.doubt.Token, j.doubt.Sent-1)
	}
	again = append(again, refused...)
	for _, j := range doubtful {
		j.sent = j.doubt.Sent
	}
	again = append(again, r.onUnknown(doubtful, func(j *job) (int, string) { return j.doubt.Attempt, j.doubt.Token })...)
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
	if len(taken) > 0 {
		r.brake.knows() // an attempt of another time
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
// attempt is the number and the token of the attempt that is in doubt.
func (r *run) onUnknown(doubtful []*job, attempt func(*job) (int, string)) (redial []*job) {
	for _, j := range doubtful {
		if r.mayRedial(j) {
			number, token := attempt(j)
			j.ruleOut(number, token, j.sent)
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

// mayRedial says whether a call that is not listed may be sent again. Where the API drops
// our reference, being absent proves nothing. And an API that never lists what it creates
// must not be sent a call again and again, so MaxRedials is the end. An attempt that does
// not count, since the API took no call at all, is not limited by it: j.sent is without it.
func (r *run) mayRedial(j *job) bool {
	if r.opts.OnUnknown != RedialAbsent || j.unclear() || r.echoMissing.Load() || j.conflicts(j.doubt) {
		return false
	}
	j.tooOften = r.opts.MaxRedials == 0 || j.sent > r.opts.MaxRedials
	return !j.tooOften
}

// ruleOut notes that attempts up to one created no call. sent is how many of them count.
func (j *job) ruleOut(attempt int, token string, sent int) {
	j.ruledOut, j.rulingOn, j.sent = attempt, token, sent
}

// hasRuledOut says whether the newest attempt is the last that created no call. Its number
// does not tell: a claim that was given up since leaves it to the next.
func (j *job) hasRuledOut(s ledger.Standing) bool {
	return s.Attempt == j.ruledOut && s.Token == j.rulingOn
}

// notFound is the result of a call in doubt that no list showed.
func (r *run) notFound(j *job) Result {
	is := r.opts.words()
	may, never := fmt.Sprintf("the %s may have been %s", is.Call, is.Placed), fmt.Sprintf("; it is not %s again", is.Dialed)
	reason, why := ReasonUnknown, fmt.Sprintf("%s, and %v later the API did not list it", may, r.opts.settleOf(j.sent))
	switch {
	case j.conflicts(j.doubt):
		return conflict("", "a call with other contents, which may have been placed and was not found")
	case j.shown || j.doubt.Shown:
		why = fmt.Sprintf("the API has the %s, and gives no id of it that can be read", is.Call)
	case j.unlistable != nil:
		reason, why = ReasonNotLookedUp, fmt.Sprintf("%s, and cannot be looked up: %v", may, j.unlistable)
	case j.notLookedUp:
		reason, why = ReasonNotLookedUp, fmt.Sprintf("%s, and the API could not be asked within %v", may, r.opts.MaxElapsedTime)
	case j.doubt.Unreadable: // dial_ref_salt may have been another, or none, when it was written
		why = may + ": its record in the ledger cannot be read, so its dial_ref is not known"
	case j.unmarked && j.noRef != nil:
		why = fmt.Sprintf("%s: %v", may, j.noRef)
	case j.unmarked:
		why = may + ": the API lists a call to this number without our reference"
	case j.tooOften:
		why = fmt.Sprintf("%s: it was sent %s, and the API did not list it; max_redials (%d) allows no more", may, times(j.sent), r.opts.MaxRedials)
	}
	return Fail(Held, reason, errors.New(why+never))
}

// times says how often.
func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}
