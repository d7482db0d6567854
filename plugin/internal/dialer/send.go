package dialer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/ledger"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
)

// verdict is what a request's answer says about its calls.
type verdict int

const (
	answered  verdict = iota // the reply lists what was created
	notSent                  // certainly not processed: wait and send again
	throttled                // likewise, and the API asked to slow down
	setup                    // the key or the URL is wrong: not these calls' fault
	refused                  // something in the request is wrong
	unknown                  // it may have been processed
)

// classify sorts a dial's error. What it does not know is unknown, never refused.
func classify(err error) verdict {
	if err == nil {
		return answered
	}
	var e *happyrobot.Error
	if !errors.As(err, &e) {
		return unknown
	}
	switch s := e.Status; {
	case s == 0 && e.NotSent():
		return notSent
	case s == http.StatusTooManyRequests:
		return throttled
	case s == http.StatusRequestTimeout:
		// A proxy says so, too, when the API behind it was slow.
		return unknown
	case s == http.StatusUnauthorized, s == http.StatusPaymentRequired, s == http.StatusForbidden,
		s == http.StatusNotFound, s == http.StatusMethodNotAllowed,
		s >= 300 && s < 400: // the base URL points at something that moved
		return setup
	case s >= 400 && s < 500:
		return refused
	default:
		return unknown
	}
}

// send makes one request for claimed calls. It returns the groups to send again.
func (r *run) send(p turn, jobs []*job) (again [][]*job, err error) {
	oldest := jobs[0].claim.At()
	calls := make([]happyrobot.EncodedCall, len(jobs))
	for i, j := range jobs {
		calls[i] = j.call.Request
		if j.claim.At().Before(oldest) {
			oldest = j.claim.At()
		}
	}
	// A claim is good for one timeout. A process that was frozen in between, or
	// that a slow ledger kept, must not dial on a claim that another replica may
	// be about to take over: it claims afresh.
	if time.Since(oldest) > r.opts.Timeout/2 || !r.gate.valid(p) {
		r.release(jobs)
		r.gate.leave(p)
		// A ledger that is too slow for the timeout gets some rest.
		return [][]*job{jobs}, pause.Sleep(r.ctx, pause.NewGrowing(r.opts.InitialInterval, r.opts.InitialInterval).Next())
	}
	ctx, cancel := context.WithDeadline(context.WithoutCancel(r.ctx), oldest.Add(r.opts.Timeout))
	defer cancel()
	created, err := r.api.CreateEncodedCalls(ctx, calls)
	ended := time.Now()

	var e *happyrobot.Error
	var asked time.Duration
	status := http.StatusOK
	if errors.As(err, &e) {
		status, asked = e.Status, e.RetryAfter
	}
	switch classify(err) {
	case answered:
		r.gate.answered(p)
		hits, echoed := match(jobs, created)
		if !echoed {
			r.noteEchoMissing()
		}
		return r.lookUp(r.acceptCreated(hits), ended)
	case notSent:
		r.gate.close(p, unreachable, asked, err)
	case throttled:
		r.gate.close(p, rateLimited, asked, err)
		return r.sendRest(jobs, status, ended)
	case setup:
		r.gate.close(p, setupWrong, asked, err)
		return r.sendRest(jobs, status, ended)
	case refused:
		r.gate.answered(p)
		if len(jobs) == 1 {
			r.release(jobs)
			jobs[0].result = Error{Outcome: Rejected, Reason: ReasonRefused, HTTPStatus: status, Err: err}.result()
			return nil, nil
		}
		return r.isolate(jobs, status, ended)
	case unknown:
		r.gate.close(p, unanswered, asked, err)
		return r.lookUp(jobs, ended)
	}
	r.release(jobs)
	return [][]*job{jobs}, nil
}

// lookUp decides those of a request's jobs that its answer left open.
func (r *run) lookUp(open []*job, ended time.Time) (again [][]*job, err error) {
	if len(open) == 0 {
		return nil, nil
	}
	absent, err := r.reconcile(open, oldestClaim(open), ended.Add(r.opts.Settle))
	if err != nil {
		return nil, err
	}
	return r.onUnknown(absent)
}

// isolate handles a refusal of several calls: whichever was created all the same
// is kept, and the rest is sent again in two halves, until the refused call
// stands alone.
func (r *run) isolate(jobs []*job, status int, ended time.Time) (again [][]*job, err error) {
	free, err := r.uncreated(jobs, status, ended)
	switch half := len(free) / 2; {
	case err != nil:
		return nil, err
	case half > 0:
		return [][]*job{free[:half], free[half:]}, nil
	case len(free) == 1:
		return [][]*job{free}, nil
	}
	return nil, nil
}

// sendRest handles a limit that was met, of calls or of what is paid for, and a
// setup that is wrong. Either may have been met in the middle of the batch, a use case
// that is not found like a call too many, since nothing says that a batch is all or
// nothing. So it is looked up, once: an API that does not list either is closed at the
// door, and created nothing. More looks would keep these calls in doubt for settle, and
// a shutdown meanwhile would fail them for a trouble that is not theirs.
func (r *run) sendRest(jobs []*job, status int, ended time.Time) (again [][]*job, err error) {
	if len(jobs) > 1 && (r.partialRefusals.Load() || r.mayBeCreated(jobs)) {
		if jobs, err = r.uncreated(jobs, status, ended); err != nil || len(jobs) == 0 {
			return nil, err
		}
		return [][]*job{jobs}, nil
	}
	r.release(jobs)
	return [][]*job{jobs}, nil
}

// mayBeCreated asks once whether any of these calls was created. A list that is
// refused as well says no; one that gives no answer says nothing.
func (r *run) mayBeCreated(jobs []*job) bool {
	hits, began, err := r.find(jobs, oldestClaim(jobs), true)
	if err != nil {
		return began || !answeredBadly(err)
	}
	return len(hits) > 0 || slices.ContainsFunc(jobs, func(j *job) bool { return j.blind })
}

// uncreated keeps whichever calls of a refused request were created all the same,
// and releases and returns those that may be sent again. Nothing says that a refusal
// is one of the whole batch, so the first with a status is looked up for all of
// settle. If nothing came of it, one look is enough from then on: a bad lead would
// cost minutes otherwise.
func (r *run) uncreated(jobs []*job, status int, ended time.Time) (free []*job, err error) {
	settled := ended.Add(r.opts.Settle)
	if _, whole := r.wholeRefusals.Load(status); whole && !r.partialRefusals.Load() {
		settled = ended
	}
	absent, err := r.reconcile(jobs, oldestClaim(jobs), settled)
	switch {
	case err != nil:
		return nil, err
	case len(absent) == len(jobs):
		if settled.After(ended) && !slices.ContainsFunc(jobs, func(j *job) bool { return j.blind }) {
			r.wholeRefusals.Store(status, nil)
		}
	default:
		// This API creates part of what it refuses, and may list it late.
		if r.partialRefusals.CompareAndSwap(false, true) && r.opts.OnPartialRefusal != nil {
			r.opts.OnPartialRefusal()
		}
		if len(absent) > 0 && settled.Equal(ended) {
			if absent, err = r.reconcile(absent, oldestClaim(absent), ended.Add(r.opts.Settle)); err != nil {
				return nil, err
			}
		}
	}
	// A call that may be among those listed without a reference, or that could
	// not be looked up at all, must not be sent again on a refusal's word.
	var blind []*job
	for _, j := range absent {
		if j.blind {
			blind = append(blind, j)
		} else {
			free = append(free, j)
		}
	}
	r.release(free)
	_, err = r.onUnknown(blind) // none of these is redialed
	return free, err
}

// acceptCreated accepts what a reply lists and returns the jobs it does not.
func (r *run) acceptCreated(hits []hit) (open []*job) {
	var found []hit
	for _, h := range hits {
		if h.callID == "" {
			open = append(open, h.job)
			continue
		}
		found = append(found, h)
	}
	r.accept(found)
	return open
}

// hit is a job with the call that was found for it.
type hit struct {
	job    *job
	callID string
	raw    json.RawMessage
}

// accept records calls that the API has. A call that cannot be recorded before
// the shutdown's grace ends stays undecided, and its claim in doubt.
func (r *run) accept(hits []hit) {
	ctx, cancel := r.afterwards()
	defer cancel()
	claims, ids := make([]ledger.Claim, len(hits)), make([]string, len(hits))
	for i, h := range hits {
		claims[i], ids[i] = h.job.claim, h.callID
	}
	for i, err := range r.ledger.CompleteAll(ctx, claims, ids) {
		if err == nil {
			hits[i].job.result = Result{Outcome: Accepted, CallID: hits[i].callID, HTTPStatus: http.StatusOK, Call: hits[i].raw}
		}
	}
}

// onUnknown decides calls of ours that may have been placed and are not listed.
func (r *run) onUnknown(absent []*job) (again [][]*job, err error) {
	if len(absent) == 0 {
		return nil, r.ctx.Err()
	}
	ctx, cancel := r.afterwards()
	defer cancel()
	// Whichever way it goes, this attempt is over: whoever comes next need not
	// wait for its claim to grow stale.
	r.forEach(absent, func(_ int, j *job) { _ = r.ledger.Hold(ctx, j.claim) })
	var redial []*job
	for _, j := range absent {
		if r.mayRedial(j) {
			j.ruledOut = j.claim.Attempt()
			redial = append(redial, j)
			continue
		}
		j.result = r.held()
	}
	if len(redial) > 0 {
		again = [][]*job{redial}
	}
	return again, nil
}

func (r *run) held() Result {
	return Fail(Held, ReasonUnknown, fmt.Errorf(
		"the call may have been placed, and %v later the API did not list it; it is not dialed again", r.opts.Settle))
}

func oldestClaim(jobs []*job) time.Time {
	oldest := jobs[0].claim.At()
	for _, j := range jobs {
		if j.claim.At().Before(oldest) {
			oldest = j.claim.At()
		}
	}
	return oldest
}
