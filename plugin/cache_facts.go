package plugin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
)

// watchedCache is a cacheResource that knows what its cache is, and notices when another
// takes its place. While it cannot be known what the cache is, or the cache is unfit for
// its role, every operation fails.
//
// One of ours states what it is. Any other is tried out, and has a mark: it is read before
// items are added, so with each batch of claims, and before others are set, but then not
// more often than markRest says.
type watchedCache struct {
	cacheResource
	role cacheRole
	log  pause.Logger

	asking chan struct{} // one at a time

	mu     sync.Mutex
	failed *failedAsk // the last one
	known  knownCache
	held   knownCache // the last that may hold something: known, unless that is foreign and unfit
}

const (
	// markRest is how long a foreign cache that was seen counts as the same.
	markRest = time.Second
	// markKept is how often its mark is written again, so that it does not expire.
	markKept = time.Hour
)

// knownCache is what is known of the cache behind a label.
type knownCache struct {
	asked  int // how often
	ours   bool
	stated store.Stated // of one of ours
	made   uint64       // statements of this process when a foreign one was asked
	unfit  error

	// Of a foreign one:
	mark string
	flat bool      // see store.FlatName
	seen time.Time // the mark
	kept time.Time // the mark
}

// name is what a key is called there.
func (k knownCache) name(key string) string {
	if k.flat {
		return store.FlatName(key)
	}
	return key
}

// current reports whether it is certainly the same cache still, as far as that is known
// without asking. One of ours is closed before another takes its place. A foreign one has
// a mark to be looked at, and may have been replaced by one of ours. If it is unfit,
// whatever takes its place is looked at soon.
func (k knownCache) current() bool {
	if k.ours {
		return k.stated.Stands()
	}
	return k.asked > 0 && k.made == store.StatementsMade() && (k.unfit == nil || time.Since(k.seen) < markRest)
}

func newWatchedCache(res *service.Resources, label string, role cacheRole) *watchedCache {
	return &watchedCache{
		cacheResource: cacheResource{res: res, label: label}, role: role, log: res.Logger(),
		asking: make(chan struct{}, 1),
	}
}

// startPatience is how long the start waits for what a cache says of itself. Components
// start while their servers are away.
const startPatience = 3 * time.Second

// check refuses a cache that is known to be unfit, and one whose folder is not there, which
// nobody is going to make. Other trouble is met again when the cache is used.
func (w *watchedCache) check() error {
	ctx, cancel := context.WithTimeout(context.Background(), startPatience)
	defer cancel()
	err := w.with(ctx, 0, func(store.Store, knownCache) error { return nil })
	if unfit := (*unfitError)(nil); errors.As(err, &unfit) {
		return fmt.Errorf("%s: %w", w.role.field, unfit)
	}
	if missing := (*fs.PathError)(nil); errors.As(err, &missing) && errors.Is(missing, fs.ErrNotExist) {
		return fmt.Errorf("%s: cache %q keeps items in the folder %q, which does not exist: make it, or mount what should be there", w.role.field, w.label, filepath.Dir(missing.Path))
	}
	return nil
}

const trusting = time.Duration(1<<63 - 1)

// with does something with a cache that is fit for its role, of which is known what it is
// now. It is not swapped meanwhile. A foreign one is looked at if that is longer ago than
// rest.
func (w *watchedCache) with(ctx context.Context, rest time.Duration, do func(store.Store, knownCache) error) error {
	return w.access(ctx, func(cache store.Store) error {
		known, err := w.look(ctx, cache, rest)
		if err != nil {
			return fmt.Errorf("asking cache %q what it is: %w", w.label, err)
		}
		if known.unfit != nil {
			return known.unfit
		}
		return do(cache, known)
	})
}

func (w *watchedCache) latest() knownCache {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.known
}

// look makes sure of what the cache is.
func (w *watchedCache) look(ctx context.Context, cache store.Store, rest time.Duration) (knownCache, error) {
	w.mu.Lock()
	known, failed := w.known, w.failed
	w.mu.Unlock()
	if same, err := w.same(ctx, cache, known, rest); err != nil || same {
		return known, err
	}
	select {
	case w.asking <- struct{}{}:
	case <-ctx.Done():
		return knownCache{}, context.Cause(ctx)
	}
	defer func() { <-w.asking }()
	// Whoever has asked meanwhile has asked this cache: none is swapped while one of us uses it.
	w.mu.Lock()
	now, latest := w.known, w.failed
	w.mu.Unlock()
	if now.asked != known.asked && now.current() {
		return now, nil
	}
	// Whoever has failed meanwhile has failed for all: one after the other they would take
	// as many times as long, and nobody would be told.
	if latest != failed {
		return knownCache{}, latest.why
	}
	now, err := w.ask(ctx, cache)
	if err != nil && ctx.Err() == nil {
		w.mu.Lock()
		w.failed = &failedAsk{err}
		w.mu.Unlock()
	}
	return now, err
}

// failedAsk is a try to learn what a cache is, which failed.
type failedAsk struct{ why error }

// same reports whether the cache is the known one.
func (w *watchedCache) same(ctx context.Context, cache store.Store, known knownCache, rest time.Duration) (bool, error) {
	if !known.current() {
		return false, nil
	}
	now := time.Now()
	if known.ours || known.unfit != nil || now.Sub(known.seen) < rest {
		return true, nil
	}
	mark, err := store.Mark(ctx, cache)
	if err != nil {
		return false, err
	}
	if mark != known.mark {
		return false, nil
	}
	keep := now.Sub(known.kept) >= markKept
	w.mu.Lock()
	if w.known.asked == known.asked {
		w.known.seen = now
		if keep {
			w.known.kept = now
		}
	}
	w.mu.Unlock()
	if keep {
		_ = store.KeepMark(ctx, cache, mark) // or in an hour
	}
	return true, nil
}

// ask learns what the cache is, and reports that it is another one than before. Only one
// of us does so at a time.
func (w *watchedCache) ask(ctx context.Context, cache store.Store) (now knownCache, err error) {
	w.mu.Lock()
	known, before := w.known, w.held
	w.mu.Unlock()
	now = knownCache{asked: known.asked + 1, made: store.StatementsMade()}
	if now.stated, now.ours, err = store.Ask(ctx, cache); err != nil {
		return now, err
	}
	var unfit error
	if now.ours {
		if why := w.role.unfit(now.stated.Facts); why != "" {
			unfit = &unfitError{label: w.label, why: why}
		}
		if !w.role.warns {
			now.unfit = unfit
		}
	} else if err = w.tryOut(ctx, cache, known, &now); err != nil {
		return now, err
	}
	w.mu.Lock()
	w.known = now
	if now.ours || now.unfit == nil {
		w.held = now
	}
	w.mu.Unlock()
	if now.ours || now.unfit == nil {
		w.report(before, now)
	}
	if w.role.warns && unfit != nil && before.stated.Instance != now.stated.Instance {
		w.log.Warnf("%s warning: %v.", w.role.is, unfit)
	}
	return now, nil
}

// tryOut reads the mark of a foreign cache. One that was not there before is tried out.
func (w *watchedCache) tryOut(ctx context.Context, cache store.Store, known knownCache, now *knownCache) (err error) {
	if now.mark, err = store.Mark(ctx, cache); err != nil {
		return err
	}
	now.seen, now.kept, now.flat = time.Now(), known.kept, known.flat
	if known.asked > 0 && !known.ours && known.unfit == nil && now.mark == known.mark {
		return nil
	}
	found, err := w.role.trial.Run(ctx, cache)
	if err != nil {
		return err
	}
	now.flat, now.kept = found.Flat, time.Time{}
	if found.Unfit != "" {
		now.unfit = &unfitError{label: w.label, why: fmt.Sprintf(w.role.failed, found.Unfit)}
	}
	return nil
}

func (w *watchedCache) report(before, now knownCache) {
	foreign := !before.ours && !now.ours
	switch {
	case before.asked == 0:
	case foreign && before.mark == now.mark, foreign && now.seen.Sub(before.seen) > store.MarkTTL/2: // or it has expired
	case foreign:
		w.log.Warnf("%s replaced: cache %q has lost its mark: it now has other contents, or it dropped some early. %s",
			w.role.is, w.label, w.role.replaced)
	case before.stated.Instance == now.stated.Instance:
	case before.ours && now.ours && before.stated.Data == now.stated.Data:
		w.log.Infof("%s reopened: cache %q has the same contents as before.", w.role.is, w.label)
	case now.ours:
		w.log.Warnf("%s replaced: cache %q has other contents now. %s", w.role.is, w.label, w.role.replaced)
	default:
		w.log.Warnf("%s replaced: cache %q is of another type now, and its contents may be others. %s", w.role.is, w.label, w.role.replaced)
	}
}

// exclusive reports whether no other process can use the cache that was used last.
func (w *watchedCache) exclusive() bool { return w.latest().stated.Exclusive }
