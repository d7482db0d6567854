package dialer

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/ledger"
)

// doubt is which calls of a request may have been created.
type doubt int

const (
	noDoubt   doubt = iota // none: the request had no effect
	ofMost                 // of several, perhaps a part; but hardly, so one look is enough
	ofSeveral              // of several, perhaps a part: nothing says that a request is all or nothing
	ofAll                  // each
)

// action is what follows from the class of an answer.
type action struct {
	met   *trouble // it closes the gate; nil: the API is at work
	doubt doubt
	then  remedy
}

// remedy is what becomes of calls that certainly were not created.
type remedy int

const (
	sendAgain remedy = iota
	narrow           // send again in halves, until the refused call stands alone, and fails
)

// actions has what follows from each class. Any other is of unknown outcome.
var actions = map[happyrobot.Class]action{
	happyrobot.ClassAnswered:  {nil, ofAll, sendAgain}, // but what the reply shows needs no look
	happyrobot.ClassNotSent:   {&unreachable, noDoubt, sendAgain},
	happyrobot.ClassThrottled: {&rateLimited, ofMost, sendAgain},
	happyrobot.ClassSetup:     {&setupWrong, ofMost, sendAgain},
	happyrobot.ClassRefused:   {nil, ofSeveral, narrow},
	happyrobot.ClassUnknown:   {&unanswered, ofAll, sendAgain},
}

func actionOn(c happyrobot.Class) action {
	if a, known := actions[c]; known {
		return a
	}
	return actions[happyrobot.ClassUnknown]
}

// evidence is what is known about an attempt to place some calls before anything is
// looked up.
type evidence struct {
	action
	reply   []PlacedCall
	status  int
	began   time.Time   // the attempt did not begin before
	ended   time.Time   // when it was over
	settled time.Time   // a list that begins then shows whatever was created
	keep    func([]hit) // records the calls that were created
}

// created answers the question that all else depends on: was this call created? What
// was is given to keep. Of the other calls, absent were certainly not created, and
// doubtful may have been. With an error, since ctx ended, doubtful are undecided.
//
//	the reply shows it                          created
//	the list shows it                           created
//	the answer leaves no doubt                  absent
//	a refusal of several, and no list shows it  absent
//	a list shows its number, but no reference   doubtful
//	the list could not be read in time          doubtful
//	no answer, and no list shows it             doubtful
func (r *run) created(ctx context.Context, jobs []*job, e evidence) (absent, doubtful []*job, err error) {
	if len(jobs) > 1 && e.doubt == ofMost && (r.partialRefusals.Load() || r.mayBeListed(ctx, jobs, e.began)) {
		e.doubt = ofSeveral
	}
	switch {
	case e.doubt == ofSeveral && len(jobs) > 1:
		return r.createdInPart(ctx, jobs, e)
	case e.doubt != ofAll:
		return jobs, nil, nil
	}
	open := jobs
	if len(e.reply) > 0 {
		hits := slices.DeleteFunc(match(jobs, e.reply), func(h hit) bool { return !h.found() })
		e.keep(hits)
		if len(hits) == len(jobs) {
			return nil, nil, nil
		}
		open = without(jobs, hits)
	}
	doubtful, err = r.lookUp(ctx, open, e.began, e.settled, e.keep)
	return nil, doubtful, err
}

// mayBeListed asks once whether any of these calls was created. A limit or a wrong setup
// may be met in the middle of a batch. If listing is refused, too, the API let nothing
// in, so nothing was created. More looks would keep these calls in doubt for settle, and
// a shutdown meanwhile would fail them for a trouble that is not theirs.
func (r *run) mayBeListed(ctx context.Context, jobs []*job, since time.Time) bool {
	hits, began, err := r.listed(ctx, jobs, since, true)
	if err != nil {
		return began || !happyrobot.ClassOf(err).Declined()
	}
	return len(hits) > 0 || slices.ContainsFunc(jobs, (*job).unclear)
}

// createdInPart is created for a refusal of several calls. Nothing says that it is one
// of the whole batch, so the first with a status is looked up for all of settle. If
// nothing came of it, one look is enough from then on: a bad lead would cost minutes
// otherwise.
func (r *run) createdInPart(ctx context.Context, jobs []*job, e evidence) (absent, doubtful []*job, err error) {
	settled := e.settled
	if _, whole := r.wholeRefusals.Load(e.status); whole && !r.partialRefusals.Load() {
		settled = e.ended
	}
	open, err := r.lookUp(ctx, jobs, e.began, settled, e.keep)
	switch {
	case err != nil:
		return nil, open, err
	case len(open) == len(jobs):
		if settled.After(e.ended) && !slices.ContainsFunc(jobs, (*job).unclear) {
			r.wholeRefusals.Store(e.status, nil)
		}
	default:
		// This API creates part of what it refuses, and may list it late.
		if r.partialRefusals.CompareAndSwap(false, true) && r.opts.OnPartialRefusal != nil {
			r.opts.OnPartialRefusal()
		}
		if len(open) > 0 && settled.Equal(e.ended) {
			if open, err = r.lookUp(ctx, open, e.began, e.settled, e.keep); err != nil {
				return nil, open, err
			}
		}
	}
	for _, j := range open {
		if j.unclear() {
			doubtful = append(doubtful, j)
		} else {
			absent = append(absent, j)
		}
	}
	return absent, doubtful, nil
}

// unclear says whether being absent from the list proves nothing about a call.
func (j *job) unclear() bool { return j.unmarked || j.notLookedUp }

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
			redial = append(redial, j)
			continue
		}
		j.result = r.held(j)
	}
	return redial
}

func (r *run) held(j *job) Result {
	why := fmt.Errorf("the call may have been placed, and %v later the API did not list it; it is not dialed again", r.opts.Settle)
	switch {
	case j.notLookedUp:
		why = fmt.Errorf("the call may have been placed, and the API could not be asked within %v; it is not dialed again", r.opts.MaxElapsedTime)
	case j.elsewhere:
		why = errors.New("another process may have placed the call; it is not dialed again")
	}
	return Fail(Held, ReasonUnknown, why)
}

// accept records calls that the API has. A call that cannot be recorded before
// the shutdown's grace ends stays undecided, and its claim in doubt.
func (r *run) accept(ctx context.Context, hits []hit) {
	ctx, cancel := r.afterwards(ctx)
	defer cancel()
	claims, ids := make([]ledger.Claim, len(hits)), make([]string, len(hits))
	for i, h := range hits {
		claims[i], ids[i] = h.job.claim, h.call.ID
	}
	for i, err := range r.ledger.CompleteAll(ctx, claims, ids) {
		if err == nil {
			hits[i].job.result = Result{Outcome: Accepted, CallID: hits[i].call.ID, HTTPStatus: http.StatusOK, Call: hits[i].call.Raw}
		}
	}
	r.commit(ctx, hits)
}
