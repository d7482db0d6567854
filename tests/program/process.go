package program

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a process may take to end when it is asked to: longer than
// the shutdown_timeout of the shipped pipelines.
const patience = 100 * time.Second

// Process is a running program.
type Process struct {
	cmd   *exec.Cmd
	log   string
	ended chan struct{}
	once  sync.Once // for stopping
}

func start(t *testing.T, env []string, program string, args ...string) *Process {
	t.Helper()
	p := &Process{cmd: exec.Command(program, args...), log: filepath.Join(t.TempDir(), "log"), ended: make(chan struct{})} //nolint:noctx // it ends with the test
	log, err := os.Create(p.log)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }() // the process has its own handle
	p.cmd.Dir, p.cmd.Env = Root, env
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.Stop(t)
		if t.Failed() {
			t.Logf("%s %q said at last:\n%s", filepath.Base(program), args, p.tail(4000))
		}
	})
	return p
}

// PID is the process's id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Ended is closed when the process has ended, for whatever reason.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Kill ends the process as a crash would, and returns when it is gone.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // SIGKILL; it may be gone already
	<-p.ended
}

// Terminate asks the process to shut down, and does not wait.
func (p *Process) Terminate() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
}

// Stop asks the process to shut down, and waits. One that does not listen is
// killed, and fails the test.
func (p *Process) Stop(t *testing.T) {
	t.Helper()
	p.once.Do(func() {
		p.Terminate()
		timer := time.NewTimer(patience)
		defer timer.Stop()
		select {
		case <-p.ended:
		case <-timer.C:
			_ = p.cmd.Process.Signal(syscall.SIGQUIT) // a Go program tells where it stands
			select {
			case <-p.ended:
			case <-time.After(5 * time.Second):
				p.Kill()
			}
			t.Errorf("%s did not end within %v of SIGTERM:\n%s", p.cmd.Path, patience, p.tail(50_000))
		}
	})
}

// Log is what the process has said so far.
func (p *Process) Log() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func (p *Process) tail(size int) []byte {
	text := []byte(p.Log())
	if len(text) <= size {
		return text
	}
	text = text[len(text)-size:]
	if i := bytes.IndexByte(text, '\n'); i >= 0 {
		text = text[i+1:]
	}
	return text
}
