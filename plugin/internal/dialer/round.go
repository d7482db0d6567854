package dialer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/ledger"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
)

// How often the ledger is asked about a call that somebody else is dialing.
const (
	firstPatience = 50 * time.Millisecond
	mostPatience  = 2 * time.Second
)

// agenda is what a round leaves undecided.
type agenda struct {
	now   [][]*job // groups for the rounds right after
	later []*job   // others are dialing these
}

// round brings a group of at most one request's calls forward.
func (r *run) round(group []*job) (agenda, error) {
	if err := r.awaitOthers(group); err != nil {
		return agenda{}, err
	}
	gateCtx := r.ctx
	if !r.giveUp.IsZero() {
		var cancel context.CancelFunc
		gateCtx, cancel = context.WithDeadline(r.ctx, r.giveUp)
		defer cancel()
	}
	p, err := r.gate.enter(gateCtx)
	if err != nil {
		if r.ctx.Err() == nil { // out of patience, which the caller turns into a result
			return agenda{now: [][]*job{group}}, nil
		}
		return agenda{}, err
	}
	var next agenda
	if p.limit < len(group) {
		group, next.now = group[:p.limit], [][]*job{group[p.limit:]}
	}
	if r.opts.Wait != nil {
		if err := r.opts.Wait(r.ctx); err != nil {
			r.gate.leave(p)
			return agenda{}, fmt.Errorf("waiting for the rate limit: %w", err)
		}
	}
	// The wait may have been long, so the gate is asked again before anything is
	// claimed: claims are best taken at the last moment.
	if !r.gate.valid(p) {
		next.now = append([][]*job{group}, next.now...)
		return next, nil
	}
	mine, doubts, busy, err := r.claim(group)
	if err != nil {
		r.gate.leave(p)
		r.release(mine)
		return agenda{}, err
	}
	next.later = busy
	if len(mine) == 0 {
		r.gate.leave(p)
	} else {
		again, err := r.send(p, mine)
		if err != nil {
			return agenda{}, err
		}
		next.now = append(again, next.now...)
	}
	if len(doubts) > 0 {
		again, err := r.settle(doubts)
		if err != nil {
			return agenda{}, err
		}
		if len(again) > 0 {
			next.now = append([][]*job{again}, next.now...)
		}
	}
	return next, nil
}

// awaitOthers waits while somebody else is dialing all of a group's calls. It asks
// the ledger only: a dead replica's claims stand for long, and the API's rate
// limit is not theirs to spend.
func (r *run) awaitOthers(group []*job) error {
	for {
		var until time.Time
		for _, j := range group {
			if j.lookAgain.After(until) {
				until = j.lookAgain
			}
		}
		if until.IsZero() {
			return r.ctx.Err()
		}
		if err := pause.SleepUntil(r.ctx, until); err != nil {
			return err
		}
		busy, errs := make([]bool, len(group)), make([]error, len(group))
		r.forEach(group, func(i int, j *job) {
			var known ledger.Standing
			known, errs[i] = r.ledger.Known(r.ctx, j.call.Ref)
			busy[i] = known.Kind == ledger.Busy
		})
		if err := errors.Join(errs...); err != nil || r.gaveUp() || slices.Contains(busy, false) {
			return err
		}
		for _, j := range group {
			j.postpone()
		}
	}
}

// postpone sets when to ask again about a call that somebody else is dialing.
func (j *job) postpone() {
	j.patience = min(max(firstPatience, 2*j.patience), mostPatience)
	j.lookAgain = time.Now().Add(j.patience)
}

// claim takes a group's calls in the ledger, all at once, since a durable ledger
// writes many claims as fast as one. Calls that the ledger decides get their
// result. With an error, mine are still the claims that were taken.
func (r *run) claim(group []*job) (mine, doubts, busy []*job, err error) {
	dials := make([]ledger.Dial, len(group))
	for i, j := range group {
		dials[i] = ledger.Dial{Ref: j.call.Ref, Fingerprint: j.call.Fingerprint}
	}
	claimings := r.ledger.ClaimAll(r.ctx, dials)
	r.takeOverRuledOut(group, claimings)
	errs := make([]error, 0, len(group))
	var cut []*job // ctx ended in the middle of the claim
	for i, j := range group {
		j.claim = claimings[i].Claim
		if err := claimings[i].Err; err != nil {
			cut, errs = append(cut, j), append(errs, err)
			continue
		}
		switch s := claimings[i].Standing; s.Kind {
		case ledger.Claimed:
			mine = append(mine, j)
		case ledger.Busy:
			j.postpone()
			busy = append(busy, j)
		case ledger.Called, ledger.InDoubt:
			switch {
			case s.Fingerprint != "" && s.Fingerprint != j.call.Fingerprint:
				j.result = Error{Outcome: Rejected, Reason: ReasonConflict, CallID: s.CallID,
					Err: errors.New("dedupe_key: already used within dedupe_window for a call with other contents")}.result()
			case s.Kind == ledger.Called:
				j.result = Result{Outcome: Duplicate, CallID: s.CallID}
			default:
				j.doubt = s
				doubts = append(doubts, j)
			}
		}
	}
	if len(cut) > 0 {
		// All at once: the ledger may be down, and the shutdown waits for this.
		ctx, cancel := r.afterwards()
		defer cancel()
		r.forEach(cut, func(_ int, j *job) { _ = r.ledger.Abandon(ctx, j.claim) }) // else in doubt, which is safe
	}
	return mine, doubts, busy, errors.Join(errs...)
}

// takeOverRuledOut goes on to the next attempt of those calls whose last one is known
// to have created none.
func (r *run) takeOverRuledOut(group []*job, claimings []ledger.Claiming) {
	var indexes []int
	for i, j := range group {
		if j.ruledOut > 0 {
			indexes = append(indexes, i)
		}
	}
	r.ledger.Each(len(indexes), func(n int) {
		j, c := group[indexes[n]], &claimings[indexes[n]]
		for c.Err == nil && c.Standing.Kind == ledger.InDoubt && c.Standing.Attempt == j.ruledOut {
			var won bool
			c.Claim, won, c.Err = r.ledger.TakeOver(r.ctx, j.call.Ref, j.call.Fingerprint, c.Standing)
			if won {
				c.Standing.Kind = ledger.Claimed
			} else if c.Err == nil { // the history has moved on
				c.Claim, c.Standing, c.Err = r.ledger.Claim(r.ctx, j.call.Ref, j.call.Fingerprint)
			}
		}
	})
}

// release gives claims up whose requests certainly created no call. A claim that
// cannot be released is in doubt, which is safe.
func (r *run) release(jobs []*job) {
	ctx, cancel := r.afterwards()
	defer cancel()
	r.forEach(jobs, func(_ int, j *job) { _ = r.ledger.Release(ctx, j.claim) })
}

// forEach does the ledger's work for every job, side by side where the ledger waits
// for a disk or a network.
func (d *Dialer) forEach(jobs []*job, do func(i int, j *job)) {
	d.ledger.Each(len(jobs), func(i int) { do(i, jobs[i]) })
}
