package callfeed

import "time"

// fails reports whether there are open calls of which this could not be read.
func (b *book) fails(what failure) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failing[what] > 0
}

// watched counts the open calls.
func (b *book) watched() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.open)
}

// full says whether there are too many open calls to list new ones. Those that wait for
// their time only take room.
func (b *book) full(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.open) < MaxWatched {
		return false
	}
	waiting := 0
	for _, c := range b.open {
		if c.queued || b.rules.waits(c, now) {
			waiting++
		}
	}
	return len(b.open)-waiting >= MaxWatched || waiting >= MaxWaiting
}

// changed counts the changes so far.
func (b *book) changed() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.changes
}

// touch makes the state worth saving again.
func (b *book) touch() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.changes++
}
