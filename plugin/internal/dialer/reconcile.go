package dialer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
)

const (
	// lookBack is how far before an attempt the list is read: the API's clock
	// need not be ours.
	lookBack = 2 * time.Minute
	listPage = 500
)

// reconcile looks up calls of our own that an answer left open, accepts those
// that the API lists and returns the others.
func (r *run) reconcile(jobs []*job, since, settled time.Time) (absent []*job, err error) {
	absent, err = r.look(jobs, since, settled, r.accept)
	if err != nil {
		// Shutting down with the question open: saying so spares whoever comes
		// next the wait for these claims to grow stale.
		ctx, cancel := r.afterwards()
		defer cancel()
		r.forEach(absent, func(_ int, j *job) { _ = r.ledger.Hold(ctx, j.claim) })
	}
	return absent, err
}

// settle decides calls whose earlier attempt, by somebody else, is in doubt. It
// returns those to go on with.
func (r *run) settle(doubts []*job) (again []*job, err error) {
	now := time.Now()
	since, settled := now, now
	for _, j := range doubts {
		if j.doubt.Last.IsZero() {
			// A record that cannot be read could be of any time in the window.
			if j.seenAt.IsZero() {
				j.seenAt = now
			}
			j.doubt.Since, j.doubt.Last = now.Add(-r.opts.Window), j.seenAt
		}
		if j.doubt.Since.Before(since) {
			since = j.doubt.Since
		}
		if s := j.doubt.Last.Add(r.opts.Timeout + r.opts.Settle); s.After(settled) {
			settled = s
		}
	}
	absent, err := r.look(doubts, since, settled, func(hits []hit) {
		var taken []hit
		for _, h := range hits {
			claim, won, err := r.ledger.TakeOver(r.ctx, h.job.call.Ref, h.job.call.Fingerprint, h.job.doubt)
			switch {
			case err != nil: // shutting down: undecided
			case won:
				h.job.claim = claim
				taken = append(taken, h)
			default: // somebody was faster, and the ledger knows the end of it
				again = append(again, h.job)
			}
		}
		r.accept(taken)
	})
	if err != nil {
		return nil, err
	}
	for _, j := range absent {
		if r.mayRedial(j) {
			j.ruledOut = j.doubt.Attempt
			again = append(again, j)
			continue
		}
		j.result = r.held()
	}
	return again, r.ctx.Err()
}

// mayRedial says whether a call that is not listed may be dialed again. Where
// the API drops our reference, being absent proves nothing.
func (r *run) mayRedial(j *job) bool {
	return r.opts.OnUnknown == RedialAbsent && !j.blind && !r.echoMissing.Load()
}

// look lists calls again and again, until every job is found or a listing that
// began at settled or later lacks it. While the API cannot be asked, it waits.
// The jobs returned were not found; with an error nothing is said about them.
func (r *run) look(jobs []*job, since, settled time.Time, found func([]hit)) (absent []*job, err error) {
	// However this ends, requests must not wait for an answer that nobody asks for.
	defer r.gate.heard()
	between := pause.NewGrowing(r.opts.InitialInterval, r.opts.MaxInterval)
	waiter := r.opts.LookUps.Waiter()
	defer func() { waiter.Stop() }()
	for {
		began := time.Now()
		hits, _, err := r.find(jobs, since, false)
		switch {
		case err == nil:
			r.gate.heard()
			waiter.Recovered()
			waiter = r.opts.LookUps.Waiter()
			found(hits)
			jobs = without(jobs, hits)
			if len(jobs) == 0 || !began.Before(settled) {
				return jobs, r.ctx.Err()
			}
		case r.ctx.Err() != nil:
			return jobs, err
		case r.gaveUp():
			for _, j := range jobs {
				j.blind = true
			}
			return jobs, nil
		case answeredBadly(err):
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
		if err := pause.SleepUntil(r.ctx, next); err != nil {
			return jobs, err
		}
	}
}

// answeredBadly says whether a failed question was answered all the same.
func answeredBadly(err error) bool {
	var e *happyrobot.Error
	return errors.As(err, &e) && e.Status >= 300 && e.Status < 500
}

// find goes through the list; with once, a page that fails is not asked for again. No
// filter of the API reaches our reference, and offset paging from the oldest call on is
// the order in which new calls do not shift pages. With an error, began says whether
// the list was given in part.
func (r *run) find(jobs []*job, since time.Time, once bool) (hits []hit, began bool, err error) {
	open := make(map[string]*job, len(jobs))
	numbers := make(map[string][]*job, len(jobs))
	for _, j := range jobs {
		open[j.call.Ref] = j
		n := digits(j.call.Request.Number())
		numbers[n] = append(numbers[n], j)
	}
	ctx := r.ctx
	if !r.giveUp.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, r.giveUp)
		defer cancel()
	}
	from := since.Add(-lookBack)
	query := happyrobot.ListCallsQuery{Type: happyrobot.Outbound, From: from, Sort: "asc", Limit: listPage, Once: once}
	for call, err := range r.api.ListCalls(ctx, query) {
		if err != nil {
			return nil, began, fmt.Errorf("looking up calls: %w", err)
		}
		began = true
		ref := refOf(call.Metadata)
		if j := open[ref]; j != nil && call.ID != "" {
			hits = append(hits, hit{job: j, callID: call.ID, raw: call.Raw})
			delete(open, ref)
			if len(open) == 0 {
				break
			}
		}
		if ref == "" && (call.Created.IsZero() || !call.Created.Before(from)) {
			// Perhaps ours without its reference, perhaps somebody else's: a call
			// to this number cannot be ruled out any more.
			for _, j := range numbers[digits(call.Metadata.To)] {
				j.blind = true
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
