// Command failures tells what failed in a log of go test -json: each failed test with
// what it printed, and at last the names alone. Only the end of CI's output is kept, so
// the names come last, and no test may push them out with a long text.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

const (
	firstLines = 30  // of what a failed test printed
	lastLines  = 50  // likewise, where it printed more
	lineBytes  = 300 // of each line
	mostTold   = 25  // tests whose output is shown
)

// event is a line of the log, as `go doc test2json` has it.
type event struct {
	Action, Package, ImportPath, Test, Output string
}

// subject is a test, or a package when it has no test.
type subject struct{ pkg, test string }

func (s subject) String() string {
	return strings.TrimSpace(strings.TrimPrefix(s.pkg, "github.com/benthos-happyrobot/benthos-happyrobot/") + " " + s.test)
}

func main() {
	if err := tell(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "failures:", err)
		os.Exit(1)
	}
}

func tell(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	printed, ended := map[subject][]string{}, map[subject]string{}
	var seen []subject
	lines := bufio.NewReader(f)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			break
		}
		var e event
		if json.Unmarshal(line, &e) != nil {
			continue // cut off, or printed by the go command itself
		}
		s := subject{e.Package, e.Test}
		if s.pkg == "" {
			s.pkg = e.ImportPath // of a package that does not compile
		}
		if _, known := ended[s]; !known {
			seen, ended[s] = append(seen, s), ""
		}
		switch e.Action {
		case "output", "build-output":
			if said := strings.TrimRight(e.Output, "\n"); worthTelling(said) {
				printed[s] = append(printed[s], said)
			}
		case "pass", "skip", "fail", "build-fail":
			ended[s] = strings.TrimPrefix(e.Action, "build-")
		}
	}

	var failed []subject
	explained := map[string]bool{} // packages of which a test failed
	for _, s := range seen {
		explained[s.pkg] = explained[s.pkg] || s.test != "" && ended[s] == "fail"
	}
	for _, s := range seen {
		// Where none failed, the package ended in the middle of one: os.Exit, a timeout.
		cutOff := ended[s] == "" && ended[subject{pkg: s.pkg}] == "fail" && !explained[s.pkg]
		if ended[s] == "fail" || cutOff {
			failed = append(failed, s)
		}
	}
	for i, s := range failed {
		if i == mostTold {
			fmt.Printf("--- and %d more\n", len(failed)-mostTold)
			break
		}
		fmt.Printf("--- %s\n", s)
		show(printed[s])
	}
	fmt.Printf("\n%d failed:\n", len(failed))
	for _, s := range failed {
		fmt.Println("  ", s)
	}
	return nil
}

// worthTelling leaves out what go test and Benthos say of every test.
func worthTelling(line string) bool {
	for _, start := range []string{"=== RUN", "=== PAUSE", "=== CONT", "=== NAME", "--- PASS", "PASS", "ok "} {
		if strings.HasPrefix(strings.TrimSpace(line), start) {
			return false
		}
	}
	return strings.TrimSpace(line) != "" && !strings.Contains(line, "level=info") && !strings.Contains(line, "level=INFO")
}

func show(lines []string) {
	if left := len(lines) - firstLines - lastLines; left > 0 {
		middle := fmt.Sprintf("... %d lines ...", left)
		lines = append(append(lines[:firstLines:firstLines], middle), lines[len(lines)-lastLines:]...)
	}
	for _, line := range lines {
		fmt.Println("   ", line[:min(len(line), lineBytes)])
	}
}
