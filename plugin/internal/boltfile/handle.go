package boltfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"sync/atomic"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// handle is a bbolt file that this process has open, and has locked against others.
type handle struct {
	path     string
	db       *bbolt.DB
	file     *os.File // of db; also used past it
	info     os.FileInfo
	pageSize uint64

	folderUnsynced bool // since the file got its path; of the writer alone

	txid    uint64                // of the last transaction; of the writer alone
	damaged atomic.Pointer[error] // once set, nothing is read or written any more
	taken   atomic.Bool           // another file was seen at the path
	begins  atomic.Int32          // transactions that are being begun: one that panicked there has left bbolt's locks behind
}

// putBack is what to do about a file that cannot be used.
const putBack = "stop the program, keep this file aside, and put a copy in its place, such as the one that `backup` writes. " +
	"What the copy does not have is forgotten: with a new file as ledger, leads that were called before are called again when they are delivered again"

// openHandle gives up on the lock after lockTimeout. Whoever replaces the file meanwhile holds the lock of the new one.
func openHandle(path string, mode fs.FileMode) (*handle, error) {
	err := checkIsWhole(path)
	var h *handle
	if err == nil {
		h, err = lockHandle(path, mode)
	}
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("opening %q: another process has it open; stop that process, name another file, or use a cache that processes can share", path)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("opening %q: this user may not read and write it: %w", path, err)
	case errors.Is(err, errReplaced):
		return nil, fmt.Errorf("opening %q: %w", path, err)
	case err != nil:
		return nil, fmt.Errorf("opening %q: it is not a usable bbolt file: %w; %s", path, err, putBack)
	}
	return h, nil
}

var errReplaced = errors.New("another process has it open or replaced it, just now; stop that process, or name another file")

func lockHandle(path string, mode fs.FileMode) (*handle, error) {
	h := &handle{path: path}
	var err error
	h.db, h.file, err = openBolt(path, mode, bbolt.Options{
		FreelistType: bbolt.FreelistMapType, // the default slows down as expired records leave gaps
		// The list of those gaps would be written again with each commit, which after
		// many expired records is most of what is written. It is found at the start.
		NoFreelistSync: true,
	})
	if err != nil {
		return nil, err
	}
	h.pageSize = uint64(h.db.Info().PageSize)
	if h.info, err = h.file.Stat(); err == nil {
		err = h.learnTxid()
	}
	if err == nil && h.atItsPath() != nil {
		err = errReplaced // its lock was given up by who replaced it
	}
	if err != nil {
		return nil, errors.Join(err, h.db.Close())
	}
	return h, nil
}

// openBolt also returns the file that bbolt works on.
func openBolt(path string, mode fs.FileMode, options bbolt.Options) (*bbolt.DB, *os.File, error) {
	var file *os.File
	options.Timeout, options.NoStatistics = lockTimeout, true
	options.OpenFile = func(name string, flag int, mode fs.FileMode) (*os.File, error) {
		opened, err := os.OpenFile(name, flag, mode)
		file = opened
		return opened, err
	}
	db, err := bbolt.Open(path, mode, &options)
	return db, file, err
}

// checkIsWhole finds a file that is damaged or was cut short, such as a copy that did not finish. Opened
// read-only, bbolt looks at the heads alone.
func checkIsWhole(path string) error {
	db, file, err := openBolt(path, 0, bbolt.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	info, err := file.Stat() // now that nobody else can write
	if err != nil {
		return err
	}
	return checkPages(file, info.Size(), uint64(db.Info().PageSize))
}

// atItsPath says why the path is not this file's any more. Another process may take the path then, and would not
// know what is written here.
func (h *handle) atItsPath() error {
	_, err := h.stat()
	return err
}

func (h *handle) stat() (os.FileInfo, error) {
	info, err := os.Stat(h.path)
	switch {
	case h.taken.Load() || err == nil && !os.SameFile(info, h.info):
		h.taken.Store(true)
		return nil, fmt.Errorf("%q is another file now than the one that was opened: it was replaced while in use. Stop the program, see to it that the right file is there, and start again", h.path)
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%q was removed or renamed while in use. Put it back if it was renamed; otherwise stop the program and put a copy there, such as the one that `backup` writes: "+
			"with a new file as ledger, leads that were called before are called again when they are delivered again", h.path)
	case err != nil:
		return nil, fmt.Errorf("%q cannot be found any more: %w", h.path, err)
	}
	return info, nil
}

// writable says why nothing may be written. Of the writer alone.
func (h *handle) writable() error {
	if damage := h.damaged.Load(); damage != nil {
		return *damage
	}
	info, err := h.stat()
	if err != nil {
		return err
	}
	newest, _, err := readMetas(h.file, h.pageSize)
	switch {
	case err != nil:
		return h.damage(err)
	case newest.txid != h.txid:
		return h.damage(errors.New("something else wrote to it while it was open"))
	case uint64(info.Size()) < newest.pages*h.pageSize:
		return h.damage(errors.New("it was cut short while it was open"))
	}
	return h.syncFolderOf()
}

// learnTxid notes the last transaction, after one of which it is not known whether it took place.
func (h *handle) learnTxid() error {
	newest, _, err := readMetas(h.file, h.pageSize)
	h.txid = newest.txid
	return err
}

// guard does something with the file's memory map. What bbolt meets in a damaged file are panics, and faults
// of the memory where the file was cut short: they become errors here, and the file is not used any more.
func (h *handle) guard(do func() error) (err error) {
	if damage := h.damaged.Load(); damage != nil {
		return *damage
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if recover() != nil { // bbolt puts keys into some of its panics
			err = h.damage(nil)
		}
	}()
	return do()
}

// damage notes that the file is damaged, and finds out where if nobody knows.
func (h *handle) damage(why error) error {
	if why == nil {
		why = errors.New("what it has in place of a page is none")
		if info, err := h.file.Stat(); err == nil {
			if found := checkPages(h.file, info.Size(), h.pageSize); found != nil {
				why = found
			}
		}
	}
	err := fmt.Errorf("%q is damaged: %w; %s", h.path, why, putBack)
	h.damaged.CompareAndSwap(nil, &err)
	return *h.damaged.Load()
}

// begin starts a transaction to read. bbolt would keep its locks for ever if it found no usable head, so the heads are
// looked at before.
func (h *handle) begin() (*bbolt.Tx, error) {
	if _, _, err := readMetas(h.file, h.pageSize); err != nil {
		if errors.Is(err, fs.ErrClosed) {
			return nil, bolterrors.ErrDatabaseNotOpen
		}
		return nil, h.damage(err)
	}
	return h.transaction(false)
}

func (h *handle) transaction(writable bool) (*bbolt.Tx, error) {
	h.begins.Add(1)
	tx, err := h.db.Begin(writable)
	h.begins.Add(-1)
	return tx, err
}

// read answers bolterrors.ErrDatabaseNotOpen once the handle is closed.
func (h *handle) read(view func(tx *bbolt.Tx) error) error {
	return h.guard(func() error {
		tx, err := h.begin()
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }()
		return view(tx)
	})
}

// update makes a change that is on disk when it returns. The file is synced only when something has changed: a group of
// Adds that all met existing keys costs no fsync. Of the writer alone.
func (h *handle) update(apply func(tx *bbolt.Tx) (changed bool, err error)) error {
	if err := h.writable(); err != nil {
		return err
	}
	err := h.guard(func() error {
		if err := h.commit(apply); err != nil {
			return fmt.Errorf("writing to %q: %w", h.path, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return h.atItsPath() // or what was written is in a file that others do not find
}

func (h *handle) commit(apply func(tx *bbolt.Tx) (changed bool, err error)) error {
	tx, err := h.transaction(true)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // does nothing after a commit
	changed, err := apply(tx)
	if err != nil || !changed {
		return err
	}
	id := uint64(tx.ID())
	if err := tx.Commit(); err != nil {
		return errors.Join(err, h.learnTxid())
	}
	h.txid = id
	return nil
}

// close gives up the file and its lock, unless bbolt would wait for ever.
func (h *handle) close() error {
	if h.damaged.Load() != nil && h.begins.Load() > 0 {
		return h.file.Close()
	}
	return h.db.Close()
}
