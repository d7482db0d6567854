package doors

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/tests/program"
)

// command is one that the documentation shows: run or streams, and what follows.
type command []string

func (c command) String() string { return strings.Join(c, " ") }

// with is the command with more settings.
func (c command) with(more ...string) []string {
	return slices.Concat([]string{c[0]}, more, c[1:])
}

// streams are the ids of the streams that the command runs.
func (c command) streams() (ids []string) {
	for _, arg := range c {
		if c[0] == "streams" && strings.HasPrefix(arg, "config/") {
			ids = append(ids, strings.TrimSuffix(filepath.Base(arg), ".yaml"))
		}
	}
	return ids
}

var (
	// shown is a line of a code block, or of a comment of a config, that starts the
	// program, as a shell or a container would.
	shown = regexp.MustCompile(`(?m)^[#$ \t]*(?:docker run .*)?benthos-happyrobot (.+)$`)
	// imagePath is where the image has the files of this repository.
	imagePath = regexp.MustCompile(`^/(config|resources)/`)
)

// documented finds the commands in all of the documentation, the configs and the
// Dockerfile, so that a new one is tried as well.
func documented(t *testing.T) (commands []command) {
	t.Helper()
	seen := map[string]bool{}
	var showing []string
	require.NoError(t, filepath.WalkDir(program.Root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			if entry != nil && strings.HasPrefix(entry.Name(), ".git") {
				return filepath.SkipDir
			}
			return err
		}
		switch ext := filepath.Ext(path); {
		case entry.Name() == "Dockerfile", ext == ".md", ext == ".yaml", ext == ".yml", ext == ".sql":
		default:
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, found := range shown.FindAllStringSubmatch(string(text), -1) {
			args := strings.Fields(found[1])
			if args[0] != "run" && args[0] != "streams" {
				continue // it serves nothing
			}
			require.NotContains(t, found[1], `\`, "%s: put the command on one line, as this test reads it", path)
			for i := range args {
				args[i] = imagePath.ReplaceAllString(args[i], "$1/")
			}
			showing = append(showing, path)
			if c := command(args); !seen[c.String()] {
				seen[c.String()] = true
				commands = append(commands, c)
			}
		}
		return nil
	}))
	_, args := image(t)
	for i := range args {
		args[i] = imagePath.ReplaceAllString(args[i], "$1/")
	}
	commands = append(commands, args)

	// What the expression above does not find would not be tried.
	assert.Contains(t, showing, filepath.Join(program.Root, "README.md"))
	configs, err := filepath.Glob(filepath.Join(program.Root, "config", "*.yaml"))
	require.NoError(t, err)
	for _, config := range configs {
		if !strings.HasSuffix(config, "_benthos_test.yaml") {
			assert.Contains(t, showing, config, "its head shows no command")
		}
	}
	return commands
}

// image is what the Dockerfile starts.
func image(t *testing.T) (entrypoint, cmd []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(program.Root, "Dockerfile"))
	require.NoError(t, err)
	for _, part := range []struct {
		word string
		into *[]string
	}{{"ENTRYPOINT", &entrypoint}, {"CMD", &cmd}} {
		found := regexp.MustCompile(`(?m)^` + part.word + ` (\[.*\])$`).FindSubmatch(text)
		require.NotNil(t, found, part.word)
		require.NoError(t, json.Unmarshal(found[1], part.into))
	}
	return entrypoint, cmd
}
