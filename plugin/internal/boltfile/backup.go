package boltfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
)

// Backup says where a copy of the file is written, and how often.
type Backup struct {
	Path     string
	Interval time.Duration

	through func(io.Writer) io.Writer // what a test puts before the copy, nil for nothing
}

const (
	backupRetry = 5 * time.Minute
	// backupPatience is how long a copy may take that is nothing to report.
	backupPatience = 10 * time.Minute
	// backupEnding is how long a close waits for a copy under way. On a disk that hangs it would not end.
	backupEnding = time.Second
)

// backupTrouble never stops what the cache is for.
var backupTrouble = pause.Wording{
	Begins: "Backup of a cache file failed; retrying in " + backupRetry.String() + " at most: %v",
	Lasts:  "Backup of a cache file still fails, since %s: %v",
	Ends:   "Backup of a cache file works again, after %v.",
}

// backupSilence is what a disk that hangs gives, in place of an error.
var backupSilence = pause.Wording{
	Begins: "Backup of a cache file does not end, and nothing else waits for it: %v",
	Lasts:  "Backup of a cache file still does not end, since %s: %v",
	Ends:   "Backup of a cache file ended, after %v.",
}

// backUp writes copies until stop is closed. The first is written an interval after the start: what is there from before
// is of use if the file turns out to be the wrong one.
func (f *openFile) backUp(b Backup, log pause.Logger, stop <-chan struct{}) {
	trouble, silence := pause.NewNotice(log, backupTrouble, nil), pause.NewNotice(log, backupSilence, nil)
	defer trouble.Stop()
	defer silence.Stop()
	timer := time.NewTimer(b.Interval)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-stop:
			return
		}
		began, waiter := time.Now(), silence.Waiter()
		late := time.AfterFunc(backupPatience, func() {
			waiter.TroubleSince(began, fmt.Errorf("writing %q has taken over %v; check whether its disk hangs", b.Path, backupPatience))
		})
		err := f.copyTo(b, stop)
		late.Stop()
		select {
		case <-stop:
			return
		default:
		}
		waiter.Recovered()
		if err != nil {
			trouble.Trouble(fmt.Errorf("writing %q: %w", b.Path, err))
			timer.Reset(min(b.Interval, backupRetry))
			continue
		}
		trouble.Recovered()
		timer.Reset(b.Interval)
	}
}

// copyTo replaces a copy with one of now. The copy is checked before: a damaged file does not replace a good copy of it.
// The disk of the copy may be slow, or hang, and a long transaction stops the writes as soon as the file grows. So the
// transaction goes to a file beside this one, and that is copied.
func (f *openFile) copyTo(b Backup, stop <-chan struct{}) error {
	select {
	case f.backups <- struct{}{}: // two caches may write a backup of one file
		defer func() { <-f.backups }()
	case <-stop:
		return errStopped
	}
	path := b.Path
	var of []string
	if err := f.read(func(tx *bbolt.Tx) error { of = bucketIDs(tx); return nil }); err != nil {
		return err
	}
	if err := mayReplace(path, of); err != nil {
		return err
	}
	local, err := f.snapshot(stop)
	if err != nil {
		return fmt.Errorf("copying to the folder of %q first: %w", f.path, err)
	}
	defer func() { _ = errors.Join(local.Close(), os.Remove(local.Name())) }() // most often it is gone
	f.removeLeftovers(path)
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+newPattern) // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }() // fails once it has the copy's name
	to := io.Writer(stoppable{file, stop})
	if b.through != nil {
		to = b.through(to)
	}
	size, err := io.Copy(to, local)
	if err == nil {
		err = file.Sync()
	}
	if err == nil {
		err = checkPages(file, size, f.handle.Load().pageSize)
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// snapshot copies the file to one beside it, which is read from its beginning.
func (f *openFile) snapshot(stop <-chan struct{}) (local *os.File, err error) {
	local, err = os.CreateTemp(filepath.Dir(f.path), filepath.Base(f.path)+newPattern) // mode 0600
	if err != nil {
		return nil, err
	}
	_ = os.Remove(local.Name()) // so nobody who is killed leaves it; not every system lets an open file go
	err = f.read(func(tx *bbolt.Tx) error {
		_, err := tx.WriteTo(stoppable{local, stop})
		return err
	})
	if err == nil {
		_, err = local.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(err, local.Close())
	}
	return local, nil
}

// stoppable is a file that is not written to once the cache is being closed.
type stoppable struct {
	file *os.File
	stop <-chan struct{}
}

func (s stoppable) Write(b []byte) (int, error) {
	select {
	case <-s.stop:
		return 0, errStopped
	default:
		return s.file.Write(b)
	}
}

// bucketIDs are the ids of the buckets that are ours.
func bucketIDs(tx *bbolt.Tx) (ids []string) {
	_ = tx.ForEach(func(_ []byte, top *bbolt.Bucket) error {
		if id := top.Get(idKey); isOurs(top) && id != nil {
			ids = append(ids, string(id))
		}
		return nil
	})
	return ids
}

var errNoBackup = errors.New("what is there is no earlier backup of this file, so it is not replaced; move it away, or name another path. " +
	"If the ledger is new because it was lost, that may be the copy to put back")

// mayReplace refuses a path at which there is something else than an earlier copy of these buckets. So a ledger that was
// lost and began again as an empty one does not replace the copy that is needed then.
func mayReplace(path string, ids []string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || checkIsWhole(path) != nil {
		return errNoBackup
	}
	db, _, err := openBolt(path, 0, bbolt.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	return db.View(func(tx *bbolt.Tx) error {
		there := bucketIDs(tx)
		if len(there) == 0 || slices.ContainsFunc(there, func(id string) bool { return !slices.Contains(ids, id) }) {
			return errNoBackup
		}
		return nil
	})
}

// checkBackup refuses a copy that would be written over the file.
func checkBackup(path string, b Backup) error {
	to, err := filepath.Abs(b.Path)
	if err != nil {
		return err
	}
	if resolved, err := filepath.EvalSymlinks(to); err == nil {
		to = resolved
	}
	if to == path {
		return fmt.Errorf("the backup %q is the file itself; name another path, best on another disk", b.Path)
	}
	return nil
}
