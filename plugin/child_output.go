package plugin

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
)

const (
	// childPatience is how long a write may take before the log says so: an output
	// that cannot connect gives no error, it takes nothing.
	childPatience = 10 * time.Second
	// childClosing is how long an output that is being closed may take. One that
	// waits for its server would hold the shutdown up for ever otherwise.
	childClosing = time.Second
)

var errTakesNothing = errors.New("the output has taken nothing yet; if it has a `batching` of its own, that needs a `period`")

// childOutput is an output in a field of a component, for records of what the
// component did. A nil one is a field that is not set.
type childOutput struct {
	field                    string
	out                      *service.OwnedOutput
	log                      *service.Logger
	paused                   *pause.Notice
	firstPause, longestPause time.Duration // between tries

	prime   func() error // once
	started atomic.Bool
	waiting atomic.Int64 // records to be written
}

// childOutputFromParsed takes the output of a field, whose pauses have the field's name
// for a cause.
func childOutputFromParsed(conf *service.ParsedConfig, res *service.Resources, field string, why *pauses) (*childOutput, error) {
	if !conf.Contains(field) {
		return nil, nil
	}
	out, err := conf.FieldOutput(field)
	if err != nil {
		return nil, err
	}
	c := &childOutput{field: field, out: out, log: res.Logger(), paused: why.notice(field)}
	if c.firstPause, err = conf.FieldDuration(cfFieldRetry, cfFieldInitialInterval); err != nil {
		return nil, err
	}
	if c.longestPause, err = conf.FieldDuration(cfFieldRetry, cfFieldMaxInterval); err != nil {
		return nil, err
	}
	why.countRecords(field, func() int { return int(c.waiting.Load()) })
	c.prime = sync.OnceValue(func() error {
		c.started.Store(true)
		return out.Prime()
	})
	return c, nil
}

// connect starts the output. It connects by itself, and the first record waits for that.
func (c *childOutput) connect() error {
	if c == nil {
		return nil
	}
	if err := c.prime(); err != nil {
		return fmt.Errorf("%s: starting the output: %w", c.field, err)
	}
	return nil
}

// write writes until all records are written, or ctx ends.
//
// The first write is of all of them. After an error each record is written by
// itself: an output's word on which of several failed is worth nothing if it has
// processors that filter or reorder, and a record that was not written must not be
// taken for one that was. So a record may be written twice, but none is lost, and one
// that the output never takes keeps no other from being written.
func (c *childOutput) write(ctx context.Context, records service.MessageBatch) error {
	if len(records) == 0 {
		return nil
	}
	left := records
	c.waiting.Add(int64(len(records)))
	defer func() { c.waiting.Add(-int64(len(left))) }()
	waiter, began := c.paused.Waiter(), time.Now()
	late := time.AfterFunc(childPatience, func() { waiter.Silence(began, errTakesNothing) })
	defer late.Stop()
	defer waiter.Stop() // unless it has recovered
	err := c.out.WriteBatch(ctx, records.Copy())
	between := pause.NewGrowing(c.firstPause, c.longestPause)
	for err != nil {
		if ctx.Err() == nil {
			waiter.TroubleSince(began, withoutRecords(err, left))
			_ = pause.Sleep(ctx, between.Next())
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		for err = nil; len(left) > 0 && err == nil; {
			if err = c.out.WriteBatch(ctx, left[:1].Copy()); err == nil {
				left = left[1:]
				c.waiting.Add(-1)
				between.Reset()
			}
		}
		if err != nil { // the others first
			left = append(left[1:len(left):len(left)], left[0])
		}
	}
	waiter.Recovered()
	return nil
}

// withoutRecords takes out of an output's error what it repeats of the records.
func withoutRecords(err error, records service.MessageBatch) error {
	text := err.Error()
	for _, record := range records {
		text = maskValues(text, record)
	}
	return errors.New(text)
}

// close closes the output. One that never started would never end.
func (c *childOutput) close(ctx context.Context) {
	if c == nil || !c.started.Load() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, childClosing)
	defer cancel()
	if err := c.out.Close(ctx); err != nil {
		c.log.Warnf("The output in `%s` did not close: %v. What it has not written is written once the messages are delivered again.", c.field, err)
	}
}
