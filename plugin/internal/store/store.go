// Package store says what the engines need of a cache: a ledger of its records, a
// feed of its cursor. It knows neither Benthos nor any database; the plugin adapts
// Benthos' caches to it.
package store

import (
	"context"
	"errors"
	"time"
)

// Errors that a Store answers with. Whoever compares uses errors.Is.
var (
	ErrNotFound = errors.New("key not found")
	ErrExists   = errors.New("key already exists")

	// ErrAlone is a Batcher's answer whose store writes one item at a time just now.
	ErrAlone = errors.New("items are written one at a time")
)

// Store keeps values under keys. All methods are safe for concurrent use, and end
// soon after ctx does. A nil ttl leaves the expiry to the store.
//
// With any other error than those named here, nothing is said about whether the
// operation took effect: a write may have happened and its answer been lost.
type Store interface {
	// Get answers ErrNotFound for a key that is absent or has expired. The value
	// must not be changed.
	Get(ctx context.Context, key string) ([]byte, error)
	// Set writes a value, whether or not the key is present.
	Set(ctx context.Context, key string, value []byte, ttl *time.Duration) error
	// Add writes a value only if the key is absent, and answers ErrExists otherwise.
	// It must be atomic: of concurrent Adds of one key exactly one succeeds.
	Add(ctx context.Context, key string, value []byte, ttl *time.Duration) error
	// Delete removes a key. That it was absent is no error.
	Delete(ctx context.Context, key string) error
}

// Item is a value to be written, as Set and Add take it.
type Item struct {
	Key   string
	Value []byte
	TTL   *time.Duration
}

// Batcher is a Store's way to write many items at once, for far less than one by one.
// It writes to the same items as the Store, and is used only where there are several.
type Batcher interface {
	// AddAll answers for each item as Add would; the answers are in the items' order, and
	// nil says that the item is written. One item that exists must not keep the others
	// from being written. After any other error an item is added again alone.
	AddAll(ctx context.Context, items []Item) []error
	// SetAll writes all items. With an error, some of them may be written, and all are
	// written again: one by one after ErrAlone.
	SetAll(ctx context.Context, items []Item) error
}
