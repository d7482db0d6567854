package callfeed

import (
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

// MaxPage is the most calls of a page: the documentation bounds it below 2000.
const MaxPage = 1999

// smallAgain is how long a size of pages that failed is not tried again.
const smallAgain = 10 * time.Minute

// pageLimit is how many calls are asked for. It grows while pages come back full: so a
// long list costs few requests, and a page has room for all calls of one date.
type pageLimit struct {
	calls int
	least int
	most  int       // what is known to fail is larger
	tried time.Time // when a larger one failed last
	gives int       // the most calls on a page that was shorter than asked for while more followed; 0 for none
}

func newPageLimit(least int) pageLimit {
	least = max(least, 2) // pages overlap by one
	return pageLimit{calls: least, least: least, most: max(least, MaxPage)}
}

// full says whether a page holds as many calls as the API gives.
func (s *pageLimit) full(calls, asked int) bool {
	return calls >= asked || s.gives > 0 && calls >= s.gives
}

// capped notes that a page was shorter than asked for though more followed.
func (s *pageLimit) capped(calls int) { s.gives = max(s.gives, calls) }

// grow takes larger pages from now on, and reports false when there are none.
func (s *pageLimit) grow(now time.Time) bool {
	if s.calls >= s.most && now.Sub(s.tried) >= smallAgain {
		s.most, s.tried = min(2*s.most, max(s.least, MaxPage)), now
	}
	before := s.calls
	s.calls = min(2*s.calls, s.most)
	return s.calls > before
}

// shrink takes smaller pages after an error that may be one of their size, and reports
// false when it is none. In an outage only the first page is asked for twice.
func (s *pageLimit) shrink(err error, now time.Time) bool {
	switch c := happyrobot.ClassOf(err); {
	case c == happyrobot.ClassThrottled, c == happyrobot.ClassSetup:
		return false
	case c == happyrobot.ClassTooLarge && s.calls > 2:
		s.most, s.tried = max(s.calls/2, 2), now
		s.calls = s.most
		return true
	case s.calls <= s.least:
		return false
	}
	s.most, s.tried = max(s.calls/2, s.least), now
	s.calls = s.least
	return true
}
