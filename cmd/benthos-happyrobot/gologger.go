package main

import (
	"bytes"
	"io"
)

// goLog is where Go's own logger writes. Only libraries use it, and what they quote
// may be of the API: net/http shows what a reply has beyond its Content-Length. So of
// each entry it keeps the first line, up to what is quoted.
type goLog struct{ out io.Writer }

const leftOutOfGoLog = "… (the rest is left out, since it may show keys or calls)\n"

func (l goLog) Write(entry []byte) (int, error) {
	kept := bytes.TrimSuffix(entry, []byte("\n"))
	if end := bytes.IndexAny(kept, "\"`\n"); end >= 0 {
		kept = append(bytes.Clone(kept[:end]), leftOutOfGoLog...)
	} else {
		kept = entry
	}
	if _, err := l.out.Write(kept); err != nil {
		return 0, err
	}
	return len(entry), nil
}
