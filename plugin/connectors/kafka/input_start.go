package kafka

import (
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// stamp names a topic for good, unlike its name, which passes to the next topic that is
// made with it. It goes into the metadata of each commit. The cluster is a part of it,
// since what copies commits to another cluster copies their metadata as well.
func stamp(cluster string, topic [16]byte) string {
	if cluster == "" || topic == [16]byte{} { // brokers before Kafka 3.1 do not tell
		return ""
	}
	return stampOf(cluster) + hex.EncodeToString(topic[:])
}

func stampOf(cluster string) string { return "cluster " + cluster + ", topic " }

// stamped makes a commit carry stamps. The client knows of which topic the records were.
func (in *input) stamped(ctx context.Context) context.Context {
	in.mu.Lock()
	cluster := in.cluster
	in.mu.Unlock()
	return kgo.PreCommitFnContext(ctx, func(req *kmsg.OffsetCommitRequest) error {
		for i := range req.Topics {
			topic := &req.Topics[i]
			for j := range topic.Partitions {
				if s := stamp(cluster, topic.TopicID); s != "" {
					topic.Partitions[j].Metadata = &s
				}
			}
		}
		return nil
	})
}

// starting decides at which offsets partitions start, and notes it. It is called with what
// the group has committed.
func (in *input) starting(ctx context.Context, starts map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	for _, moved := range in.moveStarts(ctx, starts) {
		in.log.Warn(moved)
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	for topic, partitions := range starts {
		for p, start := range partitions {
			if t := in.tenures[topicPartition{topic: topic, partition: p}]; t != nil {
				t.expected = max(-1, start.EpochOffset().Offset) // below 0 are the start and the end
			}
		}
	}
	return starts, nil
}

// moveStarts corrects offsets that are of an earlier topic of the same name, or that
// retention has overtaken, and says which. What it cannot find out in time is left to the
// client, which meets it at the first fetch.
func (in *input) moveStarts(ctx context.Context, starts map[string]map[int32]kgo.Offset) (moved []string) {
	ctx, cancel := context.WithTimeout(ctx, in.conf.commitPatience())
	defer cancel()
	in.mu.Lock()
	admin := kadm.NewClient(in.client)
	in.mu.Unlock()
	topics := slices.Collect(maps.Keys(starts))
	meta, err := admin.Metadata(ctx, topics...)
	if err != nil {
		return nil
	}
	in.mu.Lock()
	in.cluster = meta.Cluster
	in.mu.Unlock()
	topics = slices.DeleteFunc(topics, func(topic string) bool { // most starts of a new group are not offsets
		return !slices.ContainsFunc(slices.Collect(maps.Values(starts[topic])), isOffset)
	})
	if len(topics) == 0 {
		return nil
	}
	// An answer may lack some; what is there counts.
	commits, _ := admin.FetchOffsets(ctx, in.conf.group)
	begins, _ := admin.ListStartOffsets(ctx, topics...)
	for _, topic := range topics {
		now := stamp(meta.Cluster, meta.Topics[topic].ID)
		for p, start := range starts[topic] {
			if !isOffset(start) {
				continue
			}
			at := start.EpochOffset().Offset
			commit, _ := commits.Lookup(topic, p)
			begin, listed := begins.Lookup(topic, p)
			switch {
			case now != "" && commit.At == at && isStampOfOther(commit.Metadata, meta.Cluster, now):
				starts[topic][p] = in.conf.start
				moved = append(moved, fmt.Sprintf("Partition %s/%d: offset %d, which the group has committed, is of an earlier topic of this name, so it does not count; the partition is read as a new one", topic, p, at))
			case listed && begin.Err == nil && begin.Offset > at && !in.conf.onlyCommitted():
				starts[topic][p] = kgo.NewOffset().At(begin.Offset)
				moved = append(moved, fmt.Sprintf("Partition %s/%d has no offset %d any more, so it is out of range: retention deleted up to %d records before they were read; reading continues at offset %d", topic, p, at, begin.Offset-at, begin.Offset))
			}
		}
	}
	return moved
}

func isOffset(start kgo.Offset) bool { return start.EpochOffset().Offset >= 0 }

// isStampOfOther reports whether a commit was made for another topic of this cluster than
// the one that has the name now. Commits of other programs have no stamp.
func isStampOfOther(metadata, cluster, now string) bool {
	prefix := stampOf(cluster)
	return len(metadata) > len(prefix) && metadata[:len(prefix)] == prefix && metadata != now
}
