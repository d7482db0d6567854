package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
)

// tally is what a run came to.
type tally struct {
	leads   int
	struck  int // requests, cache operations and connections
	doubled int // leads called twice or more
	lost    int // leads acknowledged, not called, and nowhere told with a reason
	held    int // leads failed as `held`
	failed  int // leads failed at all
	called  int // of those, called all the same
	dials   int // requests to dial
	lists   int // and to list calls

	lies []string // what was told and is not true
}

func (t tally) plus(u tally) tally {
	return tally{
		t.leads + u.leads, t.struck + u.struck, t.doubled + u.doubled, t.lost + u.lost, t.held + u.held, t.failed + u.failed,
		t.called + u.called, t.dials + u.dials, t.lists + u.lists, append(t.lies, u.lies...),
	}
}

// run is one row on one side at one rate.
type run struct {
	row   row
	side  side
	rate  float64 // of requests struck; of cache operations, where the cache is at fault
	leads int
	seed  uint64
	dir   string // for the ledger's file
	retry string // "" for quickRetry
	short bool   // a held lead that comes again is looked for until timeout is over
}

func (r run) timeout() time.Duration {
	switch {
	case r.row.brief:
		return brief
	case r.short:
		return 3 * time.Second
	}
	return timeout
}

// deadline bounds the delivery of a run's leads, on however busy a machine.
const deadline = 15 * time.Minute

// do feeds every lead, some of them twice as an input does that delivers at least
// once, then all of them again when the faults are over, and counts.
func (r run) do() (t tally, err error) {
	rng := rand.New(rand.NewPCG(r.seed, 0))
	opts := r.row.opts
	opts.Seed = rng.Uint64()
	var cut *wire
	if r.row.wire {
		cut = &wire{rate: r.rate, rng: rand.New(rand.NewPCG(r.seed, 1))}
	}
	api, err := serve(opts, cut, r.row.wrap)
	if err != nil {
		return t, err
	}
	defer func() { err = errors.Join(err, api.close()) }()
	r.inject(api)

	unsteady := &unsteady{rng: rand.New(rand.NewPCG(r.seed, 2))}
	if r.row.cache != nil {
		unsteady.cacheFault, unsteady.rate = *r.row.cache, r.rate
	}
	s, err := start(r.config(api.url, rng.IntN(2) == 0), func(env *service.Environment) error { return registerUnsteadyCache(env, unsteady) })
	if err != nil {
		return t, err
	}
	stopped := false
	defer func() {
		if !stopped {
			err = errors.Join(err, s.stop())
		}
	}()

	leads := makeLeads(r.leads)
	if err := feed(s, rng, withRepeats(rng, leads)); err != nil {
		return t, err
	}
	for _, f := range api.sim.Faults() {
		if f.Operation == "" {
			t.struck += f.Injected
		}
	}
	api.sim.ClearFaults()
	t.struck += unsteady.end()
	if cut != nil {
		t.struck += cut.end()
	}
	if err := feed(s, rng, leads); err != nil {
		return t, fmt.Errorf("delivering again: %w", err)
	}
	stopped = true
	if err := s.stop(); err != nil {
		return t, fmt.Errorf("stopping: %w", err)
	}
	t.dials, t.lists = api.sim.RequestsOf("createOutboundCallsBatched"), api.sim.RequestsOf("listCalls")
	r.count(&t, leads, s.out, api)
	return t, nil
}

// inject adds the row's faults so that the rate is that of all together, and
// one of each after the first few requests for certain.
func (r run) inject(a *api) {
	for _, f := range r.row.always {
		a.sim.Inject(f)
	}
	for i, f := range r.row.faults {
		if f.RetryAfter == inTwoSeconds {
			f.RetryAfter = time.Now().Add(2 * time.Second).UTC().Format(http.TimeFormat)
		}
		certain := f
		certain.Times, certain.After = 1, spared+i
		a.sim.Inject(certain)
		f.Probability = r.rate / float64(len(r.row.faults))
		a.sim.Inject(f)
	}
}

func (r run) config(url string, onFile bool) config {
	var c config
	if r.side == peer {
		c = peerConfig(url, r.timeout())
	} else {
		if r.retry == "" {
			r.retry = quickRetry
		}
		c.output = dialConfig(url, r.side, r.retry, quickBatching, "ledger: ledger", fmt.Sprint("timeout: ", r.timeout()))
	}
	store := "label: store\nmemory: {}"
	if onFile {
		store = fmt.Sprintf("label: store\nbbolt: {path: %q}", filepath.Join(r.dir, "ledger.db"))
	}
	c.caches = []string{store, "label: ledger\nunsteady: {cache: store}"}
	return c
}

// withRepeats is the leads in any order, about every tenth twice.
func withRepeats(rng *rand.Rand, leads []string) []string {
	all := slices.Clone(leads)
	for _, l := range leads {
		if rng.IntN(10) == 0 {
			all = append(all, l)
		}
	}
	rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// feed delivers leads in batches of any size, several at a time, until all are
// acknowledged.
func feed(s *stream, rng *rand.Rand, leads []string) error {
	var batches [][]string
	for len(leads) > 0 {
		n := min(1+rng.IntN(2*maxBatch), len(leads))
		batches = append(batches, leads[:n])
		leads = leads[n:]
	}
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	queue := make(chan []string)
	errs := make([]error, 2*maxInFlight)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			for batch := range queue {
				if err := s.deliver(ctx, batch); err != nil {
					errs[i] = errors.Join(errs[i], fmt.Errorf("a batch was not acknowledged: %w", err))
				}
			}
		})
	}
	for _, b := range batches {
		queue <- b
	}
	close(queue)
	wg.Wait()
	return errors.Join(errs...)
}

// count compares what was told with the simulator's own record.
func (r run) count(t *tally, leads []string, out *collected, a *api) {
	calls := map[string][]string{}
	for _, c := range a.sim.Calls() {
		lead, _ := c.Custom["lead_id"].(string)
		calls[lead] = append(calls[lead], c.ID)
	}
	tallyUp(t, r.side, leads, calls, out)
}

// tallyUp compares what was told of each lead with the ids of its calls or runs.
func tallyUp(t *tally, s side, leads []string, calls map[string][]string, out *collected) {
	t.leads = len(leads)
	for _, lead := range leads {
		ids, why := calls[lead], out.failures[lead]
		if len(ids) > 1 {
			t.doubled++
		}
		if len(ids) == 0 && (len(why) == 0 || slices.Contains(why, "")) {
			t.lost++
		}
		if len(why) > 0 {
			t.failed++
			if len(ids) > 0 {
				t.called++
			}
		}
		if s == peer {
			continue
		}
		if slices.ContainsFunc(why, isHeld) {
			t.held++
		}
		t.lies = append(t.lies, liesOf(lead, ids, why, out.receipts[lead])...)
	}
	delete(calls, "")
	if extra := len(calls) - t.leads; extra > 0 {
		t.lies = append(t.lies, fmt.Sprintf("%d calls of leads that never were", extra))
	}
}

// count compares what was told with the pretend platform's own record.
func (r todayRun) count(t *tally, leads []string, out *collected, a *api) {
	runs := map[string][]string{}
	for _, one := range a.today.Runs() {
		for _, sent := range one.Payloads {
			lead, _ := sent["lead_id"].(string)
			runs[lead] = append(runs[lead], one.ID)
		}
	}
	tallyUp(t, r.side, leads, runs, out)
}

// liesOf are the statements about a lead that its calls disprove. A held lead may
// have been called or not, and a refused one may be called when it is delivered
// again, which a receipt then tells. So may one that was given up. Nothing else may
// be in doubt.
func liesOf(lead string, ids, why, receipts []string) (lies []string) {
	for _, w := range why {
		switch {
		case isHeld(w):
		case strings.HasPrefix(w, "rejected: refused: "), strings.HasPrefix(w, "rejected: refused_by_firewall: "), strings.HasPrefix(w, "rejected: gave_up: "):
			if len(ids) > 0 && len(receipts) == 0 && !slices.ContainsFunc(why, isHeld) {
				lies = append(lies, fmt.Sprintf("%s is told as %q and was called", lead, w))
			}
		default:
			lies = append(lies, fmt.Sprintf("%s fails with %q, which no fault explains", lead, w))
		}
	}
	for _, id := range receipts {
		if !slices.Contains(ids, id) {
			lies = append(lies, fmt.Sprintf("%s has a receipt for call %q, which is not its own", lead, id))
		}
	}
	if len(why) == 0 && len(receipts) == 0 {
		lies = append(lies, lead+" is acknowledged with neither a receipt nor a failure")
	}
	return lies
}

func isHeld(why string) bool { return strings.HasPrefix(why, "held: ") }
