package kafka

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"
)

// loneWriter stores records one by one, so that each request holds one record, and an
// error is that record's own. It needs a client of its own: the output's sends records of
// several writes in one request. It connects when it is first used, which is rare.
type loneWriter struct {
	opts   func() []kgo.Opt
	turn   chan struct{} // holds a token while nobody writes
	client *kgo.Client   // belongs to who has the token
	closed bool          // likewise
}

func newLoneWriter(opts func() []kgo.Opt) *loneWriter {
	l := &loneWriter{opts: opts, turn: make(chan struct{}, 1)}
	l.turn <- struct{}{}
	return l
}

// write stores a record with send.
func (l *loneWriter) write(ctx context.Context, e entry, send func(context.Context, *kgo.Client, []entry) ([]error, error)) error {
	select {
	case <-l.turn:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { l.turn <- struct{}{} }()
	if l.closed {
		return kgo.ErrClientClosed
	}
	if l.client == nil {
		client, err := kgo.NewClient(l.opts()...)
		if err != nil {
			return fmt.Errorf("making a client: %w", err)
		}
		l.client = client
	}
	errs, err := send(ctx, l.client, []entry{e})
	if err != nil {
		return err
	}
	return errs[0]
}

// close gives up the client, once nobody writes. A write under way ends with its context.
func (l *loneWriter) close() {
	<-l.turn
	defer func() { l.turn <- struct{}{} }()
	if l.closed = true; l.client != nil {
		l.client.Close()
		l.client = nil
	}
}
