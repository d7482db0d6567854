package happyrobot

import (
	"bytes"
	"errors"
	"io"
	"sync"
)

var errHandedOut = errors.New("the connection failed after the request may have left; a dial is not repeated")

// dialBody is the body of a request that must not arrive twice: of a dial, and of
// any other that changes something.
//
// net/http repeats requests of its own accord. With a body that it can have
// again it does so not only when nothing was written to a dead idle connection,
// but over HTTP/2 also when the server resets the stream after reading all of
// it, and over HTTP/1.1 when a header promises that repeating is harmless. So the
// body is given again only while none of it was taken. Without its body a
// request places no call, even if its headers have left.
type dialBody struct {
	json []byte

	mu    sync.Mutex
	taken bool
	turn  int // readers of earlier turns give nothing
}

func (b *dialBody) reader() io.ReadCloser {
	return io.NopCloser(&dialReader{body: b, turn: b.turn, rest: bytes.NewReader(b.json)})
}

// again is what a request's GetBody is for.
func (b *dialBody) again() (io.ReadCloser, error) {
	if !b.withhold() {
		return nil, errHandedOut
	}
	return b.reader(), nil
}

// withhold reports whether nothing was taken, and makes sure that nothing will be.
func (b *dialBody) withhold() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.turn++
	return !b.taken
}

// dialReader is a type of its own also because net/http flushes the headers before a body
// of a type that it does not know, and a dead connection shows there.
type dialReader struct {
	body *dialBody
	turn int
	rest *bytes.Reader
}

func (r *dialReader) Read(p []byte) (int, error) {
	r.body.mu.Lock()
	current := r.turn == r.body.turn
	r.body.taken = r.body.taken || current
	r.body.mu.Unlock()
	if !current {
		return 0, errHandedOut
	}
	return r.rest.Read(p)
}
