package plugin

import (
	"errors"
	"sync"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/dialer"
)

// What the log says of every pause: its cause, and what happened; and when it is over.
const (
	pausedLog  = "Dialing paused (%s): %v. Messages wait, none of them fails."
	resumedLog = "Dialing resumed (%s)."
)

// pauseCause is the word for a trouble. A request that cannot be sent has no answer
// either: whoever reads the log need not tell the two apart.
func pauseCause(why dialer.Trouble) string {
	if why == dialer.Unreachable {
		why = dialer.Unanswered
	}
	return string(why)
}

// pauseReminder is how often the log says again that dialing is paused.
const pauseReminder = 5 * time.Minute

var errTakesNothing = errors.New("the output has taken nothing yet; if it has a `batching` of its own, that needs a `period`")

// pauseNotice says in the log that dialing is paused: when that begins and why, every
// few minutes while it lasts, and when it is over. Batches that wait for the same
// thing share one, so that it is said once.
type pauseNotice struct {
	log   *service.Logger
	cause string

	mu       sync.Mutex
	waiting  int // batches
	since    time.Time
	why      error
	reminder *time.Timer // while batches wait
}

// pauseWatch is a batch that may have to wait. Its members belong to the notice's lock.
type pauseWatch struct {
	notice *pauseNotice
	began  time.Time
	late   *time.Timer
	waits  bool // and is counted
	over   bool
}

// watch begins to watch a batch, which waits if it is not over within patience.
func (p *pauseNotice) watch(patience time.Duration) *pauseWatch {
	w := &pauseWatch{notice: p, began: time.Now()}
	w.late = time.AfterFunc(patience, func() { w.waitFor(nil) })
	return w
}

// because says that the batch waits, and why.
func (w *pauseWatch) because(why error) { w.waitFor(why) }

// waitFor counts the batch as waiting. With nil the reason is not known: one that is
// known already stays, since an error says more than silence.
func (w *pauseWatch) waitFor(why error) {
	p := w.notice
	p.mu.Lock()
	begins := false
	if !w.over {
		switch {
		case why == nil && p.waiting > 0:
			why = p.why
		case why == nil:
			why = errTakesNothing
		}
		p.why = why
		if !w.waits {
			w.waits = true
			p.waiting++
			begins = p.waiting == 1
		}
	}
	if begins {
		p.since = w.began
		p.reminder = time.AfterFunc(pauseReminder, p.remind)
	}
	p.mu.Unlock()
	if begins {
		p.log.Warnf(pausedLog, p.cause, why)
	}
}

// done says that the batch waits no longer: what it waited for works.
func (w *pauseWatch) done() { w.end(true) }

// giveUp says that the batch waits no longer, since the stream stops.
func (w *pauseWatch) giveUp() { w.end(false) }

func (w *pauseWatch) end(works bool) {
	w.late.Stop()
	p := w.notice
	p.mu.Lock()
	w.over = true
	resumed, since := false, p.since
	if w.waits {
		if p.waiting--; p.waiting == 0 {
			p.reminder.Stop()
			resumed = works
		}
	}
	p.mu.Unlock()
	if resumed {
		p.log.Infof("Dialing resumed (%s) after %v.", p.cause, time.Since(since).Round(time.Second))
	}
}

func (p *pauseNotice) remind() {
	p.mu.Lock()
	why, since, waits := p.why, p.since, p.waiting > 0
	if waits {
		p.reminder.Reset(pauseReminder)
	}
	p.mu.Unlock()
	if waits {
		p.log.Warnf("Dialing still paused (%s), since %s: %v", p.cause, since.UTC().Format(time.RFC3339), why)
	}
}
