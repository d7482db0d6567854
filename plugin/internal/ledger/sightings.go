package ledger

import (
	"crypto/sha256"
	"sync"
	"time"
)

// sightings remembers when this process first saw a record of an attempt that is not
// resolved. The clocks of processes that share a store differ, so the date in a record
// does not say how old it is here. A first sighting does: the record was there by then.
//
// What is not asked for is forgotten after one or two times keep, so what is remembered
// is about the calls that wait, and those that were seen just now.
type sightings struct {
	keep time.Duration

	mu             sync.Mutex
	turned         time.Time // when recent was begun
	recent, before map[sighted]time.Time
}

// sighted names a record: as it was written, under its key.
type sighted [16]byte

// first is when a record was first seen, with this machine's monotonic clock.
func (s *sightings) first(key string, value []byte, now time.Time) time.Time {
	sum := sha256.Sum256(append([]byte(key+"\x00"), value...))
	name := sighted(sum[:16])
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.turned) > s.keep {
		s.recent, s.before, s.turned = map[sighted]time.Time{}, s.recent, now
	}
	seen, known := s.recent[name]
	if !known {
		if seen, known = s.before[name]; !known {
			seen = now
		}
		s.recent[name] = seen
	}
	return seen
}
