package dialer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/words"
)

// Refusals is the cause of a pause while the brake is on.
const Refusals Cause = words.CauseRefusals

const (
	// mostRefused is how many different calls in a row the API may refuse with one status.
	mostRefused = 20

	// Between two calls that are tried while the brake is on.
	firstTry   = time.Second
	longestTry = 5 * time.Minute
)

// brake stops the stream when no call goes through any more: when the API refused
// mostRefused different calls with one status since it accepted the last one, or when so
// many messages were rejected here. A broken API or a broken config would
// otherwise flush a whole topic into the failures.
//
// While it is on, messages wait in a line. After each pause the first of the line is
// tried. If it is refused it fails, and the next try is another message, also of another
// batch. A refusal of any other message fails nothing: that message waits, too.
//
//	accepted                 releases the brake; of a refusing API only if the request left since
//	duplicate                releases the brake for rejections of ours: the config is all right.
//	                         It says nothing about the API, whose refusals count on. It waits
//	                         for no try
//	conflict, held, guards   neither count nor release
//	a dry run                has no brake
//
// Both counts start again with a call that is accepted, and that of rejections with a
// duplicate.
type brake struct {
	mostRejected int // of our own in a row; 0 for any number
	notice       *pause.Notice

	bell
	refused  map[int]map[string]struct{} // references of the calls that the API refused, by status
	rejected int                         // messages that were rejected here

	refusing  error     // why the API's refusals put the brake on; nil: they did not
	since     time.Time // when they did
	rejecting error     // why our own rejections put it on; nil: they did not

	line    []*place
	trying  bool
	notYet  time.Time // no try before
	between time.Duration

	reported  error // the notice has it
	reporting bool
}

// place is a place in the line.
type place struct{ valid bool }

func newBrake(opts Options) *brake {
	return &brake{
		mostRejected: opts.MaxRejectsInARow, notice: opts.notice(Refusals),
		refused: map[int]map[string]struct{}{}, bell: newBell(),
	}
}

// stops says whether a message must wait: one that makes a valid call, or one that is
// rejected here, which an API that refuses calls does not concern. The lock is held.
func (b *brake) stops(valid bool) bool {
	return b.rejecting != nil || valid && b.refusing != nil
}

// why is why the brake is on, nil while it is off. The lock is held.
func (b *brake) why() error {
	if b.refusing != nil {
		return b.refusing
	}
	return b.rejecting
}

// on says whether messages that make valid calls must wait.
func (b *brake) on() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.stops(true)
}

// holds says why a message must wait, nil if it need not.
func (b *brake) holds(valid bool) *Paused {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.stops(valid) {
		return nil
	}
	return &Paused{Refusals, b.why()}
}

// enter waits until a message may go on, at once while the brake is off. try says that it
// is tried: leave must follow.
func (b *brake) enter(ctx context.Context, valid bool) (try bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.stops(valid) {
		return false, nil
	}
	me := &place{valid: valid}
	b.line = append(b.line, me)
	defer func() {
		b.line = slices.DeleteFunc(b.line, func(p *place) bool { return p == me })
		b.ring()
	}()
	for b.stops(valid) {
		wait := time.Until(b.notYet)
		if b.trying || b.first() != me {
			wait = untilRung
		} else if wait <= 0 {
			b.trying = true
			return true, nil
		}
		if err := b.await(ctx, wait); err != nil {
			return false, err
		}
	}
	return false, nil
}

// first is the place whose turn it is. The lock is held.
func (b *brake) first() *place {
	for _, p := range b.line {
		if b.stops(p.valid) {
			return p
		}
	}
	return nil
}

// leave ends a try.
func (b *brake) leave(try bool) {
	if !try {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.trying = false
	b.notYet = time.Now().Add(b.between)
	b.ring()
}

// refuses reports that the API refused a call by itself, and says whether the call fails.
// If not, it waits for its turn.
func (b *brake) refuses(try bool, ref string, status int, why error) (fails bool) {
	b.mu.Lock()
	if b.stops(true) {
		b.failed(try)
		b.mu.Unlock()
		return try
	}
	if b.refused[status] == nil {
		b.refused[status] = map[string]struct{}{}
	}
	b.refused[status][ref] = struct{}{}
	if n := len(b.refused[status]); n >= mostRefused {
		b.putOn()
		b.since = time.Now()
		b.refusing = fmt.Errorf("the API refused %d different calls in a row with status %d, the last one with: %w", n, status, why)
	}
	b.report()
	return true
}

// rejects reports that a message makes no valid call, and says whether it fails. If not,
// it waits for its turn.
func (b *brake) rejects(try bool, why error) (fails bool) {
	b.mu.Lock()
	if b.rejecting != nil {
		b.failed(try)
		b.mu.Unlock()
		return try
	}
	if b.rejected++; b.mostRejected > 0 && b.rejected >= b.mostRejected {
		b.putOn()
		b.rejecting = fmt.Errorf("%d messages in a row made no valid call, which is max_rejects_in_a_row; the last one: %w", b.rejected, why)
	}
	b.report()
	return true
}

// failed makes the next pause longer. The lock is held.
func (b *brake) failed(try bool) {
	if try {
		b.between = min(2*b.between, longestTry)
	}
}

// putOn is called when the brake is put on. The lock is held.
func (b *brake) putOn() {
	if b.why() == nil {
		b.between = firstTry
		b.notYet = time.Now().Add(firstTry)
	}
	b.ring()
}

// accepts reports that the API took a call with a request that left at a time.
func (b *brake) accepts(left time.Time) {
	b.mu.Lock()
	if left.After(b.since) {
		b.refusing = nil
	}
	clear(b.refused)
	b.goesThrough()
}

// knows reports that a call exists, whatever the API makes of others now.
func (b *brake) knows() {
	b.mu.Lock()
	b.goesThrough()
}

// goesThrough is what follows from any call that goes through. The lock is held, and
// given up.
func (b *brake) goesThrough() {
	b.rejected, b.rejecting = 0, nil
	if len(b.line) > 0 {
		b.ring()
	}
	b.report()
}

// report brings the notice up to date. The lock is held, and given up: one goroutine
// reports at a time, and again if the brake changed meanwhile.
func (b *brake) report() {
	for !b.reporting && !errors.Is(b.reported, b.why()) {
		why := b.why()
		b.reporting, b.reported = true, why
		b.mu.Unlock()
		if why == nil {
			b.notice.Recovered()
		} else {
			b.notice.Trouble(why)
		}
		b.mu.Lock()
		b.reporting = false
	}
	b.mu.Unlock()
}
