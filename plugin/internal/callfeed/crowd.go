package callfeed

import (
	"slices"
	"time"
)

// maxRereads is how often a crowd is read again until none of it is missing.
const maxRereads = 100

// crowd is calls that share a date and have no room on one page. Nobody says that
// their order is the same in two answers. Where they begin and end in the list tells how
// many they are, and so whether all of them were seen:
//
//  1. When each page begins with the very call that the page before it ended with, the
//     order stayed, nothing moved, and one reading shows all of them.
//  2. Else a reading counts them. The count holds if the next reading finds that they
//     begin where they began: no call before them vanished meanwhile.
//  3. When two such counts agree, and as many different ones were seen after the first
//     of them, these are all. One that vanished later makes the counts differ.
type crowd struct {
	date    time.Time
	start   int                 // where they begin in the list
	size    int                 // how many they were by the last count that holds; 0 for none
	keys    map[string]struct{} // those seen since that count
	steady  bool                // in this reading, each page began with what the page before ended with
	counted int                 // how many they were at the end of the last reading
	again   bool                // it is about to be read again, and may begin elsewhere by now
	rereads int
}

func newCrowd(date time.Time, start int, calls []Item) *crowd {
	c := &crowd{date: date, start: start, steady: true, keys: map[string]struct{}{}}
	for i := range calls {
		c.add(&calls[i], keyOf(&calls[i]))
	}
	return c
}

// has says whether a call is one of them.
func (c *crowd) has(call *Item) bool { return c != nil && call.Created.Equal(c.date) }

// add notes a call, if it is one of them.
func (c *crowd) add(call *Item, key string) {
	if c.has(call) {
		c.keys[key] = struct{}{}
	}
}

// incomplete moves back or on to another place of the list, when a page shows that some
// of the crowd may not have been seen, or that all of it was.
func (p *pass) incomplete(page []Item) (moved bool) {
	if p.crowd != nil && p.crowd.again && p.beginsAgain(page) {
		return true
	}
	c := p.crowd
	if c == nil {
		return false
	}
	end := len(page) // where the crowd ends, on this page
	for end > 0 && !c.has(&page[end-1]) {
		end--
	}
	if end == len(page) && !p.ended(page) {
		return false
	}
	c.counted = p.query.Skip + end - c.start
	if c.steady && len(c.keys) >= c.counted {
		p.crowd = nil
		return false
	}
	c.again = true
	p.reread(c.start - 1)
	return true
}

// beginsAgain finds where the crowd begins by now, on the first page of another reading.
// It moves back when that is before the page, and past the crowd when all of it was seen.
func (p *pass) beginsAgain(page []Item) (moved bool) {
	c := p.crowd
	first := slices.IndexFunc(page, func(call Item) bool { return c.has(&call) })
	switch {
	case first < 0: // if it is still there, it is met again further on
		p.drop()
		return false
	case first == 0 && p.query.Skip > 0:
		p.reread(p.query.Skip - p.query.Limit)
		return true
	}
	start := p.query.Skip + first
	if start != c.start {
		c.counted = 0 // the count does not hold
	}
	switch {
	case c.counted == 0 || c.counted != c.size:
		c.size = c.counted
		clear(c.keys)
		for i := range page {
			c.add(&page[i], keyOf(&page[i]))
		}
	case len(c.keys) >= c.size:
		p.back(start + c.size - 1)
		p.crowd = nil
		return true
	}
	c.start, c.steady, c.again = start, true, false
	return false
}

// reread moves back to read the crowd again, unless that did not help so often.
func (p *pass) reread(skip int) {
	if p.crowd.rereads++; p.crowd.rereads > maxRereads {
		p.feed.notices.warn(reorderedWarning)
		p.broken = true
		return
	}
	p.back(skip)
}

// drop gives a crowd up of which some may not have been seen. The next pass begins where
// this one did, or before the crowd.
func (p *pass) drop() {
	p.doubt = p.doubt || p.crowd != nil
	p.crowd = nil
}
