package kafka

import (
	"fmt"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
)

// recordOverhead is what a buffered record takes beside its contents. It bounds buffers
// of tombstones, which have none.
const recordOverhead = 128

const (
	firstReplay   = 100 * time.Millisecond // the pause before a rejected batch comes again, at first
	longestReplay = 10 * time.Second       // and at most
)

// tenure is one partition for as long as this member has it, from an assignment to the
// revocation. When the partition comes back it is another tenure, so that nothing that is
// heard of the earlier one can count for the later one. It does not know the client, and
// the input's lock guards it.
type tenure struct {
	topic     string
	partition int32

	offsets   offsets
	committed mark  // what the group knows
	first     int64 // the offset that came first
	started   bool  // first is set
	expected  int64 // the offset that should come next, -1 if that is not known

	queue    []*kgo.Record // fetched, not yet handed out
	buffered int           // bytes of these
	high     int64         // the end of the partition, as of the last fetch
	gather   *gathering    // nil without a batching policy
	again    []*flight     // rejected, to be handed out again
	flights  int           // batches in work or in again
	records  int           // of these

	paused  bool          // the client does not fetch it now
	leaving bool          // it was revoked: nothing more is handed out
	gone    bool          // it belongs to somebody else: nothing more is heard
	idle    chan struct{} // closed when nothing is in work; nil if nobody waits for that
}

// gathering collects records for a batch of a batching policy.
type gathering struct {
	batcher *service.Batcher
	records []*kgo.Record
	due     time.Time // when they are flushed at the latest; zero if that is not set
	retired bool      // the batcher is closed, or about to be
}

// flight is a batch in work.
type flight struct {
	of      *tenure
	span    *span
	records []*kgo.Record        // what it is made of; nil where processors of a batching policy made it
	batch   service.MessageBatch // what those processors made; nil otherwise
	index   *service.Indexer     // finds the messages that an error is of; nil if it need not
	count   int                  // records that it stands for
	high    int64                // the end of the partition when it was made
	attempt int                  // how often it was handed out
	settled bool                 // what is heard of it from now on is ignored

	notBefore time.Time
	pause     *pause.Growing
}

// payload is what a record counts for in the size of a batch.
func payload(r *kgo.Record) int { return len(r.Key) + len(r.Value) }

// weight is what a record takes in a buffer.
func weight(r *kgo.Record) int {
	n := payload(r) + recordOverhead
	for _, h := range r.Headers {
		n += len(h.Key) + len(h.Value) + recordOverhead/4
	}
	return n
}

// add buffers records that were fetched, one at least.
func (t *tenure) add(records []*kgo.Record, high int64) {
	if t.leaving || t.gone {
		return
	}
	if t.high = high; !t.started {
		t.first, t.started = records[0].Offset, true
	}
	t.queue = append(t.queue, records...)
	for _, r := range records {
		t.buffered += weight(r)
	}
}

// take removes records from the front of the buffer: as many as make a batch of so many
// bytes, and one at least.
func (t *tenure) take(bytes int) []*kgo.Record {
	n, size := 0, 0
	for n < len(t.queue) {
		if size += payload(t.queue[n]); size > bytes && n > 0 {
			break
		}
		n++
	}
	taken := t.queue[:n:n]
	t.shift(n)
	return taken
}

// takeOne is take for one record, and nil if there is none.
func (t *tenure) takeOne() *kgo.Record {
	if len(t.queue) == 0 {
		return nil
	}
	r := t.queue[0]
	t.shift(1)
	return r
}

func (t *tenure) shift(n int) {
	for _, r := range t.queue[:n] {
		t.buffered -= weight(r)
	}
	if t.queue = t.queue[n:]; len(t.queue) == 0 {
		t.queue = nil // and with it the array that holds what was taken
	}
}

// jump says what is wrong with where fetched records begin, given where the broker's log
// begins; "" if nothing is. Mere gaps are normal: compaction makes them, and transactions.
func (t *tenure) jump(records []*kgo.Record, logStart int64) string {
	expected, first := t.expected, records[0].Offset
	t.expected = records[len(records)-1].Offset + 1
	switch {
	case expected < 0 || first == expected:
		return ""
	case first < expected:
		return fmt.Sprintf("Partition %s/%d has no offset %d any more, or not yet, so it is out of range; reading starts over at offset %d", t.topic, t.partition, expected, first)
	case logStart > expected:
		return fmt.Sprintf("Partition %s/%d has no offset %d any more, so it is out of range: retention deleted up to %d records before they were read; reading continues at offset %d", t.topic, t.partition, expected, first-expected, first)
	}
	return ""
}

// putBack undoes takes of records that were not handed out.
func (t *tenure) putBack(records []*kgo.Record) {
	if t.leaving || t.gone {
		return
	}
	t.queue = append(records[:len(records):len(records)], t.queue...)
	for _, r := range records {
		t.buffered += weight(r)
	}
}

// handOut notes that records are in work. It takes them from the front of the partition,
// in order, since that is how offsets are counted.
func (t *tenure) handOut(records []*kgo.Record) *flight {
	last := records[len(records)-1]
	t.flights++
	t.records += len(records)
	return &flight{
		of: t, span: t.offsets.handOut(last.Offset, last.LeaderEpoch), records: records, count: len(records), high: t.high,
	}
}

// replay is the first rejected batch, if it is time for it; else how long that takes, and
// 0 if there is none.
func (t *tenure) replay(now time.Time) (*flight, time.Duration) {
	var wait time.Duration
	for i, f := range t.again {
		if left := f.notBefore.Sub(now); left > 0 {
			if wait == 0 || left < wait {
				wait = left
			}
			continue
		}
		t.again = append(t.again[:i:i], t.again[i+1:]...)
		return f, 0
	}
	return nil, wait
}

// settle takes what became of an attempt to deliver a batch: acknowledged, or rejected with
// an error. It reports whether that was news.
func (t *tenure) settle(f *flight, attempt int, rejected error, now time.Time) bool {
	switch {
	case f.settled || t.gone || attempt != f.attempt:
		return false
	case rejected == nil:
		t.offsets.finish(f.span)
		t.land(f)
	case t.leaving:
		t.land(f) // undone; the next owner of the partition gets it again
	default:
		f.attempt++ // this one has had its say
		f.keepRejected(rejected)
		if f.pause == nil {
			f.pause = pause.NewGrowing(firstReplay, longestReplay)
		}
		f.notBefore = now.Add(f.pause.Next())
		t.again = append(t.again, f)
	}
	return true
}

func (t *tenure) land(f *flight) {
	f.settled = true
	t.flights--
	t.records -= f.count
	if t.flights == 0 && t.idle != nil {
		close(t.idle)
		t.idle = nil
	}
}

// leave stops handing out. What is buffered or waits for another try is dropped undone.
// It returns nil if nothing is in work, else a channel that is closed once nothing is.
func (t *tenure) leave() <-chan struct{} {
	t.leaving = true
	t.queue, t.buffered = nil, 0
	again := t.again
	t.again = nil
	for _, f := range again {
		t.land(f)
	}
	if t.flights == 0 {
		return nil
	}
	idle := make(chan struct{})
	t.idle = idle
	return idle
}

// end makes the tenure deaf.
func (t *tenure) end() {
	t.leaving, t.gone = true, true
	t.queue, t.buffered, t.again = nil, 0, nil
}

// lag is how many records lie between what is done and the end of the partition.
func (t *tenure) lag(end int64) int64 {
	at, ok := t.offsets.committable()
	switch {
	case ok:
		return max(0, end-at.offset)
	case t.started:
		return max(0, end-t.first)
	default:
		return 0 // nothing has come, so there is nothing
	}
}

// only names this partition in the way of the client.
func (t *tenure) only() map[string][]int32 {
	return map[string][]int32{t.topic: {t.partition}}
}

// uncommitted is the mark to commit, if the group does not know it yet.
func (t *tenure) uncommitted() (mark, bool) {
	at, ok := t.offsets.committable()
	return at, ok && !t.gone && at != t.committed
}

// keepRejected narrows a batch to the messages that an error names, if it names some and
// the batch was indexed. Otherwise all of it comes again.
func (f *flight) keepRejected(err error) {
	failed := rejectedOf(f.index, f.size(), err)
	if failed == nil {
		return
	}
	var records []*kgo.Record
	var batch service.MessageBatch
	for i, yes := range failed {
		switch {
		case !yes:
		case f.batch != nil:
			batch = append(batch, f.batch[i])
		default:
			records = append(records, f.records[i])
		}
	}
	f.records, f.batch = records, batch
}

func (f *flight) size() int {
	if f.batch != nil {
		return len(f.batch)
	}
	return len(f.records)
}
