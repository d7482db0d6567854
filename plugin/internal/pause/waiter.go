package pause

import "time"

// Waiter is one of several who wait for what a Notice is about. The notice begins when
// the first of them is in trouble, and is over when none of them is any more. A Waiter
// is used once: after Recovered or Stop its methods do nothing. Those of a nil Waiter,
// which a nil Notice gives, never do anything.
type Waiter struct {
	notice *Notice

	// Both belong to the notice's lock.
	inTrouble bool
	over      bool
}

// Waiter makes a waiter that is not in trouble yet.
func (n *Notice) Waiter() *Waiter {
	if n == nil {
		return nil
	}
	return &Waiter{notice: n}
}

// Trouble reports that this waiter cannot go on, and why.
func (w *Waiter) Trouble(why error) { w.trouble(time.Now(), why, true) }

// TroubleSince is Trouble that began earlier than it was noticed.
func (w *Waiter) TroubleSince(since time.Time, why error) { w.trouble(since, why, true) }

// Silence is trouble that no error tells of: only that it takes so long. A reason that
// is known already stays, since an error says more.
func (w *Waiter) Silence(since time.Time, why error) { w.trouble(since, why, false) }

func (w *Waiter) trouble(since time.Time, why error, known bool) {
	if w == nil {
		return
	}
	n := w.notice
	n.mu.Lock()
	if !w.over {
		if !w.inTrouble {
			w.inTrouble = true
			n.waiters++
		}
		if !known && n.why != nil {
			why = n.why
		}
		n.begin(since, why)
	}
	n.report()
}

// Recovered reports that this waiter can go on. The last one ends the notice.
func (w *Waiter) Recovered() { w.end(true) }

// Stop ends a waiter that gives up waiting. If it is the last one, the notice ends
// without a word.
func (w *Waiter) Stop() { w.end(false) }

func (w *Waiter) end(works bool) {
	if w == nil {
		return
	}
	n := w.notice
	n.mu.Lock()
	if w.over = true; w.inTrouble {
		w.inTrouble = false
		if n.waiters--; n.waiters == 0 {
			n.end(works)
		}
	}
	n.report()
}
