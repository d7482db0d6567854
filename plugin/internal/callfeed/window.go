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

// advance notes that all calls created up to newest were listed, and moves the start
// of the next pass to lookback before that. Done entries from before the start are
// dropped; calls without a date are kept until a full listing does not show them.
func (b *book) advance(newest time.Time, lookback time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !newest.After(b.newest) {
		return
	}
	b.newest = newest
	from := newest.Add(-lookback)
	if !from.After(b.from) {
		return
	}
	b.from = from
	b.changes++
	if from.Sub(b.pruned) < lookback/8 { // going through all of them takes its time
		return
	}
	b.pruned = from
	for key, d := range b.done {
		if !d.created.IsZero() && d.created.Before(from.Add(-dateSlack)) {
			delete(b.done, key)
		}
	}
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
