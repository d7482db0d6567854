package callfeed

import (
	"context"
	"fmt"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/words"
)

// refresh is how often a state is written that has not changed, so that no cache
// lets it expire.
const refresh = time.Hour

// run lists calls and looks at open ones, in turns, until the context ends.
func (f *Feed) run(ctx context.Context) {
	defer f.notices.stop()
	refreshed := time.Now()
	for ctx.Err() == nil {
		more, wait := f.turn(ctx)
		if time.Since(refreshed) >= refresh {
			refreshed = time.Now()
			f.book.touch()
			f.saver.nudge()
		}
		if looked := f.lookAtDue(ctx); looked < looksAtOnce && !more {
			_ = pause.Sleep(ctx, wait) // the loop asks the context
		}
	}
}

// turn makes a pass, unless too many calls are open, and answers whether more is
// known to follow, or else how long to wait for the next one.
func (f *Feed) turn(ctx context.Context) (more bool, wait time.Duration) {
	defer f.progress(time.Time{})
	defer f.noteReads()
	if f.book.full(time.Now()) {
		f.lists = false
		f.notices.backlog.met(words.CauseBacklog, fmt.Errorf("%d %s are open", f.book.watched(), f.opts.Unit.Many))
		return false, f.opts.Poll
	}
	f.notices.backlog.over()
	more, err := f.pass(ctx)
	return more, max(f.opts.Poll, retryAfter(err))
}

// act reports what a transition found about a call, and answers its event, or nil.
func (f *Feed) act(key string, call *Item, found finding) *Event {
	if found.unknown {
		f.notices.unknownStatus(call.Status)
	}
	if found.nameless {
		f.notices.warn(namelessWarning)
	}
	switch found.dropped {
	case dropDeleted:
		f.opts.OnDrop(dropDeleted)
		f.opts.Log.Warnf("Stopped watching %s %s: the API has returned 404 for %v.", f.opts.Unit.One, key, missingFor)
	case dropExpired:
		f.opts.OnDrop(dropExpired)
		f.notices.warn(expiredWarning, key)
	}
	return found.event
}

// noteReads ends the trouble that no open call has any longer.
func (f *Feed) noteReads() {
	if !f.book.fails(callUnread) {
		f.notices.calls.over()
	}
	if !f.book.fails(partsUnread) {
		f.notices.parts.over()
	}
}

// hand gives events to whoever reads, as fast as they are taken. Events that are
// not handed out, since the feed is closed, stay open in the state.
func (f *Feed) hand(ctx context.Context, events []*Event) {
	for _, e := range events {
		select {
		case f.slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		e.feed = f
		outcome := e.Outcome // once taken, the event is the reader's
		select {
		case f.events <- e:
			f.opts.OnEmit(outcome)
		case <-ctx.Done():
			return
		}
	}
}

// progress reports how many calls are open, and how far behind the feed is: how long
// ago the list was read to its end, or before the first time how old the newest call
// listed is.
func (f *Feed) progress(newest time.Time) {
	var lag time.Duration
	switch {
	case !f.caughtUp.IsZero():
		lag = time.Since(f.caughtUp)
	case !newest.IsZero():
		lag = time.Since(newest)
	}
	f.opts.OnProgress(f.book.watched(), max(lag, 0))
}
