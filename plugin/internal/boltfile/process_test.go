package boltfile

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
)

const (
	childPath = "BOLTFILE_TEST_CHILD_PATH"
	childRun  = "BOLTFILE_TEST_CHILD_RUN"

	childRewrites = "BOLTFILE_TEST_CHILD_REWRITES" // as a duration, "" for seldom
)

// TestChildProcess is the program of startChild: it writes until it is killed and prints what is acknowledged.
func TestChildProcess(t *testing.T) {
	path, run := os.Getenv(childPath), os.Getenv(childRun)
	if path == "" {
		t.Skip("runs as a child process of other tests")
	}
	rewrites, _ := time.ParseDuration(os.Getenv(childRewrites))
	cache, err := open(testConfig{path: path, rewrites: rewrites})
	require.NoError(t, err)
	fmt.Println("open")
	for writer := range 16 {
		go func() {
			for n := 0; ; n++ {
				key := fmt.Sprintf("%s-%d-%d", run, writer, n)
				var err error
				if n%4 == 3 {
					err = cache.SetAll(context.Background(), []store.Item{{Key: key, Value: []byte(key)}, {Key: key + "-twin", Value: []byte(key)}})
				} else {
					err = cache.Add(context.Background(), key, []byte(key), nil)
				}
				if err != nil {
					panic(err)
				}
				fmt.Println("stored", key)
			}
		}()
	}
	_, _ = io.Copy(io.Discard, os.Stdin) // ends with the parent, should it die first
}

func startChild(t *testing.T, path, run string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	child := exec.Command(os.Args[0], "-test.run=^TestChildProcess$", "-test.v")
	child.Env = append(os.Environ(), childPath+"="+path, childRun+"="+run)
	child.Stderr = os.Stderr
	_, err := child.StdinPipe()
	require.NoError(t, err)
	output, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	t.Cleanup(func() {
		_ = child.Process.Kill()
		_ = child.Wait()
	})
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		if lines.Text() == "open" {
			return child, lines
		}
	}
	require.Fail(t, "the child has not opened the file")
	return nil, nil
}

func TestKeepsWhatItAcknowledgedWhenKilled(t *testing.T) { testKilled(t) }

func TestKeepsWhatItAcknowledgedWhenKilledWhileItIsRewritten(t *testing.T) {
	t.Setenv(childRewrites, "1ms")
	testKilled(t)
}

func testKilled(t *testing.T) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ledger.db")
	var acknowledged []string
	for run := range 5 {
		child, lines := startChild(t, path, fmt.Sprint("run", run))
		for seen := 0; lines.Scan(); {
			key, stored := strings.CutPrefix(lines.Text(), "stored ")
			if !stored {
				continue
			}
			acknowledged = append(acknowledged, key)
			if seen++; seen == 100+37*run { // in the middle of other writes
				require.NoError(t, child.Process.Kill())
			}
		}
		require.Error(t, child.Wait(), "killed")
	}

	require.Greater(t, len(acknowledged), 800)
	cache := openTest(t, atPath(path))
	for _, key := range acknowledged {
		assertValue(t, cache, key, key)
		require.ErrorIs(t, cache.Add(t.Context(), key, nil, nil), store.ErrExists)
	}
	for run := range 5 { // acknowledged or not, a SetAll has happened whole or not at all
		for writer := range 16 {
			for n := 3; ; n += 4 {
				key := fmt.Sprintf("run%d-%d-%d", run, writer, n)
				_, err := cache.Get(t.Context(), key)
				_, twinErr := cache.Get(t.Context(), key+"-twin")
				require.Equal(t, err == nil, twinErr == nil, key)
				if err != nil {
					break
				}
			}
		}
	}
	checkFile(t, cache)
}

func TestRefusesAFileThatAnotherProcessHasOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	startChild(t, path, "run")

	began := time.Now()
	_, err := open(testConfig{path: path})
	require.ErrorContains(t, err, path)
	require.ErrorContains(t, err, "another process has it open")
	assert.Less(t, time.Since(began), 30*time.Second, "it gives up on the lock")
}

func TestNoProcessSlipsInWhileTheFileIsRewritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	t.Setenv(childRewrites, "1ms")
	startChild(t, path, "run")
	opened, err := os.Open(path) // which keeps its number from being given to another
	require.NoError(t, err)
	defer opened.Close()
	before, err := opened.Stat()
	require.NoError(t, err)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 4 {
				h, err := openHandle(path, 0o600)
				if err == nil {
					t.Error("another process has it")
					_ = h.close()
				}
			}
		})
	}
	wg.Wait()
	after, err := os.Stat(path)
	require.NoError(t, err)
	assert.False(t, os.SameFile(before, after), "it was rewritten meanwhile")
}
