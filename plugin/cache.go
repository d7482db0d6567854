package plugin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
)

// cacheResource is the Benthos cache with a label, as a store.Store. It looks the
// cache up for each operation, since Benthos may swap a resource while the stream runs.
type cacheResource struct {
	res   *service.Resources
	label string
}

// cacheGrace is how long a cache may take to answer when nobody waits for it any more.
const cacheGrace = time.Second

// access does something with the cache. It is not swapped meanwhile. What do finds must be
// read only if access returns no error: a cache that hangs is left behind when ctx ends, with
// do still at work. Its goroutine ends when the cache answers, and with the process at last.
func (c cacheResource) access(ctx context.Context, do func(store.Store) error) error {
	if ctx.Done() == nil {
		return c.accessNow(ctx, do)
	}
	done := make(chan error, 1)
	go func() { done <- c.accessNow(ctx, do) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	grace := time.NewTimer(cacheGrace)
	defer grace.Stop()
	select {
	case err := <-done:
		return err
	case <-grace.C:
		return fmt.Errorf("cache %q does not answer: %w", c.label, context.Cause(ctx))
	}
}

func (c cacheResource) accessNow(ctx context.Context, do func(store.Store) error) error {
	var err error
	if aerr := c.res.AccessCache(ctx, c.label, func(cache service.Cache) { err = do(benthosCache{cache}) }); aerr != nil {
		return fmt.Errorf("accessing cache %q: %w", c.label, aerr)
	}
	return err
}

// Get implements store.Store.
func (c cacheResource) Get(ctx context.Context, key string) ([]byte, error) {
	var found []byte
	err := c.access(ctx, func(cache store.Store) (err error) {
		found, err = cache.Get(ctx, key)
		return err
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// Set implements store.Store.
func (c cacheResource) Set(ctx context.Context, key string, value []byte, ttl *time.Duration) error {
	return c.access(ctx, func(cache store.Store) error { return cache.Set(ctx, key, value, ttl) })
}

// Add implements store.Store.
func (c cacheResource) Add(ctx context.Context, key string, value []byte, ttl *time.Duration) error {
	return c.access(ctx, func(cache store.Store) error { return cache.Add(ctx, key, value, ttl) })
}

// Delete implements store.Store.
func (c cacheResource) Delete(ctx context.Context, key string) error {
	return c.access(ctx, func(cache store.Store) error { return cache.Delete(ctx, key) })
}

// benthosCache is an open cache as a store.Store.
type benthosCache struct{ cache service.Cache }

// Get implements store.Store.
func (c benthosCache) Get(ctx context.Context, key string) ([]byte, error) {
	value, err := c.cache.Get(ctx, key)
	return value, ofStore(err)
}

// Set implements store.Store.
func (c benthosCache) Set(ctx context.Context, key string, value []byte, ttl *time.Duration) error {
	return c.cache.Set(ctx, key, value, ttl)
}

// Add implements store.Store.
func (c benthosCache) Add(ctx context.Context, key string, value []byte, ttl *time.Duration) error {
	return ofStore(c.cache.Add(ctx, key, value, ttl))
}

// Delete implements store.Store.
func (c benthosCache) Delete(ctx context.Context, key string) error {
	err := c.cache.Delete(ctx, key)
	if errors.Is(err, service.ErrKeyNotFound) {
		return nil // gone is what was wanted
	}
	return err
}

// ofStore is a cache's error in the words of package store.
func ofStore(err error) error {
	switch {
	case errors.Is(err, service.ErrKeyNotFound):
		return store.ErrNotFound
	case errors.Is(err, service.ErrKeyAlreadyExists):
		return store.ErrExists
	}
	return err
}

// ofCache is a store's error in the words of Benthos.
func ofCache(err error) error {
	switch {
	case errors.Is(err, store.ErrNotFound):
		return service.ErrKeyNotFound
	case errors.Is(err, store.ErrExists):
		return service.ErrKeyAlreadyExists
	}
	return err
}
