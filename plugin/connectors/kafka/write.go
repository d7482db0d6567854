package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
)

// entry is a message of a batch that is to be stored.
type entry struct {
	record *kgo.Record
	index  int // in the batch
}

// write is one batch on its way. It belongs to the goroutine that writes it.
type write struct {
	*output
	client *kgo.Client
	began  time.Time
	waiter *pause.Waiter

	left  []entry // not stored yet, in the order of the batch
	fates []error // by index: why a message can never be stored

	// Of a batch whose messages a BatchError would mistake for each other, a bad one holds
	// the write up instead. It is tried again, since a topic's limits may be raised.
	shifted bool
	never   error // why no record can be made of one of its messages
}

// fails notes that no record can be made of a message.
func (w *write) fails(index int, err error) {
	if w.shifted {
		w.never = err
		return
	}
	w.fates[index] = err
}

// all stores what is left, and returns why it cannot be known whether all of it is.
func (w *write) all(ctx context.Context) error {
	between := pause.NewGrowing(firstWritePause, longestWritePause)
	for len(w.left) > 0 || w.never != nil {
		err := w.once(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil:
			return nil
		case stopped(err):
			return fmt.Errorf("the output was closed: %w", err)
		case w.producer.givesUp(err, time.Since(w.began)):
			return err
		}
		w.held(err)
		if err := pause.Sleep(ctx, between.Next()); err != nil {
			return err
		}
	}
	return nil
}

// once sends what is left, keeps what was not stored, and returns the first error of the
// cluster's.
func (w *write) once(ctx context.Context) error {
	if len(w.left) == 0 {
		return holdsUp(w.never)
	}
	errs, err := w.send(ctx, w.client, w.left)
	if err != nil {
		return err
	}
	var first error
	bad := w.never
	sent := w.left
	w.left = nil
	for i, entry := range sent {
		err := errs[i]
		if isSuspicion(err) {
			// A broker refuses a whole batch of records for one of them, and the batch may
			// hold records of other writes. By itself each of them shows what it is.
			err = w.alone.write(ctx, entry, w.send)
		}
		switch {
		case err == nil:
		case isRecordFault(err) && w.shifted:
			w.left = append(w.left, entry)
			bad = w.faultWords(entry.record, err)
		case isRecordFault(err):
			w.fates[entry.index] = w.faultWords(entry.record, err)
		default:
			w.left = append(w.left, entry)
			if errors.Is(err, kerr.UnknownTopicID) {
				// The topic was deleted and created again. The client knows topics by the
				// ids that they had when it met them, and keeps asking for the old one.
				w.client.PurgeTopicsFromProducing(entry.record.Topic)
			}
			if first == nil {
				first = w.conn.explainTopic(entry.record.Topic, err)
			}
		}
	}
	if first == nil && bad != nil {
		return holdsUp(bad)
	}
	return first
}

// holdsUp says why a write goes no further although all that can be stored is.
func holdsUp(bad error) error {
	return &trouble{err: bad, text: fmt.Sprintf("%v. It would be lost if it failed alone, since a processor removed, reordered or split messages of its batch, or removed their metadata kafka_topic, kafka_partition and kafka_offset", bad)}
}

// send sends records and returns what became of each. Its own error says that ctx ended
// before that was known.
func (w *write) send(ctx context.Context, client *kgo.Client, entries []entry) ([]error, error) {
	quiet := every(writePatience, w.waits)
	defer quiet()
	errs := make([]error, len(entries))
	done := make(chan struct{})
	var left atomic.Int64
	left.Store(int64(len(entries)))
	for i, entry := range entries {
		client.Produce(ctx, again(entry.record), func(_ *kgo.Record, err error) {
			errs[i] = err
			if left.Add(-1) == 0 {
				close(done)
			}
		})
	}
	select {
	case <-done:
		return errs, nil
	case <-ctx.Done(): // errs may still be written to
		return nil, ctx.Err()
	}
}

// waits reports that the client has not stored all yet, with the reason if it has one.
func (w *write) waits() {
	_, err := w.health.trouble()
	if err == nil {
		err = errNoAnswer
	}
	w.held(w.conn.explain(err))
}

// held reports what holds the write up. A reason that is not clear, such as that a
// connection ended, is kept back for a while: mostly a clear one follows.
func (w *write) held(why error) {
	_, known := errors.AsType[*trouble](why)
	if known || time.Since(w.began) >= vaguePatience {
		w.waiter.TroubleSince(w.began, why)
	}
}

var errNoAnswer = errors.New("the cluster has not stored the records yet, and gave no error; see the health of its brokers")

// every calls fn again and again until it is stopped.
func every(interval time.Duration, fn func()) (stop func()) {
	var mu sync.Mutex
	stopped := false
	mu.Lock()
	defer mu.Unlock()
	var timer *time.Timer
	timer = time.AfterFunc(interval, func() {
		fn()
		mu.Lock()
		defer mu.Unlock()
		if !stopped {
			timer.Reset(interval)
		}
	})
	return func() {
		mu.Lock()
		defer mu.Unlock()
		stopped = true
		timer.Stop()
	}
}

// isRecordFault reports whether an error is of one record, which no broker will ever take
// as it is.
func isRecordFault(err error) bool {
	return isBatchFault(err) || errors.Is(err, kerr.InvalidTopicException) || isNoPartition(err)
}

// isBatchFault are errors with which a broker refuses a batch of records for one of them.
func isBatchFault(err error) bool {
	return errors.Is(err, kerr.MessageTooLarge) || errors.Is(err, kerr.RecordListTooLarge) ||
		errors.Is(err, kerr.InvalidRecord) || errors.Is(err, kerr.InvalidTimestamp)
}

// isSuspicion reports whether an error may be another record's.
func isSuspicion(err error) bool { return isBatchFault(err) && !isLocal(err) }

// isLocal reports whether the client itself found a record too large. The library gives
// both the same type; it knows the compressed size only of what it has sent.
func isLocal(err error) bool {
	return errors.Is(err, kerr.MessageTooLarge) && !strings.Contains(err.Error(), ", compressed_bytes=")
}

// isNoPartition recognizes a partition that the topic does not have. The library has no
// type for it.
func isNoPartition(err error) bool {
	return err != nil && strings.Contains(err.Error(), "invalid record partitioning choice")
}

// faultWords says what is wrong with a record, and never what is in it.
func (w *write) faultWords(r *kgo.Record, err error) error {
	size := humanize.IBytes(uint64(sizeOf(r)))
	var text string
	switch {
	case errors.Is(err, kerr.MessageTooLarge) && isLocal(err):
		limit, field := uint64(w.producer.maxMessageBytes), orFieldMaxMessageBytes
		if b := uint64(w.producer.maxBufferedBytes); b > 0 && b < limit {
			limit, field = b, orFieldMaxBufferedBytes
		}
		text = fmt.Sprintf("record too large: %s (%d bytes), and `%s` is %s; raise it, and max.message.bytes of topic %q if needed, or make the message smaller", size, sizeOf(r), field, humanize.IBytes(limit), r.Topic)
	case errors.Is(err, kerr.MessageTooLarge), errors.Is(err, kerr.RecordListTooLarge):
		text = fmt.Sprintf("record too large: %s (%d bytes), which the broker refuses; raise max.message.bytes of topic %q (message.max.bytes of the broker), or make the message smaller", size, sizeOf(r), r.Topic)
	case isNoPartition(err):
		text = fmt.Sprintf("topic %q has no partition %d; check `partition`", r.Topic, r.Partition)
	case errors.Is(err, kerr.InvalidRecord) && r.Key == nil:
		text = fmt.Sprintf("record refused by topic %q: it has no key, which a compacted topic requires; set `key`", r.Topic)
	case errors.Is(err, kerr.InvalidTimestamp):
		text = fmt.Sprintf("record refused by topic %q: its timestamp is too far from the broker's time (message.timestamp.before.max.ms and message.timestamp.after.max.ms)", r.Topic)
	default:
		return w.conn.explainTopic(r.Topic, err)
	}
	return &trouble{text: text, err: err}
}
