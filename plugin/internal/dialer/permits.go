package dialer

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
)

// CallLimit limits how many calls are placed.
type CallLimit struct {
	// Ask asks for one permit. It is granted if there is no wait; else it may be there
	// after that wait, and is to be asked for again. An error is answered with a wait.
	Ask func(ctx context.Context) (wait time.Duration, err error)
	// Waits reports waits for a permit. Nil reports none.
	Waits *pause.Slow
}

// permits gives calls their permits, one for each call however often it is sent. A permit
// whose call needs none after all, such as one that another process has placed meanwhile,
// is for the next call.
type permits struct {
	limit CallLimit

	mu sync.Mutex
	// Permits that were given back, as they came: those of one request stay together, as a
	// request has no more calls than the limit let go at once.
	spare []spare
	wake  chan struct{} // closed when permits are given back; nil: nobody waits
}

// spare is how many permits were given back together, and when.
type spare struct {
	n  int
	at time.Time
}

// spareFor is how long a permit that was given back is good: later, it would come on top of
// what the limit lets through by then.
const spareFor = time.Minute

// take waits for the permits of a request with at most so many calls, of which there is
// then at least one. With an error there is none.
func (p *permits) take(ctx context.Context, most int) (granted int, err error) {
	granted, wake := p.takeSpare(most)
	if granted > 0 {
		return granted, nil
	}
	wait := p.limit.Waits.Begin()
	defer func() { wait.End(err == nil) }()
	for {
		granted, notYet, failed := p.ask(ctx, most)
		if granted > 0 {
			return granted, nil
		}
		if failed != nil && ctx.Err() == nil {
			wait.Failed(failed)
		}
		if err = awaitWake(ctx, wake, notYet); err != nil {
			return 0, err
		}
		if granted, wake = p.takeSpare(most); granted > 0 {
			return granted, nil
		}
	}
}

// ask asks the limit for as many permits as it lets through now.
func (p *permits) ask(ctx context.Context, most int) (granted int, notYet time.Duration, err error) {
	for granted < most {
		if notYet, err = p.limit.Ask(ctx); err != nil || notYet > 0 {
			break
		}
		granted++
	}
	return granted, notYet, err
}

// takeSpare takes permits that were given back. If there are none, wake is closed once there
// are.
func (p *permits) takeSpare(most int) (granted int, wake <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spare = slices.DeleteFunc(p.spare, func(s spare) bool { return time.Since(s.at) > spareFor })
	last := len(p.spare) - 1
	if last < 0 {
		if p.wake == nil {
			p.wake = make(chan struct{})
		}
		return 0, p.wake
	}
	granted = min(p.spare[last].n, most)
	if p.spare[last].n -= granted; p.spare[last].n == 0 {
		p.spare = p.spare[:last]
	}
	return granted, nil
}

// giveBack gives permits to whoever waits for one.
func (p *permits) giveBack(n int) {
	if n <= 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spare = append(p.spare, spare{n, time.Now()})
	if p.wake != nil {
		close(p.wake)
		p.wake = nil
	}
}

// permit waits for the permits of a group's calls. Those without one are on the agenda.
func (r *run) permit(ctx context.Context, group []*job, next *agenda) (permitted []*job, err error) {
	permitted, others := split(group, func(j *job) bool { return j.permit })
	if len(permitted) == 0 {
		granted, err := r.permits.take(ctx, len(others))
		if err != nil {
			return nil, err
		}
		permitted, others = others[:granted:granted], others[granted:]
		for _, j := range permitted {
			j.permit = true
		}
	}
	next.first(others)
	return permitted, nil
}

// spend uses up the permits of a request's calls. Those that certainly were not created
// keep theirs, to be sent again.
func spend(jobs, absent []*job) {
	kept := map[*job]bool{}
	for _, j := range absent {
		kept[j] = j.permit
	}
	for _, j := range jobs {
		j.permit = kept[j]
	}
}

// keepPermits gives back the permits of a round's calls that are not sent soon.
func (r *run) keepPermits(group []*job, next agenda) {
	unused, _ := split(group, func(j *job) bool { return j.permit })
	if len(unused) == 0 {
		return
	}
	soon := map[*job]bool{}
	for _, g := range next.now {
		for _, j := range g {
			soon[j] = true
		}
	}
	n := 0
	for _, j := range unused {
		if !soon[j] {
			j.permit = false
			n++
		}
	}
	r.permits.giveBack(n)
}
