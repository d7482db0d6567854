package licences

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const noticesFile = "THIRD_PARTY_NOTICES"

// noticeFile are texts that a licence wants to be handed on with it.
var noticeFile = regexp.MustCompile(`(?i)^(?:notice|patents)s?(?:\.(?:txt|md))?$`)

const noticesHead = `The program benthos-happyrobot is under Apache-2.0, see LICENSE. It contains the
following modules. Below the list are their licences and notices, each text once, with
the modules that it is of. The source of a module is what "go mod download NAME@VERSION"
fetches, also where a licence asks for it (MPL-2.0).

This file is made by "make notices" from what is linked on any platform of a release.
`

// owner is what the file lists: a module, or the Go that everything is built with.
type owner struct {
	name string
	ids  []string
}

func TestTheNoticesAreFresh(t *testing.T) {
	want, path := notices(t), filepath.Join(root, noticesFile)
	if os.Getenv("UPDATE_NOTICES") != "" {
		require.NoError(t, os.WriteFile(path, []byte(want), 0o644))
	}
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	if want != string(got) { // the difference may be thousands of lines
		t.Errorf("%s is stale; run make notices and look at what changed", noticesFile)
	}
}

func notices(t *testing.T) string {
	t.Helper()
	owners, texts, read := map[string]owner{}, map[string][]string{}, reader{}
	add := func(o owner, file, text string, ids []string) {
		text = strings.TrimSpace(strings.ReplaceAll(text, "\r\n", "\n"))
		known := owners[o.name]
		o.ids = slices.Compact(slices.Sorted(slices.Values(slices.Concat(known.ids, ids))))
		owners[o.name] = o
		if label := o.name + ": " + file; !slices.Contains(texts[text], label) {
			texts[text] = append(texts[text], label)
		}
	}
	for _, l := range link(t, root, "./cmd/benthos-happyrobot") {
		if l.module.version == "" {
			continue // this one
		}
		licences, err := read.governing(l)
		require.NoError(t, err)
		o := owner{name: l.module.path + "@" + l.module.version}
		for _, licence := range licences {
			name, err := filepath.Rel(l.module.dir, licence.file)
			require.NoError(t, err)
			add(o, filepath.ToSlash(name), licence.text, licence.ids)
		}
		addNotices(t, l.module.dir, func(name, text string) { add(o, name, text, nil) })
	}
	goRoot, err := exec.CommandContext(t.Context(), "go", "env", "GOROOT").Output()
	require.NoError(t, err)
	dir, standard := strings.TrimSpace(string(goRoot)), owner{name: "Go, its runtime and standard library"}
	licences, err := read.of(dir)
	require.NoError(t, err)
	require.NotEmpty(t, licences)
	for _, licence := range licences {
		add(standard, filepath.Base(licence.file), licence.text, licence.ids)
	}
	addNotices(t, dir, func(name, text string) { add(standard, name, text, nil) })
	return page(owners, texts)
}

func addNotices(t *testing.T, dir string, add func(name, text string)) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, entry := range entries {
		if !entry.IsDir() && noticeFile.MatchString(entry.Name()) {
			text, err := os.ReadFile(filepath.Join(dir, entry.Name()))
			require.NoError(t, err)
			add(entry.Name(), string(text))
		}
	}
}

func page(owners map[string]owner, texts map[string][]string) string {
	var out strings.Builder
	out.WriteString(noticesHead + "\n")
	for _, name := range slices.Sorted(maps.Keys(owners)) {
		fmt.Fprintf(&out, "%s (%s)\n", name, strings.Join(owners[name].ids, ", "))
	}
	for _, labels := range texts {
		slices.Sort(labels)
	}
	inOrder := slices.SortedFunc(maps.Keys(texts), func(a, b string) int { return cmp.Compare(texts[a][0], texts[b][0]) })
	for _, text := range inOrder {
		fmt.Fprintf(&out, "\n%s\n%s\n\n%s\n", strings.Repeat("=", 80), strings.Join(texts[text], "\n"), text)
	}
	return out.String()
}
