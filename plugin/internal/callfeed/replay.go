package callfeed

import (
	"slices"
	"sync"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
)

// replays holds events that were refused until they are handed out again. They keep
// their slots. Benthos' own wrapper for this would hold a lock while an
// acknowledgement waits to be saved, so that each would be saved by itself.
type replays struct {
	mu    sync.Mutex
	queue []*Event
	news  chan struct{} // an event was added
}

// An event is replayed at once the first time, then after pauses that grow from the
// first of these to the longest.
const (
	firstReplay   = time.Millisecond
	longestReplay = 2 * time.Second
)

func (r *replays) add(e *Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.notBefore = time.Now(); e.replay == nil {
		e.replay = pause.NewGrowing(firstReplay, longestReplay)
	} else {
		e.notBefore = e.notBefore.Add(e.replay.Next())
	}
	r.queue = append(r.queue, e)
	signal(r.news)
}

// take answers an event whose time has come, or says when one's will.
func (r *replays) take(now time.Time) (*Event, time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var next time.Time
	for i, e := range r.queue {
		if !e.notBefore.After(now) {
			r.queue = slices.Delete(r.queue, i, i+1)
			return e, next
		}
		if next.IsZero() || e.notBefore.Before(next) {
			next = e.notBefore
		}
	}
	return nil, next
}
