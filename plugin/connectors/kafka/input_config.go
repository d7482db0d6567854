package kafka

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/twmb/franz-go/pkg/kgo"
)

// inputConfig is what the config says of the input.
type inputConfig struct {
	connection *connection

	topics     []string                        // names, or patterns with regexp
	partitions map[string]map[int32]kgo.Offset // in place of topics
	regexp     bool
	exclude    []string
	group      string
	instanceID string
	rackID     string

	rebalance, session, heartbeat time.Duration
	start                         kgo.Offset
	fetchMax, fetchMin            int32
	fetchMaxPartition             int32
	fetchWait                     time.Duration
	isolation                     kgo.IsolationLevel

	commitPeriod, lagPeriod time.Duration
	buffer, batch           int
	unordered               bool
	limit                   int // records of a partition in work, where unordered
	batching                service.BatchPolicy
	batchingPeriod          time.Duration
	replayOnlyRejected      bool
}

func inputConfigFromParsed(conf *service.ParsedConfig) (*inputConfig, error) {
	c := &inputConfig{}
	var err error
	if c.connection, err = connectionFromParsed(conf); err != nil {
		return nil, err
	}
	for _, part := range []func(*service.ParsedConfig) error{
		c.startFromParsed, c.topicsFromParsed, c.groupFromParsed, c.fetchFromParsed, c.batchesFromParsed,
	} {
		if err := part(conf); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *inputConfig) startFromParsed(conf *service.ParsedConfig) error {
	oldest, err := conf.FieldBool(inFieldStartFromOldest)
	if err != nil {
		return err
	}
	start, err := conf.FieldString(inFieldStartOffset)
	if err != nil {
		return err
	}
	switch start {
	case startEarliest:
		if !oldest {
			return fmt.Errorf("field %s: cannot be false while %s is %s; set %s to %s, and remove %s", inFieldStartFromOldest, inFieldStartOffset, startEarliest, inFieldStartOffset, startLatest, inFieldStartFromOldest)
		}
		c.start = kgo.NewOffset().AtStart()
	case startLatest:
		c.start = kgo.NewOffset().AtEnd()
	case startCommitted:
		c.start = kgo.NewOffset().AtCommitted()
	default:
		return fmt.Errorf("field %s: must be %s, %s or %s", inFieldStartOffset, startEarliest, startLatest, startCommitted)
	}
	return nil
}

// optionalText is a text that may be absent.
func optionalText(conf *service.ParsedConfig, field string) (string, error) {
	if !conf.Contains(field) {
		return "", nil
	}
	return conf.FieldString(field)
}

func optionalList(conf *service.ParsedConfig, field string) ([]string, error) {
	if !conf.Contains(field) {
		return nil, nil
	}
	return conf.FieldStringList(field)
}

func (c *inputConfig) topicsFromParsed(conf *service.ParsedConfig) error {
	names, err := optionalList(conf, inFieldTopics)
	if err != nil {
		return err
	}
	include, err := optionalList(conf, inFieldRegexpInclude)
	if err != nil {
		return err
	}
	if c.exclude, err = optionalList(conf, inFieldRegexpExclude); err != nil {
		return err
	}
	if c.regexp, err = conf.FieldBool(inFieldRegexpTopics); err != nil {
		return err
	}
	if c.group, err = optionalText(conf, inFieldConsumerGroup); err != nil {
		return err
	}
	c.group = strings.TrimSpace(c.group)
	switch {
	case len(names) > 0 && len(include) > 0:
		return fmt.Errorf("fields %s and %s: set only one of them", inFieldTopics, inFieldRegexpInclude)
	case len(include) > 0:
		c.topics, c.regexp = include, true
	case c.regexp:
		for _, name := range names {
			c.topics = append(c.topics, splitList(name)...)
		}
	default:
		if err := c.plainTopics(names); err != nil {
			return fmt.Errorf("field %s: %w", inFieldTopics, err)
		}
	}
	if len(c.topics) == 0 && len(c.partitions) == 0 {
		return fmt.Errorf("fields %s and %s: one of them must name a topic", inFieldTopics, inFieldRegexpInclude)
	}
	if len(c.exclude) > 0 && !c.regexp {
		return fmt.Errorf("field %s: needs %s", inFieldRegexpExclude, inFieldRegexpInclude)
	}
	if c.regexp {
		for _, pattern := range slices.Concat(c.topics, c.exclude) {
			if _, err := regexp.Compile(pattern); err != nil {
				return fmt.Errorf("patterns of topics: %w", err)
			}
		}
	}
	if len(c.partitions) > 0 && c.group != "" {
		return fmt.Errorf("field %s: explicit partitions and a %s exclude each other; name the topic alone, or remove %s", inFieldTopics, inFieldConsumerGroup, inFieldConsumerGroup)
	}
	if len(c.partitions) > 0 && len(c.topics) > 0 {
		return fmt.Errorf("field %s: either all items have explicit partitions, or none has", inFieldTopics)
	}
	if len(c.topics) > 0 && c.group == "" {
		return errors.New(needsGroup)
	}
	for _, partitions := range c.partitions {
		for _, start := range partitions {
			if start == kgo.NewOffset().AtCommitted() {
				return fmt.Errorf("field %s: %s needs a %s; or name an offset with each partition in %s, such as leads:0:1500", inFieldStartOffset, startCommitted, inFieldConsumerGroup, inFieldTopics)
			}
		}
	}
	return nil
}

func splitList(item string) (parts []string) {
	for part := range strings.SplitSeq(item, ",") {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, part)
		}
	}
	return parts
}

// plainTopics reads items such as foo, foo:0, foo:0-5 and foo:0:10, of which one text may
// hold several.
func (c *inputConfig) plainTopics(items []string) error {
	for _, item := range items {
		for _, part := range splitList(item) {
			topic, rest, explicit := strings.Cut(part, ":")
			if topic == "" {
				return fmt.Errorf("%q names no topic", part)
			}
			if !explicit {
				c.topics = append(c.topics, topic)
				continue
			}
			if err := c.explicitPartitions(topic, rest); err != nil {
				return fmt.Errorf("%q: %w", part, err)
			}
		}
	}
	return nil
}

func (c *inputConfig) explicitPartitions(topic, text string) error {
	which, at, hasOffset := strings.Cut(text, ":")
	low, high, isRange := strings.Cut(which, "-")
	if !isRange {
		high = low
	}
	first, err := strconv.ParseInt(strings.TrimSpace(low), 10, 32)
	if err != nil || first < 0 {
		return errors.New("after the topic comes the number of a partition, or a range such as 0-5")
	}
	last, err := strconv.ParseInt(strings.TrimSpace(high), 10, 32)
	if err != nil || last < first {
		return errors.New("a range of partitions has a first and a last number, such as 0-5")
	}
	start := c.start
	if hasOffset {
		offset, err := strconv.ParseInt(strings.TrimSpace(at), 10, 64)
		if err != nil || offset < 0 {
			return errors.New("after the partition comes an offset, which is a number")
		}
		start = kgo.NewOffset().At(offset)
	}
	if c.partitions == nil {
		c.partitions = map[string]map[int32]kgo.Offset{}
	}
	if c.partitions[topic] == nil {
		c.partitions[topic] = map[int32]kgo.Offset{}
	}
	for p := first; p <= last; p++ {
		c.partitions[topic][int32(p)] = start
	}
	return nil
}

// durations reads fields that must be positive.
func durations(conf *service.ParsedConfig, fields map[string]*time.Duration) (err error) {
	for name, at := range fields {
		if *at, err = conf.FieldDuration(name); err != nil {
			return err
		}
		if *at <= 0 {
			return fmt.Errorf("field %s: must be more than 0", name)
		}
	}
	return nil
}

func (c *inputConfig) groupFromParsed(conf *service.ParsedConfig) (err error) {
	if c.instanceID, err = conf.FieldString(inFieldInstanceID); err != nil {
		return err
	}
	if c.instanceID != "" && c.group == "" {
		return errors.New(instanceNeedsGroup)
	}
	if c.rackID, err = conf.FieldString(inFieldRackID); err != nil {
		return err
	}
	if err := durations(conf, map[string]*time.Duration{
		inFieldRebalanceTimeout: &c.rebalance, inFieldSessionTimeout: &c.session,
		inFieldHeartbeat: &c.heartbeat, inFieldCommitPeriod: &c.commitPeriod, inFieldLagPeriod: &c.lagPeriod,
	}); err != nil {
		return err
	}
	if c.heartbeat >= c.session {
		return fmt.Errorf("field %s: must be less than %s, a third of it at most is usual", inFieldHeartbeat, inFieldSessionTimeout)
	}
	return nil
}

func (c *inputConfig) fetchFromParsed(conf *service.ParsedConfig) (err error) {
	for name, at := range map[string]*int32{
		inFieldFetchMaxBytes: &c.fetchMax, inFieldFetchMinBytes: &c.fetchMin, inFieldFetchMaxPartition: &c.fetchMaxPartition,
	} {
		if *at, err = sizeFromParsed(conf, name); err != nil {
			return err
		}
		if *at == 0 {
			return fmt.Errorf("field %s: must be more than 0", name)
		}
	}
	if c.fetchMaxPartition > c.fetchMax {
		return fmt.Errorf("field %s: must not be more than %s", inFieldFetchMaxPartition, inFieldFetchMaxBytes)
	}
	if err := durations(conf, map[string]*time.Duration{inFieldFetchMaxWait: &c.fetchWait}); err != nil {
		return err
	}
	level, err := conf.FieldString(inFieldIsolation)
	switch {
	case err != nil:
		return err
	case level == readCommitted:
		c.isolation = kgo.ReadCommitted()
	case level == readUncommitted:
		c.isolation = kgo.ReadUncommitted()
	default:
		return fmt.Errorf("field %s: must be %s or %s", inFieldIsolation, readCommitted, readUncommitted)
	}
	return nil
}

func (c *inputConfig) batchesFromParsed(conf *service.ParsedConfig) (err error) {
	var size int32
	if size, err = sizeFromParsed(conf, inFieldBufferBytes); err != nil {
		return err
	}
	c.buffer = int(size)
	if size, err = sizeFromParsed(conf, inFieldBatchBytes); err != nil {
		return err
	}
	if c.batch = int(size); c.batch > c.buffer {
		return fmt.Errorf("field %s: must not be more than %s", inFieldBatchBytes, inFieldBufferBytes)
	}
	if c.replayOnlyRejected, err = conf.FieldBool(service.AutoRetryNacksToggleFieldName); err != nil {
		return err
	}
	unordered := conf.Namespace(inFieldUnordered)
	if c.unordered, err = unordered.FieldBool(inFieldUnorderedEnabled); err != nil {
		return err
	}
	if c.limit, err = unordered.FieldInt(inFieldUnorderedLimit); err != nil {
		return err
	}
	if c.limit < 1 {
		return fmt.Errorf("field %s.%s: must be at least 1", inFieldUnordered, inFieldUnorderedLimit)
	}
	if c.batching, err = unordered.FieldBatchPolicy(inFieldUnorderedBatching); err != nil {
		return err
	}
	if c.batching.Period != "" {
		if c.batchingPeriod, err = time.ParseDuration(c.batching.Period); err != nil {
			return fmt.Errorf("field %s.%s.period: %w", inFieldUnordered, inFieldUnorderedBatching, err)
		}
	}
	return nil
}

// opts are the options of the client, but for what the group calls.
func (c *inputConfig) opts(h *health) []kgo.Opt {
	opts := append(c.connection.opts(h),
		kgo.FetchMaxBytes(c.fetchMax),
		kgo.FetchMinBytes(c.fetchMin),
		kgo.FetchMaxPartitionBytes(c.fetchMaxPartition),
		kgo.FetchMaxWait(c.fetchWait),
		kgo.FetchIsolationLevel(c.isolation),
		kgo.ConsumeStartOffset(c.start),
		kgo.ConsumeResetOffset(c.reset()),
		kgo.KeepRetryableFetchErrors(), // they say why nothing comes
	)
	if c.rackID != "" {
		opts = append(opts, kgo.Rack(c.rackID))
	}
	if len(c.partitions) > 0 {
		return append(opts, kgo.ConsumePartitions(c.partitions))
	}
	opts = append(opts, kgo.ConsumeTopics(c.topics...))
	if c.regexp {
		opts = append(opts, kgo.ConsumeRegex())
		if len(c.exclude) > 0 {
			opts = append(opts, kgo.ConsumeExcludeTopics(c.exclude...))
		}
	}
	return opts
}

// reset is where to go on if an offset is out of range. That of `latest` is not the end,
// which would skip records that are there: retention deleted what came before them, or the
// brokers lost what the offset was of.
func (c *inputConfig) reset() kgo.Offset {
	if c.start == kgo.NewOffset().AtEnd() {
		return kgo.RewindOffset(time.Minute)
	}
	return c.start
}

// onlyCommitted reports whether a partition is only read from an offset that the group has
// committed.
func (c *inputConfig) onlyCommitted() bool { return c.start == kgo.NewOffset().AtCommitted() }

// groupOpts are the options of a member of a group.
func (c *inputConfig) groupOpts() []kgo.Opt {
	opts := []kgo.Opt{
		kgo.ConsumerGroup(c.group),
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(),
		kgo.RebalanceTimeout(c.rebalance),
		kgo.SessionTimeout(c.session),
		kgo.HeartbeatInterval(c.heartbeat),
	}
	if c.instanceID != "" {
		opts = append(opts, kgo.InstanceID(c.instanceID))
	}
	return opts
}

// handover is how long a revoked partition's batches may take before it is handed over
// with them undone. The group waits for rebalance_timeout. Of that, the member may need
// an interval of heartbeats to learn of the rebalance, and time to commit.
func (c *inputConfig) handover() time.Duration {
	return max(c.rebalance/3, c.rebalance-c.heartbeat-2*c.commitPatience())
}

// commitPatience is how long a commit may take in a rebalance.
func (c *inputConfig) commitPatience() time.Duration {
	return min(5*time.Second, c.rebalance/6)
}
