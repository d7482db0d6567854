package boltfile

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"
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
