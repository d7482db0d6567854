package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
)

// Store is what the ledger needs of a cache. Add must be atomic and answer
// service.ErrKeyAlreadyExists, Get must answer service.ErrKeyNotFound.
type Store interface {
	Get(ctx context.Context, key string) ([]byte, error)
	Set(ctx context.Context, key string, value []byte, ttl *time.Duration) error
	Add(ctx context.Context, key string, value []byte, ttl *time.Duration) error
	Delete(ctx context.Context, key string) error
}

// cacheResource looks the cache up for each operation, since Benthos may swap a
// resource while the stream runs.
type cacheResource struct {
	res   *service.Resources
	label string
}

// FromCacheResource makes a Store of the Benthos cache with this label.
func FromCacheResource(res *service.Resources, label string) Store {
	return cacheResource{res: res, label: label}
}

func (c cacheResource) access(ctx context.Context, fn func(service.Cache) error) error {
	var err error
	if aerr := c.res.AccessCache(ctx, c.label, func(cache service.Cache) { err = fn(cache) }); aerr != nil {
		return fmt.Errorf("accessing cache %q: %w", c.label, aerr)
	}
	return err
}

func (c cacheResource) Get(ctx context.Context, key string) (value []byte, err error) {
	err = c.access(ctx, func(cache service.Cache) error {
		value, err = cache.Get(ctx, key)
		return err
	})
	return value, err
}

func (c cacheResource) Set(ctx context.Context, key string, value []byte, ttl *time.Duration) error {
	return c.access(ctx, func(cache service.Cache) error { return cache.Set(ctx, key, value, ttl) })
}

func (c cacheResource) Add(ctx context.Context, key string, value []byte, ttl *time.Duration) error {
	return c.access(ctx, func(cache service.Cache) error { return cache.Add(ctx, key, value, ttl) })
}

func (c cacheResource) Delete(ctx context.Context, key string) error {
	err := c.access(ctx, func(cache service.Cache) error { return cache.Delete(ctx, key) })
	if errors.Is(err, service.ErrKeyNotFound) {
		return nil // gone is what was wanted
	}
	return err
}
