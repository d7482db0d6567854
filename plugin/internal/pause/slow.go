package pause

import (
	"sync"
	"time"
)

const (
	// Long is how long a wait may take that is nothing to report: some are meant.
	Long = time.Minute
	// lingers is how long a notice of long waits stays after one of them, so that a limit
	// for which everybody waits long is one trouble and not one for each wait.
	lingers = 10 * time.Second
)

// Slow reports waits of one kind that take long, and those that fail. A nil Slow, and one
// without a Notice, reports nothing.
type Slow struct {
	notice *Notice
	why    error // fit for the log

	mu      sync.Mutex
	idle    *Waiter // of a long wait that is over
	leaving *time.Timer
}

// NewSlow makes a Slow. why is what a long wait is reported with.
func NewSlow(notice *Notice, why error) *Slow { return &Slow{notice: notice, why: why} }

// SlowWait is one wait.
type SlowWait struct {
	slow   *Slow
	waiter *Waiter
	began  time.Time
	timer  *time.Timer
}

// Begin begins a wait, which must be ended.
func (s *Slow) Begin() *SlowWait {
	if s == nil {
		return nil
	}
	w := &SlowWait{slow: s, began: time.Now()}
	s.mu.Lock()
	if s.idle != nil && s.leaving.Stop() {
		w.waiter, s.idle = s.idle, nil
	}
	s.mu.Unlock()
	if w.waiter == nil {
		w.waiter = s.notice.Waiter()
	}
	w.timer = time.AfterFunc(Long, func() { w.waiter.Silence(w.began, s.why) })
	return w
}

// Failed reports at once that what is waited for cannot be asked.
func (w *SlowWait) Failed(why error) {
	if w != nil {
		w.waiter.Trouble(why)
	}
}

// End ends the wait: over says that what was waited for has come, and not that the waiter
// has given up.
func (w *SlowWait) End(over bool) {
	if w == nil {
		return
	}
	w.timer.Stop()
	switch {
	case !over:
		w.waiter.Stop()
	case time.Since(w.began) < Long:
		w.waiter.Recovered()
	default:
		w.slow.linger(w.waiter)
	}
}

// linger ends a waiter unless another wait begins soon, which takes it on.
func (s *Slow) linger(w *Waiter) {
	if !s.keep(w) {
		w.Recovered()
	}
}

// keep keeps a waiter for the next wait, unless one is kept already.
func (s *Slow) keep(w *Waiter) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.idle != nil {
		return false
	}
	s.idle = w
	s.leaving = time.AfterFunc(lingers, func() {
		s.mu.Lock()
		if s.idle == w {
			s.idle = nil
		}
		s.mu.Unlock()
		w.Recovered()
	})
	return true
}
