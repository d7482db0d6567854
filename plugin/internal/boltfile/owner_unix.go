//go:build unix

package boltfile

import (
	"io/fs"
	"os"
	"syscall"
)

// keepOwner gives a file the owner that another had.
func keepOwner(path string, had fs.FileInfo) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	was, known := had.Sys().(*syscall.Stat_t)
	is, knownToo := info.Sys().(*syscall.Stat_t)
	if !known || !knownToo || was.Uid == is.Uid && was.Gid == is.Gid {
		return nil
	}
	return os.Chown(path, int(was.Uid), int(was.Gid))
}
