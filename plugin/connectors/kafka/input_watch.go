package kafka

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
)

const (
	// blip is how long trouble must last to be reported. A broker that moves partitions
	// or restarts cleanly is quicker.
	blip = 3 * time.Second
	// stale is when trouble with a topic that is not reported again no longer counts. The
	// client repeats it when it learns of topics anew, so it is at least two of those.
	stale = 30 * time.Second
)

var inputTroubleWords = pause.Wording{
	Begins: "Reading from Kafka is interrupted: %v.",
	Lasts:  "Reading from Kafka is still interrupted, since %s: %v.",
	Ends:   "Reading from Kafka resumed after %v.",
}

// troubles are the errors that the client reported of partitions, of topics (partition -1) or
// of the group (no topic), and of commits. The input's lock guards them.
type troubles struct {
	of     map[topicPartition]*ailment
	commit *ailment
}

type ailment struct {
	since, last time.Time
	err         error
}

func (t *troubles) add(key topicPartition, err error, now time.Time) {
	if errors.Is(err, kgo.ErrClientClosed) || errors.Is(err, context.Canceled) {
		return
	}
	if t.of == nil {
		t.of = map[topicPartition]*ailment{}
	}
	if a := t.of[key]; a != nil {
		a.last, a.err = now, err
		return
	}
	t.of[key] = &ailment{since: now, last: now, err: err}
}

// clear forgets what was wrong with a partition that works, and with all of its topic and
// the group.
func (t *troubles) clear(key topicPartition) {
	for at := range t.of {
		if at == key || at.topic == "" || (at.topic == key.topic && at.partition < 0) {
			delete(t.of, at)
		}
	}
}

// committed takes the outcome of a commit. That a rebalance refused it is no trouble.
func (t *troubles) committed(err error, now time.Time) {
	switch {
	case err == nil, errors.Is(err, context.Canceled), errors.Is(err, kerr.IllegalGeneration),
		errors.Is(err, kerr.UnknownMemberID), errors.Is(err, kerr.RebalanceInProgress):
		t.commit = nil
	case t.commit == nil:
		t.commit = &ailment{since: now, last: now, err: err}
	default:
		t.commit.last, t.commit.err = now, err
	}
}

// replaced reports whether a topic was deleted and, maybe, made again, so that what was
// read of it must not be committed.
func (t *troubles) replaced(topic string) bool {
	for key, a := range t.of {
		if key.topic == topic && errors.Is(a.err, kerr.UnknownTopicID) {
			return true
		}
	}
	return false
}

// worst is the trouble that has lasted longest. Trouble with a topic that is older than
// fresh is forgotten.
func (t *troubles) worst(fresh time.Duration, now time.Time) (topicPartition, ailment, bool) {
	var which topicPartition
	worst := t.commit
	for key, a := range t.of {
		if now.Sub(a.last) > fresh && !isNoStart(a.err) { // of which the client speaks once
			delete(t.of, key)
			continue
		}
		if worst == nil || a.since.Before(worst.since) {
			which, worst = key, a
		}
	}
	if worst == nil {
		return which, ailment{}, false
	}
	return which, *worst, true
}

// watch reports trouble that lasts, and its end.
func (in *input) watch(ctx context.Context) {
	atIntervals(ctx, time.Second, func(ctx context.Context) {
		in.renew(ctx)
		since, why := in.trouble(time.Now())
		if why == nil || time.Since(since) < blip {
			if why == nil {
				in.notice.Recovered()
			}
			return
		}
		in.notice.TroubleSince(since, why)
	})
}

// trouble is what the input waits for, and since when.
func (in *input) trouble(now time.Time) (time.Time, error) {
	if since, err := in.health.trouble(); err != nil {
		return since, in.conf.connection.explain(err)
	}
	in.mu.Lock()
	key, a, sick := in.troubles.worst(stale+2*in.conf.connection.metadataMaxAge, now)
	in.mu.Unlock()
	if !sick {
		return time.Time{}, nil
	}
	if isNoStart(a.err) {
		return a.since, in.conf.explainStart(key, a.err)
	}
	if key.topic != "" {
		return a.since, in.conf.connection.explainTopic(key.topic, a.err)
	}
	return a.since, in.conf.connection.explain(a.err)
}

// renewPatience is how long asking for a topic may take.
const renewPatience = 5 * time.Second

// renew makes the client forget a topic that was deleted and exists again. To the client
// it is for ever the one that was deleted. Nothing of the old one is committed, since its
// offsets mean other records in the new one.
func (in *input) renew(ctx context.Context) {
	in.mu.Lock()
	client := in.client
	topics := map[string]bool{}
	for key, a := range in.troubles.of {
		if key.topic != "" && errors.Is(a.err, kerr.UnknownTopicID) {
			topics[key.topic] = true
		}
	}
	in.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, renewPatience)
	defer cancel()
	for topic := range topics {
		found, err := kadm.NewClient(client).ListTopics(ctx, topic)
		if err != nil || !found.Has(topic) {
			continue
		}
		var old []*tenure
		in.mu.Lock()
		for _, t := range in.order {
			if t.topic == topic {
				old = append(old, t)
			}
		}
		for key := range in.troubles.of {
			if key.topic == topic {
				delete(in.troubles.of, key)
			}
		}
		in.mu.Unlock()
		in.log.Warnf("Topic %s was deleted and made again; it is read as a new topic", topic)
		in.end(ctx, old, false)
		client.PurgeTopicsFromConsuming(topic)
		if partitions := in.conf.partitions[topic]; partitions != nil {
			client.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: partitions})
		} else if !in.conf.regexp { // patterns find it again by themselves
			client.AddConsumeTopics(topic)
		}
	}
}

// measureLag brings the metric up to date. Trouble with it is trouble with the brokers,
// which is reported as that.
func (in *input) measureLag(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, in.conf.connection.requestOverhead)
	defer cancel()
	in.mu.Lock()
	client := in.client
	topics := map[string]bool{}
	var names []string
	for _, t := range in.order {
		if !topics[t.topic] {
			topics[t.topic] = true
			names = append(names, t.topic)
		}
	}
	in.mu.Unlock()
	if len(names) == 0 {
		return
	}
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx, names...)
	if err != nil && len(ends) == 0 {
		return
	}
	in.mu.Lock()
	lags := map[topicPartition]int64{}
	for key, t := range in.tenures {
		if end, ok := ends.Lookup(key.topic, key.partition); ok && end.Err == nil {
			lags[key] = t.lag(end.Offset)
		}
	}
	in.mu.Unlock()
	for key, lag := range lags {
		in.lag.Set(lag, key.topic, strconv.Itoa(int(key.partition)))
	}
}
