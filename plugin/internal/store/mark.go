package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"
)

// MarkKey is the key under which a cache that states nothing keeps a mark, a random name
// of its contents: all processes read the same, and another cache has another or none.
const MarkKey = "happyrobot_cache_mark"

// MarkTTL is how long a mark is kept after it was written last. It is the longest that
// every cache understands: memcached takes more for a date.
const MarkTTL = 30 * 24 * time.Hour

var markLength = len(rand.Text())

// markTries is how often a mark is read that is being written.
const markTries = 20

// Mark reads the mark of a cache, and gives it one if it has none.
func Mark(ctx context.Context, cache Store) (mark string, err error) {
	for range markTries {
		value, err := cache.Get(ctx, MarkKey)
		switch {
		case err == nil && len(value) == markLength:
			return string(value), nil
		case err == nil: // a file is empty before it is written
			select {
			case <-time.After(time.Millisecond):
			case <-ctx.Done():
				return "", ctx.Err()
			}
			continue
		case !errors.Is(err, ErrNotFound):
			return "", fmt.Errorf("reading the key %s: %w", MarkKey, err)
		}
		mark, ttl := rand.Text(), MarkTTL
		added := cache.Add(ctx, MarkKey, []byte(mark), &ttl)
		if added == nil {
			return mark, nil
		}
		// Another process was first, or some caches say so in the words of their database.
		if _, err := cache.Get(ctx, MarkKey); err != nil {
			return "", fmt.Errorf("adding the key %s: %w", MarkKey, added)
		}
	}
	mark = rand.Text() // what is there never became a mark: its writer was killed
	return mark, KeepMark(ctx, cache, mark)
}

// KeepMark writes a mark again as it is, so that it does not expire.
func KeepMark(ctx context.Context, cache Store, mark string) error {
	ttl := MarkTTL
	if err := cache.Set(ctx, MarkKey, []byte(mark), &ttl); err != nil {
		return fmt.Errorf("setting the key %s: %w", MarkKey, err)
	}
	return nil
}
