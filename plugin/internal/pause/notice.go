package pause

import (
	"fmt"
	"sync"
	"time"
)

// Reminder is how often a Notice repeats trouble that lasts.
const Reminder = 5 * time.Minute

// Logger is what a Notice writes to.
type Logger interface {
	Warnf(format string, args ...any)
	Infof(format string, args ...any)
}

// Wording is what a Notice logs, each a whole sentence.
type Wording struct {
	Begins string // with one %v for the reason
	Lasts  string // with %s for the time at which it began, and %v for the latest reason
	Ends   string // with one %v for how long it lasted

	// More ends what is reported of trouble, with what is only known then. Nil adds nothing.
	More func(since time.Time) string
}

func (w *Wording) more(since time.Time) string {
	if w.More == nil {
		return ""
	}
	return w.More(since)
}

// Notice reports trouble in the log when it starts, every five minutes while it lasts,
// and once when it is over. All who meet the same trouble share one, so that it is
// reported once: each with a Waiter of its own, or one for all of them with Trouble and
// Recovered. What is reported keeps its order. Nothing is logged, and OnChange is not
// called, while the lock is held, so a report may still be under way when a method
// returns.
//
// A Notice in trouble holds a timer until Recovered or Stop. A nil Notice reports
// nothing.
type Notice struct {
	log     Logger
	words   Wording
	changed func(inTrouble bool) // for a metric; nil for none

	mu       sync.Mutex
	since    time.Time // zero: no trouble
	why      error
	reminder *time.Timer
	waiters  int       // that are in trouble
	said     time.Time // the last report of trouble
	left     leftTrouble

	queue     []func() // reports to be made, in their order
	reporting bool     // somebody makes them
}

// leftTrouble is what its last waiter gave up on. The same trouble goes on where somebody
// meets it again before the next report of it is due.
type leftTrouble struct {
	since time.Time // zero: none
	words string
}

// NewNotice makes a notice. onChange, which may be nil, learns when trouble starts and ends.
func NewNotice(log Logger, words Wording, onChange func(inTrouble bool)) *Notice {
	return &Notice{log: log, words: words, changed: onChange}
}

// Trouble reports that something failed, or still fails. why must be fit for the log.
func (n *Notice) Trouble(why error) { n.TroubleSince(time.Now(), why) }

// TroubleSince is Trouble that began earlier than it was noticed.
func (n *Notice) TroubleSince(since time.Time, why error) {
	if n == nil {
		return
	}
	n.mu.Lock()
	n.begin(since, why)
	n.report()
}

// Recovered reports that it works again. Without trouble before, it does nothing.
func (n *Notice) Recovered() { n.over(true) }

// Stop ends the notice without a word: its owner stops, and the trouble may last.
func (n *Notice) Stop() { n.over(false) }

func (n *Notice) over(works bool) {
	if n == nil {
		return
	}
	n.mu.Lock()
	n.end(works)
	n.report()
}

// begin notes trouble. The lock is held.
func (n *Notice) begin(since time.Time, why error) {
	n.why = why
	if !n.since.IsZero() {
		return
	}
	left, due := n.left, Reminder-time.Since(n.said)
	n.left = leftTrouble{}
	if !left.since.IsZero() && due > 0 && left.words == fmt.Sprint(why) {
		n.since, n.reminder = left.since, time.AfterFunc(due, n.remind)
		n.queue = append(n.queue, func() { n.change(true) })
		return
	}
	n.since, n.said = since, time.Now()
	n.reminder = time.AfterFunc(Reminder, n.remind)
	n.queue = append(n.queue, func() {
		n.change(true)
		n.log.Warnf("%s", fmt.Sprintf(n.words.Begins, why)+n.words.more(since))
	})
}

// end notes that the trouble is over. The lock is held.
func (n *Notice) end(works bool) {
	if works {
		n.left = leftTrouble{}
	}
	if n.since.IsZero() {
		return
	}
	lasted := time.Since(n.since).Round(time.Second)
	if !works {
		n.left = leftTrouble{n.since, fmt.Sprint(n.why)}
	}
	n.since, n.why = time.Time{}, nil
	n.reminder.Stop()
	n.reminder = nil
	n.queue = append(n.queue, func() {
		n.change(false)
		if works {
			n.log.Infof("%s", fmt.Sprintf(n.words.Ends, lasted))
		}
	})
}

func (n *Notice) remind() {
	n.mu.Lock()
	if since, why := n.since, n.why; !since.IsZero() {
		n.reminder.Reset(Reminder)
		n.said = time.Now()
		n.queue = append(n.queue, func() {
			n.log.Warnf("%s", fmt.Sprintf(n.words.Lasts, since.UTC().Format(time.RFC3339), why)+n.words.more(since))
		})
	}
	n.report()
}

func (n *Notice) change(inTrouble bool) {
	if n.changed != nil {
		n.changed(inTrouble)
	}
}

// report makes the reports of the queue one after the other, without the lock, unless
// somebody is already at it. It is called with the lock held, and gives it up.
func (n *Notice) report() {
	if n.reporting {
		n.mu.Unlock()
		return
	}
	n.reporting = true
	for len(n.queue) > 0 {
		next := n.queue[0]
		n.queue = n.queue[1:]
		n.mu.Unlock()
		next()
		n.mu.Lock()
	}
	n.queue, n.reporting = nil, false
	n.mu.Unlock()
}
