package dialer

import (
	"context"
	"fmt"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
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
		if j.doubt.Last.IsZero() {
			// A record that cannot be read could be of any time in the window.
			if j.seenAt.IsZero() {
				j.seenAt = now
			}
			j.doubt.Since, j.doubt.Last = now.Add(-r.opts.Window), j.seenAt
		}
		if j.doubt.Since.Before(e.began) {
			e.began = j.doubt.Since
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
		claim, won, err := r.ledger.TakeOver(ctx, h.job.call.Ref, h.job.call.Fingerprint, h.job.doubt)
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
	return lost
}

// onUnknown decides doubtful calls: they are held, or else returned, to be dialed again.
// attempt is the number of the attempt that is in doubt.
func (r *run) onUnknown(doubtful []*job, attempt func(*job) int) (redial []*job) {
	for _, j := range doubtful {
		// Where the API drops our reference, being absent proves nothing.
		if r.opts.OnUnknown == RedialAbsent && !j.unclear() && !r.echoMissing.Load() {
			j.ruledOut = attempt(j)
			j.elsewhere = false // until it is seen there again
			redial = append(redial, j)
			continue
		}
		j.result = held(r.notFound(j))
	}
	return redial
}

// notFound is why a call is in doubt after it was looked up.
func (r *run) notFound(j *job) error {
	if j.notLookedUp {
		return fmt.Errorf("the call may have been placed, and the API could not be asked within %v; it is not dialed again", r.opts.MaxElapsedTime)
	}
	return fmt.Errorf("the call may have been placed, and %v later the API did not list it; it is not dialed again", r.opts.Settle)
}

func held(why error) Result { return Fail(Held, ReasonUnknown, why) }
