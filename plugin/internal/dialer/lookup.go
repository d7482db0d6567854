package dialer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
)

// lookBack is how far before an attempt the list is read, if the API's clock is right.
const lookBack = 2 * time.Minute

// lookedAtMost bounds what looks cost before the last one: they go through this many calls
// a second, on average.
const lookedAtMost = 2000

// lookUp lists calls again and again, until every job is found or a listing that
// began at settled or later lacks it. While the API cannot be asked, it waits.
// What is found is given to keep. The jobs returned were not found; with an error
// nothing is said about them.
func (r *run) lookUp(ctx context.Context, jobs []*job, since, settled time.Time, keep func([]hit)) (absent []*job, err error) {
	// However this ends, requests must not wait for an answer that nobody asks for.
	defer r.gate.heard()
	r.looked.Add(int64(len(jobs)))
	defer func(n int) { r.looked.Add(-int64(n)) }(len(jobs))
	between := pause.NewGrowing(r.opts.InitialInterval, r.opts.MaxInterval)
	waiter := r.opts.LookUps.Waiter()
	defer func() { waiter.Stop() }()
	// Not drawn at random: those who looked together look together again.
	wait := cmp.Or(r.opts.LookAgain, r.opts.InitialInterval)
	for {
		late := r.reportSilence(waiter)
		hits, l, err := r.listed(ctx, jobs, since, settled, false, waiter.Trouble)
		late()
		var never *Unlistable
		switch {
		case err == nil:
			r.gate.heard()
			waiter.Recovered()
			waiter = r.opts.LookUps.Waiter()
			keep(hits)
			jobs = without(jobs, hits)
			if len(jobs) == 0 || !l.began.Before(settled) {
				return jobs, ctx.Err()
			}
		case ctx.Err() != nil:
			return jobs, err
		case r.gaveUp(), errors.As(err, &never) && (never.Ever || !time.Now().Before(settled)):
			for _, j := range jobs {
				if j.notLookedUp = true; never != nil {
					j.unlistable = never.Err
				}
			}
			return jobs, nil
		case happyrobot.ClassOf(err).Declined():
			// The API is there, and only refuses to be asked: calls that are not in
			// doubt need not wait for that.
			r.gate.heard()
		}
		next := time.Now().Add(between.Next())
		if err != nil {
			waiter.Trouble(err)
		} else {
			next = l.began.Add(max(wait, time.Duration(l.listed)*time.Second/lookedAtMost))
			wait = 2 * next.Sub(l.began)
			if next.After(settled) {
				next = settled
			}
		}
		if err := pause.SleepUntil(ctx, next); err != nil {
			return jobs, err
		}
	}
}

// listSilence is how long no page of the list may come before that is reported: a page that
// fails is asked for again, and gives no error.
const listSilence = 5 * time.Second

var errListSilent = errors.New("the API does not answer its list")

// reportSilence reports a look that gets no further, until it is told to end.
func (r *run) reportSilence(waiter *pause.Waiter) (end func()) {
	began, ended := time.Now(), make(chan struct{})
	go func() {
		for silent := time.Duration(0); ; silent = min(r.shared.quiet(), time.Since(began)) {
			if silent >= listSilence {
				waiter.Silence(time.Now().Add(-silent), errListSilent)
				return
			}
			timer := time.NewTimer(listSilence - silent)
			select {
			case <-timer.C:
			case <-ended:
				timer.Stop()
				return
			}
		}
	}()
	return func() { close(ended) }
}

// LookedFor is how many calls of unknown outcome are being looked up.
func (d *Dialer) LookedFor() int { return int(d.looked.Load()) }

// listed looks for the jobs in a list that begins from now on; with once, a page that
// fails is not asked for again. If it begins at settled or later, what it lacks was not
// created. With an error, only l.partly says something. failed is told of each request that
// is repeated.
func (r *run) listed(ctx context.Context, jobs []*job, since, settled time.Time, once bool, failed func(error)) (hits []hit, l *look, err error) {
	l = &look{since: since, until: settled, limit: r.opts.ListLimit, asked: func(err error) {
		if err == nil || happyrobot.ClassOf(err).Declined() {
			r.gate.heard()
		}
		if err != nil {
			failed(err)
		}
	}}
	for _, j := range jobs {
		l.calls = append(l.calls, sought{refs: j.refs(), number: digits(j.call.Number)})
	}
	if !r.giveUp.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, r.giveUp)
		defer cancel()
	}
	if err := r.shared.list(ctx, r.api, l, once); err != nil {
		if ctx.Err() != nil {
			l = &look{partly: true} // the listing may still go on for others
		}
		return nil, l, fmt.Errorf("looking up calls: %w", err)
	}
	for i, j := range jobs {
		one := &l.calls[i]
		j.shown = j.shown || one.shown || one.found != nil
		if one.unmarked {
			j.unmarked, j.noRef = true, one.noRef
		}
		if one.found != nil {
			hits = append(hits, hit{j, one.found})
		}
	}
	return hits, l, nil
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
