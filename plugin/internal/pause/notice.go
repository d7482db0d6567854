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
}

// Notice reports trouble in the log when it starts, every five minutes while it lasts,
// and once when it is over. All who meet the same trouble share one, so that it is
// reported once. Nothing is logged, and OnChange is not called, while its lock is held.
//
// A Notice in trouble holds a timer until Recovered or Stop.
type Notice struct {
	log     Logger
	words   Wording
	changed func(inTrouble bool) // for a metric; nil for none

	mu       sync.Mutex
	since    time.Time // zero: no trouble
	why      error
	reminder *time.Timer
}

// NewNotice makes a notice. onChange, which may be nil, learns when trouble starts and ends.
func NewNotice(log Logger, words Wording, onChange func(inTrouble bool)) *Notice {
	return &Notice{log: log, words: words, changed: onChange}
}

// Trouble reports that something failed, or still fails. why must be fit for the log.
func (n *Notice) Trouble(why error) { n.TroubleSince(time.Now(), why) }

// TroubleSince is Trouble that began earlier than it was noticed.
func (n *Notice) TroubleSince(since time.Time, why error) {
	n.mu.Lock()
	begins := n.since.IsZero()
	n.why = why
	if begins {
		n.since = since
		n.reminder = time.AfterFunc(Reminder, n.remind)
	}
	n.mu.Unlock()
	if !begins {
		return
	}
	if n.changed != nil {
		n.changed(true)
	}
	n.log.Warnf("%s", fmt.Sprintf(n.words.Begins, why))
}

// Recovered reports that it works again. Without trouble before, it does nothing.
func (n *Notice) Recovered() {
	since, was := n.end()
	if !was {
		return
	}
	if n.changed != nil {
		n.changed(false)
	}
	n.log.Infof("%s", fmt.Sprintf(n.words.Ends, time.Since(since).Round(time.Second)))
}

// Stop ends the notice without a word: its owner stops, and the trouble may last.
func (n *Notice) Stop() {
	if _, was := n.end(); was && n.changed != nil {
		n.changed(false)
	}
}

func (n *Notice) end() (since time.Time, was bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.since.IsZero() {
		return time.Time{}, false
	}
	since, n.since, n.why = n.since, time.Time{}, nil
	n.reminder.Stop()
	n.reminder = nil
	return since, true
}

func (n *Notice) remind() {
	n.mu.Lock()
	lasts, since, why := !n.since.IsZero(), n.since, n.why
	if lasts {
		n.reminder.Reset(Reminder)
	}
	n.mu.Unlock()
	if lasts {
		n.log.Warnf("%s", fmt.Sprintf(n.words.Lasts, since.UTC().Format(time.RFC3339), why))
	}
}
