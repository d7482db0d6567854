package store

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Trial finds out whether a cache that states nothing can do what is asked of it: by
// doing it, with keys that nobody else uses.
type Trial struct {
	// Forms are the keys that will be used, one of each form, for a name that is in no key.
	Forms func(name string) []string
	// TTL is that of the items.
	TTL *time.Duration
	// Adds says that Add must keep the first of two.
	Adds bool
	// Names is the key under which is kept that names are flat.
	Names string
}

// Finding is what a Trial found.
type Finding struct {
	// Unfit says why the cache cannot be used, "" if it can: words that follow "because".
	Unfit string
	// Flat says that the cache takes no key with a slash: see FlatName.
	Flat bool
}

// FlatName is what a key is called where names are flat. No two keys have the same: the
// parts of a key have no dots.
func FlatName(key string) string { return strings.ReplaceAll(key, "/", ".") }

// Reasons of a Finding.
const (
	addsTwice = "it adds a key that it has already"
	forgets   = "it does not give back what was written, as consistent reads do"
)

// errUnfit ends a trial.
type errUnfit string

func (e errUnfit) Error() string { return string(e) }

// Run tries the cache out. With an error nothing was found: the cache is away, perhaps.
func (t Trial) Run(ctx context.Context, cache Store) (found Finding, err error) {
	if found.Flat, err = t.keptFlat(ctx, cache); err != nil {
		return Finding{}, err
	}
	found.Unfit, err = t.useAll(ctx, cache, found.Flat)
	if err == nil || found.Flat {
		return found, err
	}
	if found.Flat, err = t.refusesSlashes(ctx, cache, err); err != nil {
		return Finding{}, err
	}
	found.Unfit, err = t.useAll(ctx, cache, true)
	return found, err
}

func (t Trial) keys(flat bool) []string {
	keys := t.Forms("happyrobot_probe_" + strings.ToLower(rand.Text()))
	if flat {
		for i, key := range keys {
			keys[i] = FlatName(key)
		}
	}
	return keys
}

// useAll uses a key of each form, and deletes them.
func (t Trial) useAll(ctx context.Context, cache Store, flat bool) (unfit string, err error) {
	keys := t.keys(flat)
	for i, key := range keys {
		if err = t.use(ctx, cache, key); err != nil {
			for _, written := range keys[:i+1] {
				_ = cache.Delete(ctx, written)
			}
			if why := errUnfit(""); errors.As(err, &why) {
				return string(why), nil
			}
			return "", err
		}
	}
	for _, key := range keys {
		if err := cache.Delete(ctx, key); err != nil {
			return "", fmt.Errorf("deleting the key %s: %w", key, err)
		}
	}
	return "", nil
}

// use does with one key what is done with keys of its form. The key stays.
func (t Trial) use(ctx context.Context, cache Store, key string) error {
	if t.Adds {
		if err := cache.Add(ctx, key, []byte("first"), t.TTL); err != nil {
			return fmt.Errorf("adding the key %s: %w", key, err)
		}
		if err := cache.Add(ctx, key, []byte("second"), t.TTL); err == nil {
			return errUnfit(addsTwice)
		}
		// Some caches report a key that is there in the words of their database.
		if err := gives(ctx, cache, key, "first"); err != nil {
			return err
		}
	}
	if err := cache.Set(ctx, key, []byte("third"), t.TTL); err != nil {
		return fmt.Errorf("setting the key %s: %w", key, err)
	}
	return gives(ctx, cache, key, "third")
}

// rereads is how often a key is read again that does not have its value, with growing
// waits: one late answer, as of a replica, says nothing for good.
const (
	rereads     = 4
	firstReread = 50 * time.Millisecond
)

func gives(ctx context.Context, cache Store, key, want string) error {
	for again := 0; ; again++ {
		value, err := cache.Get(ctx, key)
		switch {
		case err == nil && bytes.Equal(value, []byte(want)):
			return nil
		case err != nil && !errors.Is(err, ErrNotFound):
			return fmt.Errorf("reading the key %s: %w", key, err)
		case again == rereads:
			return errUnfit(forgets)
		}
		select {
		case <-time.After(firstReread << again):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// refusals is how often in a row a key with a slash must fail, and one without must not.
const refusals = 12

const namesFlat = "flat"

// keptFlat reports whether it was found before that names are flat. That is kept with the
// items, so that their names never change.
func (t Trial) keptFlat(ctx context.Context, cache Store) (bool, error) {
	kept, err := cache.Get(ctx, t.Names)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return false, fmt.Errorf("reading the key %s: %w", t.Names, err)
	}
	return err == nil && string(kept) == namesFlat, nil
}

// refusesSlashes reports whether the cache takes no keys with slashes, as one that makes a
// file of each key. Trouble that comes and goes is no such cache; then the answer is met.
func (t Trial) refusesSlashes(ctx context.Context, cache Store, met error) (bool, error) {
	for range refusals {
		if t.takes(ctx, cache, t.keys(false)) || !t.takes(ctx, cache, t.keys(true)) {
			return false, met
		}
	}
	ttl := MarkTTL
	if err := cache.Set(ctx, t.Names, []byte(namesFlat), &ttl); err != nil {
		return false, fmt.Errorf("setting the key %s: %w", t.Names, err)
	}
	return true, nil
}

// takes reports whether all keys can be written and read. It deletes them.
func (t Trial) takes(ctx context.Context, cache Store, keys []string) bool {
	all := true
	for _, key := range keys {
		err := cache.Set(ctx, key, []byte("taken"), t.TTL)
		if err == nil {
			_, err = cache.Get(ctx, key)
		}
		all = all && err == nil
	}
	for _, key := range keys {
		_ = cache.Delete(ctx, key)
	}
	return all
}
