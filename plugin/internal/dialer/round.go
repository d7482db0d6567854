package dialer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/ledger"
)

// round brings a group of at most one request's calls forward.
func (r *run) round(ctx context.Context, group []*job) (next agenda, err error) {
	if r.permits != nil {
		all := group
		defer func() { r.keepPermits(all, next) }()
	}
	group, err = r.check(ctx, group, &next)
	if err == nil && len(group) > 0 {
		err = r.dial(ctx, group, &next)
	}
	if err == nil && len(next.doubts) > 0 {
		var again []*job
		again, err = r.resolve(ctx, next.doubts)
		next.first(again)
	}
	if err == nil && next.paused != nil {
		err = r.restLonger(ctx, next.paused)
	}
	return next, err
}

// dial sends what may be sent of a group's calls.
func (r *run) dial(ctx context.Context, group []*job, next *agenda) (err error) {
	if braked := r.brake.on(); braked || r.permits != nil {
		open, err := r.askFirst(ctx, group, next)
		if err != nil || len(open) == 0 {
			return err
		}
		if braked && len(open) < len(group) { // what the ledger knows need not wait for the others
			next.first(open)
			return nil
		}
		group = open
	}
	t, err := r.enter(ctx)
	if err != nil {
		var paused *Paused
		if ctx.Err() == nil && !errors.As(err, &paused) { // out of time, which the caller turns into a result
			next.first(group)
			return nil
		}
		return err
	}
	defer r.brake.leave(t.try)
	if t.limit < len(group) {
		next.first(group[t.limit:])
		group = group[:t.limit]
	}
	mine, err := r.prepare(ctx, t, group, next)
	if err != nil || len(mine) == 0 {
		r.gate.leave(t)
		return err
	}
	again, err := r.send(ctx, t, mine)
	next.first(again...)
	return err
}

// askFirst decides those of a group's calls that the ledger knows, or puts them on the
// agenda: they need no permit, and wait for no brake. A call is asked for once, since its
// claim asks again.
func (r *run) askFirst(ctx context.Context, group []*job, next *agenda) (open []*job, err error) {
	fresh, open := split(group, func(j *job) bool { return !j.asked })
	standings, err := r.standings(ctx, fresh)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	for i, j := range fresh {
		switch {
		case j.mayBeClaimed(standings[i]):
			j.asked = true
			open = append(open, j)
		default:
			next.known(j, standings[i], now)
		}
	}
	return open, nil
}

// first puts groups before those that are on the agenda already.
func (a *agenda) first(groups ...[]*job) {
	if len(groups) > 0 && len(groups[0]) > 0 {
		a.now = append(groups, a.now...)
	}
}

// enter waits for the brake, and then at the gate.
func (r *run) enter(ctx context.Context) (turn, error) {
	ctx, cancel := r.inTime(ctx)
	defer cancel()
	try, err := r.enterBrake(ctx, true)
	if err != nil {
		return turn{}, err
	}
	var t turn
	err = r.waitsAt(ctx, r.gate.closed, func(ctx context.Context) (err error) {
		t, err = r.gate.enter(ctx)
		return err
	})
	if err != nil {
		r.brake.leave(try)
		return turn{}, err
	}
	if t.try = try; try {
		t.limit = 1
	}
	return t, nil
}

// enterBrake waits for the brake.
func (r *run) enterBrake(ctx context.Context, valid bool) (try bool, err error) {
	err = r.waitsAt(ctx, func() *Paused { return r.brake.holds(valid) }, func(ctx context.Context) (err error) {
		try, err = r.brake.enter(ctx, valid)
		return err
	})
	return try, err
}

// inTime is a context for waits that end when the run gives up.
func (r *run) inTime(ctx context.Context) (context.Context, context.CancelFunc) {
	if r.giveUp.IsZero() {
		return ctx, func() {}
	}
	return context.WithDeadline(ctx, r.giveUp)
}

// await waits for the limits of calls and of requests. Calls that have no permit yet are
// on the agenda, and all of them if the run is out of time.
func (r *run) await(ctx context.Context, group []*job, next *agenda) (permitted []*job, err error) {
	inTime, cancel := r.inTime(ctx)
	defer cancel()
	if permitted = group; r.permits != nil {
		permitted, err = r.permit(inTime, group, next)
	}
	if err == nil && r.opts.Wait != nil {
		err = r.opts.Wait(inTime)
	}
	switch {
	case err == nil:
		return permitted, nil
	case ctx.Err() == nil && inTime.Err() != nil:
		if len(permitted) > 0 {
			group = permitted // the others are there already
		}
		next.first(group)
		return nil, nil
	}
	return nil, fmt.Errorf("waiting for the rate limit: %w", err)
}

// prepare takes those of a group's calls for this process that may be sent now. The
// others are decided, or on the agenda.
func (r *run) prepare(ctx context.Context, t turn, group []*job, next *agenda) (mine []*job, err error) {
	if group, err = r.await(ctx, group, next); err != nil || len(group) == 0 {
		return nil, err
	}
	// The wait may have been long, so the gate and the guards are asked again before
	// anything is claimed: claims are best taken at the last moment.
	if !r.gate.valid(t) {
		next.first(group)
		return nil, nil
	}
	if group, err = r.checkAgain(ctx, group, next); err != nil || len(group) == 0 {
		return nil, err
	}
	mine, err = r.claim(ctx, group, next)
	if err == nil {
		mine, err = r.reserve(ctx, mine, next)
	}
	if err != nil {
		r.release(ctx, mine)
		return nil, err
	}
	return mine, nil
}

// claim takes a group's calls in the ledger, all at once, since a durable ledger
// writes many claims as fast as one. Calls that the ledger knows are decided, or on the
// agenda. With an error, mine are still the claims that were taken.
func (r *run) claim(ctx context.Context, group []*job, next *agenda) (mine []*job, err error) {
	dials := make([]ledger.Dial, len(group))
	for i, j := range group {
		dials[i] = j.call.dial()
		j.claimed = true
	}
	claimings := r.ledger.ClaimAll(ctx, dials)
	r.takeOverRuledOut(ctx, group, claimings)
	var errs []error
	var cut []*job // ctx ended in the middle of the claim
	now := time.Now()
	for i, j := range group {
		j.claim = claimings[i].Claim
		switch {
		case claimings[i].Err != nil:
			cut, errs = append(cut, j), append(errs, claimings[i].Err)
		case claimings[i].Standing.Kind == ledger.Claimed:
			mine = append(mine, j)
		default:
			j.claimed = false
			next.known(j, claimings[i].Standing, now)
		}
	}
	if len(cut) > 0 {
		// All at once: the ledger may be down, and the shutdown waits for this.
		ctx, cancel := r.shortly(ctx)
		defer cancel()
		r.forEach(cut, func(_ int, j *job) { _ = r.ledger.Abandon(ctx, j.claim) }) // else in doubt, which is safe
	}
	return mine, distinct(errs)
}

// mayBeClaimed says whether a call is new, or its last attempt is known to have created none.
func (j *job) mayBeClaimed(s ledger.Standing) bool {
	return s.Kind == ledger.Free || s.Kind == ledger.InDoubt && j.hasRuledOut(s)
}

// known decides a call that the ledger knows, or puts it on the agenda.
func (a *agenda) known(j *job, s ledger.Standing, now time.Time) {
	switch s.Kind {
	case ledger.Busy:
		j.awaitOwner(s.Owner, now)
		a.later = append(a.later, j)
	case ledger.Called:
		j.result = j.placedBefore(s)
	default:
		j.doubt = s
		a.doubts = append(a.doubts, j)
	}
}

// placedBefore is the result of a call that the ledger has as placed.
func (j *job) placedBefore(s ledger.Standing) Result {
	result := Result{Outcome: Duplicate, CallID: s.CallID}
	if j.conflicts(s) {
		result = conflict(s.CallID, "a call with other contents")
	}
	result.Ref = j.otherRef(s.Refs[0])
	return result
}

// otherRef is ref, unless the call has that name in this process.
func (j *job) otherRef(ref string) string {
	if ref == j.call.Ref {
		return ""
	}
	return ref
}

// conflicts says whether the ledger has other contents under this call's key.
func (j *job) conflicts(s ledger.Standing) bool {
	return s.Fingerprint != "" && s.Fingerprint != j.call.Fingerprint
}

// conflict is the result of a call whose key was used for another one. callID is "" if the
// other is not known to exist.
func conflict(callID, other string) Result {
	return Error{
		Outcome: Conflict, Reason: ReasonConflict, CallID: callID,
		Err: fmt.Errorf("dedupe_key: already used within dedupe_window for %s", other),
	}.result()
}

// takeOverRuledOut begins the next attempt of those calls whose last one is known
// to have created none.
func (r *run) takeOverRuledOut(ctx context.Context, group []*job, claimings []ledger.Claiming) {
	var indexes []int
	for i, j := range group {
		if j.ruledOut > 0 {
			indexes = append(indexes, i)
		}
	}
	if len(indexes) == 0 {
		return
	}
	r.ledger.Each(len(indexes), func(n int) {
		j, c := group[indexes[n]], &claimings[indexes[n]]
		for c.Err == nil && c.Standing.Kind == ledger.InDoubt && j.hasRuledOut(c.Standing) {
			var won bool
			c.Standing.Sent = j.sent
			c.Claim, won, c.Err = r.ledger.TakeOver(ctx, j.call.dial(), c.Standing)
			if won {
				c.Standing.Kind = ledger.Claimed
			} else if c.Err == nil { // the history has moved on
				c.Claim, c.Standing, c.Err = r.ledger.Claim(ctx, j.call.dial())
			}
		}
	})
}

// standings asks the ledger for calls.
func (d *Dialer) standings(ctx context.Context, jobs []*job) ([]ledger.Standing, error) {
	all, errs := make([]ledger.Standing, len(jobs)), make([]error, len(jobs))
	d.forEach(jobs, func(i int, j *job) { all[i], errs[i] = d.ledger.Known(ctx, j.call.key()) })
	return all, distinct(errs)
}

// forEach does the ledger's work for every job, side by side where the ledger waits
// for a disk or a network.
func (d *Dialer) forEach(jobs []*job, do func(i int, j *job)) {
	d.ledger.Each(len(jobs), func(i int) { do(i, jobs[i]) })
}

// distinct joins errors, those that say the same as one: a store that is down fails each
// call of a group alike.
func distinct(errs []error) error {
	said := map[string]bool{}
	return errors.Join(slices.DeleteFunc(errs, func(err error) bool {
		if err == nil || said[err.Error()] {
			return true
		}
		said[err.Error()] = true
		return false
	})...)
}
