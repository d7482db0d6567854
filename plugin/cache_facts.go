package plugin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
)

// cacheRole is what a component keeps in a cache.
type cacheRole struct {
	is       string // what it is, at the beginning of a sentence
	field    string // that names the cache
	replaced string // what follows from other contents: whole sentences

	// unfit says why a cache cannot be used, "" if it can: words that follow its name.
	unfit func(store.Facts) string
	// warns makes what is unfit a warning.
	warns bool
}

var ledgerRole = cacheRole{
	is: "Ledger", field: dfFieldLedger,
	replaced: "Leads that were called before are not known there, and are called again if they are delivered again.",
	unfit: func(f store.Facts) string {
		switch {
		case f.MayEvict != "":
			return "may forget records before their time, because " + f.MayEvict + ": leads could be called twice. " +
				"Change that setting, or use a cache that keeps its records: `bbolt`, `postgres`, or `redis` with `maxmemory-policy noeviction`"
		case !f.KeepsTTL:
			return "does not keep a record for as long as `" + dfFieldDedupeWindow + "` says: leads could be called twice. " +
				"Use a cache that does: `bbolt`, `postgres` or `redis`"
		}
		return ""
	},
}

var cursorRole = cacheRole{
	is: "Cursor", field: icFieldCache,
	replaced: "The input continues from what it has in memory, and saves it there.",
	unfit: func(f store.Facts) string {
		if f.MayEvict == "" {
			return ""
		}
		return "may forget the cursor, because " + f.MayEvict + ": after a restart calls would be emitted again, or never. " +
			"Change that setting, or use a cache that keeps its records: `bbolt`, `postgres`, or `redis` with `maxmemory-policy noeviction`"
	},
}

var eventsRole = cacheRole{
	is: "Event-id cache", field: iwFieldCache,
	replaced: "Events that were taken before are not known there, and are delivered again if they are sent again.",
	unfit: func(f store.Facts) string {
		if f.MayEvict == "" {
			return ""
		}
		return "may forget events before their time, because " + f.MayEvict + ": an event that is sent again may be delivered twice"
	},
	warns: true,
}

// unfitError is why a cache cannot be used in its role.
type unfitError struct{ label, why string }

func (e *unfitError) Error() string { return fmt.Sprintf("cache %q %s", e.label, e.why) }

// watchedCache is a cacheResource that knows what its cache is, and notices when another
// takes its place. While it cannot be known what the cache is, or the cache is unfit for
// its role, every operation fails.
type watchedCache struct {
	cacheResource
	role cacheRole
	log  pause.Logger

	mu    sync.Mutex
	known knownCache
}

// knownCache is what is known of the cache behind a label.
type knownCache struct {
	asked  bool
	ours   bool
	stated store.Stated // of one of ours
	made   uint64       // statements of this process when a foreign one was asked
	unfit  error
}

// current reports whether it is certainly the same cache still. One of ours is closed
// before another takes its place, and asking a foreign one costs a round trip, so it is
// only asked again when it may have been replaced by one of ours.
func (k knownCache) current() bool {
	if k.ours {
		return k.stated.Stands()
	}
	return k.asked && k.made == store.StatementsMade()
}

func newWatchedCache(res *service.Resources, label string, role cacheRole) *watchedCache {
	return &watchedCache{cacheResource: cacheResource{res: res, label: label}, role: role, log: res.Logger()}
}

// startPatience is how long the start waits for what a cache says of itself. Components
// start while their servers are away.
const startPatience = 3 * time.Second

// check refuses a cache that is known to be unfit. Other trouble is met again when the
// cache is used.
func (w *watchedCache) check() error {
	ctx, cancel := context.WithTimeout(context.Background(), startPatience)
	defer cancel()
	err := w.with(ctx, func(store.Store, store.Facts) error { return nil })
	if unfit := (*unfitError)(nil); errors.As(err, &unfit) {
		return fmt.Errorf("%s: %w", w.role.field, unfit)
	}
	return nil
}

// with does something with a cache that is fit for its role, whose facts are those that
// it states now. It is not swapped meanwhile.
func (w *watchedCache) with(ctx context.Context, do func(store.Store, store.Facts) error) error {
	return w.access(ctx, func(cache store.Store) error {
		facts, err := w.facts(ctx, cache)
		if err != nil {
			return err
		}
		return do(cache, facts)
	})
}

func (w *watchedCache) facts(ctx context.Context, cache store.Store) (store.Facts, error) {
	w.mu.Lock()
	known := w.known
	w.mu.Unlock()
	if !known.current() {
		var err error
		if known, err = w.ask(ctx, cache); err != nil {
			return store.Facts{}, fmt.Errorf("asking cache %q what it is: %w", w.label, err)
		}
	}
	return known.stated.Facts, known.unfit
}

// ask learns what the cache is, and reports that it is another one than before.
func (w *watchedCache) ask(ctx context.Context, cache store.Store) (now knownCache, err error) {
	now = knownCache{asked: true, made: store.StatementsMade()}
	if now.stated, now.ours, err = store.Ask(ctx, cache); err != nil {
		return now, err
	}
	var unfit error
	if why := w.role.unfit(now.stated.Facts); now.ours && why != "" {
		unfit = &unfitError{label: w.label, why: why}
	}
	if !w.role.warns {
		now.unfit = unfit
	}
	w.mu.Lock()
	before := w.known
	w.known = now
	w.mu.Unlock()
	w.report(before, now)
	if w.role.warns && unfit != nil && before.stated.Instance != now.stated.Instance {
		w.log.Warnf("%s warning: %v.", w.role.is, unfit)
	}
	return now, nil
}

func (w *watchedCache) report(before, now knownCache) {
	switch {
	case !before.asked || before.stated.Instance == now.stated.Instance:
	case before.ours && now.ours && before.stated.Data == now.stated.Data:
		w.log.Infof("%s reopened: cache %q has the same contents as before.", w.role.is, w.label)
	case now.ours:
		w.log.Warnf("%s replaced: cache %q has other contents now. %s", w.role.is, w.label, w.role.replaced)
	default:
		w.log.Warnf("%s replaced: cache %q is of another type now, and its contents may be others. %s", w.role.is, w.label, w.role.replaced)
	}
}

// exclusive reports whether no other process can use the cache that was used last.
func (w *watchedCache) exclusive() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.known.stated.Exclusive
}

// Get implements store.Store.
func (w *watchedCache) Get(ctx context.Context, key string) (value []byte, err error) {
	err = w.with(ctx, func(cache store.Store, _ store.Facts) error {
		value, err = cache.Get(ctx, key)
		return err
	})
	return value, err
}

// Set implements store.Store.
func (w *watchedCache) Set(ctx context.Context, key string, value []byte, ttl *time.Duration) error {
	return w.with(ctx, func(cache store.Store, _ store.Facts) error { return cache.Set(ctx, key, value, ttl) })
}

// Add implements store.Store.
func (w *watchedCache) Add(ctx context.Context, key string, value []byte, ttl *time.Duration) error {
	return w.with(ctx, func(cache store.Store, _ store.Facts) error { return cache.Add(ctx, key, value, ttl) })
}

// Delete implements store.Store.
func (w *watchedCache) Delete(ctx context.Context, key string) error {
	return w.with(ctx, func(cache store.Store, _ store.Facts) error { return cache.Delete(ctx, key) })
}

// AddAll implements store.Batcher, for a cache that has one.
func (w *watchedCache) AddAll(ctx context.Context, items []store.Item) (errs []error) {
	err := w.with(ctx, func(_ store.Store, facts store.Facts) error {
		if facts.Batcher == nil {
			return store.ErrAlone
		}
		errs = facts.Batcher.AddAll(ctx, items)
		return nil
	})
	if err != nil {
		return slices.Repeat([]error{err}, len(items))
	}
	return errs
}

// SetAll implements store.Batcher, for a cache that has one.
func (w *watchedCache) SetAll(ctx context.Context, items []store.Item) error {
	return w.with(ctx, func(_ store.Store, facts store.Facts) error {
		if facts.Batcher == nil {
			return store.ErrAlone
		}
		return facts.Batcher.SetAll(ctx, items)
	})
}
