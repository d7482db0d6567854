package doors

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/tests/program"
)

// A tag can be moved to something else; a digest cannot.
func TestImagesAreNamedByDigest(t *testing.T) {
	named := regexp.MustCompile(`(?m)^(?:FROM|\s*image:)\s+(\S+)`)
	for _, name := range []string{"Dockerfile", "tests/services/compose.yaml"} {
		images := named.FindAllStringSubmatch(read(t, name), -1)
		assert.NotEmpty(t, images, name)
		for _, image := range images {
			assert.Regexp(t, `^[a-z0-9./-]+:[\w.-]+@sha256:[0-9a-f]{64}$`, image[1], name)
		}
	}
}

// The program of the image is that of a release, and its licences come with it.
func TestTheImageIsBuiltAsARelease(t *testing.T) {
	release := regexp.MustCompile(`(?m)^RELEASE_GO := (\S+)$`).FindStringSubmatch(read(t, "Makefile"))
	require.NotNil(t, release)
	dockerfile := read(t, "Dockerfile")
	assert.Contains(t, dockerfile, "ENV GOTOOLCHAIN="+release[1]+"\n")
	assert.Regexp(t, `(?m)^COPY .*\bLICENSE\b.*\bTHIRD_PARTY_NOTICES\b`, dockerfile)
	assert.Regexp(t, `(?m)^USER nonroot`, dockerfile)
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(program.Root, name))
	require.NoError(t, err)
	return string(text)
}
