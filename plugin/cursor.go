package plugin

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
)

// cursor keeps a feed's state under one key of a cache. It is a callfeed.Store.
type cursor struct {
	cache store.Store
	key   string
}

// cursorTTL keeps a cache's default from forgetting the cursor.
const cursorTTL = store.MarkTTL

// newCursor is the cursor of one input in the cache with this label. Inputs of one
// component that share a cache need a label each: it is part of the key.
//
// A cache that takes the place of another while the input runs is noticed with the next
// Save, which follows the next acknowledgement and comes once an hour at least. What is
// saved is the whole state, so nothing of the other cache is missed.
func newCursor(res *service.Resources, cacheLabel, component, many string) (cursor, error) {
	cache := newWatchedCache(res, cacheLabel, cursorRole(component, many))
	return cursor{cache: cache, key: component + "/" + cmp.Or(res.Label(), "default")}, cache.check()
}

// Load reads the state, and reports false when none was saved.
func (c cursor) Load(ctx context.Context) ([]byte, bool, error) {
	value, err := c.cache.Get(ctx, c.key)
	if errors.Is(err, store.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("reading %s: %w", c.key, err)
	}
	return value, true, nil
}

// Save writes the state.
func (c cursor) Save(ctx context.Context, state []byte) error {
	ttl := cursorTTL
	if err := c.cache.Set(ctx, c.key, state, &ttl); err != nil {
		return fmt.Errorf("writing %s: %w", c.key, err)
	}
	return nil
}
