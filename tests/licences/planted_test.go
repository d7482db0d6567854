package licences

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/tests/program"
)

// plant makes a program that uses another module, with more files in it, and checks it.
func plant(t *testing.T, files map[string]string) string {
	t.Helper()
	dir, all := t.TempDir(), map[string]string{
		"go.mod":                "module example.org/program\n\ngo 1.26\n\nrequire example.org/used v0.0.0\n\nreplace example.org/used => ./used\n",
		"main.go":               "package main\n\nimport _ \"example.org/used\"\n\nfunc main() {}\n",
		"LICENSE":               text(t, "Apache-2.0"),
		"used/go.mod":           "module example.org/used\n\ngo 1.26\n",
		"used/LICENSE":          text(t, "MIT"),
		"used/used.go":          "package used\n\nimport _ \"example.org/used/sub/deep\"\n",
		"used/sub/deep/deep.go": "package deep\n",
		"used/sub/other/o.go":   "// Business Source License 1.1\npackage other\n", // not linked
	}
	maps.Copy(all, files)
	for name, text := range all {
		if text == "" {
			continue
		}
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o750))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	found, err := complaints(link(t, dir, "."))
	require.NoError(t, err)
	return strings.ReplaceAll(strings.Join(found, "\n"), dir+string(filepath.Separator), "")
}

// text is a licence as the library that knows them has it.
func text(t *testing.T, id string) string {
	t.Helper()
	list := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/google/licensecheck")
	dir, err := list.Output()
	require.NoError(t, err)
	sample, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "testdata", id+".t1"))
	require.NoError(t, err)
	_, licence, found := strings.Cut(string(sample), "\n\n") // what the library should find in it comes first
	require.True(t, found)
	return licence
}

func TestWhatIsNotOpenIsFound(t *testing.T) {
	t.Parallel()
	assert.Empty(t, plant(t, nil))
	for name, test := range map[string]struct {
		files map[string]string
		says  []string
	}{
		"no licence":                     {map[string]string{"used/LICENSE": ""}, []string{"example.org/used: no licence file"}},
		"another licence":                {map[string]string{"used/LICENSE": text(t, "GPL-3.0-Only")}, []string{"example.org/used: licence GPL-3.0"}},
		"MPL without a reason":           {map[string]string{"used/LICENSE": text(t, "MPL-2.0")}, []string{"example.org/used: licence MPL-2.0 in used/LICENSE"}},
		"words that nobody knows":        {map[string]string{"used/LICENSE": strings.Repeat("You may look at it on Tuesdays. ", 50)}, []string{"licence unknown in used/LICENSE"}},
		"a second licence beside it":     {map[string]string{"used/COPYING": text(t, "AGPL-3.0")}, []string{"licence AGPL-3.0 in used/COPYING"}},
		"a condition behind it":          {map[string]string{"used/LICENSE": text(t, "MIT") + strings.Repeat("The Software must not be sold, nor offered as a service. ", 30)}, []string{"licence unknown in used/LICENSE"}},
		"a folder of another licence":    {map[string]string{"used/sub/LICENSE.md": text(t, "MPL-2.0")}, []string{"licence MPL-2.0 in used/sub/LICENSE.md"}},
		"an open folder of a closed one": {map[string]string{"used/LICENSE": text(t, "MPL-2.0"), "used/sub/LICENSE": text(t, "MIT")}, []string{"licence MPL-2.0 in used/LICENSE"}},
		"a file under other terms":       {map[string]string{"used/sub/deep/rcl.go": "// Licensed as a Redpanda Enterprise file under the Redpanda Community\n// License\npackage deep\n"}, []string{`used/sub/deep/rcl.go says "redpanda community licen"`}},
		"Business Source":                {map[string]string{"used/b.go": "// Use of this software is governed by the Business Source License\npackage used\n"}, []string{"used/b.go says"}},
		"a file for one platform":        {map[string]string{"used/b_windows_arm64.s": "// SPDX-License-Identifier: SSPL-1.0\n"}, []string{`used/b_windows_arm64.s says "SPDX-License-Identifier: SSPL-1.0"`}},
		"a file that is embedded":        {map[string]string{"used/e.go": "package used\n\nimport _ \"embed\"\n\n//go:embed data.txt\nvar _ string\n", "used/data.txt": "under the GNU Affero General Public License"}, []string{"used/data.txt says"}},
		"both of an open and a closed":   {map[string]string{"used/b.go": "// SPDX-License-Identifier: (MIT AND BUSL-1.1)\npackage used\n"}, []string{"used/b.go says"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found := plant(t, test.files)
			for _, says := range test.says {
				assert.Contains(t, found, says)
			}
		})
	}
}

func TestWhatIsOpenIsNotFound(t *testing.T) {
	t.Parallel()
	program.Long(t, "what must be found counts more")
	for name, files := range map[string]map[string]string{
		"BSD":           {"used/LICENSE": text(t, "BSD-3-Clause")},
		"ISC":           {"used/LICENSE": text(t, "ISC")},
		"two in one":    {"used/LICENSE": text(t, "MIT") + "\n\n" + text(t, "Apache-2.0")},
		"a choice":      {"used/b.go": "// SPDX-License-Identifier: GPL-2.0-only OR MIT\npackage used\n"},
		"both are open": {"used/b.go": "/* SPDX-License-Identifier: Apache-2.0 AND MIT */\npackage used\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.Empty(t, plant(t, files))
		})
	}
}
