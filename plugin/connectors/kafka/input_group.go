package kafka

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The client calls assigned, revoked and lost one at a time, and not between a poll and
// the AllowRebalance after it.

// assigned starts tenures, before anything is fetched for them.
func (in *input) assigned(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for key := range each(partitions) {
		if t := in.tenures[key]; t != nil {
			in.finish(t)
		}
		in.begin(key)
	}
}

// revoked hands partitions over: nothing more of them is handed out, what is in work is
// waited for, what is done by then is committed, and nothing that is heard later counts.
func (in *input) revoked(ctx context.Context, _ *kgo.Client, partitions map[string][]int32) {
	var leaving []*tenure
	var busy []<-chan struct{}
	in.mu.Lock()
	for key := range each(partitions) {
		if t := in.tenures[key]; t != nil {
			leaving = append(leaving, t)
			if idle := t.leave(); idle != nil {
				busy = append(busy, idle)
			}
		}
	}
	in.mu.Unlock()
	in.awaitIdle(ctx, busy)
	in.end(ctx, leaving, true)
}

// lost drops partitions that were taken away. Others may have them already, so nothing is
// committed.
func (in *input) lost(ctx context.Context, _ *kgo.Client, partitions map[string][]int32) {
	var gone []*tenure
	in.mu.Lock()
	for key := range each(partitions) {
		if t := in.tenures[key]; t != nil {
			gone = append(gone, t)
		}
	}
	in.mu.Unlock()
	if len(gone) > 0 {
		in.log.Warnf("The group took %d partitions away, because it did not hear from this member in time; what is in work is delivered again", len(gone))
	}
	in.end(ctx, gone, false)
}

func each(partitions map[string][]int32) func(func(topicPartition) bool) {
	return func(yield func(topicPartition) bool) {
		for topic, numbers := range partitions {
			for _, p := range numbers {
				if !yield(topicPartition{topic: topic, partition: p}) {
					return
				}
			}
		}
	}
}

// awaitIdle waits until nothing is in work, but not for longer than the group can wait.
// Heartbeats continue meanwhile. Once a shutdown has begun, no more acknowledgements come.
func (in *input) awaitIdle(ctx context.Context, busy []<-chan struct{}) {
	timer := time.NewTimer(in.conf.handover())
	defer timer.Stop()
	for _, idle := range busy {
		select {
		case <-idle:
		case <-timer.C:
			return
		case <-in.closed:
			return
		case <-ctx.Done():
			return
		}
	}
}

// end ends tenures, after their offsets are committed if that is still right. A commit
// that began earlier is over by then: it must not come after one of the next owner.
func (in *input) end(ctx context.Context, tenures []*tenure, commit bool) {
	if len(tenures) == 0 {
		return
	}
	in.commits <- struct{}{} // every holder is bounded by commitPatience
	defer func() { <-in.commits }()
	if commit {
		ctx, cancel := context.WithTimeout(ctx, in.conf.commitPatience())
		defer cancel()
		if err := in.commitMarks(ctx, tenures); err != nil {
			in.log.Warnf("Cannot commit offsets before partitions are handed over; what is done may be delivered again: %v", in.conf.connection.explain(err))
		}
	}
	undone := 0
	in.mu.Lock()
	for _, t := range tenures {
		undone += t.records
		in.finish(t)
	}
	closing := in.closing
	in.mu.Unlock()
	if undone > 0 && commit && !closing {
		in.log.Warnf("Partitions were handed over while %d of their messages were still in work; their next owner gets them again", undone)
	}
}

// commit commits what is done in all partitions. Trouble with it is reported by watch.
func (in *input) commit(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, in.conf.commitPatience())
	defer cancel()
	select {
	case in.commits <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-in.commits }()
	in.mu.Lock()
	all := append([]*tenure(nil), in.order...)
	in.mu.Unlock()
	err := in.commitMarks(ctx, all)
	in.mu.Lock()
	in.troubles.committed(err, time.Now())
	in.mu.Unlock()
	return err
}

// commitMarks commits the marks that are new. The caller holds commits.
func (in *input) commitMarks(ctx context.Context, tenures []*tenure) error {
	offsets := map[string]map[int32]kgo.EpochOffset{}
	marks := map[*tenure]mark{}
	in.mu.Lock()
	for _, t := range tenures {
		at, ok := t.uncommitted()
		if !ok || in.troubles.replaced(t.topic) {
			continue
		}
		marks[t] = at
		if offsets[t.topic] == nil {
			offsets[t.topic] = map[int32]kgo.EpochOffset{}
		}
		offsets[t.topic][t.partition] = kgo.EpochOffset{Epoch: at.epoch, Offset: at.offset}
	}
	client := in.client
	in.mu.Unlock()
	if len(marks) == 0 {
		return nil
	}
	var answers map[topicPartition]error
	var whole error
	client.CommitOffsetsSync(in.stamped(ctx), offsets, func(_ *kgo.Client, req *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
		if whole = err; err == nil {
			answers = commitAnswers(req, resp)
		}
	})
	if whole != nil {
		return whole
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	var errs []error
	for t, at := range marks {
		err, answered := answers[topicPartition{topic: t.topic, partition: t.partition}]
		if !answered {
			err = errNotAnswered
		}
		if err != nil {
			if !slices.ContainsFunc(errs, func(e error) bool { return errors.Is(e, err) }) { // once, however many partitions
				errs = append(errs, err)
			}
			continue
		}
		t.committed = at
	}
	return errors.Join(errs...)
}

var errNotAnswered = errors.New("the broker's answer to a commit of offsets lacks a partition")

// commitAnswers are what became of a commit in each partition that the answer has. Recent
// brokers name topics by id, and the client does not always translate that.
func commitAnswers(req *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse) map[topicPartition]error {
	names := map[[16]byte]string{}
	for _, topic := range req.Topics {
		names[topic.TopicID] = topic.Topic
	}
	answers := map[topicPartition]error{}
	for _, topic := range resp.Topics {
		name := topic.Topic
		if name == "" {
			name = names[topic.TopicID]
		}
		for _, p := range topic.Partitions {
			answers[topicPartition{topic: name, partition: p.Partition}] = kerr.ErrorForCode(p.ErrorCode)
		}
	}
	return answers
}
