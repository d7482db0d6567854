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
	var unsure []dueCall
	events, rest := f.relist(ctx, due)
	forEach(rest, func(c dueCall) {
		e, vanished := f.look(ctx, c)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case e == nil && vanished:
			unsure = append(unsure, c)
		case e == nil:
		case vanished:
			gone = append(gone, e)
		default:
			events = append(events, e)
		}
	})
	for _, c := range unsure {
		if e := f.lookInList(ctx, c); e != nil {
			events = append(events, e)
		}
	}
	f.noteReads()
	f.saver.nudge()
	f.hand(ctx, append(f.complete(ctx, events), gone...))
	return len(due)
}

// look reads one open call, and answers the event that it asks for. Of a call that has
// vanished, nothing more can be read; one without an event is to be looked for in the list.
func (f *Feed) look(ctx context.Context, c dueCall) (e *Event, vanished bool) {
	key := c.key
	call, err := f.opts.API.Get(ctx, key)
	if err == nil && call.ID != key {
		err = errors.New("the API answers with something else than this " + f.opts.Unit.One)
	}
	now := time.Now()
	switch {
	case ctx.Err() != nil:
		return nil, false
	case happyrobot.IsNotFound(err):
		if f.opts.Relist > 0 && !c.created.IsZero() && f.book.lost(key, now) {
			return nil, true
		}
		e = f.act(key, &call, f.book.missing(key, now))
		return e, e != nil
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

// lookInList looks for a call in the list that the API has not known by itself for so long
// that it is given up unless the list shows it, and answers the event that it asks for.
func (f *Feed) lookInList(ctx context.Context, c dueCall) *Event {
	page, err := f.listOpen(ctx, c.created)
	now := time.Now()
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		f.notices.calls.met(f.unread(c.key, err))
		return f.act(c.key, &Item{}, f.book.unread(c.key, retryAfter(err), false, now))
	}
	for i := range page.Items {
		if item := &page.Items[i]; keyOf(item) == c.key {
			return f.act(c.key, item, f.book.looked(c.key, item, now))
		}
	}
	return f.act(c.key, &Item{}, f.book.missing(c.key, now))
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
