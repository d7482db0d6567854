package boltfile

import (
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"time"
)

// A record that is taken for expired too early is a lead that is called twice, and system clocks jump: a host starts
// with a clock that is days off, and is corrected. So expiry goes by a clock that was seen to be steady.
//
//  1. A period is a time in which the system clock and the monotonic clock agreed within a minute. A jump ends it.
//  2. A period goes on in the next process if the newest record was written in it, under an hour ago.
//  3. In a period that has run for an hour the clock is trusted, and what it calls expired is.
//  4. Before that, only what was written in the same period expires: its age is known whatever the clock says.
//  5. What was written while the clock was not trusted has an expiry by a clock that may have been wrong. It gets
//     another one, its whole TTL from then on, once there is a period in which the clock is trusted.
//  6. A trusted clock may have been wrong, too. If it jumps forward, what it wrote gets as much more time (see jump).
const (
	steadyFor    = time.Hour
	steadyWithin = time.Minute
)

// moment is a time by the system clock, and what the clock was worth then.
type moment struct {
	at     time.Time
	period uint64        // its name
	ran    time.Duration // how long the period has run, at most steadyFor
}

func (m moment) trusted() bool { return m.ran >= steadyFor }

// clock reads the system clock and watches it.
type clock struct {
	wall  func() time.Time
	began time.Time // the monotonic clock counts from here

	mu      sync.Mutex
	anchor  moment        // at some time of the current period
	elapsed time.Duration // by the monotonic clock at that time
	jumped  []jump        // that nobody has asked for yet
}

// newClock continues the period of the newest record.
func newClock(wall func() time.Time, newest moment) *clock {
	c := &clock{wall: wall, began: time.Now()}
	now := wall().Round(0)
	if age := now.Sub(newest.at); age > -steadyWithin && age < steadyFor {
		c.anchor = moment{at: now, period: newest.period, ran: newest.ran}
	} else {
		c.anchor = moment{at: now, period: rand.Uint64()} //nolint:gosec // a name, no secret
	}
	return c
}

func (c *clock) now() moment {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, elapsed := moment{at: c.wall().Round(0)}, time.Since(c.began) // Round leaves the system clock alone
	passed := elapsed - c.elapsed
	off := now.at.Sub(c.anchor.at) - passed
	if off.Abs() > steadyWithin {
		now.period = rand.Uint64() //nolint:gosec // a name, no secret
		c.anchor, c.elapsed = now, elapsed
		c.jumped = append(c.jumped, jump{now.at.Add(-off), off})
		return now
	}
	now.period, now.ran = c.anchor.period, min(c.anchor.ran+passed, steadyFor)
	if passed >= steadyFor { // clocks that drift apart do not jump
		c.anchor, c.elapsed = now, elapsed
	}
	return now
}

// jumps returns each jump once.
func (c *clock) jumps() []jump {
	c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	jumped := c.jumped
	c.jumped = nil
	return jumped
}

// A stamp is beside the trees of a bucket: when its newest record was written.
const stampLen = 3 * 8

func (m moment) stamp() []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, stampLen), uint64(m.at.UnixMilli()))
	b = binary.BigEndian.AppendUint64(b, m.period)
	return binary.BigEndian.AppendUint64(b, uint64(m.ran))
}

// readStamp returns no moment for what is no stamp.
func readStamp(b []byte) (m moment) {
	if len(b) != stampLen {
		return moment{}
	}
	m.at = time.UnixMilli(int64(binary.BigEndian.Uint64(b)))
	m.period = binary.BigEndian.Uint64(b[8:])
	m.ran = time.Duration(min(binary.BigEndian.Uint64(b[16:]), uint64(steadyFor)))
	return m
}
