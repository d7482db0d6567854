package callfeed

import (
	"slices"
	"sync"
	"time"
)

// replays holds events that were refused until they are handed out again. They keep
// their slots. Benthos' own wrapper for this would hold a lock while an
// acknowledgement waits to be saved, so that each would be saved by itself.
type replays struct {
	mu    sync.Mutex
	queue []*Event
	news  chan struct{} // an event was added
}

const (
	firstReplay = time.Millisecond
	lastReplay  = time.Second
)

func (r *replays) add(e *Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e.again = time.Now().Add(e.pause)
	e.pause = min(max(2*e.pause, firstReplay), lastReplay) // the first time at once
	r.queue = append(r.queue, e)
	signal(r.news)
}

// take gives an event whose time has come, or says when one's will.
func (r *replays) take(now time.Time) (*Event, time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var next time.Time
	for i, e := range r.queue {
		if !e.again.After(now) {
			r.queue = slices.Delete(r.queue, i, i+1)
			return e, next
		}
		if next.IsZero() || e.again.Before(next) {
			next = e.again
		}
	}
	return nil, next
}
