package boltfile

import (
	"context"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
)

// File is one user's share of an open file, of which others in this process may have theirs.
type File struct {
	shared *openFile

	closed    atomic.Bool
	closeOnce sync.Once
	released  <-chan struct{} // set by the first Close
}

// Open opens a file, or joins those who have it open; mode is that of a new file.
// Each success needs one Close. The log of the first to open it is told about trouble
// with what the file does by itself, which is to remove what has expired.
func Open(path string, mode fs.FileMode, log pause.Logger) (*File, error) {
	shared, err := openFiles.acquire(path, mode, log)
	if err != nil {
		return nil, err
	}
	return &File{shared: shared}, nil
}

// Close lets writes that wait finish, then closes the file unless others share it.
// When ctx ends first its error is returned, and the file is closed all the same.
func (f *File) Close(ctx context.Context) error {
	f.closeOnce.Do(func() {
		f.closed.Store(true)
		f.released = openFiles.release(f.shared)
	})
	select {
	case <-f.released:
		return f.shared.closeError()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Bucket is a part of the file whose items other buckets do not see. It is made if it
// is not there. An item that is written without a TTL is kept for defaultTTL, and until
// it is deleted when that is zero.
func (f *File) Bucket(name string, defaultTTL time.Duration) (*Bucket, error) {
	if f.closed.Load() {
		return nil, ErrClosed
	}
	b := &Bucket{file: f, name: bucketName(name), defaultTTL: defaultTTL}
	err := f.shared.write(context.Background(), func(tx *bbolt.Tx) error {
		if err := b.name.create(tx); err != nil {
			return err
		}
		f.shared.swept[b.name] = struct{}{}
		var err error
		b.id, err = b.name.identify(tx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("creating bucket %q in %q: %w", name, f.shared.path, err)
	}
	return b, nil
}
