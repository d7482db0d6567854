package boltfile

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
)

const (
	maxGroup      = 1024
	sweepInterval = 10 * time.Second
	sweepStep     = 500 // records removed in one transaction, so that writes never wait long for a sweep
)

// sweepTrouble is harmless for what is stored: what has expired is absent, removed or not.
var sweepTrouble = pause.Wording{
	Begins: "Removing expired cache records failed; retrying every " + sweepInterval.String() + ": %v",
	Lasts:  "Removing expired cache records still fails, since %s: %v",
	Ends:   "Expired cache records are removed again, after %v.",
}

// openFile is an open file and the goroutine that makes every change to it. While one transaction is being synced the
// next writes gather, and all of them go into the next transaction: under load they share an fsync, alone none waits.
type openFile struct {
	path  string
	users int // guarded by fileSet.mu; at 0 the file is closing for good

	opened  chan struct{} // closed once openErr or db is set
	openErr error
	db      *bbolt.DB

	writes   chan *change
	closing  chan struct{}
	gone     chan struct{} // closed once the goroutine has ended and closeErr is set
	closeErr error

	swept   map[bucketName]struct{} // of the goroutine alone; grows by writes that create a bucket
	trouble *pause.Notice           // with sweeping
}

// change is one caller's change. apply succeeds, or fails without having changed anything: the others in its
// transaction are committed all the same.
type change struct {
	ctx   context.Context //nolint:containedctx // a change waits in the queue for as long as its caller does
	apply func(tx *bbolt.Tx) error
	done  chan error // buffered: its caller may have left
}

func newOpenFile(path string, log pause.Logger) *openFile {
	return &openFile{
		path:    path,
		users:   1,
		opened:  make(chan struct{}),
		writes:  make(chan *change, maxGroup),
		closing: make(chan struct{}),
		gone:    make(chan struct{}),
		swept:   map[bucketName]struct{}{},
		trouble: pause.NewNotice(log, sweepTrouble, nil),
	}
}

func (f *openFile) read(view func(tx *bbolt.Tx) error) error {
	err := f.db.View(view)
	if errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		return ErrClosed
	}
	return err
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
	defer f.trouble.Stop()
	for {
		select {
		case first := <-f.writes:
			f.commit(f.gather(first))
		case <-sweep.C:
			sweep.Reset(f.sweep())
		case <-f.closing:
			for {
				select {
				case first := <-f.writes:
					f.commit(f.gather(first))
				default:
					f.closeErr = f.db.Close()
					return
				}
			}
		}
	}
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
	results := make([]error, len(group))
	err := f.update(func(tx *bbolt.Tx) (changed bool, _ error) {
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

// update syncs the file only when something has changed: a group of Adds that all met existing keys costs no fsync.
func (f *openFile) update(apply func(tx *bbolt.Tx) (changed bool, err error)) error {
	tx, err := f.db.Begin(true)
	if err != nil {
		return fmt.Errorf("writing to %q: %w", f.path, err)
	}
	defer func() { _ = tx.Rollback() }() // does nothing after a commit
	changed, err := apply(tx)
	if err == nil && changed {
		err = tx.Commit()
	}
	if err != nil {
		return fmt.Errorf("writing to %q: %w", f.path, err)
	}
	return nil
}

// sweep removes one step of expired records and returns when to come back.
func (f *openFile) sweep() time.Duration {
	now := time.Now()
	var due bool
	err := f.read(func(tx *bbolt.Tx) error {
		for bucket := range f.swept {
			due = due || len(bucket.due(tx, now, 1)) > 0
		}
		return nil
	})
	room := sweepStep
	if err == nil && due {
		err = f.update(func(tx *bbolt.Tx) (bool, error) {
			for bucket := range f.swept {
				removed, err := bucket.sweep(tx, now, room)
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
