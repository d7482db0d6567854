package program

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// build puts each program at its path. Each is linked once, by whichever test package
// comes first: unlike go build, go run keeps what it linked in the build cache, under a
// key of all that went into it, so the others find it there and it is never stale. What
// go run then runs is cp.
func build(programs map[string]string) error {
	unlock, err := lock(filepath.Join(os.TempDir(), fmt.Sprintf("benthos-happyrobot-build-%d.lock", os.Getuid())))
	if err != nil {
		return fmt.Errorf("waiting for another package to build: %w", err)
	}
	defer unlock()
	for path, source := range programs {
		run := exec.CommandContext(context.Background(), "go", "run", "-exec", "cp", source, path) //nolint:gosec // neither comes from outside
		run.Dir = Root
		if out, err := run.CombinedOutput(); err != nil {
			return fmt.Errorf("building %s: %w\n%s", source, err, out)
		}
	}
	return nil
}
