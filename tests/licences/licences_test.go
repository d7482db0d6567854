package licences

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTheProgramsLinkOpenSourceOnly(t *testing.T) {
	packages := link(t, root, "./cmd/...")
	found, err := complaints(packages)
	require.NoError(t, err)
	assert.Empty(t, strings.Join(found, "\n"))
	assert.Greater(t, len(packages), 200, "otherwise little was looked at")

	// An exception that nothing needs is one that nobody looks at any more.
	for path, exception := range excepted {
		assert.NotEmpty(t, exception.reason, path)
		assert.True(t, slices.ContainsFunc(packages, func(l linked) bool { return l.module.path == path }), "%s is not linked", path)
	}
}

// Connect is under mixed terms: what is linked today may be under others tomorrow.
func TestNothingOfConnectIsRequired(t *testing.T) {
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join(root, name))
		require.NoError(t, err)
		for line := range strings.Lines(string(text)) {
			assert.NotContains(t, line, "redpanda-data/connect", name)
		}
	}
}

func TestEveryPlatformOfAReleaseIsLookedAt(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	require.NoError(t, err)
	assert.Contains(t, string(makefile), "\nPLATFORMS := "+strings.Join(platforms, " ")+"\n")
}
