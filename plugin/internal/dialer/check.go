package dialer

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
)

const (
	// askAgain is how soon guards are asked again that paused the stream or put a call off.
	// That is often, since Check asks only memory.
	askAgain = 500 * time.Millisecond

	// slowLookUp is how long a look-up may take before what Check said is too old, and the
	// guards are asked once more. The request follows within half a timeout of the claim,
	// see send: this and that half are all that lies between Check and the request.
	slowLookUp = 500 * time.Millisecond
)

// check asks the guards before anything is waited for. While one pauses the stream, it
// waits. Calls that are not allowed are decided, or on the agenda.
func (r *run) check(ctx context.Context, group []*job, next *agenda) (allowed []*job, err error) {
	if len(r.opts.Guards) == 0 {
		return group, nil
	}
	for rested := false; ; rested = true {
		paused := r.checked(group)
		if paused == nil {
			if rested {
				r.pauseOver()
			}
			return r.sortOut(ctx, group, next)
		}
		if err := r.restShortly(ctx, paused); err != nil || r.gaveUp() {
			next.first(group)
			return nil, err
		}
	}
}

// checkAgain asks the guards after all waiting, and those that read stores. A store that
// is slow makes the first answer old, so they are asked once more then.
func (r *run) checkAgain(ctx context.Context, group []*job, next *agenda) (allowed []*job, err error) {
	if len(r.opts.Guards) == 0 {
		return group, nil
	}
	began := time.Now()
	paused := r.checked(group)
	if paused == nil {
		if group, err = r.sortOut(ctx, group, next); err != nil || len(group) == 0 {
			return nil, err
		}
		if paused, err = r.lookedUp(ctx, group); err != nil {
			return nil, err
		}
	}
	if paused == nil {
		if group, err = r.sortOut(ctx, group, next); err != nil || time.Since(began) < slowLookUp {
			return group, err
		}
		if paused = r.checked(group); paused == nil {
			return r.sortOut(ctx, group, next)
		}
	}
	next.first(group)
	next.paused = paused
	return nil, nil
}

// reserve has the guards reserve for claimed calls. The claims of calls that are not
// allowed are given up. With an error, mine are still the claims that were taken.
func (r *run) reserve(ctx context.Context, mine []*job, next *agenda) ([]*job, error) {
	for _, g := range r.opts.Guards {
		if len(mine) == 0 {
			return nil, nil
		}
		verdicts, err := g.Reserve(ctx, time.Now(), callsOf(mine))
		if err != nil {
			return mine, err
		}
		if next.paused = judge(g, mine, verdicts); next.paused != nil {
			r.release(ctx, mine)
			next.first(mine)
			return nil, nil
		}
		refused, kept := split(mine, func(j *job) bool { return j.verdict != nil })
		if len(refused) == 0 {
			continue
		}
		mine = kept
		r.release(ctx, refused)
		if _, err := r.sortOut(ctx, refused, next); err != nil {
			return mine, err
		}
	}
	r.pauseOver()
	return mine, nil
}

// checked has each call judged by Check, and puts the verdicts on those that are not
// allowed. It returns a pause of the stream, if there is one.
func (r *run) checked(group []*job) (paused *Verdict) {
	now := time.Now()
	for _, j := range group {
		j.verdict = nil
		for _, g := range r.opts.Guards {
			if v := g.Check(now, j.call); v.Ruling != Allow {
				said := v
				said.mustBeWhole(g)
				j.verdict = &said
				break
			}
		}
		if paused == nil && j.verdict != nil && j.verdict.Ruling == Pause {
			paused = j.verdict
		}
	}
	return paused
}

// lookedUp is checked for LookUp. Calls with a verdict are not asked for.
func (r *run) lookedUp(ctx context.Context, group []*job) (paused *Verdict, err error) {
	for _, g := range r.opts.Guards {
		_, open := split(group, func(j *job) bool { return j.verdict != nil })
		if len(open) == 0 {
			return nil, nil
		}
		verdicts, err := g.LookUp(ctx, time.Now(), callsOf(open))
		if err != nil {
			return nil, err
		}
		if paused = judge(g, open, verdicts); paused != nil {
			return paused, nil
		}
	}
	return nil, nil
}

// judge puts a guard's verdicts on the calls that are not allowed, of a group without
// any, and returns a pause, if there is one.
func judge(g Guard, group []*job, verdicts []Verdict) (paused *Verdict) {
	if verdicts == nil {
		return nil
	}
	if len(verdicts) != len(group) { // too few must not allow the rest
		panic(fmt.Sprintf("guard %T: %d verdicts on %d calls", g, len(verdicts), len(group)))
	}
	for i, said := range verdicts { // a copy: the slice stays the guard's
		if said.Ruling == Allow {
			continue
		}
		said.mustBeWhole(g)
		group[i].verdict = &said
		if paused == nil && said.Ruling == Pause {
			paused = &said
		}
	}
	return paused
}

// sortOut decides calls with a verdict or puts them on the agenda, and returns the others.
func (r *run) sortOut(ctx context.Context, group []*job, next *agenda) (allowed []*job, err error) {
	if !slices.ContainsFunc(group, func(j *job) bool { return j.verdict != nil }) {
		return group, nil
	}
	judged, allowed := split(group, func(j *job) bool { return j.verdict != nil })
	return allowed, r.refuse(ctx, judged, next)
}

// refuse refuses calls or puts them off, as their verdicts say, unless the ledger knows
// them. An attempt in doubt that came to nothing leaves a new call, which may be refused.
func (r *run) refuse(ctx context.Context, judged []*job, next *agenda) error {
	standings, err := r.standings(ctx, judged)
	if err != nil {
		return err
	}
	now := time.Now()
	for i, j := range judged {
		s, v := standings[i], j.verdict
		switch {
		case !j.mayBeClaimed(s):
			next.known(j, s, now)
		case v.Ruling == Later:
			soonest := now.Add(askAgain)
			if v.NotBefore.After(soonest) {
				soonest = v.NotBefore
			}
			j.postpone(soonest, v.Cause, v.Why, now)
			next.later = append(next.later, j)
		default:
			j.result = v.result()
		}
	}
	return nil
}

// commit tells the guards of calls that were recorded.
func (r *run) commit(ctx context.Context, hits []hit) {
	if len(r.opts.Guards) == 0 {
		return
	}
	var calls []*Call
	for _, h := range hits {
		if h.job.result.Outcome == Accepted {
			calls = append(calls, h.job.call)
		}
	}
	if len(calls) == 0 {
		return
	}
	for _, g := range r.opts.Guards {
		g.Commit(ctx, calls)
	}
}

// rest waits since a guard pauses the stream, and reports that.
func (r *run) rest(ctx context.Context, paused *Verdict, wait time.Duration) error {
	if r.pausedFor != paused.Cause {
		r.pauseWaiter.Recovered()
		r.pausedFor, r.pauseWaiter = paused.Cause, r.opts.notice(paused.Cause).Waiter()
	}
	r.pauseWaiter.Trouble(paused.Why)
	if !r.giveUp.IsZero() {
		wait = min(wait, time.Until(r.giveUp))
	}
	return pause.Sleep(ctx, wait)
}

// restShortly is rest for a guard that pauses the stream by what it has in memory.
func (r *run) restShortly(ctx context.Context, paused *Verdict) error {
	return r.rest(ctx, paused, askAgain)
}

// restLonger is rest for a guard whose store says so: asking it costs more, so the waits
// grow.
func (r *run) restLonger(ctx context.Context, paused *Verdict) error {
	if r.pauseBetween == nil {
		r.pauseBetween = pause.NewGrowing(r.opts.InitialInterval, r.opts.MaxInterval)
	}
	return r.rest(ctx, paused, r.pauseBetween.Next())
}

// pauseOver reports that no guard pauses the stream any more.
func (r *run) pauseOver() {
	r.pauseWaiter.Recovered()
	r.pausedFor, r.pauseWaiter, r.pauseBetween = "", nil, nil
}

// dryRun decides calls as if they were to be dialed now. Guards are asked, but nothing
// is waited for unless one pauses the stream, and nothing is claimed, reserved or sent.
// A result says how the call would have failed: its reason, what a guard said of it, and
// the failure itself.
func (r *run) dryRun(ctx context.Context, jobs []*job) error {
	defer r.stopWaiting()
	for len(r.opts.Guards) > 0 {
		paused, rest := r.checked(jobs), r.restShortly
		if paused == nil {
			var err error
			if paused, err = r.lookedUp(ctx, jobs); err != nil {
				return err
			}
			rest = r.restLonger
		}
		if paused == nil || r.gaveUp() {
			break
		}
		if err := rest(ctx, paused); err != nil {
			return err
		}
	}
	r.pauseOver()
	refused, _ := split(jobs, func(j *job) bool { return j.verdict != nil && j.verdict.Ruling == Refuse })
	if err := r.refuse(ctx, refused, &agenda{}); err != nil {
		return err
	}
	for _, j := range jobs {
		was := j.result
		j.result = Result{
			Outcome: DryRun, Reason: was.Reason, Rule: was.Rule, NextAllowed: was.NextAllowed, LocalTime: was.LocalTime,
			WouldFail: was.Err,
		}
	}
	return nil
}
