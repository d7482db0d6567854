package callfeed

import "time"

// lack is what is wrong with the parts of a call.
type lack uint8

const (
	partsMissing lack = iota // not all of them are there
	partsRefused             // those of this call cannot be read
	partsBarred              // no parts of any call can be, for all that is known: an outage, a wrong key
)

// withoutParts notes what is wrong with the parts of an event's call, and that the call
// was over for so long when that was noticed first. It reports whether to hand the event
// out as it is, as NotReady.
func (b *book) withoutParts(e *Event, l lack, over time.Duration, now time.Time) (ready bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.open[e.key]
	if c == nil {
		return false
	}
	if c.ended.IsZero() {
		c.ended = now.Add(-over)
		b.changes++
	}
	if b.rules.unreadTimeout == 0 && l == partsBarred {
		l = partsRefused
	}
	since, most := b.patience(c, l, now)
	again, waits := b.rules.partsInterval(now.Sub(since), most)
	b.fail(c, partsUnread, l != partsMissing && waits)
	if !waits {
		return true
	}
	if l == partsBarred {
		again = min(again, maxInterval)
	}
	c.out, c.next = false, now.Add(again)
	c.notBefore = c.next
	c.seen = &Event{Item: e.Item, Content: e.Content, Outcome: NotReady, Previous: e.Previous, key: e.key}
	return false
}

// patience is since when parts are waited for, and how long at most. That they cannot be
// read is no sign that there are none, so it has a patience of its own, in which trouble of
// all calls does not count: that would empty the book of all that ended meanwhile. The
// caller holds the lock.
func (b *book) patience(c *openCall, l lack, now time.Time) (since time.Time, most time.Duration) {
	if l == partsMissing || b.rules.unreadTimeout == 0 {
		c.unread, c.barred = time.Time{}, time.Time{}
		return c.ended, b.rules.partsTimeout
	}
	if l == partsBarred {
		c.unread = time.Time{}
		if c.barred.IsZero() {
			c.barred = now
		}
		return c.barred, b.rules.maxAge
	}
	c.barred = time.Time{}
	if c.unread.IsZero() {
		c.unread = now
	}
	return c.unread, max(b.rules.partsTimeout, b.rules.unreadTimeout)
}

// withParts notes that all that belongs to an event's call was read.
func (b *book) withParts(e *Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c := b.open[e.key]; c != nil {
		b.fail(c, partsUnread, false)
	}
}
