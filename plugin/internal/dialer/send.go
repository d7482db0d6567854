package dialer

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/ledger"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
)

// send makes one request for claimed calls. It returns the groups to send again.
func (r *run) send(ctx context.Context, t turn, jobs []*job) (again [][]*job, err error) {
	// A claim is good for one timeout. A process that was frozen in between, or
	// that a slow ledger kept, must not dial on a claim that another replica may
	// be about to take over: it claims afresh.
	oldest := oldestClaim(jobs)
	if slow := oldest.Age() > r.opts.Timeout/2; slow || !r.gate.valid(t) {
		r.release(ctx, jobs)
		r.gate.leave(t)
		if slow {
			again = smaller(jobs)
		} else {
			again = [][]*job{jobs}
		}
		// A ledger that is too slow for the timeout gets some rest.
		return again, pause.Sleep(ctx, pause.NewGrowing(r.opts.InitialInterval, r.opts.InitialInterval).Next())
	}
	e, why := r.place(ctx, t, jobs, oldest.At())
	e.keep = func(hits []hit) {
		if len(hits) > 0 {
			r.brake.accepts(oldest.At())
		}
		r.accept(ctx, hits)
	}
	absent, doubtful, err := r.created(ctx, jobs, e)
	spend(jobs, absent)
	// Whatever becomes of doubtful calls, their attempt is over: the next process to see
	// them need not wait for the claims to grow stale.
	counts := e.status < http.StatusInternalServerError || r.tookCallsSince(e.began)
	r.hold(ctx, doubtful, e.doubt, counts)
	if err != nil {
		return nil, err
	}
	r.release(ctx, absent)
	if e.then == narrow && len(jobs) == 1 && len(absent) == 1 {
		if !r.brake.refuses(t.try, jobs[0].call.Ref, e.status, why) {
			return [][]*job{jobs}, nil
		}
		reason := ReasonRefused
		var refusal *Refusal
		if errors.As(why, &refusal) {
			reason = refusal.Reason
		}
		jobs[0].result = Error{Outcome: Rejected, Reason: reason, HTTPStatus: e.status, Err: why}.result()
		return nil, nil
	}
	if half := len(absent) / 2; e.then == narrow && half > 0 {
		again = append(again, absent[:half])
		absent = absent[half:]
	}
	for _, j := range doubtful {
		if j.sent = j.claim.Sent(); !counts {
			j.sent-- // an outage of the API, not of this call
		}
	}
	for _, group := range [...][]*job{absent, r.onUnknown(doubtful, func(j *job) (int, string) { return j.claim.Attempt(), j.claim.Token() })} {
		if len(group) > 0 {
			again = append(again, group)
		}
	}
	return again, nil
}

// smaller are the groups to try again with after claims of a group were too old. It is
// the same group once, and then its halves: claims age until the last of a group is taken.
// With a group that is too large for a slow ledger, each try could leave records to be
// read by the next one, which would take longer still, for as long as the ledger is slow.
func smaller(jobs []*job) [][]*job {
	half := len(jobs) / 2
	if !slices.ContainsFunc(jobs, func(j *job) bool { return j.tooSlow }) {
		half = 0
	}
	for _, j := range jobs {
		j.tooSlow = true
	}
	if half == 0 {
		return [][]*job{jobs}
	}
	return [][]*job{jobs[:half], jobs[half:]}
}

// place makes the request, tells the gate how it went, and returns what its answer says.
// A shutdown does not cut it.
func (r *run) place(ctx context.Context, t turn, jobs []*job, began time.Time) (e evidence, err error) {
	ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), began.Add(r.opts.Timeout))
	defer cancel()
	sent := time.Now()
	reply, err := r.api.Place(ctx, callsOf(jobs))
	ended := time.Now()
	then := actionOn(happyrobot.ClassOf(err))
	var refusal *Refusal
	if errors.As(err, &refusal) {
		if then = onRefusal; refusal.Reason == "" {
			then = onRefusalAll
		}
	}
	e = evidence{
		action: then, reply: reply, failed: err, status: http.StatusOK,
		began: began, ended: ended, settled: ended.Add(r.settle(jobs)),
	}
	r.readClock(jobs, reply, sent, ended)
	var asked time.Duration
	var failed *happyrobot.Error
	if errors.As(err, &failed) {
		e.status, asked = failed.Status, failed.RetryAfter
	}
	if e.met == nil {
		r.gate.answered(t)
	} else {
		r.gate.close(t, *e.met, asked, err)
	}
	if !echoed(reply) && r.echoMissing.CompareAndSwap(false, true) && r.opts.OnEchoMissing != nil {
		r.opts.OnEchoMissing()
	}
	return e, err
}

// readClock takes the time at which the calls of a reply were created.
func (r *run) readClock(jobs []*job, reply []PlacedCall, sent, received time.Time) {
	ours := make(map[string]bool, len(jobs))
	for _, j := range jobs {
		ours[j.call.Ref] = true
	}
	for i := range reply {
		if c := &reply[i]; ours[c.Ref] && !c.Created.IsZero() {
			r.shared.Clock.sawCreated(c.Created, sent, received)
		}
	}
	if r.opts.OnClock != nil {
		r.opts.OnClock(r.shared.Clock.Skew())
	}
}

// tookCallsSince says whether the API took calls at a time or later.
func (d *Dialer) tookCallsSince(at time.Time) bool { return d.tookCalls.Load() >= at.UnixNano() }

// settle is how long after a request its calls may take to be listed: Options.Settle, and
// twice as long each time a call is sent again.
func (d *Dialer) settle(jobs []*job) time.Duration {
	sent := 1
	for _, j := range jobs {
		sent = max(sent, j.claim.Sent())
	}
	return d.opts.settleOf(sent)
}

// mostDoublings keeps settle from growing without end.
const mostDoublings = 8

// settleOf is settle for a call that was sent so often.
func (o *Options) settleOf(sent int) time.Duration {
	return o.Settle << min(max(sent-1, 0), mostDoublings)
}

// LongestClaim is how long a claim may stay open: the ledger must remember longer.
func (o *Options) LongestClaim() time.Duration {
	sent := 1
	if o.OnUnknown == RedialAbsent {
		sent += o.MaxRedials
	}
	return o.Timeout + o.settleOf(sent) + ledger.Spare
}

func callsOf(jobs []*job) []*Call {
	calls := make([]*Call, len(jobs))
	for i, j := range jobs {
		calls[i] = j.call
	}
	return calls
}

func oldestClaim(jobs []*job) ledger.Claim {
	return slices.MinFunc(jobs, func(a, b *job) int { return a.claim.At().Compare(b.claim.At()) }).claim
}

// hold records that the outcome of these calls' requests is not known. What is known of
// it goes with that: a refused call that no list shows later was not created, and takes
// its attempt off by itself.
func (r *run) hold(ctx context.Context, doubtful []*job, d doubt, counts bool) {
	if len(doubtful) == 0 {
		return
	}
	ctx, cancel := r.shortly(ctx)
	defer cancel()
	refused := d == ofMost || d == ofSeveral || d == ofOne
	r.forEach(doubtful, func(_ int, j *job) {
		_ = r.ledger.Hold(ctx, j.claim, ledger.Finding{Refused: refused, Shown: j.shown, Uncounted: !counts && !refused})
	}) // else in doubt when the claim is stale
}

// release gives claims up whose requests certainly created no call. A claim that
// cannot be released is in doubt, which is safe.
func (r *run) release(ctx context.Context, jobs []*job) {
	if len(jobs) == 0 {
		return
	}
	ctx, cancel := r.shortly(ctx)
	defer cancel()
	for _, g := range r.opts.Guards { // before another process can take the claims
		g.Release(ctx, callsOf(jobs))
	}
	r.forEach(jobs, func(_ int, j *job) {
		if r.ledger.Release(ctx, j.claim) == nil {
			j.claimed = false
		}
	})
}
