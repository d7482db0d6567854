package callfeed

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

const (
	// parallel is the most calls that are read at the same time.
	parallel = 16
	// looksAtOnce is the most open calls looked at between two pages.
	looksAtOnce = 10 * parallel
)

// lookAtDue reads the open calls whose time has come, and answers how many: those that a
// page shows together, and the rest one by one.
func (f *Feed) lookAtDue(ctx context.Context) int {
	f.lookedAt = time.Now()
	grace := time.Duration(0)
	if f.lists {
		grace = f.opts.Lag
	}
	due := f.book.due(f.lookedAt, looksAtOnce, grace)
	if len(due) == 0 {
		return 0
	}
	var mu sync.Mutex
	var gone []*Event
	events, rest := f.relist(ctx, due)
	forEach(rest, func(c dueCall) {
		e, vanished := f.look(ctx, c.key)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case e == nil:
		case vanished:
			gone = append(gone, e)
		default:
			events = append(events, e)
		}
	})
	f.noteReads()
	f.saver.nudge()
	f.hand(ctx, append(f.complete(ctx, events), gone...))
	return len(due)
}

// look reads one open call, and answers the event that it asks for. Of a call that has
// vanished, nothing more can be read.
func (f *Feed) look(ctx context.Context, key string) (e *Event, vanished bool) {
	call, err := f.opts.API.Get(ctx, key)
	if err == nil && call.ID != key {
		err = errors.New("the API answers with something else than this " + f.opts.Unit.One)
	}
	now := time.Now()
	switch {
	case ctx.Err() != nil:
		return nil, false
	case happyrobot.IsNotFound(err):
		return f.act(key, &call, f.book.missing(key, now)), true
	case err != nil:
		// An outage is no reason to give up one call.
		refused := happyrobot.ClassOf(err).OfThisRequest()
		found := f.book.unread(key, retryAfter(err), refused, now)
		if found.dropped == "" {
			f.notices.calls.met(f.unread(key, err))
		}
		return f.act(key, &call, found), false
	}
	return f.act(key, &call, f.book.looked(key, &call, now)), false
}

// retryAfter is how long an error asks to wait.
func retryAfter(err error) time.Duration {
	var e *happyrobot.Error
	if errors.As(err, &e) {
		return e.RetryAfter
	}
	return 0
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
