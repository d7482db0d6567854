package dialer

import (
	"context"
	"fmt"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
)

// lookBack is how far before an attempt the list is read: the API's clock
// need not be ours.
const lookBack = 2 * time.Minute

// lookUp lists calls again and again, until every job is found or a listing that
// began at settled or later lacks it. While the API cannot be asked, it waits.
// What is found is given to keep. The jobs returned were not found; with an error
// nothing is said about them.
func (r *run) lookUp(ctx context.Context, jobs []*job, since, settled time.Time, keep func([]hit)) (absent []*job, err error) {
	// However this ends, requests must not wait for an answer that nobody asks for.
	defer r.gate.heard()
	between := pause.NewGrowing(r.opts.InitialInterval, r.opts.MaxInterval)
	waiter := r.opts.LookUps.Waiter()
	defer func() { waiter.Stop() }()
	for {
		began := time.Now()
		hits, _, err := r.listed(ctx, jobs, since, false)
		switch {
		case err == nil:
			r.gate.heard()
			waiter.Recovered()
			waiter = r.opts.LookUps.Waiter()
			keep(hits)
			jobs = without(jobs, hits)
			if len(jobs) == 0 || !began.Before(settled) {
				return jobs, ctx.Err()
			}
		case ctx.Err() != nil:
			return jobs, err
		case r.gaveUp():
			for _, j := range jobs {
				j.notLookedUp = true
			}
			return jobs, nil
		case happyrobot.ClassOf(err).Declined():
			// The API is there, and only refuses to be asked: calls that are not in
			// doubt need not wait for that.
			r.gate.heard()
		}
		if err != nil {
			waiter.Trouble(err)
		}
		next := time.Now().Add(between.Next())
		if err == nil && next.After(settled) {
			next = settled
		}
		if err := pause.SleepUntil(ctx, next); err != nil {
			return jobs, err
		}
	}
}

// listed goes through the list once; with once, a page that fails is not asked for
// again. No filter of the API reaches our reference, so it is compared here. With an
// error, began says whether the list was given in part.
func (r *run) listed(ctx context.Context, jobs []*job, since time.Time, once bool) (hits []hit, began bool, err error) {
	open := make(map[string]*job, len(jobs))
	numbers := make(map[string][]*job, len(jobs))
	for _, j := range jobs {
		for _, ref := range j.refs() {
			open[ref] = j
		}
		n := digits(j.call.Number)
		numbers[n] = append(numbers[n], j)
	}
	if !r.giveUp.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, r.giveUp)
		defer cancel()
	}
	from := since.Add(-lookBack)
	missing := len(jobs)
	for call, err := range r.api.List(ctx, from, once) {
		if err != nil {
			return nil, began, fmt.Errorf("looking up calls: %w", err)
		}
		began = true
		if j := open[call.Ref]; j != nil {
			found := call // not the loop's: that would put each listed call on the heap
			if j.shown = true; found.named() {
				hits = append(hits, hit{j, &found})
				for _, ref := range j.refs() {
					delete(open, ref)
				}
				missing--
			}
			if missing == 0 {
				break
			}
		}
		if call.Ref == "" && (call.Created.IsZero() || !call.Created.Before(from)) {
			// Perhaps ours without its reference, perhaps somebody else's: from now on a
			// call to this number cannot be ruled out.
			for _, j := range numbers[digits(call.Number)] {
				j.unmarked = true
			}
		}
	}
	return hits, began, nil
}

func without(jobs []*job, hits []hit) []*job {
	found := make(map[*job]bool, len(hits))
	for _, h := range hits {
		found[h.job] = true
	}
	rest := make([]*job, 0, len(jobs)-len(hits))
	for _, j := range jobs {
		if !found[j] {
			rest = append(rest, j)
		}
	}
	return rest
}
