package dialer

import (
	"context"
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
	ofMost                 // of several, perhaps a part, unless nothing was let in at all
	ofSeveral              // of several, perhaps a part: nothing says that a request is all or nothing
	ofOne                  // one, though the answer is a refusal: it may not be the API's
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

// What follows from a Refusal: of what the call holds, or perhaps of all.
var (
	onRefusal    = action{nil, ofOne, narrow}
	onRefusalAll = action{&setupWrong, ofOne, sendAgain}
)

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
	failed  error // nil: answered
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
//	the reply or the list does, without an id   doubtful: created, and cannot be recorded
//	the answer leaves no doubt                  absent
//	a refusal of several, and no list shows it  absent
//	a list shows its number, but no reference   doubtful
//	the list could not be read in time          doubtful
//	no answer, and no list shows it             doubtful
func (r *run) created(ctx context.Context, jobs []*job, e evidence) (absent, doubtful []*job, err error) {
	if len(jobs) > 1 && e.doubt == ofMost && !r.nothingGotIn(ctx, jobs, e) {
		e.doubt = ofSeveral
	}
	switch {
	case e.doubt == ofSeveral && len(jobs) > 1, e.doubt == ofOne:
		return r.createdInPart(ctx, jobs, e)
	case e.doubt != ofAll:
		return jobs, nil, nil
	}
	open := jobs
	if len(e.reply) > 0 {
		var hits []hit
		for _, h := range match(jobs, e.reply) {
			h.job.shown = h.job.shown || h.call != nil
			if h.found() {
				hits = append(hits, h)
			}
		}
		e.keep(hits)
		if len(hits) == len(jobs) {
			return nil, nil, nil
		}
		open = without(jobs, hits)
	}
	doubtful, err = r.lookUp(ctx, open, e.began, e.settled, e.keep)
	return nil, doubtful, err
}

// nothingGotIn asks once for the list, to know whether the answer to the dial is one to
// the whole request. A limit or a wrong setup may be met in the middle of a batch. But if
// neither dialing nor listing is let in, the API let nothing in: more looks would keep these
// calls in doubt for settle, for a trouble that is not theirs. So it is if there is no API at
// all where both went. Any other answer but a list proves nothing, and nor does a list of
// now alone, which may lag: unless a refusal with this status was seen to be whole before.
func (r *run) nothingGotIn(ctx context.Context, jobs []*job, e evidence) bool {
	if r.partialRefusals.Load() {
		return false
	}
	hits, l, err := r.listed(ctx, jobs, e.began, e.settled, true, func(error) {})
	if err != nil {
		shut := happyrobot.IsNotLetIn(err) && happyrobot.IsNotLetIn(e.failed) && e.status != http.StatusPaymentRequired
		return !l.partly && (shut || happyrobot.LeadsNowhere(e.failed, err))
	}
	_, whole := r.wholeRefusals.Load(e.status)
	return whole && len(hits) == 0 && !slices.ContainsFunc(jobs, (*job).unclear)
}

// createdInPart is created for a refusal of several calls, or for one that may not be the
// API's. Nothing says that it is one of the whole batch, so the first with a status is looked up for all of settle. If
// nothing came of it, one look is enough from then on: a bad lead would cost minutes
// otherwise.
func (r *run) createdInPart(ctx context.Context, jobs []*job, e evidence) (absent, doubtful []*job, err error) {
	settled := e.settled
	// What is sent again is looked up for all of settle, whatever was seen before.
	if _, whole := r.wholeRefusals.Load(e.status); whole && !r.partialRefusals.Load() && e.then == narrow {
		settled = e.ended
	}
	open, err := r.lookUp(ctx, jobs, e.began, settled, e.keep)
	switch {
	case err != nil:
		return nil, open, err
	case len(open) == len(jobs) && !slices.ContainsFunc(jobs, func(j *job) bool { return j.shown }):
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
func (j *job) unclear() bool {
	return j.shown || j.doubt.Shown || j.unmarked || j.notLookedUp || j.doubt.Unreadable
}

// accept records calls that the API has. A call that cannot be recorded before
// the shutdown's grace ends stays undecided, and its claim in doubt.
func (r *run) accept(ctx context.Context, hits []hit) {
	if len(hits) > 0 {
		r.tookCalls.Store(time.Now().UnixNano())
	}
	ctx, cancel := r.afterwards(ctx)
	defer cancel()
	claims, ids := make([]ledger.Claim, len(hits)), make([]string, len(hits))
	for i, h := range hits {
		claims[i], ids[i] = h.job.claim, h.call.ID
	}
	for i, err := range r.ledger.CompleteAll(ctx, claims, ids) {
		if err == nil {
			hits[i].job.result = Result{Outcome: Accepted, CallID: hits[i].call.ID, More: hits[i].call.More, HTTPStatus: http.StatusOK, Call: hits[i].call.Raw}
		}
	}
	r.commit(ctx, hits)
}
