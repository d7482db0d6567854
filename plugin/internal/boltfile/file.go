package boltfile

import (
	"context"
	"errors"
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
	shared    *openFile
	mustExist bool
	log       pause.Logger

	closing  chan struct{}
	backedUp chan struct{} // closed once no backup is written any more

	closed    atomic.Bool
	closeOnce sync.Once
	released  <-chan struct{} // set by the first Close
}

// Options say which file is opened, and how.
type Options struct {
	Path      string
	Mode      fs.FileMode // of a new file
	MustExist bool        // neither the file nor a bucket is made
	Backup    Backup      // no path: none
	Log       pause.Logger

	wall     func() time.Time // the system clock, nil for the real one
	rewrites time.Duration    // the time between two, 0 for rewriteInterval
}

func (o Options) now() func() time.Time {
	if o.wall != nil {
		return o.wall
	}
	return time.Now
}

// Open opens a file, or joins those who have it open. Each success needs one Close. The
// log of the first to open it is told about the file, and about trouble with it.
func Open(o Options) (*File, error) {
	shared, err := openFiles.acquire(o)
	if err != nil {
		return nil, err
	}
	f := &File{shared: shared, mustExist: o.MustExist, log: o.Log, closing: make(chan struct{}), backedUp: make(chan struct{})}
	if o.Backup.Path == "" {
		close(f.backedUp)
		return f, nil
	}
	if err := checkBackup(shared.path, o.Backup); err != nil {
		close(f.backedUp)
		return nil, errors.Join(err, f.Close(context.Background()))
	}
	go func() {
		defer close(f.backedUp)
		shared.backUp(o.Backup, o.Log, f.closing)
	}()
	return f, nil
}

// Close lets writes that wait finish, then closes the file unless others share it.
// When ctx ends first its error is returned, and the file is closed all the same.
func (f *File) Close(ctx context.Context) error {
	f.closeOnce.Do(func() {
		f.closed.Store(true)
		close(f.closing)
		f.released = openFiles.release(f.shared)
	})
	select {
	case <-f.backedUp:
	case <-time.After(backupEnding): // what it has begun is a file of its own, which the next backup removes
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-f.released:
	case <-ctx.Done():
		return ctx.Err()
	}
	return f.shared.closeError()
}

// Bucket is a part of the file whose items other buckets do not see. It is made if it
// is not there. An item that is written without a TTL is kept for defaultTTL, and until
// it is deleted when that is zero.
func (f *File) Bucket(name string, defaultTTL time.Duration) (*Bucket, error) {
	if f.closed.Load() {
		return nil, ErrClosed
	}
	b := &Bucket{file: f, name: bucketName(name), defaultTTL: defaultTTL}
	var found contents
	look := func(tx *bbolt.Tx) error {
		found, b.id = b.name.contents(tx), b.name.whole(tx)
		if f.mustExist && !found.exists {
			return errors.New("it has no such bucket, and `must_exist` is set: put the right file there, or start once without `must_exist` to begin with an empty bucket")
		}
		return nil
	}
	err := f.shared.read(look) // which a rewrite lets pass, so what is missing is told before
	if err == nil && b.id == "" {
		err = f.shared.write(context.Background(), func(tx *bbolt.Tx) (err error) {
			if err := look(tx); err != nil || b.id != "" {
				return err
			}
			b.id, err = b.name.create(tx)
			return err
		})
	}
	if err != nil {
		return nil, fmt.Errorf("opening bucket %q of %q: %w", name, f.shared.path, err)
	}
	f.shared.swept.Store(b.name, nil)
	f.log.Infof("Cache file opened: bucket %q of %q has %s.", name, f.shared.path, found.describe(f.shared.clock.now()))
	return b, nil
}
