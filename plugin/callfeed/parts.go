package callfeed

import (
	"context"
	"sync"
	"time"
)

// parallel is the most calls that are read at the same time.
const parallel = 16

// complete adds their parts to the events of calls that are over. Calls whose
// parts are not there yet go back into the book; after PartsTimeout they are told
// without them.
func (f *Feed) complete(ctx context.Context, events []*Event) []*Event {
	if f.opts.Parts == nil {
		return events
	}
	forEach(events, func(e *Event) {
		if e.Outcome == Complete && !f.addParts(ctx, e) {
			e.Outcome = ""
		}
	})
	ready := events[:0]
	for _, e := range events {
		if e.Outcome != "" {
			ready = append(ready, e)
		}
	}
	return ready
}

// addParts answers false when the event is not to be told now.
func (f *Feed) addParts(ctx context.Context, e *Event) bool {
	content, complete, err := f.opts.Parts(ctx, e.Call)
	e.Content = content
	if complete && err == nil {
		return true
	}
	if ctx.Err() != nil {
		return false
	}
	now, c := time.Now(), e.open
	f.book.mu.Lock()
	defer f.book.mu.Unlock()
	if err != nil && !c.fails {
		c.fails = true
		f.opts.Log.Warnf("Reading what belongs to call %s fails and is tried again for a while: %v", c.id, err)
	}
	if c.ended.IsZero() {
		c.ended = now
		f.book.changes++
	}
	waited := now.Sub(c.ended)
	if waited >= f.opts.PartsTimeout {
		e.Outcome = NotReady
		return true
	}
	again := max(f.opts.Poll, waited/4)
	c.claimed, c.next = false, now.Add(min(again, f.opts.PartsTimeout-waited))
	c.hold = c.next
	return false
}

// forEach works on several items at a time, and returns when all are done.
func forEach[T any](items []T, work func(T)) {
	slots := make(chan struct{}, parallel)
	var wg sync.WaitGroup
	for _, item := range items {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			work(item)
		})
	}
	wg.Wait()
}
