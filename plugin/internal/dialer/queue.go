package dialer

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/ledger"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
)

const (
	// How often the ledger is asked about a call that another process is dialing.
	firstPatience = 50 * time.Millisecond
	mostPatience  = 2 * time.Second

	// quietWait is how long calls may be put off before that is reported as a pause: a
	// replica that dials the same lead has usually done so in a second or two.
	quietWait = 10 * time.Second
)

// queue has the groups of calls that are still to be decided, each of at most one
// request's calls and none with a call twice.
type queue struct {
	ready [][]*job
	later [][]*job // none of these may go on before its time
}

// postponement says that a call is not gone on with before a moment, and why.
type postponement struct {
	notBefore time.Time
	cause     Cause
	why       error
	began     time.Time     // when the call was first put off for this cause
	patience  time.Duration // between two questions to the ledger
}

// agenda is what a round leaves undecided.
type agenda struct {
	now    [][]*job // groups for the rounds right after
	later  []*job   // postponed
	doubts []*job   // in doubt since another process's attempt
	paused *Verdict // a guard pauses the stream
}

// waves splits jobs so that none holds a call twice: the first of equal calls is
// dialed first, and the others find it in the ledger.
func waves(jobs []*job) (split [][]*job) {
	seen := make(map[string]int, len(jobs))
	for _, j := range jobs {
		wave := seen[j.call.key()]
		seen[j.call.key()]++
		if wave == len(split) {
			split = append(split, nil)
		}
		split[wave] = append(split[wave], j)
	}
	return split
}

func (q *queue) add(jobs []*job, most int) {
	q.ready = slices.AppendSeq(q.ready, slices.Chunk(jobs, max(1, most)))
}

func (q *queue) empty() bool { return len(q.ready) == 0 && len(q.later) == 0 }

// next takes the next group, or nil if all must wait.
func (q *queue) next() (group []*job) {
	if len(q.ready) > 0 {
		group, q.ready = q.ready[0], q.ready[1:]
	}
	return group
}

// update takes in what a round left undecided: what need not wait comes first.
func (q *queue) update(a agenda) {
	if len(a.now) > 0 {
		q.ready = slices.Concat(a.now, q.ready)
	}
	if len(a.later) > 0 {
		q.later = append(q.later, a.later)
	}
}

// all are the calls that are still to be decided.
func (q *queue) all() []*job {
	return slices.Concat(append(slices.Clone(q.ready), q.later...)...)
}

// postpone puts a call off. For the cause of an earlier time, it has waited since then.
func (j *job) postpone(notBefore time.Time, cause Cause, why error, now time.Time) {
	if j.later == nil || j.later.cause != cause {
		j.later = &postponement{cause: cause, began: now}
	}
	j.later.notBefore, j.later.why = notBefore, why
}

// awaitOwner puts off a call that somebody else may be dialing: until the ledger is
// asked again.
func (j *job) awaitOwner(owner ledger.Owner, now time.Time) {
	patience := firstPatience
	if j.later != nil && j.later.cause == ClaimedElsewhere {
		patience = min(2*j.later.patience, mostPatience)
	}
	j.postpone(now.Add(patience), ClaimedElsewhere, claimedBy(owner), now)
	j.later.patience = patience
}

// claimedBy says whose a call is, since when, and until when it waits at the latest.
func claimedBy(owner ledger.Owner) error {
	return fmt.Errorf("%v claimed the same calls at %s by its clock, and may be dialing them; what it has not recorded by %s is looked up then",
		owner, owner.Claimed.UTC().Format(time.RFC3339), owner.Until.UTC().Format(time.RFC3339))
}

// awaitLater waits until some of the calls that were put off may go on.
func (r *run) awaitLater(ctx context.Context, q *queue) error {
	r.waitsFor(q)
	now := time.Now()
	wake := r.giveUp
	for _, group := range q.later {
		for _, j := range group {
			if at := j.later.notBefore; wake.IsZero() || at.Before(wake) {
				wake = at
			}
			if at := j.later.began.Add(quietWait); at.After(now) && at.Before(wake) { // to report it
				wake = at
			}
		}
	}
	if err := pause.SleepUntil(ctx, wake); err != nil || r.gaveUp() {
		return err
	}
	now = time.Now()
	waiting := q.later
	q.later = nil
	for _, group := range waiting {
		due, still := split(group, func(j *job) bool { return !j.later.notBefore.After(now) })
		due, busy, err := r.askLedger(ctx, due)
		if err != nil {
			return err
		}
		if len(due) > 0 {
			q.ready = append(q.ready, due)
		}
		if still = append(still, busy...); len(still) > 0 {
			q.later = append(q.later, still)
		}
	}
	r.waitsFor(q)
	return nil
}

func split(jobs []*job, pick func(*job) bool) (picked, others []*job) {
	for _, j := range jobs {
		if pick(j) {
			picked = append(picked, j)
		} else {
			others = append(others, j)
		}
	}
	return picked, others
}

// askLedger tells apart the calls that may go on and those that other processes may be
// dialing still, which it puts off again. It asks the ledger only: the claims of a dead
// replica stand for long, and the API's rate limit must not be spent on their behalf.
func (r *run) askLedger(ctx context.Context, due []*job) (free, busy []*job, err error) {
	elsewhere, free := split(due, func(j *job) bool { return j.later.cause == ClaimedElsewhere })
	standings, err := r.standings(ctx, elsewhere)
	now := time.Now()
	for i, j := range elsewhere {
		if standings[i].Kind != ledger.Busy {
			free = append(free, j)
			continue
		}
		j.awaitOwner(standings[i].Owner, now)
		busy = append(busy, j)
	}
	return free, busy, err
}

// waitsFor reports what this run waits for: each cause for which a call was put off for
// long is a pause, until no call is put off for it.
func (r *run) waitsFor(q *queue) {
	now, waiting := time.Now(), map[Cause]bool{}
	for _, group := range q.later {
		for _, j := range group {
			p := j.later
			waiting[p.cause] = true
			if now.Sub(p.began) < quietWait {
				continue
			}
			if r.waiters == nil {
				r.waiters = map[Cause]*pause.Waiter{}
			}
			if r.waiters[p.cause] == nil {
				r.waiters[p.cause] = r.opts.notice(p.cause).Waiter()
			}
			r.waiters[p.cause].TroubleSince(p.began, p.why)
		}
	}
	for cause, w := range r.waiters {
		if !waiting[cause] {
			w.Recovered()
			delete(r.waiters, cause)
		}
	}
}

// stopWaiting ends the reports of a run that ends. What it waited for may last.
func (r *run) stopWaiting() {
	for _, w := range r.waiters {
		w.Stop()
	}
	r.pauseWaiter.Stop()
}
