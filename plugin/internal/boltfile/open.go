package boltfile

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"go.etcd.io/bbolt"
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
func (s *fileSet) acquire(o Options) (*openFile, error) {
	path, err := prepare(o)
	if err != nil {
		return nil, err
	}
	for {
		s.mu.Lock()
		file, exists := s.byPath[path]
		if !exists {
			file = newOpenFile(path, o)
			s.byPath[path] = file
			s.mu.Unlock()
			s.open(file, o)
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

func (s *fileSet) open(file *openFile, o Options) {
	defer close(file.opened)
	handle, err := openHandle(file.path, o.Mode)
	if err != nil {
		file.openErr = err
		s.forget(file)
		return
	}
	file.handle.Store(handle)
	newest, err := newestStamp(handle)
	if err != nil {
		file.openErr = errors.Join(err, handle.close())
		s.forget(file)
		return
	}
	file.clock = newClock(o.now(), newest)
	file.removeLeftovers(file.path)
	file.removeLeftover(file.path + rewriteSuffix) // who holds the lock of the file is who rewrites it
	go func() {
		file.run()
		s.forget(file)
		close(file.gone) // last: whoever waits for it finds the path free
	}()
}

// newestStamp is that of the record which was written last, in any bucket of a file. In doubt it is none.
func newestStamp(h *handle) (newest moment, err error) {
	err = h.read(func(tx *bbolt.Tx) error {
		return tx.ForEach(func(_ []byte, top *bbolt.Bucket) error {
			if stamp := readStamp(top.Get(stampKey)); stamp.at.After(newest.at) {
				newest = stamp
			}
			return nil
		})
	})
	return newest, err
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
