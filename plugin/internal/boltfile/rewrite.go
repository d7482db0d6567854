package boltfile

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"go.etcd.io/bbolt"
)

// What is deleted or has expired stays legible in the free pages of a bbolt file. So the file is rewritten:
//
//  1. What counts is copied to a new file beside it. Writes wait meanwhile, reads do not.
//  2. The new file is on disk, is locked by this process, and its pages are checked.
//  3. The new file takes the path. Whoever opened the old one and gets its lock later finds another file at the path.
//  4. The folder is on disk, and only then the next write is answered.
//
// A crash before 3 leaves the old file, and a crash after it the new one. Both have everything that was answered.
const (
	rewriteInterval = 24 * time.Hour // also after a failure: the next one may fail as late, and writes wait for each
	rewriteSuffix   = ".rewrite"
	copyStep        = 16 << 20 // bytes in one transaction
	copyFill        = 0.9      // of a page: the next writes go to random places
)

var errStopped = errors.New("the cache is being closed")

// rewrite returns when to come back. Of the writer alone.
func (f *openFile) rewrite() time.Duration {
	old, began := f.handle.Load(), time.Now()
	needed, err := old.needsRewrite()
	if err != nil || !needed || runtime.GOOS == "windows" { // which does not let an open file be replaced; damage is told elsewhere
		return f.rewrites
	}
	renewed, err := f.copied(old)
	switch {
	case errors.Is(err, errStopped):
	case err != nil:
		f.log.Warnf("Rewriting a cache file failed, so what was deleted from it or has expired is still legible in it; next try in %v: rewriting %q: %v.", f.rewrites, f.path, err)
	default:
		f.handle.Store(renewed)
		f.log.Infof("Cache file rewritten without what was deleted or has expired: %q has %d bytes, before %d. Writes waited for %v.",
			f.path, sizeOf(renewed), sizeOf(old), time.Since(began).Round(time.Millisecond))
		f.former = append(f.former, former{old, time.Now()})
	}
	return f.rewrites
}

// former is what a cache file was before it was rewritten. It is kept locked for a while: a process that waits for its
// lock would use it, if it is of a version that does not look at the path again.
type former struct {
	*handle
	since time.Time
}

const formerFor = 2 * lockTimeout

// closeFormer closes what is former for as long as that.
func (f *openFile) closeFormer(age time.Duration) {
	for len(f.former) > 0 && time.Since(f.former[0].since) >= age {
		if err := f.former[0].close(); err != nil {
			f.log.Warnf("Closing what a cache file was before it was rewritten failed: %v.", err)
		}
		f.former = f.former[1:]
	}
}

func sizeOf(h *handle) int64 {
	info, err := h.file.Stat()
	if err != nil {
		return 0
	}
	return info.Size()
}

// needsRewrite reports whether something was written since the last time: then older pages are left over. The last
// transaction of a rewritten file is noted where bbolt keeps a number for each bucket.
func (h *handle) needsRewrite() (needed bool, err error) {
	err = h.read(func(tx *bbolt.Tx) error {
		return tx.ForEach(func(_ []byte, top *bbolt.Bucket) error {
			needed = needed || isOurs(top) && top.Sequence() != uint64(tx.ID())
			return nil
		})
	})
	return needed, err
}

func isOurs(top *bbolt.Bucket) bool {
	return top.Bucket(freshTree) != nil && top.Bucket(recordsTree) != nil && top.Bucket(expiryTree) != nil
}

// copied makes the new file and puts it in the old one's place.
func (f *openFile) copied(old *handle) (renewed *handle, err error) {
	name := f.path + rewriteSuffix
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) { // of a crash: who has the file open owns it
		return nil, err
	}
	renewed, err = lockHandle(name, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.fill(renewed, old); err != nil {
		return nil, errors.Join(err, renewed.close(), os.Remove(name))
	}
	if err := os.Rename(name, f.path); err != nil {
		return nil, errors.Join(err, renewed.close(), os.Remove(name))
	}
	renewed.path = f.path
	renewed.folderUnsynced = true // until the next write, which syncs it
	return renewed, nil
}

func (f *openFile) fill(renewed, old *handle) error {
	now := f.clock.now()
	renewed.db.NoSync = true
	err := old.read(func(tx *bbolt.Tx) error { return copyAll(renewed.db, tx, now, f.closing) })
	renewed.db.NoSync = false
	if err == nil {
		err = renewed.guard(func() error { return renewed.db.Update(noteRewritten) }) // syncs everything
	}
	if err != nil {
		return err
	}
	info, err := renewed.file.Stat()
	if err == nil {
		err = checkPages(renewed.file, info.Size(), renewed.pageSize)
	}
	if err == nil {
		err = errors.Join(os.Chmod(f.path+rewriteSuffix, old.info.Mode().Perm()), keepOwner(f.path+rewriteSuffix, old.info))
	}
	return errors.Join(err, renewed.learnTxid(), old.atItsPath())
}

func noteRewritten(tx *bbolt.Tx) error {
	return tx.ForEach(func(_ []byte, top *bbolt.Bucket) error {
		if !isOurs(top) {
			return nil
		}
		return top.SetSequence(uint64(tx.ID()))
	})
}

// copier writes to the new file in transactions of a size.
type copier struct {
	db   *bbolt.DB
	tx   *bbolt.Tx
	size int
	stop <-chan struct{}
}

func copyAll(db *bbolt.DB, from *bbolt.Tx, now moment, stop <-chan struct{}) error {
	c := &copier{db: db, stop: stop}
	defer func() {
		if c.tx != nil {
			_ = c.tx.Rollback()
		}
	}()
	err := from.ForEach(func(name []byte, top *bbolt.Bucket) error {
		keep := func([]byte, []byte, []byte) bool { return true }
		if isOurs(top) {
			trees := treesOf(top)
			keep = func(tree, key, stored []byte) bool { return trees.counts(tree, key, stored, now) }
		}
		return c.bucket([][]byte{name}, top, keep)
	})
	if err != nil {
		return err
	}
	return c.commit()
}

// counts reports whether an entry of a tree is of a record that has not expired.
func (t bucketTrees) counts(tree, key, stored []byte, now moment) bool {
	switch {
	case bytes.Equal(tree, expiryTree):
		key = key[min(expiryLen, len(key)):]
		stored, _ = t.find(key)
	case bytes.Equal(tree, undatedTree):
		stored, _ = t.find(key)
	case !bytes.Equal(tree, freshTree) && !bytes.Equal(tree, recordsTree):
		return true
	}
	_, expiry, _ := decode(stored)
	return stored != nil && !t.expired(key, expiry, now)
}

// bucket copies a bucket and all in it.
func (c *copier) bucket(path [][]byte, from *bbolt.Bucket, keep func(tree, key, value []byte) bool) error {
	to, err := c.at(path)
	if err != nil {
		return err
	}
	var within [][]byte
	err = from.ForEach(func(key, value []byte) error {
		switch {
		case value == nil:
			within = append(within, key)
			return nil
		case len(path) == 2 && !keep(path[1], key, value): // beside the trees, and deeper, everything is kept
			return nil
		case c.size >= copyStep:
			if err := c.commit(); err != nil {
				return err
			}
			if to, err = c.at(path); err != nil {
				return err
			}
		}
		c.size += len(key) + len(value)
		return to.Put(key, value)
	})
	if err == nil {
		err = to.SetSequence(from.Sequence())
	}
	for _, name := range within {
		if err == nil {
			err = c.bucket(append(path[:len(path):len(path)], name), from.Bucket(name), keep)
		}
	}
	return err
}

// at returns a bucket of the new file, of the transaction that is open.
func (c *copier) at(path [][]byte) (to *bbolt.Bucket, err error) {
	select {
	case <-c.stop:
		return nil, errStopped
	default:
	}
	if c.tx == nil {
		if c.tx, err = c.db.Begin(true); err != nil {
			return nil, err
		}
	}
	if to, err = c.tx.CreateBucketIfNotExists(path[0]); err != nil {
		return nil, err
	}
	for _, name := range path[1:] {
		if to, err = to.CreateBucketIfNotExists(name); err != nil {
			return nil, err
		}
	}
	to.FillPercent = copyFill
	return to, nil
}

func (c *copier) commit() error {
	if c.tx == nil {
		return nil
	}
	tx := c.tx
	c.tx, c.size = nil, 0
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("writing the new file: %w", err)
	}
	return nil
}

// syncFolderOf keeps a power cut from giving the path back to the file that was there before.
func (h *handle) syncFolderOf() error {
	if !h.folderUnsynced {
		return nil
	}
	if err := syncFolder(filepath.Dir(h.path)); err != nil {
		return fmt.Errorf("%q was rewritten, and its folder cannot be synced: %w", h.path, err)
	}
	h.folderUnsynced = false
	return nil
}
