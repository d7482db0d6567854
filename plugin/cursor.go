package plugin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/callfeed"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
)

// cursor keeps a feed's state under one key of a cache.
type cursor struct {
	cache store.Store
	key   string
}

// cursorTTL keeps a cache's default from forgetting the cursor. It is the longest
// that every cache understands: memcached takes more for a date.
const cursorTTL = 30 * 24 * time.Hour

func cursorFromParsed(conf *service.ParsedConfig, res *service.Resources) (callfeed.Store, error) {
	label, err := conf.FieldString(icFieldCache)
	if err != nil {
		return nil, err
	}
	if !res.HasCache(label) {
		return nil, fmt.Errorf("%s: no cache resource is labelled %q", icFieldCache, label)
	}
	name := res.Label()
	if name == "" {
		name = "default"
	}
	return cursor{cache: cacheResource{res: res, label: label}, key: "happyrobot_calls/" + name}, nil
}

// Load implements callfeed.Store.
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

// Save implements callfeed.Store.
func (c cursor) Save(ctx context.Context, state []byte) error {
	ttl := cursorTTL
	if err := c.cache.Set(ctx, c.key, state, &ttl); err != nil {
		return fmt.Errorf("writing %s: %w", c.key, err)
	}
	return nil
}
