package kafka

import (
	_ "embed"

	"github.com/redpanda-data/benthos/v4/public/service"
)

const componentName = "redpanda"

const ( // in: input
	inFieldTopics            = "topics"
	inFieldRegexpTopics      = "regexp_topics"
	inFieldRegexpInclude     = "regexp_topics_include"
	inFieldRegexpExclude     = "regexp_topics_exclude"
	inFieldRackID            = "rack_id"
	inFieldInstanceID        = "instance_id"
	inFieldRebalanceTimeout  = "rebalance_timeout"
	inFieldSessionTimeout    = "session_timeout"
	inFieldHeartbeat         = "heartbeat_interval"
	inFieldStartFromOldest   = "start_from_oldest"
	inFieldStartOffset       = "start_offset"
	inFieldFetchMaxBytes     = "fetch_max_bytes"
	inFieldFetchMaxWait      = "fetch_max_wait"
	inFieldFetchMinBytes     = "fetch_min_bytes"
	inFieldFetchMaxPartition = "fetch_max_partition_bytes"
	inFieldIsolation         = "transaction_isolation_level"
	inFieldConsumerGroup     = "consumer_group"
	inFieldCommitPeriod      = "commit_period"
	inFieldBufferBytes       = "partition_buffer_bytes"
	inFieldLagPeriod         = "topic_lag_refresh_period"
	inFieldBatchBytes        = "max_yield_batch_bytes"
	inFieldUnordered         = "unordered_processing"
	inFieldUnorderedEnabled  = "enabled"
	inFieldUnorderedLimit    = "checkpoint_limit"
	inFieldUnorderedBatching = "batching"
	inFieldExtractTracing    = "extract_tracing_map"
)

const (
	startEarliest   = "earliest"
	startLatest     = "latest"
	startCommitted  = "committed"
	readCommitted   = "read_committed"
	readUncommitted = "read_uncommitted"
)

//go:embed input_redpanda.md
var inputProse string

func init() {
	service.MustRegisterBatchInput(componentName, inputSpec(), newInputFromParsed)
}

func newInputFromParsed(conf *service.ParsedConfig, res *service.Resources) (service.BatchInput, error) {
	c, err := inputConfigFromParsed(conf)
	if err != nil {
		return nil, err
	}
	timely, err := service.ForceTimelyNacksBatched(conf, newInput(c, res))
	if err != nil {
		return nil, err
	}
	return conf.WrapBatchInputExtractTracingSpanMapping(componentName, timely)
}

func inputSpec() *service.ConfigSpec {
	return service.NewConfigSpec().
		Stable().
		Categories("Services").
		Summary("Reads topics of Kafka, Redpanda or any other cluster that speaks Kafka's protocol, alone or as a member of a consumer group.").
		Description(inputProse).
		Fields(connectionFields()...).
		Fields(topicFields()...).
		Fields(memberFields()...).
		Fields(fetchFields()...).
		Fields(commitFields()...).
		Field(service.NewAutoRetryNacksToggleField().
			Description("What comes again when messages of a batch are rejected. With `true`, only those that were rejected, if the error says which; with `false`, always the whole batch. Either way the offset stays where it is until they are accepted. In Connect, `false` loses what is rejected; it never does here.")).
		Field(service.NewForceTimelyNacksField().
			Description("The longest time in which a batch must be acknowledged or rejected, as a duration. After it, the batch counts as rejected, and comes again. Its first copy may still be in work then. Without the field there is no limit.")).
		Field(service.NewExtractTracingSpanMappingField()).
		LintRule(inputLint)
}

// inputLint is for fields that depend on each other. The constructor checks the same.
const inputLint = `
let group = (this.consumer_group | "").string().trim()
let named = (this.topics | []).map_each(item -> item.string().split(",")).flatten().map_each(item -> item.trim()).filter(item -> item != "")
let patterns = (this.regexp_topics_include | []).length() > 0 || (this.regexp_topics | false)
root = [
  ` + seedBrokersLint + `,
  if (this.topics | []).length() == 0 && (this.regexp_topics_include | []).length() == 0 { "one of ` + "`topics` and `regexp_topics_include`" + ` must name a topic" },
  if (this.topics | []).length() > 0 && (this.regexp_topics_include | []).length() > 0 { "` + "`topics` and `regexp_topics_include`" + ` exclude each other" },
  if $group == "" && ($patterns || $named.any(item -> !item.contains(":"))) { "` + needsGroup + `" },
  if $group == "" && (this.instance_id | "") != "" { "` + instanceNeedsGroup + `" },
].filter(lint -> lint != null)`

const (
	needsGroup         = "`consumer_group` must be set, since without it every start would read whole topics again; or name each partition in `topics`, such as leads:0 or leads:0-5"
	instanceNeedsGroup = "`instance_id` is the name of a member of a group; set `consumer_group`, or remove `instance_id`"
)

func topicFields() []*service.ConfigField {
	return []*service.ConfigField{
		service.NewStringListField(inFieldTopics).
			Description("The topics to read. An item may hold several, separated by commas. Without a `consumer_group` each must name partitions, as `topic:0` or `topic:0-5`, and may name the offset to start from, as `topic:0:10`.").
			Example([]string{"leads", "callbacks"}).
			Example([]string{"leads,callbacks"}).
			Example([]string{"leads:0", "leads:3-5"}).
			Example([]string{"leads:0:1500"}).
			Optional(),
		service.NewBoolField(inFieldRegexpTopics).
			Description("Take the items of `topics` as regular expressions. Use `regexp_topics_include` instead.").
			Default(false).
			Deprecated(),
		service.NewStringListField(inFieldRegexpInclude).
			Description("Regular expressions; topics in whose name one of them matches somewhere are read. Use `^` and `$` to match a whole name. Topics made later are found within `metadata_max_age`. Excludes `topics`.").
			Example([]string{"^leads_.*$", "^callbacks$"}).
			Optional(),
		service.NewStringListField(inFieldRegexpExclude).
			Description("Regular expressions; topics in whose name one of them matches are not read, even where `regexp_topics_include` matches.").
			Example([]string{"_test$"}).
			Optional(),
	}
}

func memberFields() []*service.ConfigField {
	return []*service.ConfigField{
		service.NewStringField(inFieldRackID).
			Description("Where this client is, in the words of the brokers' `broker.rack`. It then reads from the nearest replica, where the brokers support that.").
			Default("").
			Advanced(),
		service.NewStringField(inFieldInstanceID).
			Description("A name of this member of the `consumer_group` that stays the same over restarts, for static membership: a restart within `session_timeout` causes no rebalance. Each member of the group needs its own. A member with an instance id does not leave the group when it stops, so its partitions wait for it for `session_timeout`.").
			Default("").
			Advanced(),
		service.NewDurationField(inFieldRebalanceTimeout).
			Description("How long a rebalance waits for its members, as a duration. For a part of it the input waits for work in progress on partitions that it has to give up; see Rebalances above.").
			Default("45s").
			Advanced(),
		service.NewDurationField(inFieldSessionTimeout).
			Description("How long the brokers wait for a sign of life of a member before they give its partitions to others, as a duration.").
			Default("1m").
			Advanced(),
		service.NewDurationField(inFieldHeartbeat).
			Description("The time between two signs of life, as a duration. A third of `session_timeout` or less is usual.").
			Default("3s").
			Advanced(),
		service.NewBoolField(inFieldStartFromOldest).
			Description("Superseded by `start_offset`.").
			Default(true).
			Advanced().
			Deprecated(),
		service.NewStringAnnotatedEnumField(inFieldStartOffset, map[string]string{
			startEarliest:  "At the oldest record.",
			startLatest:    "After the newest record. Records that arrive before the first offset is committed are skipped by a restart.",
			startCommitted: "Nowhere: the partition is not read, and the log says so. It is the same if the broker no longer has the offset that was committed.",
		}).
			Description("Where to start in a partition for which the group has committed no offset. If the broker no longer has the offset that was committed, reading goes on at the oldest record, unless this is `committed`: nothing that is there is skipped.").
			Default(startEarliest).
			Advanced(),
	}
}

func fetchFields() []*service.ConfigField {
	return []*service.ConfigField{
		service.NewStringField(inFieldFetchMaxBytes).
			Description("The most that a broker sends in one answer, in bytes. An answer holds at least one batch of records, however large it is.").
			Default("50MiB").
			Advanced(),
		service.NewDurationField(inFieldFetchMaxWait).
			Description("How long a broker may wait until it has `fetch_min_bytes` to send, as a duration.").
			Default("5s").
			Advanced(),
		service.NewStringField(inFieldFetchMinBytes).
			Description("How much a broker collects before it answers, in bytes, unless `fetch_max_wait` is over.").
			Default("1B").
			Advanced(),
		service.NewStringField(inFieldFetchMaxPartition).
			Description("The most that a broker sends of one partition in one answer, in bytes. A single batch of records may be larger.").
			Default("1MiB").
			Advanced(),
		service.NewStringAnnotatedEnumField(inFieldIsolation, map[string]string{
			readCommitted:   "Records of transactions are read once their transaction is committed.",
			readUncommitted: "All records are read, also those of transactions that are open or were aborted.",
		}).
			Description("Whether records of transactions that are not committed are read.").
			Default(readUncommitted),
	}
}

func commitFields() []*service.ConfigField {
	return []*service.ConfigField{
		service.NewStringField(inFieldConsumerGroup).
			Description("The group to read as. Its members share the partitions, and each continues where the group has committed an offset. Required, unless every item of `topics` names partitions. These are then read from `start_offset`, or from the offset that the item names, at every start, and no offset is committed.").
			Optional(),
		service.NewDurationField(inFieldCommitPeriod).
			Description("The time between two commits of offsets, as a duration. They are also committed before a partition is handed over, and at a shutdown.").
			Default("5s").
			Advanced(),
		service.NewStringField(inFieldBufferBytes).
			Description("How much of each partition is kept ready, in bytes. Above it the partition is not fetched until half of it is handed out. One or two fetches of `fetch_max_partition_bytes` may come in addition.").
			Default("1MB").
			Advanced(),
		service.NewDurationField(inFieldLagPeriod).
			Description("How often the metric `redpanda_lag` is brought up to date, as a duration.").
			Default("5s").
			Advanced(),
		service.NewStringField(inFieldBatchBytes).
			Description("The most that a batch holds, in bytes of keys and values. A larger record is a batch of its own. Must not be more than `partition_buffer_bytes`.").
			Default("32KB").
			Advanced(),
		service.NewObjectField(inFieldUnordered,
			service.NewBoolField(inFieldUnorderedEnabled).
				Description("Work on several batches of a partition at the same time.").
				Default(false).
				Advanced(),
			service.NewIntField(inFieldUnorderedLimit).
				Description("The most records of one partition that are in work at the same time. A restart may repeat as many.").
				Default(1024).
				Advanced(),
			service.NewBatchPolicyField(inFieldUnorderedBatching).Advanced(),
		).
			Description("By default a partition has one batch in work at a time, which keeps its order. This gives the order up for more parallel work. Without `batching` each record is then a batch of its own.").
			Advanced(),
	}
}
