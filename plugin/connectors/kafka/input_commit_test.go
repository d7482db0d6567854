package kafka

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A commit that fails is repeated, although nothing more comes that would be committed.

const failingCommits = 5

func TestACommitThatFailsIsRepeatedWhileNothingComes(t *testing.T) {
	t.Parallel()
	answers := map[string]func(*kmsg.OffsetCommitRequest) kmsg.Response{
		"no answer":                   func(*kmsg.OffsetCommitRequest) kmsg.Response { return nil },
		"an answer without the topic": func(req *kmsg.OffsetCommitRequest) kmsg.Response { return req.ResponseKind() },
		"an answer without the partition": func(req *kmsg.OffsetCommitRequest) kmsg.Response {
			resp := commitAnswer(req, 0)
			resp.Topics[0].Partitions = nil
			return resp
		},
	}
	for _, err := range []*kerr.Error{
		kerr.CoordinatorLoadInProgress, kerr.CoordinatorNotAvailable, kerr.NotCoordinator, kerr.RebalanceInProgress,
		kerr.IllegalGeneration, kerr.UnknownMemberID, kerr.UnknownTopicOrPartition, kerr.RequestTimedOut,
	} {
		answers[err.Message] = func(req *kmsg.OffsetCommitRequest) kmsg.Response { return commitAnswer(req, err.Code) }
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := fakeKafka(t, "leads", 1)
			brokers := cluster.ListenAddrs()
			produce(t, brokers, leads("leads", 1, 3)...)
			m := newMember(t, groupYAML, brokers[0])
			batch, f := m.read(t)
			require.Len(t, batch, 3)
			failed := failCommits(cluster, answer)
			ack(t, f, nil)
			client := newClient(t, brokers)
			require.Eventually(t, func() bool { return committed(t, client, "callers", "leads", 0) == 3 }, patience, 10*time.Millisecond)
			assert.EqualValues(t, failingCommits, failed.Load())
		})
	}
}

func TestCommitsThatFailInARebalanceAreRepeatedByWhoeverHasThePartition(t *testing.T) {
	t.Parallel()
	for _, err := range []*kerr.Error{kerr.RebalanceInProgress, kerr.IllegalGeneration, kerr.UnknownMemberID, kerr.NotCoordinator} {
		t.Run(err.Message, func(t *testing.T) {
			t.Parallel()
			cluster := fakeKafka(t, "leads", 4)
			brokers := cluster.ListenAddrs()
			produce(t, brokers, leads("leads", 4, 3)...)
			first := drain(newMember(t, rebalanceYAML, brokers[0], "15s"))
			defer first.end()
			failed := failCommits(cluster, func(req *kmsg.OffsetCommitRequest) kmsg.Response { return commitAnswer(req, err.Code) })
			require.Eventually(t, func() bool { return failed.Load() > 0 }, patience, time.Millisecond)
			second := drain(newMember(t, rebalanceYAML, brokers[0], "15s"))
			defer second.end()
			_, stable := cluster.WaitGroupStable(t.Context(), "callers", 2)
			require.NoError(t, stable)
			client := newClient(t, brokers)
			for p := range int32(4) {
				require.Eventually(t, func() bool { return committed(t, client, "callers", "leads", p) == 3 }, patience, 10*time.Millisecond)
			}
			assert.EqualValues(t, failingCommits, failed.Load())
		})
	}
}

// failCommits gives the next commits an answer, or with nil hangs up, and tells how many it
// did that to.
func failCommits(cluster *kfake.Cluster, answer func(*kmsg.OffsetCommitRequest) kmsg.Response) *atomic.Int64 {
	failed := &atomic.Int64{}
	cluster.ControlKey(kmsg.OffsetCommit.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		if failed.Add(1) == failingCommits {
			cluster.DropControl()
		}
		if resp := answer(req.(*kmsg.OffsetCommitRequest)); resp != nil {
			return resp, nil, true
		}
		return nil, errors.New("hang up"), true
	})
	return failed
}

// commitAnswer gives each partition of a commit the same code.
func commitAnswer(req *kmsg.OffsetCommitRequest, code int16) *kmsg.OffsetCommitResponse {
	resp := req.ResponseKind().(*kmsg.OffsetCommitResponse)
	for _, topic := range req.Topics {
		answer := kmsg.NewOffsetCommitResponseTopic()
		answer.Topic, answer.TopicID = topic.Topic, topic.TopicID
		for _, p := range topic.Partitions {
			partition := kmsg.NewOffsetCommitResponseTopicPartition()
			partition.Partition, partition.ErrorCode = p.Partition, code
			answer.Partitions = append(answer.Partitions, partition)
		}
		resp.Topics = append(resp.Topics, answer)
	}
	return resp
}

func TestAnAnswerToACommitIsReadWhetherItNamesTopicsOrTheirIDs(t *testing.T) {
	t.Parallel()
	req := kmsg.NewPtrOffsetCommitRequest()
	for i, name := range []string{"callbacks", "leads"} {
		topic := kmsg.NewOffsetCommitRequestTopic()
		topic.Topic, topic.TopicID = name, [16]byte{byte(i + 1)}
		topic.Partitions = []kmsg.OffsetCommitRequestTopicPartition{{Partition: 1}}
		req.Topics = append(req.Topics, topic)
	}
	resp := commitAnswer(req, kerr.RebalanceInProgress.Code)
	resp.Topics[0].Topic = "" // as the client leaves it after its session with the group ended
	answers := commitAnswers(req, resp)
	assert.Len(t, answers, 2)
	for _, name := range []string{"callbacks", "leads"} {
		assert.ErrorIs(t, answers[topicPartition{topic: name, partition: 1}], kerr.RebalanceInProgress, name)
	}
}
