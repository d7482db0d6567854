package boltfile

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
)

// BenchmarkAdd compares ways to make an Add durable: alone, as 64 callers in turn do it, and as 64 batches of 20.
func BenchmarkAdd(b *testing.B) {
	ways := []struct {
		name  string
		start func(b *testing.B) func(key string) error
	}{
		{"grouped", startGroupedAdd},
		{"update_per_add", func(b *testing.B) func(string) error { return startAdd(b, (*bbolt.DB).Update) }},
		{"db_batch", func(b *testing.B) func(string) error { return startAdd(b, (*bbolt.DB).Batch) }},
	}
	for _, callers := range []int{1, 64, 64 * 20} {
		for _, way := range ways {
			b.Run(fmt.Sprintf("callers=%d/%s", callers, way.name), func(b *testing.B) {
				add := way.start(b)
				var next atomic.Int64
				var wg sync.WaitGroup
				b.ResetTimer()
				for range callers {
					wg.Go(func() {
						for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
							if err := add(fmt.Sprintf("%x-%d", n*2654435761%4294967296, n)); err != nil {
								b.Error(err)
							}
						}
					})
				}
				wg.Wait()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "adds/s")
			})
		}
	}
}

func startGroupedAdd(b *testing.B) func(string) error {
	cache, err := open(testConfig{path: filepath.Join(b.TempDir(), "bench.db")})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, cache.file.Close(context.Background())) })
	return func(key string) error {
		return cache.Add(context.Background(), key, make([]byte, 200), nil)
	}
}

func startAdd(b *testing.B, commit func(*bbolt.DB, func(*bbolt.Tx) error) error) func(string) error {
	path, err := prepare(Options{Path: filepath.Join(b.TempDir(), "bench.db"), Mode: 0o600})
	require.NoError(b, err)
	handle, err := openHandle(path, 0o600)
	require.NoError(b, err)
	db := handle.db
	b.Cleanup(func() { require.NoError(b, db.Close()) })
	bucket := bucketName("cache")
	require.NoError(b, db.Update(func(tx *bbolt.Tx) error { _, err := bucket.create(tx); return err }))
	now := newClock(time.Now, moment{}).now()
	return func(key string) error {
		record, err := newRecord(key, make([]byte, 200), 0, now)
		if err != nil {
			return err
		}
		return commit(db, func(tx *bbolt.Tx) error {
			if _, exists := bucket.get(tx, key, now); exists {
				return fmt.Errorf("key %s exists", key)
			}
			return bucket.put(tx, record)
		})
	}
}

// BenchmarkRewrite is a ledger's file of a million records, twice written each: how long writes wait for a rewrite, and
// how long the start takes.
func BenchmarkRewrite(b *testing.B) {
	const records, batch = 1_000_000, 10_000
	path := filepath.Join(b.TempDir(), "bench.db")
	cache, err := open(testConfig{path: path, defaultTTL: 168 * time.Hour})
	require.NoError(b, err)
	for at := 0; at < records; at += batch {
		items := make([]store.Item, batch)
		for i := range items {
			items[i] = store.Item{Key: fmt.Sprintf("%016x", uint64(at+i)*0x9E3779B97F4A7C15), Value: make([]byte, 200)}
		}
		require.NoError(b, cache.SetAll(context.Background(), items))
		require.NoError(b, cache.SetAll(context.Background(), items))
	}
	for range b.N {
		require.NoError(b, cache.file.Close(context.Background()))
		began := time.Now()
		require.NoError(b, checkIsWhole(path))
		b.ReportMetric(time.Since(began).Seconds(), "s/check")
		began = time.Now()
		h, err := lockHandle(path, 0o600)
		require.NoError(b, err)
		b.ReportMetric(time.Since(began).Seconds(), "s/open")
		f := newOpenFile(path, Options{Log: silent{}})
		f.handle.Store(h)
		f.clock = newClock(time.Now, moment{})
		began = time.Now()
		renewed, err := f.copied(h)
		require.NoError(b, err)
		b.ReportMetric(time.Since(began).Seconds(), "s/rewrite")
		b.ReportMetric(float64(sizeOf(h))/(1<<20), "MiB-before")
		b.ReportMetric(float64(sizeOf(renewed))/(1<<20), "MiB-after")
		require.NoError(b, errors.Join(h.close(), renewed.close()))
	}
}
