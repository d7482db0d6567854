package callfeed

import (
	"slices"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

// MaxPage is the most calls of a page: the documentation bounds it below 2000.
const MaxPage = 1999

// smallAgain is how long a size of pages that failed is not tried again.
const smallAgain = 10 * time.Minute

// pageSize is how many calls are asked for. It grows while pages come back full: so a
// long list costs few requests, and a page has room for all calls of one date.
type pageSize struct {
	calls int
	least int
	most  int       // what is known to fail is larger
	tried time.Time // when a larger one failed last
	gives int       // the most calls on a page that was shorter than asked for while more followed; 0 for none
}

func newPageSize(least int) pageSize {
	least = max(least, 2) // pages overlap by one
	return pageSize{calls: least, least: least, most: max(least, MaxPage)}
}

// full says whether a page holds as many calls as the API gives.
func (s *pageSize) full(calls, asked int) bool {
	return calls >= asked || s.gives > 0 && calls >= s.gives
}

// capped notes that a page was shorter than asked for though more followed.
func (s *pageSize) capped(calls int) { s.gives = max(s.gives, calls) }

// grow takes larger pages from now on, and reports false when there are none.
func (s *pageSize) grow(now time.Time) bool {
	if s.calls >= s.most && now.Sub(s.tried) >= smallAgain {
		s.most, s.tried = min(2*s.most, max(s.least, MaxPage)), now
	}
	before := s.calls
	s.calls = min(2*s.calls, s.most)
	return s.calls > before
}

// shrink takes smaller pages after an error that may be one of their size, and reports
// false when it is none. In an outage only the first page is asked for twice.
func (s *pageSize) shrink(err error, now time.Time) bool {
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

// maxRereads is how often a crowd is read again until none of it is missing.
const maxRereads = 100

// crowd is calls that share a date and have no room on one page. Nobody says that
// their order is the same in two answers. Where they end in the list tells how many
// they are, and so whether all of them were seen.
type crowd struct {
	date    time.Time
	start   int // where they begin in the list
	keys    map[string]struct{}
	swapped bool // a page began with one that the page before did not end with
	again   bool // it is about to be read again, and may begin elsewhere by now
	rereads int
}

func newCrowd(date time.Time, start int, calls []happyrobot.Call) *crowd {
	c := &crowd{date: date, start: start, keys: map[string]struct{}{}}
	for i := range calls {
		c.add(&calls[i], keyOf(&calls[i]))
	}
	return c
}

// add notes a call, if it is one of them.
func (c *crowd) add(call *happyrobot.Call, key string) {
	if c != nil && call.Created.Equal(c.date) {
		c.keys[key] = struct{}{}
	}
}

// incomplete goes back to where the crowd begins, when a page shows that some of it
// were not seen.
func (p *pass) incomplete(page []happyrobot.Call) bool {
	c := p.crowd
	if c == nil {
		return false
	}
	of := func(call happyrobot.Call) bool { return call.Created.Equal(c.date) }
	if c.again {
		first := slices.IndexFunc(page, of)
		if first < 0 { // it is met again further on
			p.crowd = nil
			return false
		}
		c.start, c.again = p.query.Skip+first, false
	}
	end := len(page) // where the crowd ends, on this page
	for end > 0 && !of(page[end-1]) {
		end--
	}
	if over := end < len(page) || p.ended(page); !over && !c.swapped {
		return false
	}
	if len(c.keys) >= p.query.Skip+end-c.start && !c.swapped {
		p.crowd = nil
		return false
	}
	if c.rereads++; c.rereads > maxRereads {
		p.feed.notices.facts.warn(reorderedWarning)
		p.broken = true
		return true
	}
	c.swapped, c.again = false, true
	p.back(c.start - 1)
	return true
}
