// Package boltfile keeps items in one local file that survives crashes and restarts.
// A File has buckets, each of them a store.Store and a store.Batcher. The file belongs
// to one process at a time; within it, any number of Files may hold it.
package boltfile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
)

// ErrClosed is the answer to whatever is asked after Close.
var ErrClosed = errors.New("the bbolt cache is closed")

// Bucket is a store.Store whose writes are on disk before they return. A TTL of zero
// keeps an item until it is deleted.
//
// When the context of a write ends first its error is returned, and the write may still
// happen.
type Bucket struct {
	file       *File
	name       bucketName
	id         string
	defaultTTL time.Duration
}

var (
	_ store.Store   = (*Bucket)(nil)
	_ store.Batcher = (*Bucket)(nil)
)

// ID names the contents: another bucket, and one that is made anew, has another.
func (b *Bucket) ID() string { return b.id }

// Get implements store.Store. A record that was not written by this package is returned
// as it is found.
func (b *Bucket) Get(ctx context.Context, key string) ([]byte, error) {
	if err := b.usable(ctx); err != nil {
		return nil, err
	}
	var value []byte
	err := b.file.shared.read(func(tx *bbolt.Tx) error {
		found, ok := b.name.get(tx, key, b.file.shared.clock.now())
		if !ok {
			return store.ErrNotFound
		}
		value = append([]byte{}, found...) // the file's memory is only valid inside the transaction
		return nil
	})
	return value, err
}

// Set implements store.Store.
func (b *Bucket) Set(ctx context.Context, key string, value []byte, ttl *time.Duration) error {
	return b.SetAll(ctx, []store.Item{{Key: key, Value: value, TTL: ttl}})
}

// SetAll implements store.Batcher, in one transaction: after a crash either all items
// are there or none.
func (b *Bucket) SetAll(ctx context.Context, items []store.Item) error {
	if err := b.usable(ctx); err != nil {
		return err
	}
	if len(items) == 0 {
		return nil
	}
	records := make([]record, len(items))
	for i, item := range items {
		var err error
		if records[i], err = b.record(item.Key, item.Value, item.TTL); err != nil {
			return err
		}
	}
	return b.file.shared.write(ctx, func(tx *bbolt.Tx) error {
		for _, r := range records {
			if err := b.name.put(tx, r); err != nil {
				return err
			}
		}
		return nil
	})
}

// Add implements store.Store.
func (b *Bucket) Add(ctx context.Context, key string, value []byte, ttl *time.Duration) error {
	if err := b.usable(ctx); err != nil {
		return err
	}
	r, err := b.record(key, value, ttl)
	if err != nil {
		return err
	}
	return b.file.shared.write(ctx, func(tx *bbolt.Tx) error {
		if _, ok := b.name.get(tx, key, b.file.shared.clock.now()); ok {
			return store.ErrExists
		}
		return b.name.put(tx, r)
	})
}

// AddAll implements store.Batcher, in one transaction.
func (b *Bucket) AddAll(ctx context.Context, items []store.Item) []error {
	if err := b.usable(ctx); err != nil {
		return slices.Repeat([]error{err}, len(items))
	}
	errs := make([]error, len(items)) // of the transaction, which may outlive this call
	records := make([]record, len(items))
	for i, item := range items {
		records[i], errs[i] = b.record(item.Key, item.Value, item.TTL)
	}
	err := b.file.shared.write(ctx, func(tx *bbolt.Tx) error {
		now := b.file.shared.clock.now()
		for i, item := range items {
			if errs[i] != nil {
				continue
			}
			if _, ok := b.name.get(tx, item.Key, now); ok {
				errs[i] = store.ErrExists
				continue
			}
			if err := b.name.put(tx, records[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return slices.Repeat([]error{err}, len(items))
	}
	return errs
}

// Delete implements store.Store.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	if err := b.usable(ctx); err != nil {
		return err
	}
	return b.file.shared.write(ctx, func(tx *bbolt.Tx) error { return b.name.delete(tx, key) })
}

// record prepares what is stored. The bytes are copied here, before a write is queued, because a caller whose context
// ends may use its buffer again while the write still waits.
func (b *Bucket) record(key string, value []byte, ttl *time.Duration) (record, error) {
	lifetime := b.defaultTTL
	if ttl != nil {
		lifetime = *ttl
	}
	if lifetime < 0 {
		return record{}, fmt.Errorf("storing an item: its ttl is negative (%s)", lifetime)
	}
	return newRecord(key, value, lifetime, b.file.shared.clock.now())
}

func (b *Bucket) usable(ctx context.Context) error {
	if b.file.closed.Load() {
		return ErrClosed
	}
	return ctx.Err()
}
