package boltfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"go.etcd.io/bbolt"
)

// prepare makes sure the file exists and returns the one path by which this process knows it.
func prepare(o Options) (string, error) {
	path, err := filepath.Abs(o.Path)
	if err != nil {
		return "", err
	}
	path = followLinks(path)
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && o.MustExist:
		return "", fmt.Errorf("%q does not exist, and `must_exist` is set: put the file there, or start once without `must_exist` to begin with an empty one", path)
	case errors.Is(err, fs.ErrNotExist):
		if err := createFile(path, o.Mode); err != nil {
			return "", fmt.Errorf("creating %q: %w", path, err)
		}
	case err != nil:
		return "", err
	case info.IsDir():
		return "", fmt.Errorf("%q is a directory; name a file in it", path)
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("%q is not a regular file", path)
	case info.Size() == 0:
		return "", fmt.Errorf("%q is empty (0 bytes), which no file of this cache is: if it was emptied, put a copy there, such as the one that `backup` writes; to begin with a new one, remove it", path)
	}
	return filepath.EvalSymlinks(path)
}

// followLinks returns the path of the file that a link leads to, also of one that is not there yet.
func followLinks(path string) string {
	for range 40 { // links may go in circles
		if folder, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
			path = filepath.Join(folder, filepath.Base(path))
		}
		target, err := os.Readlink(path)
		if err != nil {
			return path
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(path), target)
		}
		path = target
	}
	return path
}

// createFile also syncs every folder that got a new entry: an fsync of the file alone does not keep a power cut
// from taking a new file away with all that was acknowledged. The file gets its name once it is whole, unless another
// process was first.
func createFile(path string, mode fs.FileMode) (err error) {
	changed := []string{filepath.Dir(path)}
	for folder := changed[0]; !pathExists(folder); {
		folder = filepath.Dir(folder)
		changed = append(changed, folder)
	}
	searchable := mode | mode&0o444>>2 // who may read the file may enter its folder
	if err := os.MkdirAll(filepath.Dir(path), searchable); err != nil {
		return err
	}
	whole, err := makeWhole(path, mode)
	if err != nil {
		return err
	}
	if err := os.Link(whole, path); err != nil && !errors.Is(err, fs.ErrExist) {
		if err := os.Rename(whole, path); err != nil { // for file systems without links
			return errors.Join(err, os.Remove(whole))
		}
	} else if err := os.Remove(whole); err != nil {
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

// makeWhole makes an empty bbolt file beside a path. Its mode is what was asked for, whatever the umask: the
// distribution's own keeps other files private.
func makeWhole(path string, mode fs.FileMode) (string, error) {
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+newPattern)
	if err != nil {
		return "", err
	}
	name := file.Name()
	err = errors.Join(file.Close(), os.Chmod(name, mode))
	if err == nil {
		var db *bbolt.DB
		if db, _, err = openBolt(name, mode, bbolt.Options{NoFreelistSync: true}); err == nil {
			err = db.Close()
		}
	}
	if err != nil {
		return "", errors.Join(err, os.Remove(name))
	}
	return name, nil
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
