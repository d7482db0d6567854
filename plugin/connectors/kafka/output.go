package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
)

const (
	// writePatience is how long a write may take before the log says so: the client retries
	// most of what goes wrong by itself, and gives no error while it does.
	writePatience = 5 * time.Second
	// vaguePatience is the same where the reason is not clear.
	vaguePatience = 15 * time.Second
	// Between two tries to write what the cluster did not take.
	firstWritePause, longestWritePause = 250 * time.Millisecond, 10 * time.Second
)

func init() {
	service.MustRegisterBatchOutput("redpanda", outputSpec(), newOutputFromParsed)
}

func newOutputFromParsed(conf *service.ParsedConfig, res *service.Resources) (
	out service.BatchOutput, policy service.BatchPolicy, inFlight int, err error,
) {
	if inFlight, err = conf.FieldMaxInFlight(); err != nil {
		return nil, policy, 0, err
	}
	if policy, err = conf.FieldBatchPolicy(orFieldBatching); err != nil {
		return nil, policy, 0, err
	}
	own, err := newOutput(conf, res)
	if err != nil {
		return nil, policy, 0, err
	}
	if out, err = conf.WrapBatchOutputExtractTracingSpanMapping("redpanda", own); err != nil {
		return nil, policy, 0, err
	}
	return out, policy, inFlight, nil
}

// output writes batches of messages.
type output struct {
	conn      *connection
	records   *recordConfig
	producer  *producerConfig
	log       *service.Logger
	health    *health
	connector *connector
	heldUp    *pause.Notice // writes that wait for the cluster
	stop      *pause.Stop

	mu     sync.Mutex
	client *kgo.Client // nil before Connect, and after Close
	closed bool

	alone *loneWriter
}

func newOutput(conf *service.ParsedConfig, res *service.Resources) (*output, error) {
	o := &output{log: res.Logger(), health: newHealth(res.Logger()), stop: pause.OfOutput(res.Path())}
	var err error
	if o.conn, err = connectionFromParsed(conf); err != nil {
		return nil, err
	}
	if o.records, err = recordConfigFromParsed(conf); err != nil {
		return nil, err
	}
	if o.producer, err = producerFromParsed(conf); err != nil {
		return nil, err
	}
	if err := kgo.ValidateOpts(o.opts()...); err != nil {
		return nil, fmt.Errorf("checking the client's settings: %w", err)
	}
	o.connector = &connector{conn: o.conn, health: o.health, log: o.log}
	o.heldUp = pause.NewNotice(o.log, pause.Wording{
		Begins: "Writing to Kafka is held up: %v. Messages wait, and none is lost.",
		Lasts:  "Writing to Kafka is still held up, since %s: %v",
		Ends:   "Writing to Kafka resumed, after %v.",
	}, nil)
	o.alone = newLoneWriter(o.opts)
	return o, nil
}

func (o *output) opts() []kgo.Opt { return append(o.conn.opts(o.health), o.producer.opts()...) }

// ConnectionTest asks the cluster for an answer.
func (o *output) ConnectionTest(ctx context.Context) service.ConnectionTestResults {
	return o.conn.test(ctx, o.log)
}

// Connect returns once a broker answers. The client is kept for good: it connects
// again by itself.
func (o *output) Connect(ctx context.Context) error {
	client, err := o.open()
	if err != nil {
		return err
	}
	ctx, cancel := o.stop.Bound(ctx)
	defer cancel()
	if err = o.connector.connect(ctx, client); err != nil && o.stop.Begun() {
		return nil // what waits for the connection is given back by WriteBatch
	}
	return err
}

func (o *output) open() (*kgo.Client, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return nil, errors.New("the output was closed")
	}
	if o.client == nil {
		client, err := kgo.NewClient(o.opts()...)
		if err != nil {
			return nil, fmt.Errorf("making the client: %w", err)
		}
		o.client = client
	}
	return o.client, nil
}

// WriteBatch returns once each message of the batch is stored, or is known to never be.
//
// What is wrong with the cluster (away, no such topic, not authorized, too few replicas)
// keeps it waiting: only what is not stored yet is tried again, so a topic that does not
// exist does not make the rest of a batch be stored over and over. With record_retries or
// record_delivery_timeout the wait has an end.
//
// What it returns decides what is delivered again:
//
//  1. A BatchError marks messages that can never be stored as they are: a field that
//     cannot be resolved for them, a record that is too large. All others are stored. So
//     one bad message holds up no other.
//  2. Any other error is a plain one, and the whole batch is delivered again. This is the
//     form that loses nothing, whatever was done to the batch before. Such an error is
//     never mixed with 1.: what can never be stored fails next time, too.
//
// Benthos finds the messages of a BatchError by their position. Below a processor that
// removes, reorders or splits messages of a batch it takes a neighbour for the failed one,
// and the failed one is lost. So 1. has two exceptions:
//
//   - A batch of one message gives a plain error: it says the same, and cannot be mistaken.
//   - Where the batch is known to have been changed (isShifted), a bad message holds the
//     write up, like trouble with the cluster. A plain error would have the others stored
//     again and again, as long as the bad message is delivered again with them.
//
// What is left is a changed batch of messages that another input read. Nothing tells the
// output that it has one.
func (o *output) WriteBatch(ctx context.Context, batch service.MessageBatch) error {
	o.mu.Lock()
	client := o.client
	o.mu.Unlock()
	if client == nil {
		return service.ErrNotConnected
	}
	w := &write{output: o, client: client, began: time.Now(), fates: make([]error, len(batch)), shifted: isShifted(batch)}
	w.waiter = o.heldUp.Waiter()
	defer w.waiter.Stop() // unless it has recovered
	for i, msg := range batch {
		record, err := o.records.record(msg)
		if err != nil {
			w.fails(i, err)
			continue
		}
		w.left = append(w.left, entry{record: record, index: i})
	}
	ctx, cancel := o.stop.Bound(ctx)
	defer cancel()
	if err := w.all(ctx); err != nil {
		return err
	}
	w.waiter.Recovered()
	if len(batch) == 1 {
		return w.fates[0]
	}
	return batchError(batch, w.fates)
}

// Close gives up the client. What it still holds belongs to writes that were given up, so
// their messages were not acknowledged and will be delivered again.
func (o *output) Close(ctx context.Context) error {
	o.mu.Lock()
	client := o.client
	o.client, o.closed = nil, true
	o.mu.Unlock()
	o.heldUp.Stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if client != nil {
			client.Close()
		}
		o.alone.close()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("closing the client: %w", ctx.Err())
	}
}

// batchError marks the messages that failed, and is a plain nil if none did.
func batchError(batch service.MessageBatch, fates []error) error {
	var all *service.BatchError
	for i, err := range fates {
		if err == nil {
			continue
		}
		if all == nil {
			all = service.NewBatchError(batch, err)
		}
		all.Failed(i, err)
	}
	if all == nil {
		return nil
	}
	return all
}

// stopped reports whether an error only says that the write was given up.
func stopped(err error) bool {
	return errors.Is(err, kgo.ErrClientClosed) || errors.Is(err, context.Canceled)
}
