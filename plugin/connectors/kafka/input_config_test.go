package kafka

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

func configOf(t *testing.T, yaml string) (*inputConfig, error) {
	t.Helper()
	conf, err := inputSpec().ParseYAML("seed_brokers: [ localhost ]\n"+yaml, nil)
	require.NoError(t, err)
	return inputConfigFromParsed(conf)
}

func TestTopicsMayNamePartitionsAndOffsets(t *testing.T) {
	start := kgo.NewOffset().AtStart()
	for text, want := range map[string]map[string]map[int32]kgo.Offset{
		"foo:0":           {"foo": {0: start}},
		"foo:0-2, bar:7":  {"foo": {0: start, 1: start, 2: start}, "bar": {7: start}},
		"foo:0:10":        {"foo": {0: kgo.NewOffset().At(10)}},
		"foo:1-2:5,foo:0": {"foo": {0: start, 1: kgo.NewOffset().At(5), 2: kgo.NewOffset().At(5)}},
	} {
		c, err := configOf(t, fmt.Sprintf("topics: [ %q ]", text))
		require.NoError(t, err, text)
		assert.Equal(t, want, c.partitions, text)
		assert.Empty(t, c.topics)
	}
	c, err := configOf(t, "topics: [ 'foo, bar', baz ]\nconsumer_group: g")
	require.NoError(t, err)
	assert.Equal(t, []string{"foo", "bar", "baz"}, c.topics)
}

func TestAConfigThatCannotWorkIsRefused(t *testing.T) {
	for yaml, says := range map[string]string{
		``:                                       "one of them must name a topic",
		`topics: [ "foo:" ]`:                     "the number of a partition",
		`topics: [ "foo:3-1" ]`:                  "a first and a last number",
		`topics: [ "foo:0:x" ]`:                  "an offset, which is a number",
		`topics: [ ":0" ]`:                       "names no topic",
		`topics: [ "foo:0", bar ]`:               "either all items",
		"topics: [ 'foo:0' ]\nconsumer_group: g": "exclude each other",
		"topics: [ foo ]\nregexp_topics_include: [ bar ]":                    "set only one of them",
		"topics: [ foo ]\nregexp_topics_exclude: [ bar ]":                    "needs regexp_topics_include",
		`regexp_topics_include: [ "(" ]`:                                     "patterns of topics",
		"topics: [ foo ]":                                                    "such as leads:0",
		"topics: [ foo ]\nconsumer_group: ''":                                "`consumer_group` must be set",
		"topics: [ foo ]\nconsumer_group: ' '":                               "`consumer_group` must be set",
		"topics: [ 'foo:0' ]\nregexp_topics: true":                           "`consumer_group` must be set",
		"regexp_topics_include: [ foo ]":                                     "`consumer_group` must be set",
		"topics: [ 'foo:0' ]\ninstance_id: a":                                "remove `instance_id`",
		"topics: [ foo ]\nstart_from_oldest: false":                          "start_offset",
		"topics: [ 'foo:0' ]\nstart_offset: committed":                       "start_offset: committed needs a consumer_group",
		"topics: [ 'foo:0:5', 'foo:1' ]\nstart_offset: committed":            "such as leads:0:1500",
		"topics: [ 'foo:0:5' ]\nstart_offset: committed\nconsumer_group: g":  "exclude each other",
		"topics: [ 'foo:0' ]\nmax_yield_batch_bytes: 2MB":                    "partition_buffer_bytes",
		"topics: [ 'foo:0' ]\nfetch_max_partition_bytes: 60MiB":              "fetch_max_bytes",
		"topics: [ 'foo:0' ]\nheartbeat_interval: 2m":                        "session_timeout",
		"topics: [ 'foo:0' ]\ncommit_period: 0s":                             "must be more than 0",
		"topics: [ 'foo:0' ]\nunordered_processing: { checkpoint_limit: 0 }": "at least 1",
	} {
		_, err := configOf(t, yaml)
		assert.ErrorContains(t, err, says, yaml)
	}
}

func TestTheLinterKnowsWhatIsMissing(t *testing.T) {
	const broker, group = "seed_brokers: [ localhost ]\n", "consumer_group: g\n"
	for yaml, says := range map[string]string{
		broker + group + "topics: [ foo ]":                  "",
		broker + group + "regexp_topics_include: [ foo ]":   "",
		broker + "topics: [ 'foo:0' , 'foo:1-3, bar:0:7' ]": "",
		group + "topics: [ foo ]":                           "`seed_brokers` must name at least one broker",
		group + "seed_brokers: []\ntopics: [ foo ]":         "`seed_brokers` must name at least one broker",
		broker + group: "must name a topic",
		broker + group + "topics: [ foo ]\nregexp_topics_include: [ bar ]": "exclude each other",
		broker + "topics: [ foo ]":                                  "`consumer_group` must be set",
		broker + "topics: [ foo ]\nconsumer_group: ''":              "`consumer_group` must be set",
		broker + "topics: [ foo ]\nconsumer_group: ${UNSET_GROUP:}": "`consumer_group` must be set",
		broker + "topics: [ 'foo:0, bar' ]":                         "`consumer_group` must be set",
		broker + "topics: [ 'foo:0' ]\nregexp_topics: true":         "`consumer_group` must be set",
		broker + "regexp_topics_include: [ foo ]":                   "`consumer_group` must be set",
		broker + "topics: [ 'foo:0' ]\ninstance_id: a":              "remove `instance_id`",
	} {
		lints, err := service.GlobalEnvironment().NewComponentConfigLinter().LintInputYAML([]byte("redpanda:\n  " + strings.ReplaceAll(yaml, "\n", "\n  ")))
		require.NoError(t, err, yaml)
		if says == "" {
			assert.Empty(t, lints, yaml)
		} else if assert.Len(t, lints, 1, yaml) {
			assert.Contains(t, lints[0].Error(), says)
		}
	}
}

func TestTheWaitForWorkFitsIntoTheRebalance(t *testing.T) {
	c, err := configOf(t, "topics: [ foo ]\nconsumer_group: g")
	require.NoError(t, err)
	assert.Equal(t, 32*time.Second, c.handover(), "as the page says")
	for _, rebalance := range []time.Duration{time.Second, 5 * time.Second, time.Minute, time.Hour} {
		c.rebalance, c.heartbeat = rebalance, rebalance/20
		assert.Positive(t, c.handover())
		assert.Less(t, c.handover()+c.heartbeat+c.commitPatience(), rebalance)
	}
}

func TestPatternsOfTopics(t *testing.T) {
	t.Parallel()
	cluster := fakeKafka(t, "leads_a", 1)
	brokers := cluster.ListenAddrs()
	produce(t, brokers, leads("leads_a", 1, 1)...)
	s := runInput(t, "seed_brokers: [ %q ]\nregexp_topics_include: [ '^leads_' ]\nregexp_topics_exclude: [ '_x$' ]\nconsumer_group: callers\nfetch_max_wait: 100ms", brokers[0])
	s.gets(t, "0/0")
}

func TestAPauseOfAFullBufferEndsWithTheTenure(t *testing.T) {
	t.Parallel()
	cluster := fakeKafka(t, "leads", 1)
	m := newMember(t, groupYAML, cluster.ListenAddrs()[0])
	in := m.in.(*input)
	key := topicPartition{topic: "leads"}
	require.Eventually(t, func() bool {
		in.mu.Lock()
		defer in.mu.Unlock()
		return in.tenures[key] != nil
	}, patience, time.Millisecond)
	in.mu.Lock()
	tn := in.tenures[key]
	tn.paused = true
	in.client.PauseFetchPartitions(tn.only())
	in.finish(tn)
	in.begin(key)
	in.mu.Unlock()
	assert.Empty(t, in.client.PauseFetchPartitions(nil))
	produce(t, cluster.ListenAddrs(), leads("leads", 1, 1)...)
	batch, _ := m.read(t)
	assert.Equal(t, []string{"0/0"}, texts(t, batch))
}
