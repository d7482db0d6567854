package licences

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/google/licensecheck"
)

// licenceFile are names that folders give the text of their licence.
var licenceFile = regexp.MustCompile(`(?i)^(?:un)?licen[sc]es?(?:[-.].*)?$|^copying(?:[-.].*)?$|^(?:mit|bsd|apache)[-_]licen[sc]e`)

// lineStart is what is between two words of a comment that are on different lines.
var lineStart = regexp.MustCompile(`[ \t\r]*\n[\s/*#]*`)

// leastCovered is how much of a licence file must be the text of known licences, in
// percent. The rest are names and dates.
const leastCovered = 75

// licence is a file with the text of one or more.
type licence struct {
	file string
	ids  []string
	text string
}

// readLicences reads the licence files of one folder.
func readLicences(dir string) (licences []licence, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if entry.IsDir() || !licenceFile.MatchString(entry.Name()) || strings.HasSuffix(entry.Name(), ".go") {
			continue
		}
		file := filepath.Join(dir, entry.Name())
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		licences = append(licences, licence{file, identify(text), string(text)})
	}
	return licences, nil
}

// identify says which licences a text is; "unknown" stands for what is none of those
// that are known.
func identify(text []byte) []string {
	coverage := licensecheck.Scan(text)
	ids := map[string]bool{}
	for _, match := range coverage.Match {
		if !match.IsURL {
			ids[match.ID] = true
		}
	}
	if coverage.Percent < leastCovered {
		ids["unknown"] = true
	}
	return slices.Sorted(maps.Keys(ids))
}

// reader reads each folder once.
type reader map[string][]licence

func (r reader) of(dir string) ([]licence, error) {
	if licences, known := r[dir]; known {
		return licences, nil
	}
	licences, err := readLicences(dir)
	r[dir] = licences
	return licences, err
}

// governing are the licences that a package is under: those of its module, and those of
// the folder nearest above it that has any.
func (r reader) governing(l linked) ([]licence, error) {
	ofModule, err := r.of(l.module.dir)
	if err != nil {
		return nil, err
	}
	for dir := l.dir; dir != l.module.dir; dir = filepath.Dir(dir) {
		if len(dir) < len(l.module.dir) {
			return nil, fmt.Errorf("%s is outside of %s", l.dir, l.module.dir)
		}
		if licences, err := r.of(dir); err != nil || len(licences) > 0 {
			return slices.Concat(ofModule, licences), err
		}
	}
	return ofModule, nil
}

// complaints are what keeps packages from being linked into open source.
func complaints(packages []linked) (found []string, err error) {
	said, read := map[string]bool{}, reader{}
	complain := func(format string, args ...any) {
		if text := fmt.Sprintf(format, args...); !said[text] {
			said[text] = true
			found = append(found, text)
		}
	}
	for _, l := range packages {
		licences, err := read.governing(l)
		if err != nil {
			return nil, err
		}
		if len(licences) == 0 {
			complain("%s: no licence file between %s and the folder of its module %s", l.path, l.dir, l.module.path)
		}
		for _, licence := range licences {
			if len(licence.ids) == 0 {
				complain("%s: no licence in %s", l.module.path, licence.file)
			}
			for _, id := range licence.ids {
				if !allowed[id] && excepted[l.module.path].id != id {
					complain("%s: licence %s in %s", l.module.path, id, licence.file)
				}
			}
		}
		for file := range l.files {
			text, err := os.ReadFile(file)
			if err != nil {
				return nil, err
			}
			words := lineStart.ReplaceAll(bytes.ToLower(spdx.ReplaceAll(text, nil)), []byte(" "))
			for _, marker := range markers {
				if bytes.Contains(words, []byte(marker)) {
					complain("%s says %q", file, marker)
				}
			}
			for _, expression := range spdx.FindAllSubmatch(text, -1) {
				if !open(string(expression[1]), excepted[l.module.path].id) {
					complain("%s says %q", file, expression[0])
				}
			}
		}
	}
	slices.Sort(found)
	return found, nil
}

// open says whether an SPDX expression leaves a choice that is allowed, or excepted.
func open(expression, exception string) bool {
	expression = strings.Trim(expression, "()\" */->")
	for choice := range strings.SplitSeq(expression, " OR ") {
		all := true
		for id := range strings.SplitSeq(choice, " AND ") {
			id = strings.Trim(id, "() ")
			all = all && (allowed[id] || id == exception)
		}
		if all {
			return true
		}
	}
	return false
}
