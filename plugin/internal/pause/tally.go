package pause

import (
	"fmt"
	"sync"
	"time"
)

// Tally reports events that may come in any number: the first at once, and then, as
// often as a Notice repeats itself, how many more came. An interval without one ends the
// report, so that the next event is a first one again.
//
// A Tally that counts holds a timer until Stop. A nil Tally reports nothing.
type Tally struct {
	log         Logger
	first, more string

	mu    sync.Mutex
	ended bool
	count int         // since the last report
	timer *time.Timer // nil while nothing is counted
}

// NewTally makes a tally. first is a whole sentence; more is one with a %d for the number
// of events, and a %s for the time of an interval.
func NewTally(log Logger, first, more string) *Tally {
	return &Tally{log: log, first: first, more: more}
}

// Count counts an event.
func (t *Tally) Count() {
	if t == nil {
		return
	}
	t.mu.Lock()
	if t.ended {
		t.mu.Unlock()
		return
	}
	first := t.timer == nil
	if first {
		t.timer = time.AfterFunc(Reminder, t.report)
	} else {
		t.count++
	}
	t.mu.Unlock()
	if first {
		t.log.Warnf("%s", t.first)
	}
}

func (t *Tally) report() {
	t.mu.Lock()
	count := t.count
	switch t.count = 0; {
	case t.ended:
		count = 0
	case count > 0:
		t.timer.Reset(Reminder)
	default:
		t.timer = nil
	}
	t.mu.Unlock()
	if count > 0 {
		t.log.Warnf("%s", fmt.Sprintf(t.more, count, Reminder))
	}
}

// Stop ends the tally. What was counted since the last report is not reported.
func (t *Tally) Stop() {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended = true; t.timer != nil {
		t.timer.Stop()
	}
}
