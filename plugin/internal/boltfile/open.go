package boltfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
)

const lockTimeout = time.Second

// fileSet holds the open files of this process. The lock on a file belongs to its handle, so a second handle in the
// same process would be refused like another process; caches on one file share a handle instead.
type fileSet struct {
	mu     sync.Mutex
	byPath map[string]*openFile
}

var openFiles = &fileSet{byPath: map[string]*openFile{}}

// acquire opens the file, or joins those who have it open. Each success needs one release.
func (s *fileSet) acquire(path string, mode fs.FileMode, log pause.Logger) (*openFile, error) {
	path, err := prepare(path, mode)
	if err != nil {
		return nil, err
	}
	for {
		s.mu.Lock()
		file, exists := s.byPath[path]
		if !exists {
			file = newOpenFile(path, log)
			s.byPath[path] = file
			s.mu.Unlock()
			s.open(file, mode)
			return file, file.openErr
		}
		if file.users > 0 {
			file.users++
			s.mu.Unlock()
			<-file.opened // bounded: opening gives up on the lock
			return file, file.openErr
		}
		s.mu.Unlock()
		select {
		case <-file.gone:
		case <-time.After(lockTimeout):
			return nil, fmt.Errorf("opening %q: the cache that used it before is still being closed", path)
		}
	}
}

func (s *fileSet) open(file *openFile, mode fs.FileMode) {
	defer close(file.opened)
	file.db, file.openErr = openDB(file.path, mode)
	if file.openErr != nil {
		s.forget(file)
		return
	}
	go func() {
		file.run()
		s.forget(file)
		close(file.gone) // last: whoever waits for it finds the path free
	}()
}

func (s *fileSet) forget(file *openFile) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byPath, file.path)
}

// release returns a channel that is closed when nothing is left to wait for: at once while others use the file.
func (s *fileSet) release(file *openFile) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	file.users--
	if file.users > 0 {
		shared := make(chan struct{})
		close(shared)
		return shared
	}
	close(file.closing)
	return file.gone
}

// openDB gives up on the lock after lockTimeout.
func openDB(path string, mode fs.FileMode) (*bbolt.DB, error) {
	err := checkIsWhole(path)
	var db *bbolt.DB
	if err == nil {
		db, err = bbolt.Open(path, mode, &bbolt.Options{
			Timeout:      lockTimeout,
			FreelistType: bbolt.FreelistMapType, // the default slows down as expired records leave gaps
			// The list of those gaps would be written again with each commit, which after
			// many expired records is most of what is written. It is found at the start.
			NoFreelistSync: true,
			NoStatistics:   true,
		})
	}
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("opening %q: another process has it open; stop that process, name another file, or use a cache that processes can share", path)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("opening %q: this user may not read and write it: %w", path, err)
	case err != nil:
		return nil, fmt.Errorf("opening %q: it is not a usable bbolt file: %w", path, err)
	}
	return db, nil
}

// checkIsWhole finds a file that was cut short, such as a copy that did not finish. bbolt maps the file into memory,
// where reading a missing page ends the process; opened read-only it looks at the head alone.
func checkIsWhole(path string) error {
	info, err := os.Stat(path)
	if err != nil || info.Size() == 0 { // empty: new
		return err
	}
	db, err := bbolt.Open(path, 0, &bbolt.Options{ReadOnly: true, Timeout: lockTimeout, NoStatistics: true})
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	return db.View(func(tx *bbolt.Tx) error {
		info, err := os.Stat(path) // again, now that nobody else can write
		if err == nil && info.Size() < tx.Size() {
			err = fmt.Errorf("it was cut short: %d of %d bytes are there", info.Size(), tx.Size())
		}
		return err
	})
}

// prepare makes sure the file exists and returns the one path by which this process knows it.
func prepare(path string, mode fs.FileMode) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := createFile(path, mode); err != nil {
			return "", fmt.Errorf("creating %q: %w", path, err)
		}
	case err != nil:
		return "", err
	case info.IsDir():
		return "", fmt.Errorf("%q is a directory; name a file in it", path)
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("%q is not a regular file", path)
	}
	return filepath.EvalSymlinks(path)
}

// createFile also syncs every folder that got a new entry: an fsync of the file alone does not keep a power cut
// from taking a new file away with all that was acknowledged.
func createFile(path string, mode fs.FileMode) error {
	changed := []string{filepath.Dir(path)}
	for folder := changed[0]; !pathExists(folder); {
		folder = filepath.Dir(folder)
		changed = append(changed, folder)
	}
	searchable := mode | mode&0o444>>2 // who may read the file may enter its folder
	if err := os.MkdirAll(filepath.Dir(path), searchable); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, mode)
	if err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	// The mode is what was asked for, whatever the umask: the distribution's own keeps
	// other files private.
	if err := os.Chmod(path, mode); err != nil {
		return err
	}
	for _, made := range changed[:len(changed)-1] {
		if err := os.Chmod(made, searchable); err != nil {
			return err
		}
	}
	for _, folder := range changed {
		if err := syncFolder(folder); err != nil {
			return fmt.Errorf("syncing folder: %w", err)
		}
	}
	return nil
}

func pathExists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

func syncFolder(path string) error {
	if runtime.GOOS == "windows" { // cannot sync folders
		return nil
	}
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = folder.Close() }()
	return folder.Sync()
}
