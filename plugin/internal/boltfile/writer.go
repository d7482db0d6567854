package boltfile

import (
	"cmp"
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
)

const (
	maxGroup      = 1024
	sweepInterval = 10 * time.Second
	watchInterval = 5 * time.Second
	sweepStep     = 500 // records removed in one transaction, so that writes never wait long for a sweep
)

// sweepTrouble is harmless for what is stored: what has expired is absent, removed or not.
var sweepTrouble = pause.Wording{
	Begins: "Removing expired cache records failed; retrying every " + sweepInterval.String() + ": %v",
	Lasts:  "Removing expired cache records still fails, since %s: %v",
	Ends:   "Expired cache records are removed again, after %v.",
}

// fileTrouble is told by the file itself, as its caches may not be written to for long.
var fileTrouble = pause.Wording{
	Begins: "Cache file unusable, nothing is written to it: %v",
	Lasts:  "Cache file still unusable, since %s: %v",
	Ends:   "Cache file usable again, after %v.",
}

// openFile is an open file and the goroutine that makes every change to it. While one transaction is being synced the
// next writes gather, and all of them go into the next transaction: under load they share an fsync, alone none waits.
type openFile struct {
	path  string
	users int // guarded by fileSet.mu; at 0 the file is closing for good

	opened  chan struct{} // closed once openErr or handle is set
	openErr error
	handle  atomic.Pointer[handle]
	clock   *clock

	rewrites time.Duration // the time between two
	former   []former      // of the goroutine alone
	backups  chan struct{} // has room for the one that writes a backup

	writes   chan *change
	closing  chan struct{}
	gone     chan struct{} // closed once the goroutine has ended and closeErr is set
	closeErr error

	unnoted []jump   // of the goroutine alone
	swept   sync.Map // of the bucketNames that are in use
	log     pause.Logger
	trouble *pause.Notice // with sweeping
	lost    *pause.Notice // the file is damaged, or not at its path
}

// change is one caller's change. apply succeeds, or fails without having changed anything: the others in its
// transaction are committed all the same.
type change struct {
	ctx   context.Context //nolint:containedctx // a change waits in the queue for as long as its caller does
	apply func(tx *bbolt.Tx) error
	done  chan error // buffered: its caller may have left
}

func newOpenFile(path string, o Options) *openFile {
	log := o.Log
	return &openFile{
		path:     path,
		rewrites: cmp.Or(o.rewrites, rewriteInterval),
		backups:  make(chan struct{}, 1),
		users:    1,
		opened:   make(chan struct{}),
		writes:   make(chan *change, maxGroup),
		closing:  make(chan struct{}),
		gone:     make(chan struct{}),
		log:      log,
		trouble:  pause.NewNotice(log, sweepTrouble, nil),
		lost:     pause.NewNotice(log, fileTrouble, nil),
	}
}

func (f *openFile) read(view func(tx *bbolt.Tx) error) error {
	for {
		h := f.handle.Load()
		err := h.read(view)
		switch {
		case !errors.Is(err, bolterrors.ErrDatabaseNotOpen):
			return err
		case f.handle.Load() == h:
			return ErrClosed
		} // or it was rewritten meanwhile
	}
}

// write returns once the change is on disk.
func (f *openFile) write(ctx context.Context, apply func(tx *bbolt.Tx) error) error {
	w := &change{ctx: ctx, apply: apply, done: make(chan error, 1)}
	select {
	case f.writes <- w:
	case <-f.gone:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-f.gone:
	}
	select { // it may have been among the last that were committed
	case err := <-w.done:
		return err
	default:
		return ErrClosed
	}
}

func (f *openFile) closeError() error {
	select {
	case <-f.gone:
		return f.closeErr
	default:
		return nil
	}
}

// run ends after closing: it commits what is queued and closes the file.
func (f *openFile) run() {
	sweep := time.NewTimer(sweepInterval)
	defer sweep.Stop()
	rewrite := time.NewTimer(f.rewrite())
	defer rewrite.Stop()
	watch := time.NewTicker(watchInterval)
	defer watch.Stop()
	defer f.trouble.Stop()
	defer f.lost.Stop()
	defer f.closeFormer(0)
	for {
		select {
		case first := <-f.writes:
			f.commit(f.gather(first))
		case <-sweep.C:
			sweep.Reset(f.sweep())
		case <-rewrite.C:
			rewrite.Reset(f.rewrite())
		case <-watch.C:
			f.closeFormer(formerFor)
			f.watch()
		case <-f.closing:
			for {
				select {
				case first := <-f.writes:
					f.commit(f.gather(first))
				default:
					f.closeErr = f.handle.Load().close()
					return
				}
			}
		}
	}
}

// watch looks whether the file can still be used, and the clock. Each write looks, too.
func (f *openFile) watch() {
	err := f.noteJumps()
	if unwritable := f.handle.Load().writable(); unwritable != nil {
		err = unwritable
	}
	if err != nil {
		f.lost.Trouble(err)
		return
	}
	f.lost.Recovered()
}

func (f *openFile) gather(first *change) []*change {
	// The last commit has just woken its callers. Letting them run first brings their next writes into this group.
	runtime.Gosched()
	group := []*change{first}
	for len(group) < maxGroup {
		select {
		case next := <-f.writes:
			group = append(group, next)
		default:
			return group
		}
	}
	return group
}

func (f *openFile) commit(group []*change) {
	_ = f.noteJumps() // if it fails, so does what follows, and the watch tries again
	results := make([]error, len(group))
	err := f.handle.Load().update(func(tx *bbolt.Tx) (changed bool, _ error) {
		for i, w := range group {
			if results[i] = w.ctx.Err(); results[i] == nil { // nobody waits for a write whose context has ended
				results[i] = w.apply(tx)
			}
			changed = changed || results[i] == nil
		}
		return changed, nil
	})
	for i, w := range group {
		if err != nil {
			results[i] = err
		}
		w.done <- results[i]
	}
}

// sweep removes one step of expired records and returns when to come back.
func (f *openFile) sweep() time.Duration {
	if f.handle.Load().writable() != nil {
		return sweepInterval // which is told already
	}
	now := f.clock.now()
	var due bool
	err := f.read(func(tx *bbolt.Tx) error {
		for bucket := range f.swept.Range {
			due = due || bucket.(bucketName).hasDue(tx, now)
		}
		return nil
	})
	room := sweepStep
	if err == nil && due {
		err = f.handle.Load().update(func(tx *bbolt.Tx) (bool, error) {
			for bucket := range f.swept.Range {
				removed, err := bucket.(bucketName).sweep(tx, now, room)
				if err != nil {
					return false, err
				}
				room -= removed
			}
			return true, nil
		})
	}
	if err != nil {
		f.trouble.Trouble(err)
		return sweepInterval
	}
	f.trouble.Recovered()
	if room == 0 {
		return 0
	}
	return sweepInterval
}
