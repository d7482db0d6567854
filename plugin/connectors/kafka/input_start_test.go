package kafka

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/benthos-happyrobot/benthos-happyrobot/tests/services"
)

// commitAt commits an offset for partition 0 of a topic, as an operator would.
func commitAt(t *testing.T, brokers []string, group, topic string, at int64, metadata string) {
	t.Helper()
	admin := kadm.NewClient(newClient(t, brokers))
	offsets := kadm.Offsets{topic: {0: {Topic: topic, At: at, LeaderEpoch: -1, Metadata: metadata}}}
	require.NoError(t, admin.CommitAllOffsets(t.Context(), group, offsets))
}

// deleteBefore does what retention does, in the topic leads.
func deleteBefore(t *testing.T, brokers []string, at int64) {
	t.Helper()
	admin := kadm.NewClient(newClient(t, brokers))
	_, err := admin.DeleteRecords(t.Context(), kadm.Offsets{"leads": {0: {Topic: "leads", At: at}}})
	require.NoError(t, err)
}

func TestALatestStartSkipsNothingOfAGroupThatHadCommitted(t *testing.T) {
	t.Parallel()
	for name, yaml := range map[string]string{
		"group":              groupYAML,
		"explicit partition": "seed_brokers: [ %q ]\ntopics: [ 'leads:0:5' ]\nfetch_max_wait: 100ms\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			brokers := fakeKafka(t, "leads", 1).ListenAddrs()
			produce(t, brokers, leads("leads", 1, 15)...)
			commitAt(t, brokers, "callers", "leads", 5, "")
			deleteBefore(t, brokers, 12)
			s := runInput(t, yaml+"start_offset: latest", brokers[0])
			s.gets(t, "0/12", "0/13", "0/14")
			s.says(t, "Partition leads/0 has no offset 5 any more, so it is out of range: retention deleted up to 7 records")
		})
	}
}

func TestALatestStartSkipsNothingWhereTheMoveIsLeftToTheClient(t *testing.T) {
	brokers := fakeKafka(t, "leads", 1).ListenAddrs()
	produce(t, brokers, leads("leads", 1, 15)...)
	deleteBefore(t, brokers, 12)
	c, err := configOf(t, "topics: [ leads ]\nconsumer_group: g\nstart_offset: latest")
	require.NoError(t, err)
	client := newClient(t, brokers, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"leads": {0: kgo.NewOffset().At(5)}}), kgo.ConsumeStartOffset(c.start), kgo.ConsumeResetOffset(c.reset()))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	records := client.PollFetches(ctx).Records()
	require.Len(t, records, 3)
	assert.EqualValues(t, 12, records[0].Offset)
}

func TestWhatRetentionDeletedIsSaidBeforeTheNextRecord(t *testing.T) {
	t.Parallel()
	brokers := fakeKafka(t, "leads", 1).ListenAddrs()
	produce(t, brokers, leads("leads", 1, 10)...)
	commitAt(t, brokers, "callers", "leads", 1, "")
	deleteBefore(t, brokers, 10)
	s := runInput(t, groupYAML, brokers[0])
	s.says(t, "retention deleted up to 9 records")
	produce(t, brokers, &kgo.Record{Topic: "leads", Value: []byte("next")})
	s.gets(t, "next")
	assert.Equal(t, 1, s.logged("retention deleted"), "once")
}

func TestACommittedStartThatIsNotThereIsExplained(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		at   int64
		yaml string
		says string
	}{
		"no commit":     {at: -1, yaml: groupYAML, says: "the group callers has committed no offset for it"},
		"deleted":       {at: 1, yaml: groupYAML, says: "the offset to go on from is out of range"},
		"past the end":  {at: 90, yaml: groupYAML, says: "the offset to go on from is out of range"},
		"without group": {at: -1, yaml: "seed_brokers: [ %q ]\ntopics: [ 'leads:0:90' ]\nfetch_max_wait: 100ms\n", says: "name another offset in `topics`"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			brokers := fakeKafka(t, "leads", 1).ListenAddrs()
			produce(t, brokers, leads("leads", 1, 10)...)
			deleteBefore(t, brokers, 5)
			if c.at >= 0 {
				commitAt(t, brokers, "callers", "leads", c.at, "")
			}
			s := runInput(t, c.yaml+"start_offset: committed", brokers[0])
			s.says(t, "partition leads/0 is not read")
			s.says(t, c.says)
			s.says(t, "set `start_offset` to earliest or latest")
			assert.Zero(t, s.logged(".."))
			assert.Zero(t, s.logged("OFFSET_OUT_OF_RANGE: "))
			assert.Empty(t, s.texts())
		})
	}
}

func TestAPartitionThatIsNotReadStaysTrouble(t *testing.T) {
	var ts troubles
	began := time.Now()
	key := topicPartition{topic: "leads"}
	ts.add(key, kerr.OffsetOutOfRange, began)
	_, _, sick := ts.worst(stale, began.Add(time.Hour))
	assert.True(t, sick, "the client says it once")
	ts.clear(key)
	_, _, sick = ts.worst(stale, began.Add(time.Hour))
	assert.False(t, sick)
}

func TestTextsThatEndAQuotationHaveOneFullStop(t *testing.T) {
	c := &connection{}
	for _, err := range []error{kerr.UnknownMemberID, kerr.UnsupportedVersion, kerr.CoordinatorNotAvailable} {
		assert.NotRegexp(t, `\.$`, c.explain(err).Error())
		assert.NotRegexp(t, `\.$`, c.explainTopic("leads", err).Error())
		assert.ErrorIs(t, c.explain(err), err)
	}
}

// An acknowledgement may come late, and its offset be committed after the topic was
// deleted and made again.
func TestACommitOfAnEarlierTopicOfTheNameIsNotResumedFrom(t *testing.T) {
	for _, real := range []bool{false, true} {
		name := map[bool]string{false: "fake", true: "real"}[real]
		t.Run(name, func(t *testing.T) {
			topic := "leads"
			var brokers []string
			if real {
				broker := services.Kafka(t)
				topic, brokers = newTopic(t, broker, 1), []string{broker}
			} else {
				brokers = fakeKafka(t, topic, 1).ListenAddrs()
			}
			yaml := "seed_brokers: [ %q ]\ntopics: [ " + topic + " ]\nconsumer_group: " + topic + "\nfetch_max_wait: 100ms\ncommit_period: 50ms\n"
			client := newClient(t, brokers)
			admin := kadm.NewClient(client)

			produce(t, brokers, leads(topic, 1, 3)...)
			m := newMember(t, yaml, brokers[0])
			batch, f := m.read(t)
			require.Len(t, batch, 3)
			ack(t, f, nil)
			m.close(t)
			offsets, err := admin.FetchOffsets(t.Context(), topic)
			require.NoError(t, err)
			old, _ := offsets.Lookup(topic, 0)
			require.EqualValues(t, 3, old.At)

			_, err = admin.DeleteTopics(t.Context(), topic)
			require.NoError(t, err)
			require.Eventually(t, func() bool {
				_, err = admin.CreateTopic(t.Context(), 1, 1, nil, topic)
				return err == nil
			}, patience, 100*time.Millisecond)
			produce(t, brokers, leads(topic, 1, 5)...)
			commitAt(t, brokers, topic, topic, 3, old.Metadata)
			s := runInput(t, yaml, brokers[0])
			s.gets(t, "0/0", "0/1", "0/2", "0/3", "0/4")
			s.says(t, "offset 3, which the group has committed, is of an earlier topic of this name")
			require.Eventually(t, func() bool { return committed(t, client, topic, topic, 0) == 5 }, patience, 20*time.Millisecond)
		})
	}
}

func TestALateAcknowledgementSkipsNothingOfATopicThatWasMadeAgain(t *testing.T) {
	t.Parallel()
	brokers := fakeKafka(t, "leads", 1, kfake.MaxVersions(kversion.V3_8_0())).ListenAddrs() // which takes commits by name
	produce(t, brokers, leads("leads", 1, 3)...)
	m := newMember(t, groupYAML+"metadata_max_age: 1s", brokers[0])
	batch, f := m.read(t)
	require.Len(t, batch, 3)
	admin := kadm.NewClient(newClient(t, brokers))
	_, err := admin.DeleteTopics(t.Context(), "leads")
	require.NoError(t, err)
	_, err = admin.CreateTopic(t.Context(), 1, 1, nil, "leads")
	require.NoError(t, err)
	produce(t, brokers, leads("leads", 1, 5)...)
	ack(t, f, nil)
	var got []string
	for len(got) < 5 {
		batch, f := m.read(t)
		ack(t, f, nil)
		got = append(got, texts(t, batch)...)
	}
	assert.Equal(t, []string{"0/0", "0/1", "0/2", "0/3", "0/4"}, got)
}

func TestCommitsOfOthersAndOfOtherClustersAreResumedFrom(t *testing.T) {
	t.Parallel()
	for name, metadata := range map[string]string{
		"another program": "member-1",
		"another cluster": stamp("elsewhere", [16]byte{1}),
		"none":            "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			brokers := fakeKafka(t, "leads", 1).ListenAddrs()
			produce(t, brokers, leads("leads", 1, 5)...)
			commitAt(t, brokers, "callers", "leads", 3, metadata)
			s := runInput(t, groupYAML, brokers[0])
			s.gets(t, "0/3", "0/4")
		})
	}
}

func TestNothingIsCommittedForATopicThatWasReplaced(t *testing.T) {
	t.Parallel()
	cluster := fakeKafka(t, "leads", 1)
	brokers := cluster.ListenAddrs()
	produce(t, brokers, leads("leads", 1, 3)...)
	m := newMember(t, groupYAML, brokers[0])
	_, f := m.read(t)
	in := m.in.(*input)
	in.mu.Lock()
	in.troubles.add(topicPartition{topic: "leads"}, kerr.UnknownTopicID, time.Now())
	in.mu.Unlock()
	ack(t, f, nil)
	require.NoError(t, in.commit(t.Context()))
	assert.EqualValues(t, -1, committed(t, newClient(t, brokers), "callers", "leads", 0))
}
