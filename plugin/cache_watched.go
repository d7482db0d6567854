package plugin

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
)

// Get implements store.Store.
func (w *watchedCache) Get(ctx context.Context, key string) ([]byte, error) {
	var found []byte
	err := w.with(ctx, trusting, func(cache store.Store, known knownCache) (err error) {
		found, err = cache.Get(ctx, known.name(key))
		return err
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// Set implements store.Store.
func (w *watchedCache) Set(ctx context.Context, key string, value []byte, ttl *time.Duration) error {
	return w.with(ctx, markRest, func(cache store.Store, known knownCache) error {
		return cache.Set(ctx, known.name(key), value, ttl)
	})
}

// Add implements store.Store.
func (w *watchedCache) Add(ctx context.Context, key string, value []byte, ttl *time.Duration) error {
	return w.with(ctx, 0, func(cache store.Store, known knownCache) error {
		return cache.Add(ctx, known.name(key), value, ttl)
	})
}

// Delete implements store.Store.
func (w *watchedCache) Delete(ctx context.Context, key string) error {
	return w.with(ctx, trusting, func(cache store.Store, known knownCache) error {
		return cache.Delete(ctx, known.name(key))
	})
}

// AddAll implements store.Batcher. A cache that has none gets the items side by side.
func (w *watchedCache) AddAll(ctx context.Context, items []store.Item) []error {
	var errs []error
	err := w.with(ctx, 0, func(cache store.Store, known knownCache) error {
		if known.stated.Batcher != nil {
			errs = known.stated.Batcher.AddAll(ctx, items)
			return nil
		}
		errs = make([]error, len(items))
		var all sync.WaitGroup
		for i, item := range items {
			all.Go(func() { errs[i] = cache.Add(ctx, known.name(item.Key), item.Value, item.TTL) })
		}
		all.Wait()
		return nil
	})
	if err != nil {
		return slices.Repeat([]error{err}, len(items))
	}
	return errs
}

// SetAll implements store.Batcher, for a cache that has one.
func (w *watchedCache) SetAll(ctx context.Context, items []store.Item) error {
	return w.with(ctx, trusting, func(_ store.Store, known knownCache) error {
		if known.stated.Batcher == nil {
			return store.ErrAlone
		}
		return known.stated.Batcher.SetAll(ctx, items)
	})
}
