// Command release makes the archives of a release, with an SBOM of each and the
// checksums of all. From the same commit, with the same Go, it makes the same bytes:
// no path, no time of day and no user is in them.
package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	program = "benthos-happyrobot"
	sbom    = "github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0"
)

// documents go into each archive, besides the program.
var documents = []string{"LICENSE", "THIRD_PARTY_NOTICES", "README.md", "CHANGELOG.md", "SECURITY.md", "config", "resources"}

type release struct {
	version, dir string
	made         time.Time // of the commit
	files        []file
}

// file is one of an archive: its name there, and its bytes.
type file struct {
	name string
	mode int64
	data []byte
}

func main() {
	out := flag.String("out", "dist", "folder for the archives")
	platforms := flag.String("platforms", "linux/amd64", "what to build for, with blanks between")
	version := flag.String("version", "", "of the release; empty for what git describe says")
	flag.Parse()
	if err := run(context.Background(), *out, *version, strings.Fields(*platforms)); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out, version string, platforms []string) error {
	described, err := command(ctx, nil, "git", "describe", "--tags", "--always", "--dirty")
	if err != nil {
		return err
	}
	stamp, err := command(ctx, nil, "git", "log", "-1", "--format=%ct")
	if err != nil {
		return err
	}
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return err
	}
	r := release{version: cmp.Or(version, described), dir: out, made: time.Unix(seconds, 0).UTC()}
	if r.files, err = readDocuments(ctx); err != nil {
		return err
	}
	if err := os.RemoveAll(out); err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	for _, platform := range platforms {
		if err := r.make(ctx, platform); err != nil {
			return fmt.Errorf("%s: %w", platform, err)
		}
	}
	return r.sum()
}

func readDocuments(ctx context.Context) (files []file, err error) {
	list, err := command(ctx, nil, "git", append([]string{"ls-files", "--"}, documents...)...)
	if err != nil {
		return nil, err
	}
	names := strings.Fields(list)
	for _, document := range documents {
		if !slices.ContainsFunc(names, func(name string) bool { return name == document || strings.HasPrefix(name, document+"/") }) {
			return nil, fmt.Errorf("%s is not in the repository", document)
		}
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		files = append(files, file{name, 0o644, data})
	}
	return files, nil
}

// make builds the program for a platform, and writes its archive and SBOM.
func (r release) make(ctx context.Context, platform string) error {
	goos, goarch, _ := strings.Cut(platform, "/")
	name := strings.Join([]string{program, r.version, goos, goarch}, "_")
	temp, err := os.MkdirTemp("", "release-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	binary := filepath.Join(temp, program)
	if goos == "windows" {
		binary += ".exe"
	}
	// Settings of whoever builds must not matter.
	environ := append(os.Environ(), "CGO_ENABLED=0", "GOOS="+goos, "GOARCH="+goarch, "GOAMD64=v1", "GOARM64=v8.0", "GOEXPERIMENT=", "GOFLAGS=")
	flags := fmt.Sprintf("-s -w -X main.version=%s -X main.dateBuilt=%s", r.version, r.made.Format(time.RFC3339))
	if _, err := command(ctx, environ, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", flags, "-o", binary, "./cmd/"+program); err != nil {
		return err
	}
	// The tool writes its own checksum, so it must not have paths in it either.
	_, err = command(ctx, append(os.Environ(), "GOFLAGS=-trimpath"), "go", "run", sbom, "bin", "-json", "-std", "-noserial", "-notimestamp",
		"-version", r.version, "-output", filepath.Join(r.dir, name+".cdx.json"), binary)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(binary)
	if err != nil {
		return err
	}
	files := append([]file{{filepath.Base(binary), 0o755, data}}, r.files...)
	for i := range files {
		files[i].name = path.Join(name, files[i].name)
	}
	slices.SortFunc(files, func(a, b file) int { return cmp.Compare(a.name, b.name) })
	var archive bytes.Buffer
	if goos == "windows" {
		err, name = r.zip(&archive, files), name+".zip"
	} else {
		err, name = r.tar(&archive, files), name+".tar.gz"
	}
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(r.dir, name), archive.Bytes(), 0o644)
}

func (r release) tar(out io.Writer, files []file) error {
	compressed := gzip.NewWriter(out)
	archive := tar.NewWriter(compressed)
	for _, f := range files {
		if err := archive.WriteHeader(&tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.data)), ModTime: r.made, Format: tar.FormatPAX}); err != nil {
			return err
		}
		if _, err := archive.Write(f.data); err != nil {
			return err
		}
	}
	if err := archive.Close(); err != nil {
		return err
	}
	return compressed.Close()
}

func (r release) zip(out io.Writer, files []file) error {
	archive := zip.NewWriter(out)
	for _, f := range files {
		entry, err := archive.CreateHeader(&zip.FileHeader{Name: f.name, Method: zip.Deflate, Modified: r.made})
		if err != nil {
			return err
		}
		if _, err := entry.Write(f.data); err != nil {
			return err
		}
	}
	return archive.Close()
}

// sum writes what sha256sum -c reads.
func (r release) sum() error {
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		return err
	}
	var sums strings.Builder
	for _, entry := range entries {
		data, err := os.ReadFile(filepath.Join(r.dir, entry.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(data), entry.Name())
	}
	fmt.Print(sums.String())
	return os.WriteFile(filepath.Join(r.dir, "SHA256SUMS"), []byte(sums.String()), 0o644)
}

// command runs a program and returns what it prints.
func command(ctx context.Context, environ []string, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	var said bytes.Buffer
	cmd.Env, cmd.Stderr = environ, &said
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, said.String())
	}
	return strings.TrimSpace(string(out)), nil
}
