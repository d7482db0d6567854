package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
)

// grace is how long the input waits for a full buffer to be emptied a bit before it stops
// fetching that partition. Stopping costs a fetch that is under way and then thrown away,
// so a pipeline that keeps up is not to cause it. Other partitions wait as well, but only
// in the moment in which one begins to lag.
const grace = 200 * time.Millisecond

type topicPartition struct {
	topic     string
	partition int32
}

// input reads records and hands them out in batches. Three goroutines live from Connect to
// Close: one polls the client, one commits offsets, one watches for trouble and lag. The
// client calls about assignments from its own.
type input struct {
	conf      *inputConfig
	res       *service.Resources
	log       *service.Logger
	health    *health
	connector *connector
	notice    *pause.Notice
	policy    *pause.Notice // of batching policies that fail
	lag       *service.MetricGauge

	reading chan struct{} // held by ReadBatch
	commits chan struct{} // held while committing or ending tenures, so that no commit outlives its tenure
	work    chan struct{} // there may be something to hand out
	room    chan struct{} // a buffer has been emptied a bit

	mu        sync.Mutex
	client    *kgo.Client
	connected bool
	tenures   map[topicPartition]*tenure
	order     []*tenure // the same, to be served in turn
	turn      int
	retired   []*service.Batcher // of partitions that are gone, to be closed
	troubles  troubles
	cluster   string // the id of the brokers' cluster; empty until it is known
	closing   bool
	closed    chan struct{}      // closed with closing
	stop      context.CancelFunc // of the goroutines; nil until they run
	abandon   context.CancelFunc // ends the client's requests; nil without a client
	stopped   sync.WaitGroup
}

func newInput(conf *inputConfig, res *service.Resources) *input {
	in := &input{
		conf: conf, res: res, log: res.Logger(),
		lag:     res.Metrics().NewGauge("redpanda_lag", "topic", "partition"),
		reading: make(chan struct{}, 1),
		commits: make(chan struct{}, 1),
		work:    make(chan struct{}, 1),
		room:    make(chan struct{}, 1),
		tenures: map[topicPartition]*tenure{},
		closed:  make(chan struct{}),
	}
	in.health = newHealth(in.log)
	in.connector = &connector{conn: conf.connection, health: in.health, log: in.log}
	in.notice = pause.NewNotice(in.log, inputTroubleWords, nil)
	in.policy = pause.NewNotice(in.log, policyWords, nil)
	return in
}

// signal wakes the goroutine that waits on a channel, or the next one that does.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// ReadBatch waits for the next batch.
func (in *input) ReadBatch(ctx context.Context) (service.MessageBatch, service.AckFunc, error) {
	select {
	case in.reading <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	defer func() { <-in.reading }()
	for {
		in.closeRetired(ctx)
		f, wait, err := in.next(ctx)
		if err != nil {
			return nil, nil, err
		}
		if f != nil {
			batch, attempt := in.deliver(f)
			return batch, func(_ context.Context, err error) error {
				in.settle(f, attempt, err)
				return nil
			}, nil
		}
		timer := time.NewTimer(wait)
		select {
		case <-in.work:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, nil, ctx.Err()
		}
		timer.Stop()
	}
}

// next finds a batch to hand out. Without one it says how long to wait at most.
func (in *input) next(ctx context.Context) (*flight, time.Duration, error) {
	wait := time.Hour
	in.mu.Lock()
	if in.closing {
		in.mu.Unlock()
		return nil, 0, service.ErrEndOfInput
	}
	if !in.connected {
		in.mu.Unlock()
		return nil, 0, service.ErrNotConnected
	}
	now := time.Now()
	var gather []*tenure
	for i := range in.order {
		t := in.order[(in.turn+i)%len(in.order)]
		if t.leaving {
			continue
		}
		f, left := t.replay(now)
		if left > 0 {
			wait = min(wait, left)
		}
		if f == nil {
			switch {
			case t.gather != nil:
				gather = append(gather, t)
			case len(t.queue) == 0:
			case !in.conf.unordered && t.flights == 0:
				f = t.handOut(t.take(in.conf.batch))
			case in.conf.unordered && t.records < in.conf.limit:
				f = t.handOut(t.take(0))
			}
		}
		if f != nil {
			in.turn = (in.turn + i + 1) % len(in.order)
			in.resume(t)
			in.mu.Unlock()
			return f, 0, nil
		}
	}
	in.mu.Unlock()
	for _, t := range gather {
		f, left := in.gather(ctx, t)
		if f != nil {
			in.mu.Lock()
			in.turn++ // the next batch is another partition's, if it has one
			in.mu.Unlock()
			return f, 0, nil
		}
		if left > 0 {
			wait = min(wait, left)
		}
	}
	return nil, wait, nil
}

// deliver makes the messages of a batch, for this attempt.
func (in *input) deliver(f *flight) (service.MessageBatch, int) {
	var batch service.MessageBatch
	if f.batch != nil {
		batch = f.batch.Copy()
	} else {
		batch = recordMessages(f.records, f.high)
	}
	if f.index = nil; in.conf.replayOnlyRejected && len(batch) > 1 {
		f.index = batch.Index()
	}
	return batch, f.attempt
}

func (in *input) settle(f *flight, attempt int, err error) {
	in.mu.Lock()
	news := f.of.settle(f, attempt, err, time.Now())
	in.mu.Unlock()
	if news {
		signal(in.work)
	}
}

// resume fetches a partition again that was not fetched because its buffer was full. The
// lock is held, so that pausing and resuming have the order that they had here.
func (in *input) resume(t *tenure) {
	if t.buffered < in.conf.buffer {
		signal(in.room)
	}
	if t.paused && t.buffered < in.conf.buffer/2 {
		t.paused = false
		in.client.ResumeFetchPartitions(t.only())
	}
}

// poll takes what the client fetched, until the input is closed.
func (in *input) poll(ctx context.Context, client *kgo.Client) {
	for ctx.Err() == nil {
		in.holdBack(ctx)
		fetches := client.PollFetches(ctx)
		in.receive(fetches)
		// From here on partitions may be revoked and assigned: what was polled has
		// found the tenure that it belongs to.
		client.AllowRebalance()
	}
}

// holdBack waits for full buffers, and no longer fetches partitions whose buffers stay full.
func (in *input) holdBack(ctx context.Context) {
	timer := time.NewTimer(grace)
	defer timer.Stop()
	for in.full(false) {
		select {
		case <-in.room:
		case <-timer.C:
			in.full(true)
			return
		case <-ctx.Done():
			return
		}
	}
}

// full reports whether a partition has a full buffer and is still fetched.
func (in *input) full(pauseThem bool) (full bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, t := range in.order {
		if t.paused || t.buffered < in.conf.buffer {
			continue
		}
		full = true
		if pauseThem {
			t.paused = true
			in.client.PauseFetchPartitions(t.only())
		}
	}
	return full
}

// receive buffers records by partition, and remembers errors.
func (in *input) receive(fetches kgo.Fetches) {
	var jumps []string
	in.mu.Lock()
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		key := topicPartition{topic: p.Topic, partition: p.Partition}
		var cut *kgo.ErrDataLoss
		switch {
		case errors.As(p.Err, &cut):
			jumps = append(jumps, fmt.Sprintf("Partition %s/%d ends before offset %d, up to which it was read, so that is out of range: the brokers lost records; reading continues at offset %d", p.Topic, p.Partition, cut.ConsumedTo, cut.ResetTo))
			if t := in.tenures[key]; t != nil {
				t.expected = cut.ResetTo
			}
		case p.Err != nil:
			in.troubles.add(key, p.Err, time.Now())
		}
		if len(p.Records) == 0 {
			return
		}
		in.troubles.clear(key)
		t := in.tenures[key]
		if t == nil {
			if in.conf.group != "" {
				return // it was revoked meanwhile
			}
			t = in.begin(key)
			if start := in.conf.partitions[key.topic][key.partition]; isOffset(start) {
				t.expected = start.EpochOffset().Offset
			}
		}
		if jump := t.jump(p.Records, p.LogStartOffset); jump != "" {
			jumps = append(jumps, jump)
		}
		t.add(p.Records, p.HighWatermark)
	})
	in.mu.Unlock()
	for _, jump := range jumps {
		in.log.Warn(jump)
	}
	signal(in.work)
}

// begin starts a tenure. The lock is held.
func (in *input) begin(key topicPartition) *tenure {
	t := &tenure{topic: key.topic, partition: key.partition, expected: -1}
	if in.conf.unordered && !in.conf.batching.IsNoop() {
		t.gather = &gathering{}
	}
	in.troubles.clear(key)
	in.tenures[key] = t
	in.order = append(in.order, t)
	return t
}

// finish ends a tenure. The lock is held.
func (in *input) finish(t *tenure) {
	t.end()
	key := topicPartition{topic: t.topic, partition: t.partition}
	if in.tenures[key] == t {
		delete(in.tenures, key)
	}
	in.order = slices.DeleteFunc(in.order, func(o *tenure) bool { return o == t })
	in.troubles.clear(key)
	in.lag.Set(0, t.topic, strconv.Itoa(int(t.partition))) // its new owner measures it
	in.turn = 0
	if t.gather != nil && t.gather.batcher != nil && !t.gather.retired {
		t.gather.retired = true
		in.retired = append(in.retired, t.gather.batcher)
	}
	if t.paused {
		t.paused = false
		in.client.ResumeFetchPartitions(t.only()) // a pause outlives the assignment
	}
}
