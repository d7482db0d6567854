package boltfile

import (
	"os"
	"path/filepath"
	"strings"
	"time"
)

// What a killed process was writing is left beside the file that it was to become: a new file or a backup under
// newPattern, or what rewriteSuffix names. Both may be as large as the file, and as private.
const (
	newPattern = ".new-*.tmp" // the star is digits
	leftAfter  = time.Hour
)

// removeLeftovers leaves alone what is young: another process may be making it at this moment.
func (f *openFile) removeLeftovers(path string) {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return // what is left there does no harm
	}
	for _, entry := range entries {
		if !isNewOf(filepath.Base(path), entry.Name()) || !entry.Type().IsRegular() {
			continue
		}
		if info, err := entry.Info(); err == nil && time.Since(info.ModTime()) > leftAfter {
			f.removeLeftover(filepath.Join(filepath.Dir(path), entry.Name()))
		}
	}
}

func (f *openFile) removeLeftover(path string) {
	if os.Remove(path) == nil {
		f.log.Infof("Removed an unfinished file that an earlier process left behind: %q.", path)
	}
}

// isNewOf says whether a name is what newPattern made for a file.
func isNewOf(base, name string) bool {
	before, after, _ := strings.Cut(newPattern, "*")
	rest, ours := strings.CutPrefix(name, base+before)
	digits, whole := strings.CutSuffix(rest, after)
	return ours && whole && digits != "" && strings.Trim(digits, "0123456789") == ""
}
