package callfeed

import (
	"context"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

// complete adds their parts to the events of calls that are over, and answers the
// events to hand out now. Calls whose parts are not there yet go back into the book;
// after PartsTimeout they are emitted without.
func (f *Feed) complete(ctx context.Context, events []*Event) []*Event {
	if f.opts.Parts == nil {
		return events
	}
	forEach(events, func(e *Event) {
		if e.Outcome == Complete && !f.addParts(ctx, e) {
			e.Outcome = ""
		}
	})
	f.noteReads()
	ready := events[:0]
	for _, e := range events {
		if e.Outcome != "" {
			ready = append(ready, e)
		}
	}
	return ready
}

// addParts reads what belongs to an event's call, and reports whether to hand the
// event out now.
func (f *Feed) addParts(ctx context.Context, e *Event) (ready bool) {
	content, complete, err := f.opts.Parts(ctx, e.Item)
	e.Content = content
	switch {
	case complete && err == nil:
		f.book.withParts(e)
		return true
	case ctx.Err() != nil:
		return false
	}
	lacks := partsMissing
	if err != nil {
		if lacks = partsBarred; happyrobot.ClassOf(err).OfThisRequest() {
			lacks = partsRefused
		}
		f.notices.parts.met(f.unread(e.key, err))
	}
	now := time.Now()
	if !f.book.withoutParts(e, lacks, f.overFor(e.Item, now), now) {
		return false
	}
	e.Outcome = NotReady
	return true
}

// overFor is how long a call has been over, at least. What it lacks is not waited for in a
// history. The end is by the API's clock, of which it is known what it showed at least.
func (f *Feed) overFor(item Item, now time.Time) time.Duration {
	known := f.clock.at(now)
	if item.Ended.IsZero() || !item.Ended.Before(known) {
		return 0
	}
	return known.Sub(item.Ended)
}
