package callfeed

import "time"

// beginPass numbers the next pass, and says where it begins.
func (b *book) beginPass() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pass++
	return b.from
}

// start is where the next pass begins.
func (b *book) start() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.from
}

// advance moves the start of the next pass, before which all calls were listed. Done
// entries from before it are dropped; calls without a date are kept until a full
// listing does not show them. Going through all of them takes its time: it is worth it
// after an eighth of the lookback, or when they have doubled.
func (b *book) advance(from time.Time, lookback time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !from.After(b.from) {
		return
	}
	b.from = from
	b.changes++
	if from.Sub(b.pruned) < lookback/8 && len(b.done) < 2*b.kept+1000 {
		return
	}
	b.pruned = from
	for key, d := range b.done {
		if !d.created.IsZero() && d.created.Before(from.Add(-dateSlack)) {
			delete(b.done, key)
		}
	}
	b.kept = len(b.done)
}

// endPass forgets calls without a date that a whole pass did not show.
func (b *book) endPass() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for key, d := range b.done {
		if d.created.IsZero() && d.pass != b.pass {
			delete(b.done, key)
			b.changes++
		}
	}
}

// apiClock is what is known of the API's clock: what it showed at least, at a moment of
// this machine's. A call that is listed was created by then, and time goes on alike on
// both sides, but for one part in a thousand, which is far more than clocks drift.
type apiClock struct{ shown, moment time.Time }

const clockDrift = 1000

// shows notes that the API's clock had reached a date by now.
func (c *apiClock) shows(date, now time.Time) {
	if date.After(c.at(now)) {
		c.shown, c.moment = date, now
	}
}

// at is a time that the API's clock had reached at a moment; zero or less for unknown.
func (c *apiClock) at(moment time.Time) time.Time {
	passed := moment.Sub(c.moment)
	if c.moment.IsZero() {
		return time.Time{}
	}
	return c.shown.Add(passed - passed.Abs()/clockDrift)
}
