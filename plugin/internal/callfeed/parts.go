package callfeed

import (
	"context"
	"sync"
	"sync/atomic"
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
	var asked, failed atomic.Int64
	forEach(events, func(e *Event) {
		if e.Outcome != Complete {
			return
		}
		asked.Add(1)
		ready, err := f.addParts(ctx, e)
		if !ready {
			e.Outcome = ""
		}
		if err != nil {
			failed.Add(1)
		}
	})
	if asked.Load() > 0 && failed.Load() == 0 {
		f.book.mu.Lock()
		f.partsTold = false
		f.book.mu.Unlock()
	}
	ready := events[:0]
	for _, e := range events {
		if e.Outcome != "" {
			ready = append(ready, e)
		}
	}
	return ready
}

// addParts says whether the event is to be told now, and what went wrong.
func (f *Feed) addParts(ctx context.Context, e *Event) (ready bool, err error) {
	content, complete, err := f.opts.Parts(ctx, e.Call)
	e.Content = content
	if complete && err == nil {
		return true, nil
	}
	if ctx.Err() != nil {
		return false, err
	}
	now, c := time.Now(), e.open
	f.book.mu.Lock()
	defer f.book.mu.Unlock()
	if err != nil {
		if !f.partsTold {
			f.opts.Log.Warnf("Reading what belongs to call %s, and maybe to others, fails and is tried again for a while: %v", c.id, err)
		}
		f.partsTold = true
	}
	if c.ended.IsZero() {
		c.ended = now
		f.book.changes++
	}
	waited := now.Sub(c.ended)
	if waited >= f.opts.PartsTimeout {
		e.Outcome = NotReady
		return true, err
	}
	again := max(f.opts.Poll, waited/4)
	c.claimed, c.next = false, now.Add(min(again, f.opts.PartsTimeout-waited))
	c.hold = c.next
	c.seen = &Event{Call: e.Call, Content: content, Outcome: NotReady, Previous: e.Previous, feed: f, open: c}
	return false, err
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
