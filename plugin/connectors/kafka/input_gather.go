package kafka

import (
	"context"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
)

var policyWords = pause.Wording{
	Begins: "The batching policy failed; its messages wait and are tried again: %v.",
	Lasts:  "The batching policy still fails, since %s: %v.",
	Ends:   "The batching policy works again, after %v.",
}

// gatherRetry is the pause after a batching policy failed.
const gatherRetry = time.Second

// gather feeds a partition's batching policy, and returns a batch once one is complete.
// Without one it says how long to wait for the policy at most, 0 meaning for ever.
// Only ReadBatch calls it, one at a time.
func (in *input) gather(ctx context.Context, t *tenure) (*flight, time.Duration) {
	g := t.gather
	if g.batcher == nil {
		batcher, err := in.conf.batching.NewBatcher(in.res)
		if err != nil {
			in.policy.Trouble(quote(err))
			return nil, gatherRetry
		}
		in.mu.Lock()
		if g.batcher = batcher; t.gone { // and nobody closed what was not there
			g.retired = true
			in.retired = append(in.retired, batcher)
		}
		in.mu.Unlock()
	}
	for {
		in.mu.Lock()
		if t.leaving || (t.records > 0 && t.records+len(g.records) >= in.conf.limit) {
			in.mu.Unlock()
			return nil, 0
		}
		r, high := t.takeOne(), t.high
		in.resume(t)
		in.mu.Unlock()
		now := time.Now()
		if r != nil {
			if len(g.records) == 0 && in.conf.batchingPeriod > 0 {
				g.due = now.Add(in.conf.batchingPeriod)
			}
			g.records = append(g.records, r)
			if g.batcher.Add(recordMessage(r, high)) {
				return in.flush(ctx, t)
			}
		}
		switch {
		case len(g.records) == 0:
			return nil, 0
		case !g.due.IsZero() && !now.Before(g.due):
			return in.flush(ctx, t)
		case r == nil && g.due.IsZero():
			return nil, 0
		case r == nil:
			return nil, g.due.Sub(now)
		}
	}
}

// flush ends the batch that a policy collects.
func (in *input) flush(ctx context.Context, t *tenure) (*flight, time.Duration) {
	g := t.gather
	records := g.records
	g.records, g.due = nil, time.Time{}
	batch, err := g.batcher.Flush(ctx)
	switch {
	case err == nil:
		in.policy.Recovered()
	case ctx.Err() == nil:
		in.policy.Trouble(quote(err))
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if err != nil {
		t.putBack(records)
		return nil, gatherRetry
	}
	if t.leaving {
		return nil, 0
	}
	f := t.handOut(records)
	f.records, f.batch = nil, batch
	if len(batch) == 0 { // its processors removed everything
		t.settle(f, 0, nil, time.Now())
		signal(in.work)
		return nil, 0
	}
	return f, 0
}

// closeRetired closes the batching policies of partitions that are gone.
func (in *input) closeRetired(ctx context.Context) {
	in.mu.Lock()
	retired := in.retired
	in.retired = nil
	in.mu.Unlock()
	for _, batcher := range retired {
		_ = batcher.Close(ctx)
	}
}
