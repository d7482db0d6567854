package licences

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// root is the repository.
const root = "../.."

// platforms are those of a release.
var platforms = []string{"linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64", "windows/amd64", "windows/arm64"}

// linked is a package that is part of a program on one platform at least.
type linked struct {
	path, dir string
	module    module
	files     map[string]bool // all that the compiler, the assembler and the linker read
}

type module struct{ path, version, dir string }

// link lists what the programs that match patterns, in the module at dir, are made of,
// the standard library aside.
func link(t *testing.T, dir string, patterns ...string) []linked {
	t.Helper()
	byPath, mutex := map[string]linked{}, sync.Mutex{}
	var wait sync.WaitGroup
	errs := make([]error, len(platforms))
	for i, platform := range platforms {
		wait.Go(func() {
			packages, err := list(t, dir, platform, patterns)
			errs[i] = err
			mutex.Lock()
			defer mutex.Unlock()
			for _, p := range packages {
				if known, exists := byPath[p.path]; exists {
					maps.Copy(known.files, p.files)
				} else {
					byPath[p.path] = p
				}
			}
		})
	}
	wait.Wait()
	require.NoError(t, errors.Join(errs...))
	return slices.SortedFunc(maps.Values(byPath), func(a, b linked) int { return strings.Compare(a.path, b.path) })
}

func list(t *testing.T, dir, platform string, patterns []string) (packages []linked, err error) {
	goos, goarch, _ := strings.Cut(platform, "/")
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-deps", "-trimpath",
		"-json=ImportPath,Standard,Dir,Module,GoFiles,CgoFiles,CFiles,CXXFiles,HFiles,SFiles,SysoFiles,EmbedFiles,Error"}, patterns...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=0")
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("listing the packages of %s: %w\n%s", platform, err, said.String())
	}
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			ImportPath, Dir string
			Standard        bool
			Module          *struct {
				Path, Version, Dir string
				Replace            *struct{ Dir string }
			}
			GoFiles, CgoFiles, CFiles, CXXFiles, HFiles, SFiles, SysoFiles, EmbedFiles []string
		}
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages, nil
		} else if err != nil {
			return nil, err
		}
		if p.Standard {
			continue
		}
		if p.Module == nil {
			return nil, fmt.Errorf("%s is of no module", p.ImportPath)
		}
		l := linked{p.ImportPath, p.Dir, module{p.Module.Path, p.Module.Version, p.Module.Dir}, map[string]bool{}}
		if p.Module.Replace != nil {
			l.module.dir = p.Module.Replace.Dir
		}
		for _, name := range slices.Concat(p.GoFiles, p.CgoFiles, p.CFiles, p.CXXFiles, p.HFiles, p.SFiles, p.SysoFiles, p.EmbedFiles) {
			l.files[filepath.Join(p.Dir, name)] = true
		}
		packages = append(packages, l)
	}
}
