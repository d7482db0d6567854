package kafka_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestARecordHasWhatItsFieldsSay(t *testing.T) {
	t.Parallel()
	cluster := outFake(t, kfake.AllowAutoTopicCreation())
	s := outRun(t, outFields(`
seed_brokers: [ %q ]
topic: ${! @to }
key: ${! @id }
timestamp_ms: ${! @at }
metadata:
  include_prefixes: [ h_ ]
`, outBrokers(cluster)))

	msg := service.NewMessage([]byte("hello"))
	msg.MetaSetMut("to", "greetings")
	msg.MetaSetMut("id", "k1")
	msg.MetaSetMut("at", 1700000000123)
	msg.MetaSetMut("h_text", "x")
	msg.MetaSetMut("h_number", 7)
	msg.MetaSetMut("other", "y")
	require.NoError(t, s.send(t.Context(), service.MessageBatch{msg}))

	r := outRead(t, outBrokers(cluster), "greetings", 1)[0]
	assert.Equal(t, "hello", string(r.Value))
	assert.Equal(t, "k1", string(r.Key))
	assert.Equal(t, int64(1700000000123), r.Timestamp.UnixMilli())
	assert.ElementsMatch(t, []kgo.RecordHeader{
		{Key: "h_text", Value: []byte("x")}, {Key: "h_number", Value: []byte("7")},
	}, r.Headers)
}

func TestNullKeysEmptyKeysAndTombstones(t *testing.T) {
	t.Parallel()
	cluster := outFake(t, kfake.SeedTopics(1, "with", "without"))
	with := outRun(t, outFields(`
seed_brokers: [ %q ]
topic: with
key: ${! @kafka_key }
`, outBrokers(cluster)))
	message := func(key, value []byte, tombstone any) *service.Message {
		msg := service.NewMessage(value)
		msg.MetaSetMut("kafka_key", key)
		if tombstone != nil {
			msg.MetaSetMut("kafka_tombstone_message", tombstone)
		}
		return msg
	}
	require.NoError(t, with.send(t.Context(), service.MessageBatch{
		message(nil, []byte("null key"), nil),
		message([]byte{}, []byte("empty key"), nil),
		message([]byte("k"), nil, nil),
		message([]byte("k"), []byte{}, nil),
		message([]byte("k"), []byte{}, true),
		message([]byte("k"), []byte{}, "true"),
		message([]byte("k"), []byte("a value all the same"), true),
	}))
	r := outRead(t, outBrokers(cluster), "with", 7)
	assert.Nil(t, r[0].Key)
	assert.NotNil(t, r[1].Key)
	assert.Empty(t, r[1].Key)
	assert.Nil(t, r[2].Value, "a message that is null is a tombstone")
	assert.NotNil(t, r[3].Value, "an empty one is not")
	assert.Nil(t, r[4].Value)
	assert.Nil(t, r[5].Value)
	assert.Equal(t, "a value all the same", string(r[6].Value))

	without := outRun(t, outFields(`
seed_brokers: [ %q ]
topic: without
`, outBrokers(cluster)))
	require.NoError(t, without.send(t.Context(), outBatch("a")))
	assert.Nil(t, outRead(t, outBrokers(cluster), "without", 1)[0].Key)
}

func TestAMappingWritesATombstone(t *testing.T) {
	t.Parallel()
	cluster := outFake(t, kfake.SeedTopics(1, "t"))
	s := outRun(t, outFields(`
seed_brokers: [ %q ]
topic: t
key: k
batching:
  count: 1
  processors:
    - mapping: |
        meta kafka_tombstone_message = true
        root = ""
`, outBrokers(cluster)))
	require.NoError(t, s.send(t.Context(), outBatch("to be deleted")))
	assert.Nil(t, outRead(t, outBrokers(cluster), "t", 1)[0].Value)
}

func TestOneBadMessageFailsAlone(t *testing.T) {
	t.Parallel()
	cluster := outFake(t, kfake.AllowAutoTopicCreation())
	s := outRun(t, outFields(`
seed_brokers: [ %q ]
topic: ${! json("topic") }
key: ${! json("key") }
partitioner: manual
partition: ${! json("partition") }
timestamp_ms: ${! json("at") }
max_message_bytes: 10KiB
compression: none
`, outBrokers(cluster)))
	const at = `"at":1700000000000`
	fates := outFates(t, s, outBatch(
		`{"topic":"t","key":"0","partition":0,`+at+`}`,
		`{"topic":"","key":"secret-1","partition":0,`+at+`}`,
		`no JSON: secret-2`,
		`{"topic":"t","key":"3","partition":0,`+at+`}`,
		`{"topic":"t","key":"secret-4","partition":"secret-4",`+at+`}`,
		`{"topic":"t","key":"secret-5","partition":-1,`+at+`}`,
		`{"topic":"t","key":"secret-6","partition":99,`+at+`}`,
		`{"topic":"t","key":"secret-7","partition":0,"at":"secret-7"}`,
		`{"topic":"t","key":"secret-8","partition":0,`+at+`,"x":"`+strings.Repeat("x", 20000)+`"}`,
		`{"topic":"t","key":"9","partition":0,`+at+`}`,
	))
	for i, want := range []string{
		"", "field topic: empty", "field topic: resolving it", "", "field partition: not a whole number", "no negative number",
		"has no partition 99", "field timestamp_ms: not a whole number",
		"record too large: 20 KiB (20078 bytes), and `max_message_bytes` is 10 KiB", "",
	} {
		if want == "" {
			require.NoError(t, fates[i], "message %d", i)
			continue
		}
		require.ErrorContains(t, fates[i], want, "message %d", i)
		assert.NotContains(t, fmt.Sprint(fates[i]), "secret", "message %d", i)
	}
	var keys []string
	for _, r := range outRead(t, outBrokers(cluster), "t", 3) {
		keys = append(keys, string(r.Key))
	}
	assert.Equal(t, []string{"0", "3", "9"}, keys)
	assert.NotContains(t, s.log.text(), "secret")
}

func TestABatchWithoutFailuresGivesNoError(t *testing.T) {
	t.Parallel()
	cluster := outFake(t, kfake.SeedTopics(1, "t"))
	s := outRun(t, outFields("seed_brokers: [ %q ]\ntopic: t", outBrokers(cluster)))
	require.NoError(t, s.send(t.Context(), outBatch("a", "b")))
}

func TestARecordThatOnlyTheBrokerFindsTooLargeFailsAlone(t *testing.T) {
	t.Parallel()
	cluster := outFake(t)
	require.NoError(t, cluster.CreateTopic("small", 1, map[string]string{"max.message.bytes": "2000"}))
	s := outRun(t, outFields(`
seed_brokers: [ %q ]
topic: small
compression: none
`, outBrokers(cluster)))
	// The client sends all in one request, and the broker refuses that as a whole, for its size alone.
	fates := outFates(t, s, outBatch(strings.Repeat("a", 1500), strings.Repeat("b", 3000), strings.Repeat("c", 1500)))
	require.NoError(t, fates[0])
	require.ErrorContains(t, fates[1], `record too large: 2.9 KiB (3000 bytes), which the broker refuses; raise max.message.bytes of topic "small"`)
	require.NoError(t, fates[2])
	values := outValues(outRead(t, outBrokers(cluster), "small", 2))
	assert.Equal(t, "a", values[0][:1])
	assert.Equal(t, "c", values[1][:1])

	// Many writes at once, which the client joins: too much together, and none of them too large.
	var all []<-chan error
	for range 20 {
		all = append(all, outAsync(t, s, outBatch(strings.Repeat("d", 900))))
	}
	for _, done := range all {
		outWritten(t, done)
	}
	outRead(t, outBrokers(cluster), "small", 22)
}

func TestACompactedTopicSaysThatItWantsAKey(t *testing.T) {
	t.Parallel()
	cluster := outFake(t, kfake.SeedTopics(1, "t"))
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.InvalidRecord, Count: -1})
	s := outRun(t, outFields("seed_brokers: [ %q ]\ntopic: t", outBrokers(cluster)))
	fates := outFates(t, s, outBatch("a"))
	require.ErrorContains(t, fates[0], `record refused by topic "t": it has no key`)
}

func TestOrderIsKeptWithinABatch(t *testing.T) {
	t.Parallel()
	cluster := outFake(t, kfake.SeedTopics(3, "t"))
	s := outRun(t, outFields(`
seed_brokers: [ %q ]
topic: t
key: ${! content().string().split("-").index(0) }
max_message_bytes: 1KiB
`, outBrokers(cluster)))
	var texts []string
	for i := range 1000 {
		texts = append(texts, fmt.Sprintf("%d-%d", i%7, i))
	}
	require.NoError(t, s.send(t.Context(), outBatch(texts...)))
	last := map[string]int{}
	for _, r := range outRead(t, outBrokers(cluster), "t", 1000) {
		var key, i int
		_, err := fmt.Sscanf(string(r.Value), "%d-%d", &key, &i)
		require.NoError(t, err)
		assert.GreaterOrEqual(t, i, last[string(r.Key)])
		last[string(r.Key)] = i
	}
}

func TestALostAnswerStoresARecordOnce(t *testing.T) {
	t.Parallel()
	var loser *answerLoser
	cluster := outFake(t, kfake.SeedTopics(1, "t"), kfake.ListenFn(func(network, address string) (net.Listener, error) {
		l, err := net.Listen(network, address)
		loser = &answerLoser{Listener: l}
		return loser, err
	}))
	s := outRun(t, outFields("seed_brokers: [ %q ]\ntopic: t", outBrokers(cluster)))
	require.NoError(t, s.send(t.Context(), outBatch("first")))
	// The answer to the next request with records is lost, once they are stored.
	produced := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Observe: true, Count: 1, When: func(kmsg.Request) bool {
		loser.arm()
		return true
	}})
	require.NoError(t, s.send(t.Context(), outBatch("second")))
	require.Equal(t, 1, produced.Hits())
	assert.Equal(t, []string{"first", "second"}, outValues(outRead(t, outBrokers(cluster), "t", 2)))
}

func TestAnUnknownTopicIsWaitedFor(t *testing.T) {
	t.Parallel()
	cluster := outFake(t, kfake.SeedTopics(1, "known"))
	s := outRun(t, outFields(`
seed_brokers: [ %q ]
topic: ${! content() }
allow_auto_topic_creation: false
metadata_max_age: 1s
`, outBrokers(cluster)))
	done := outAsync(t, s, outBatch("known", "later", "known"))
	outEventually(t, s, "Writing to Kafka is held up: topic \\\"later\\\" does not exist")
	assert.Equal(t, 1, s.log.count("held up"))
	require.NoError(t, cluster.CreateTopic("later", 1, nil))
	outWritten(t, done)
	outEventually(t, s, "Writing to Kafka resumed")
	outRead(t, outBrokers(cluster), "later", 1)
	outRead(t, outBrokers(cluster), "known", 2) // and no more than once
}

func TestATopicThatIsCreatedAnewIsWrittenTo(t *testing.T) {
	t.Parallel()
	cluster := outFake(t, kfake.SeedTopics(1, "t"))
	s := outRun(t, outFields("seed_brokers: [ %q ]\ntopic: t\nmetadata_max_age: 1s", outBrokers(cluster)))
	require.NoError(t, s.send(t.Context(), outBatch("old")))
	require.NoError(t, cluster.DeleteTopic("t"))
	require.NoError(t, cluster.CreateTopic("t", 1, nil))
	outWritten(t, outAsync(t, s, outBatch("new")))
	assert.Equal(t, []string{"new"}, outValues(outRead(t, outBrokers(cluster), "t", 1)))
}

func TestATopicIsCreatedIfAllowed(t *testing.T) {
	t.Parallel()
	cluster := outFake(t, kfake.AllowAutoTopicCreation())
	s := outRun(t, outFields("seed_brokers: [ %q ]\ntopic: new", outBrokers(cluster)))
	require.NoError(t, s.send(t.Context(), outBatch("a")))
	outRead(t, outBrokers(cluster), "new", 1)
}

func TestAWriteWithALimitFails(t *testing.T) {
	t.Parallel()
	cluster := outFake(t)
	for name, limit := range map[string]string{"time": "record_delivery_timeout: 1s", "retries": "record_retries: 1"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := outRun(t, outFields(`
seed_brokers: [ %q ]
topic: missing
allow_auto_topic_creation: false
metadata_max_age: 1s
%s
`, outBrokers(cluster), limit))
			done := outAsync(t, s, outBatch("a", "b"))
			select {
			case err := <-done:
				require.Error(t, err)
				var each *service.BatchError
				require.NotErrorAs(t, err, &each, "the whole batch is to be delivered again")
			case <-time.After(30 * time.Second):
				t.Fatal("the write did not end")
			}
		})
	}
}

func TestNoAuthorizationIsWaitedFor(t *testing.T) {
	t.Parallel()
	cluster := outFake(t, kfake.SeedTopics(1, "t"))
	denied := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "t", Err: kerr.TopicAuthorizationFailed, Count: -1})
	s := outRun(t, outFields("seed_brokers: [ %q ]\ntopic: t", outBrokers(cluster)))
	done := outAsync(t, s, outBatch("a"))
	outEventually(t, s, "not authorized for topic \\\"t\\\"; check the ACLs")
	denied.Remove()
	outWritten(t, done)
	outRead(t, outBrokers(cluster), "t", 1)
}
