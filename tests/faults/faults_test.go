// Package faults runs whole pipelines against everything that can go wrong with
// the API, the ledger and the wire between, and compares what was told of each
// lead with the calls that were really placed. tests/reliability.md is its table.
package faults

import (
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestMain lets tests go on side by side that mostly wait, however few processors
// there are.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", strconv.Itoa(atOnce)); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// seed repeats a run when given as FAULT_SEED. Requests still arrive in the
// order that the scheduler likes, so a repetition is close, not exact.
func seed(t *testing.T) uint64 {
	t.Helper()
	s := rand.Uint64()
	if text := os.Getenv("FAULT_SEED"); text != "" {
		var err error
		s, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err, "FAULT_SEED")
	}
	t.Logf("repeat with FAULT_SEED=%d", s)
	return s
}

// atOnce is how many runs go on side by side: most of their time is waiting.
const atOnce = 16

// runAll does every run and adds those of a row and side up.
func runAll(t *testing.T, runs []run) map[string]map[side]tally {
	t.Helper()
	sums := map[string]map[side]tally{}
	var mu sync.Mutex
	var failed []error
	var wg sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for _, r := range runs {
		r.dir = t.TempDir()
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			got, err := r.do()
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = append(failed, fmt.Errorf("%s, %s at %v: %w", r.row.name, r.side, r.rate, err))
			}
			if sums[r.row.name] == nil {
				sums[r.row.name] = map[side]tally{}
			}
			sums[r.row.name][r.side] = sums[r.row.name][r.side].plus(got)
		})
	}
	wg.Wait()
	require.NoError(t, errors.Join(failed...))
	return sums
}

// inShort keeps every eighth row, one of the mixed ones included, for the fast lane.
func inShort(all []row) (some []row) {
	if !testing.Short() {
		return all
	}
	for i := len(all) - 1; i >= 0; i -= 8 {
		some = append(some, all[i])
	}
	return some
}

func plan(seed uint64, sides []side, rates []float64, leads int) (runs []run) {
	for _, row := range inShort(rows()) {
		for _, side := range sides {
			for _, rate := range rates {
				h := fnv.New64a()
				_, _ = fmt.Fprint(h, seed, row.name, rate) // each side meets the same
				runs = append(runs, run{row: row, side: side, rate: rate, leads: leads, seed: h.Sum64()})
			}
		}
	}
	return runs
}

// assertPromise holds a run of ours to what is promised.
func assertPromise(t *testing.T, r row, s side, got tally) {
	t.Helper()
	assert.Zero(t, got.lost, "lost")
	if !r.promises(s) {
		return
	}
	assert.Zero(t, got.doubled, "called twice")
	assert.Empty(t, got.lies)
}

func TestNoFaultDoublesOrLosesALead(t *testing.T) {
	t.Parallel()
	const leads = 80
	runs := plan(seed(t), []side{hold, redialAbsent}, []float64{0.2}, leads)
	for i := range runs {
		runs[i].short = true
	}
	got := runAll(t, runs)
	for _, r := range inShort(rows()) {
		for _, s := range []side{hold, redialAbsent} {
			t.Run(r.name+"/"+string(s), func(t *testing.T) {
				assert.Positive(t, got[r.name][s].struck, "the fault was injected")
				assertPromise(t, r, s, got[r.name][s])
			})
		}
	}
}

// With retry.max_elapsed_time leads are given up while the API is in trouble. They
// are told so, are not called behind their back, and may be delivered again.
func TestGivingUpDoublesAndLosesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("the fast lane leaves this out: it needs many rows to see a lead given up")
	}
	t.Parallel()
	runs := plan(seed(t), []side{redialAbsent}, []float64{0.2}, 40)
	for i := range runs {
		runs[i].short = true
		runs[i].retry = "retry: {initial_interval: 5ms, max_interval: 50ms, max_elapsed_time: 100ms}"
	}
	got := runAll(t, runs)
	gaveUp := 0
	for _, r := range rows() {
		one := got[r.name][redialAbsent]
		gaveUp += one.failed - one.held
		t.Run(r.name, func(t *testing.T) { assertPromise(t, r, redialAbsent, one) })
	}
	assert.Positive(t, gaveUp, "nobody was given up")
}
