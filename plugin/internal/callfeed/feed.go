package callfeed

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

const (
	// MaxPending is the most events that are not acknowledged at a time. While so
	// many are, nothing more is read.
	MaxPending = 1000
	// MaxWatched is the most open calls that may be over any moment. While there are more,
	// no new ones are listed: it bounds memory and the state.
	MaxWatched = 100_000
	// MaxWaiting is likewise the most calls that are scheduled for later.
	MaxWaiting = 400_000
)

// errClosed ends what waits for a feed that was closed.
var errClosed = errors.New("the input was closed before the cursor was saved")

// API is what a feed asks. Both methods end soon after ctx does. They may repeat a
// read that fails, for seconds rather than minutes: the feed asks again anyway, and
// waits for the answer. What an error's RetryAfter says is heeded.
type API interface {
	// List answers with at most q.Limit of the calls that q asks for, sorted by creation,
	// without the first q.Skip of them. No call at all means that no more follow; a page
	// that is merely short means nothing. It is not called by two goroutines at a time.
	// The page is the feed's from then on.
	List(ctx context.Context, q Query) (Page, error)
	// Get reads one call, and answers an error that happyrobot.IsNotFound knows when
	// there is none with this id. A call with another id, or with none, counts as a
	// failure. It is called by several goroutines at a time.
	Get(ctx context.Context, id string) (Item, error)
}

// Logger is told what a user should know: nothing when all is well. It is called by
// several goroutines at a time, and never while the feed holds a lock. A line holds
// ids of calls, and no number, name or transcript.
type Logger interface {
	Infof(format string, args ...any)
	Warnf(format string, args ...any)
}

// Options of a Feed. All but Statuses, Changes, Replay, Relist, Parts,
// UnreadTimeout, CauseOf and Wait are required.
type Options struct {
	Unit  Unit
	API   API
	Store Store
	Log   Logger

	Start    time.Time           // calls created earlier are not emitted, if no state was saved
	Statuses []happyrobot.Status // of the calls emitted; none is all
	Changes  bool                // emit every status, not only that a call is over
	Replay   bool                // hand refused events out again as they are, else calls are read again
	PageSize int
	Relist   int           // how many calls a page may have that shows open ones; 0 reads them one by one
	Poll     time.Duration // from the end of a pass to the next
	Lag      time.Duration // from a call's creation until it is certainly listed
	MaxAge   time.Duration // when to give up waiting for the end of a call

	// Parts reads what belongs to a call that is over, nil for nothing. Until it is
	// complete it is called again, with growing intervals; then, or after PartsTimeout,
	// the content of the last time is emitted. It is called by several goroutines at a
	// time, and ends soon after its context does.
	Parts        func(context.Context, Item) (content any, complete bool, err error)
	PartsTimeout time.Duration
	// UnreadTimeout is that for parts that cannot be read, from the first failure on. An
	// error that is not of this request alone does not count: until MaxAge, it is waited for
	// its end. 0 is PartsTimeout, however they fail.
	UnreadTimeout time.Duration

	// CauseOf is what is waited for after an error of the API. Wait makes one who may
	// wait, which takes the cause, and "" when the wait is over. Nil tells nobody.
	CauseOf func(error) string
	Wait    func() (waits func(cause string))

	// These count, and must not wait.
	OnEmit     func(outcome string)
	OnDrop     func(reason string)
	OnProgress func(watched int, lag time.Duration)
}

// Feed lists calls and hands out events until it is closed.
type Feed struct {
	opts    Options
	book    *book
	saver   *saver
	notices notices

	events chan *Event
	replay replays
	slots  chan struct{} // one for each event that is not acknowledged
	ended  chan struct{} // closed when the feed gave up
	fate   error         // why; set before ended is closed

	// Only the loop's.
	size        pageLimit
	clock       apiClock
	lists       bool      // the last pass did not fail
	relistMost  int       // how large pages are that show open calls
	relistTried time.Time // when a larger one failed
	lookedAt    time.Time // when open calls were
	failedAt    int       // how deep in the list the last pass that failed did
	caughtUp    time.Time // when the list was last read to its end; zero before the first time

	stop   context.CancelFunc
	loop   sync.WaitGroup
	saving sync.WaitGroup
	saves  context.CancelFunc
	once   sync.Once
	last   error
}

// Open reads the state, makes it its own, and starts. ctx is for that alone.
func Open(ctx context.Context, opts Options) (*Feed, error) {
	b, err := openBook(ctx, opts)
	if err != nil {
		return nil, err
	}
	f := &Feed{
		opts: opts, book: b, notices: newNotices(&opts), lookedAt: time.Now(),
		events: make(chan *Event), replay: replays{news: make(chan struct{}, 1)},
		slots: make(chan struct{}, MaxPending), ended: make(chan struct{}), size: newPageLimit(opts.PageSize),
	}
	f.saver = newSaver(&opts, b, f.giveUp)
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

// openBook is the book of the saved state, or a new one.
func openBook(ctx context.Context, opts Options) (*book, error) {
	raw, found, err := opts.Store.Load(ctx)
	if err != nil {
		return nil, err
	}
	r := rules{statuses: opts.Statuses, changes: opts.Changes, poll: opts.Poll, maxAge: opts.MaxAge, partsTimeout: opts.PartsTimeout, unreadTimeout: opts.UnreadTimeout, queues: opts.Unit.Queues}
	if !found {
		// A state has no room for dates before 1970.
		if opts.Start.UnixMilli() < 1 {
			opts.Start = time.UnixMilli(1)
		}
		return newBook(r, opts.Start), nil
	}
	s, err := decodeState(raw)
	if err != nil {
		return nil, err
	}
	return bookFrom(r, s), nil
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
// that are not acknowledged by then are emitted again by the next feed.
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
