package dialer

import "sync"

// tally counts the calls of all runs that are not decided yet.
type tally struct {
	mu   sync.Mutex
	runs map[*run]undecided
}

// undecided are the calls of one run.
type undecided struct {
	all int
	by  map[Cause]int // of them, those that are put off
}

// Waiting is how many calls wait for a cause: those that are put off for it, or else all
// that are not decided yet, as nothing else goes on while the stream is paused.
func (d *Dialer) Waiting(cause Cause) int {
	d.tally.mu.Lock()
	defer d.tally.mu.Unlock()
	all, by := 0, 0
	for _, u := range d.tally.runs {
		all += u.all
		by += u.by[cause]
	}
	if by > 0 {
		return by
	}
	return all
}

// count says what of a run is undecided: a group that is worked on, and the queue.
func (r *run) count(group []*job, q *queue) {
	u := undecided{all: len(group)}
	for _, ready := range q.ready {
		u.all += len(ready)
	}
	for _, later := range q.later {
		u.all += len(later)
		for _, j := range later {
			if u.by == nil {
				u.by = map[Cause]int{}
			}
			u.by[j.later.cause]++
		}
	}
	r.tally.mu.Lock()
	defer r.tally.mu.Unlock()
	if r.tally.runs == nil {
		r.tally.runs = map[*run]undecided{}
	}
	r.tally.runs[r] = u
}

func (r *run) uncount() {
	r.tally.mu.Lock()
	defer r.tally.mu.Unlock()
	delete(r.tally.runs, r)
}
