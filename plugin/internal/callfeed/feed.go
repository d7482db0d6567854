package callfeed

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

const (
	// MaxPending is the most events that are not acknowledged at a time. While so
	// many are, nothing more is read.
	MaxPending = 1000
	// MaxWatched is the most open calls. While there are more, no new ones are
	// listed: it bounds memory and the state.
	MaxWatched = 100_000
	// looksAtOnce is the most open calls looked at between two pages.
	looksAtOnce = 10 * parallel
)

// errClosed ends what waits for a feed that was closed.
var errClosed = errors.New("the input was closed before the cursor was saved")

// API is what a feed asks.
type API interface {
	ListCallsPage(ctx context.Context, q happyrobot.ListCallsQuery) ([]happyrobot.Call, error)
	GetCall(ctx context.Context, id string) (happyrobot.Call, error)
}

// Logger is told what a user should know: nothing when all is well.
type Logger interface {
	Infof(format string, args ...any)
	Warnf(format string, args ...any)
}

// Options of a Feed. All but Statuses, Parts and Changes are required.
type Options struct {
	API   API
	Store Store
	Log   Logger

	Start    time.Time                 // calls created earlier are not told, if no state was saved
	Filter   happyrobot.ListCallsQuery // what cannot change: direction, use cases, campaigns
	Statuses []happyrobot.Status       // of the calls told; none is all
	Changes  bool                      // tell every status, not only that a call is over
	Replay   bool                      // hand refused events out again as they are, else calls are read again
	PageSize int
	Poll     time.Duration // from the end of a listing to the next
	Lag      time.Duration // from a call's creation until it is certainly listed
	MaxAge   time.Duration // when to give up waiting for the end of a call

	// Parts reads what belongs to a call that is over, nil for nothing.
	Parts        func(context.Context, happyrobot.Call) (content any, complete bool, err error)
	PartsTimeout time.Duration

	OnEmit     func(outcome string)
	OnDrop     func(reason string)
	OnProgress func(watched int, lag time.Duration)
}

// Event is a call to be told. Ack must be called once.
type Event struct {
	Call     happyrobot.Call
	Content  any // of Parts; nil for none
	Outcome  string
	Previous happyrobot.Status // with Changes: the status told before

	feed  *Feed
	open  *openCall
	pause time.Duration // before it is handed out again
	again time.Time
}

// Feed lists calls and hands out events until it is closed.
type Feed struct {
	opts  Options
	book  *book
	saver *saver

	events chan *Event
	replay replays
	slots  chan struct{} // one for each event that is not acknowledged
	ended  chan struct{} // closed when the feed gave up
	fate   error         // why; set before ended is closed

	told         sync.Map // topics of warnings
	toldStatuses atomic.Int64
	trouble      string    // what the last listing failed with; only the loop's
	unreadTold   bool      // that calls cannot be read; under the book's lock
	partsTold    bool      // that their parts cannot; likewise
	lastLook     time.Time // at open calls; only the loop's
	current      atomic.Pointer[time.Time]

	stop   context.CancelFunc
	loop   sync.WaitGroup
	saving sync.WaitGroup
	saves  context.CancelFunc
	once   sync.Once
	last   error
}

// Open reads the state, makes it its own, and starts.
func Open(ctx context.Context, opts Options) (*Feed, error) {
	raw, found, err := opts.Store.Load(ctx)
	if err != nil {
		return nil, err
	}
	// A state has no room for dates before 1970.
	if opts.Start.UnixMilli() < 1 {
		opts.Start = time.UnixMilli(1)
	}
	b := newBook(opts.Start)
	if found {
		s, err := decodeState(raw)
		if err != nil {
			return nil, err
		}
		b = bookFrom(s)
	}
	f := &Feed{
		opts: opts, book: b, lastLook: time.Now(), events: make(chan *Event), replay: replays{news: make(chan struct{}, 1)},
		slots: make(chan struct{}, MaxPending), ended: make(chan struct{}),
	}
	f.saver = newSaver(opts.Store, b, min(opts.Poll, time.Second), opts.Log, f.giveUp)
	// Saved before anything is read: when start_from is a time back, a restart must
	// not begin later than this start did.
	if err := f.saver.save(ctx); err != nil {
		return nil, err
	}
	// Both outlive the context, which is for opening only; Close ends them.
	loopCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	saveCtx, saves := context.WithCancel(context.WithoutCancel(ctx))
	f.stop, f.saves = stop, saves
	f.loop.Go(func() { f.run(loopCtx) })
	f.saving.Go(func() { f.saver.run(saveCtx) })
	return f, nil
}

// Next waits for an event.
func (f *Feed) Next(ctx context.Context) (*Event, error) {
	for {
		e, next := f.replay.take(time.Now())
		if e != nil {
			return e, nil
		}
		var due <-chan time.Time
		if !next.IsZero() {
			due = time.After(time.Until(next))
		}
		select {
		case e := <-f.events:
			return e, nil
		case <-due:
		case <-f.replay.news:
		case <-f.ended:
			return nil, f.fate
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Close ends reading, saves what was acknowledged and ends all waiting. Events
// that are not acknowledged by then are told again by the next feed.
func (f *Feed) Close(ctx context.Context) error {
	f.once.Do(func() {
		f.stop()
		f.loop.Wait()
		f.saves()
		f.saving.Wait()
		f.last = f.saver.last(ctx)
	})
	return f.last
}

// giveUp ends the feed from within.
func (f *Feed) giveUp(err error) {
	f.fate = err
	close(f.ended)
	f.stop()
}

// Ack settles an event. With nil it returns when that is saved; with an error the
// call is told again.
func (e *Event) Ack(ctx context.Context, err error) error {
	f := e.feed
	if err != nil && f.opts.Replay {
		f.replay.add(e)
		return nil
	}
	defer func() { <-f.slots }()
	if err != nil {
		f.book.release(e, time.Now().Add(f.opts.Poll))
		return nil
	}
	return f.saver.wait(ctx, f.settle(e))
}

// settle notes an acknowledged event, and answers the change to wait for.
func (f *Feed) settle(e *Event) uint64 {
	b, c := f.book, e.open
	b.mu.Lock()
	defer b.mu.Unlock()
	if f.over(e.Call.Status) || e.Outcome == Expired {
		b.finish(c)
	} else {
		now := time.Now()
		c.told, c.claimed, c.next = e.Call.Status, false, now.Add(f.pause(c.since, now))
		b.changes++
	}
	return b.changes
}

// refresh is how often a state is written that has not changed, so that no cache
// lets it expire.
const refresh = time.Hour

func (f *Feed) run(ctx context.Context) {
	refreshed := time.Now()
	for ctx.Err() == nil {
		more, wait := false, f.opts.Poll
		if f.book.watched() < MaxWatched {
			var err error
			more, err = f.pass(ctx)
			f.noteListing(ctx, err)
			wait = max(wait, retryAfter(err))
		} else {
			f.tell("watched", "So many calls are open that no new ones are listed until some are over.")
		}
		f.progress(time.Time{})
		if time.Since(refreshed) >= refresh {
			refreshed = time.Now()
			f.book.touch()
			f.saver.nudge()
		}
		if looked := f.looks(ctx); looked < looksAtOnce && !more {
			sleep(ctx, wait)
		}
	}
}

// looks reads the open calls whose time has come, one by one, and answers how many.
func (f *Feed) looks(ctx context.Context) int {
	f.lastLook = time.Now()
	due := f.book.due(f.lastLook, looksAtOnce)
	if len(due) == 0 {
		return 0
	}
	var mu sync.Mutex
	var events, gone []*Event
	failed := false
	forEach(due, func(c *openCall) {
		call, err := f.opts.API.GetCall(ctx, c.id)
		if err == nil && call.ID != c.id {
			err = errors.New("the API answers with something else than this call")
		}
		mu.Lock()
		defer mu.Unlock()
		switch {
		case ctx.Err() != nil:
		case happyrobot.IsNotFound(err):
			if e := f.missing(c); e != nil {
				gone = append(gone, e)
			}
		case err != nil:
			failed = true
			f.unread(c, err)
		default:
			if e := f.looked(c, call, time.Now()); e != nil {
				events = append(events, e)
			}
		}
	})
	if !failed {
		f.book.mu.Lock()
		f.unreadTold = false
		f.book.mu.Unlock()
	}
	f.saver.nudge()
	f.hand(ctx, append(f.complete(ctx, events), gone...))
	return len(due)
}

// missingFor is how long the API must not know a call until it is given up: in an
// outage, something in front of it may know none.
const missingFor = time.Hour

// missing notes that the API does not know an open call. One that was seen over
// before it vanished is told as it was then.
func (f *Feed) missing(c *openCall) *Event {
	now := time.Now()
	f.book.mu.Lock()
	defer f.book.mu.Unlock()
	if c.missed.IsZero() {
		c.missed = now
	}
	if now.Sub(c.missed) < missingFor {
		c.claimed, c.next = false, now.Add(missingFor/4)
		return nil
	}
	if c.seen != nil {
		return c.seen // still claimed
	}
	f.book.forget(c)
	f.drop(dropDeleted)
	f.opts.Log.Warnf("Call %s is watched no more: for %v the API has not known it.", c.id, missingFor)
	return nil
}

// unread puts off a call that could not be read. Others go on; it is lost only if
// the API keeps refusing to tell it. An outage, which is many of them, is logged once.
func (f *Feed) unread(c *openCall, err error) {
	now := time.Now()
	f.book.mu.Lock()
	defer f.book.mu.Unlock()
	if !c.fails && !f.unreadTold {
		f.opts.Log.Warnf("Call %s cannot be read and is tried again later, as are others of which the same holds: %v", c.id, err)
	}
	c.fails, f.unreadTold = true, true
	c.claimed, c.next = false, now.Add(max(f.pause(c.since, now), retryAfter(err)))
	if now.Sub(c.since) > f.opts.MaxAge && refused(err) {
		f.book.finish(c)
		f.drop(dropExpired)
	}
}

// refused tells an answer about one call from an outage, which is no reason to
// give it up.
func refused(err error) bool {
	var e *happyrobot.Error
	if !errors.As(err, &e) {
		return true // its id is none that can be asked for
	}
	switch e.Status {
	case 401, 402, 403, 408, 429:
		return false
	}
	return e.Status >= 200 && e.Status < 500
}

func retryAfter(err error) time.Duration {
	var e *happyrobot.Error
	if errors.As(err, &e) {
		return e.RetryAfter
	}
	return 0
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
		outcome := e.Outcome
		select {
		case f.events <- e:
			f.opts.OnEmit(outcome)
		case <-ctx.Done():
			return
		}
	}
}

// noteListing logs once when listing fails, and once when it works again.
func (f *Feed) noteListing(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	now := ""
	if err != nil {
		now = err.Error()
	}
	// What failed on the way has ports in it, which are others each time.
	if e := new(happyrobot.Error); errors.As(err, &e) {
		now = fmt.Sprint("status ", e.Status)
	}
	switch {
	case now != "" && f.trouble != now:
		f.opts.Log.Warnf("Listing calls fails and is tried again; nothing is lost: %v", err)
	case now == "" && f.trouble != "":
		f.opts.Log.Infof("Calls are listed again.")
	}
	f.trouble = now
}

func (f *Feed) drop(reason string) { f.opts.OnDrop(reason) }

// caughtUp notes that a list was read to its end.
func (f *Feed) caughtUp() {
	now := time.Now()
	f.current.Store(&now)
}

// progress tells how far behind the feed is: how old the newest call listed is,
// or how long ago the list was read to its end.
func (f *Feed) progress(newest time.Time) {
	now := time.Now()
	var lag time.Duration
	if at := f.current.Load(); at != nil {
		lag = now.Sub(*at)
	} else if !newest.IsZero() {
		lag = now.Sub(newest)
	}
	f.opts.OnProgress(f.book.watched(), max(lag, 0))
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
