// Package rig is what a pretend API stands on, whatever it pretends: two clocks, seeded
// randomness, faults, counts of requests, and waiting for what a client does. It knows
// no operation and no object of any API.
//
//	rig.go     the state, its lock, waiting
//	clock.go   the calendar and the simulated clock
//	fault.go   what can go wrong, and how often it did
//	http.go    answers, whole and broken
//	serve.go   listening
//	notify.go  telling others what changes
//	control.go faults, the clock and waiting over HTTP
package rig

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sort"
	"sync"
	"time"
)

// Options of a Rig.
type Options struct {
	Seed  uint64        // 0 draws one
	Speed float64       // of simulated time, against the wall
	Skew  time.Duration // of the calendar, against the wall
	Date  string        // the header of every answer: "" is the API's clock, "wall" a proxy's, "none" leaves it out, else as it is
	Table *Table
}

// Rig is the state that pretend APIs have in common. Its lock is that of the API that stands
// on it, too.
type Rig struct {
	opts Options
	done chan struct{}
	once sync.Once

	mu       sync.Mutex
	rng      *rand.Rand
	epoch    time.Time     // simulated time is counted from here
	advanced time.Duration // and leapt so far
	leaps    []leap
	newest   time.Time     // the wall is never taken to go back behind it
	skew     time.Duration // of the calendar, against the wall
	clockSet bool          // while running
	faults   []*FaultState
	rules    int                    // added so far, those since cleared included
	requests map[string]map[int]int // by operation and status; 0 is cut off
	happened chan struct{}          // closed by Wake; nil while nobody waits
}

// New returns a Rig without faults.
func New(opts Options) *Rig {
	if opts.Seed == 0 {
		opts.Seed = rand.Uint64() //nolint:gosec // a seed to repeat a run with
	}
	return &Rig{
		opts: opts, done: make(chan struct{}), epoch: time.Now(), skew: opts.Skew, requests: map[string]map[int]int{},
		rng: rand.New(rand.NewPCG(opts.Seed, 0)), //nolint:gosec // repeatable on purpose
	}
}

// Seed returns the seed, drawn or given.
func (r *Rig) Seed() uint64 { return r.opts.Seed }

// Lock and Unlock guard the Rig and the API that stands on it.
func (r *Rig) Lock() { r.mu.Lock() }

// Unlock is the other half of Lock.
func (r *Rig) Unlock() { r.mu.Unlock() }

// Rand returns the source of randomness. The caller holds the lock while it draws.
func (r *Rig) Rand() *rand.Rand { return r.rng }

// Done is closed by Close.
func (r *Rig) Done() <-chan struct{} { return r.done }

// Close ends delays and waits. It may be called twice.
func (r *Rig) Close() { r.once.Do(func() { close(r.done) }) }

var errClosed = errors.New("the Sim was closed")

// Await asks, under the lock, whether something holds: now, and whenever something
// happened. What there is so far goes into the error when ctx ends first.
func (r *Rig) Await(ctx context.Context, ask func() (holds bool, sofar string, err error)) error {
	for {
		r.mu.Lock()
		holds, sofar, err := ask()
		if r.happened == nil {
			r.happened = make(chan struct{})
		}
		happened := r.happened
		r.mu.Unlock()
		if holds || err != nil {
			return err
		}
		select {
		case <-happened:
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", sofar, context.Cause(ctx))
		case <-r.done:
			return fmt.Errorf("%s: %w", sofar, errClosed)
		}
	}
}

// AwaitStruck waits until a rule, by its number, has struck n times. It fails when ctx
// ends, and at once when the rule is gone or cannot strike so often.
func (r *Rig) AwaitStruck(ctx context.Context, rule, n int) error {
	return r.Await(ctx, func() (bool, string, error) {
		for _, f := range r.faults {
			if f.ID != rule {
				continue
			}
			if f.Times > 0 && f.Times < n {
				return false, "", fmt.Errorf("rule %d strikes %d times at most, not %d", rule, f.Times, n)
			}
			return f.Injected >= n, fmt.Sprintf("rule %d struck %d of %d times", rule, f.Injected, n), nil
		}
		return false, "", fmt.Errorf("there is no rule %d", rule)
	})
}

// AwaitRequests waits until n requests of an operation were answered or cut off. It fails
// when ctx ends, and at once for an operation that does not exist.
func (r *Rig) AwaitRequests(ctx context.Context, operation string, n int) error {
	if !r.opts.Table.Operations[operation] {
		return fmt.Errorf("unknown operation %q", operation)
	}
	return r.Await(ctx, func() (bool, string, error) {
		got := r.requestsOf(operation)
		return got >= n, fmt.Sprintf("%d of %d requests of %s", got, n, operation), nil
	})
}

// Wake lets all who wait look again. The caller holds the lock.
func (r *Rig) Wake() {
	if r.happened != nil {
		close(r.happened)
		r.happened = nil
	}
}

// RequestCount is how often an operation was answered with a status; 0 is a
// connection cut without one.
type RequestCount struct {
	Operation string `json:"operation"`
	Status    int    `json:"status"`
	Count     int    `json:"count"`
}

// Requests counts the requests so far, by operation and status.
func (r *Rig) Requests() []RequestCount {
	r.mu.Lock()
	defer r.mu.Unlock()
	counts := []RequestCount{}
	for op, byStatus := range r.requests {
		for status, n := range byStatus {
			counts = append(counts, RequestCount{op, status, n})
		}
	}
	sort.Slice(counts, func(i, j int) bool {
		a, b := counts[i], counts[j]
		return a.Operation < b.Operation || (a.Operation == b.Operation && a.Status < b.Status)
	})
	return counts
}

// RequestsOf counts the requests of one operation, however answered.
func (r *Rig) RequestsOf(operation string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.requestsOf(operation)
}

// requestsOf counts likewise. The caller holds the lock.
func (r *Rig) requestsOf(operation string) (n int) {
	for _, count := range r.requests[operation] {
		n += count
	}
	return n
}

// Count counts an answer; status 0 is none.
func (r *Rig) Count(operation string, status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.requests[operation] == nil {
		r.requests[operation] = map[int]int{}
	}
	r.requests[operation][status]++
	r.Wake()
}
