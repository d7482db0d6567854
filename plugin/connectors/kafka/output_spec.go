package kafka

import (
	_ "embed" // the page's prose

	"github.com/redpanda-data/benthos/v4/public/service"
)

const ( // or: output redpanda
	orFieldTopic              = "topic"
	orFieldKey                = "key"
	orFieldPartition          = "partition"
	orFieldMetadata           = "metadata"
	orFieldTimestamp          = "timestamp"
	orFieldTimestampMs        = "timestamp_ms"
	orFieldBatching           = "batching"
	orFieldPartitioner        = "partitioner"
	orFieldIdempotent         = "idempotent_write"
	orFieldAcks               = "acks"
	orFieldCompression        = "compression"
	orFieldAutoTopics         = "allow_auto_topic_creation"
	orFieldTimeout            = "timeout"
	orFieldMaxMessageBytes    = "max_message_bytes"
	orFieldMaxWriteBytes      = "broker_write_max_bytes"
	orFieldMaxBufferedRecords = "max_buffered_records"
	orFieldMaxBufferedBytes   = "max_buffered_bytes"
	orFieldInFlightRequests   = "max_in_flight_requests"
	orFieldRetries            = "record_retries"
	orFieldDeliveryTimeout    = "record_delivery_timeout"
)

const (
	partitionerMurmur2     = "murmur2_hash"
	partitionerRoundRobin  = "round_robin"
	partitionerLeastBackup = "least_backup"
	partitionerManual      = "manual"
)

// outputLint is for fields that depend on each other. The constructor checks the same.
const outputLint = `root = [
  ` + seedBrokersLint + `,
  if this.partitioner.or("") == "manual" && this.partition.or("") == "" { "` + "`partitioner: manual` needs `partition`" + `" },
  if this.partitioner.or("") != "manual" && this.partition.or("") != "" { "` + "`partition` is used with `partitioner: manual` only; set that, or remove `partition`" + `" },
  if ![this.timestamp, this.timestamp_ms].any(time -> time.or("") == "") { "` + "`timestamp` and `timestamp_ms` exclude each other; use `timestamp_ms`" + `" },
  if ![null, "all"].contains(this.acks) && this.idempotent_write != false { "` + "`idempotent_write` needs `acks: all`; set `idempotent_write` to false to use other acks" + `" },
  if ![null, 1].contains(this.max_in_flight_requests) && this.idempotent_write != false { "` + "`idempotent_write` needs `max_in_flight_requests: 1`; set `idempotent_write` to false to use more" + `" },
].filter(lint -> lint != null)`

//go:embed output_redpanda.md
var outputProse string

func outputSpec() *service.ConfigSpec {
	return service.NewConfigSpec().
		Stable().
		Categories("Services").
		Summary("Writes messages to topics of a Kafka cluster, and acknowledges each once the cluster has it.").
		Description(outputProse).
		Fields(connectionFields()...).
		Fields(
			service.NewInterpolatedStringField(orFieldTopic).
				Description("The topic to write a message to."),
			service.NewInterpolatedStringField(orFieldKey).
				Description("The key of a record. Without this field records have no key (null).").
				Example("${! @id }").
				Optional(),
			service.NewInterpolatedStringField(orFieldPartition).
				Description("The number of the partition to write a message to, with `partitioner: manual`.").
				Example(`${! meta("partition") }`).
				Optional(),
			service.NewMetadataFilterField(orFieldMetadata).
				Description("Which metadata of a message becomes headers of its record. None by default.").
				Optional(),
			service.NewInterpolatedStringField(orFieldTimestamp).
				Description("The time of a record, in seconds since 1970. Use `timestamp_ms` instead.").
				Example("${! timestamp_unix() }").
				Optional().
				Advanced().
				Deprecated(),
			service.NewInterpolatedStringField(orFieldTimestampMs).
				Description("The time of a record, in milliseconds since 1970. Without this field it is the time of writing.").
				Example("${! timestamp_unix_milli() }").
				Example(`${! metadata("kafka_timestamp_ms") }`).
				Optional().
				Advanced(),
			service.NewOutputMaxInFlightField().
				Description("How many batches to write at the same time. With more than one, batches may be written in another order than they came in; messages of one batch keep their order within a partition.").
				Default(256),
			service.NewBatchPolicyField(orFieldBatching),
			service.NewInjectTracingSpanMappingField(),
		).
		Fields(producerFields()...).
		LintRule(outputLint).
		Example("Events with a key",
			"Events of one customer stay in order, since they have the same key. The metadata that starts with `trace_` becomes headers.",
			`
output:
  redpanda:
    seed_brokers: [ "localhost:9092" ]
    topic: events
    key: ${! this.customer.id }
    metadata:
      include_prefixes: [ "trace_" ]
    batching:
      count: 500
      period: 100ms
`).
		Example("A cluster with TLS and SASL",
			"The password comes from the environment. The certificate of the cluster is signed by an authority of one's own.",
			`
output:
  redpanda:
    seed_brokers: [ "kafka-1:9093", "kafka-2:9093" ]
    topic: events
    tls:
      enabled: true
      root_cas_file: /etc/kafka/ca.pem
    sasl:
      - mechanism: SCRAM-SHA-512
        username: benthos
        password: ${KAFKA_PASSWORD}
`)
}

// producerFields are the fields of how the client writes.
func producerFields() []*service.ConfigField {
	return []*service.ConfigField{
		service.NewStringAnnotatedEnumField(orFieldPartitioner, map[string]string{
			partitionerMurmur2:     "By a hash of the key, the same as the Java client's. Records without a key fill one partition for a while, then another.",
			partitionerRoundRobin:  "One partition after the other, whatever the key. This makes many small requests.",
			partitionerLeastBackup: "The partition with the fewest records waiting, chosen anew for each request, whatever the key.",
			partitionerManual:      "The partition in the field `partition`.",
		}).
			Description("How the partition of a record is chosen. The default is `murmur2_hash`.").
			Optional().
			Advanced(),
		service.NewBoolField(orFieldIdempotent).
			Description("Whether the cluster recognizes a record that the client sends again because an answer got lost, so that it is stored once. On clusters older than Kafka 3.0 the user needs the permission IDEMPOTENT_WRITE on the cluster.").
			Default(true).
			Advanced(),
		service.NewStringAnnotatedEnumField(orFieldAcks, map[string]string{
			"all":    "All replicas that are in sync have it. Needed by `idempotent_write`.",
			"leader": "The leader has it. Lost if the leader fails before others have copied it.",
			"none":   "It was sent. Lost if the connection or the broker fails.",
		}).
			Description("Who must have a record before its message is acknowledged.").
			Default("all").
			Advanced(),
		service.NewStringEnumField(orFieldCompression, "lz4", "snappy", "gzip", "none", "zstd").
			Description("How record batches are compressed. By default with snappy where the broker supports it, else not at all.").
			Optional().
			Advanced(),
		service.NewBoolField(orFieldAutoTopics).
			Description("Whether the client asks the cluster to create a topic that does not exist. The cluster may still refuse (`auto.create.topics.enable`).").
			Default(true).
			Advanced(),
		service.NewDurationField(orFieldTimeout).
			Description("How long the brokers may take to store the records of one request, as a duration. The client sends them again after that.").
			Default("10s").
			Advanced(),
		service.NewStringField(orFieldMaxMessageBytes).
			Description("The largest batch of records that the client sends to a partition, as a size such as `1MiB`, and so the largest single record. Topics have a limit of their own (`max.message.bytes`), which must be at least as large.").
			Default("1MiB").
			Example("100MB").
			Example("50mib").
			Advanced(),
		service.NewStringField(orFieldMaxWriteBytes).
			Description("The largest request that the client sends, as a size. Brokers have a limit of their own (`socket.request.max.bytes`), which must be at least as large.").
			Default("100MiB").
			Example("128MB").
			Example("50mib").
			Advanced(),
		service.NewIntField(orFieldMaxBufferedRecords).
			Description("How many records the client holds in memory. Writing waits when there are more.").
			Default(10000).
			Advanced(),
		service.NewStringField(orFieldMaxBufferedBytes).
			Description("How many bytes of records the client holds in memory, as a size. Writing waits when there are more. `0` for no limit besides `max_buffered_records`.").
			Default("0").
			Example("256MB").
			Example("50mib").
			Advanced(),
		service.NewIntField(orFieldInFlightRequests).
			Description("How many requests with records the client has under way to one broker. It must be 1 with `idempotent_write`. With more, records may be stored twice or in another order when a request is repeated. Not to be confused with `max_in_flight`.").
			Default(1).
			Advanced(),
		service.NewIntField(orFieldRetries).
			Description("How often the client sends a record again before the write fails. `0` for no limit. If one record fails, so do those that wait for the same partition, so that their order is kept.").
			Default(0).
			Advanced(),
		service.NewDurationField(orFieldDeliveryTimeout).
			Description("How long a record may wait to be stored before the write fails, as a duration of at least `1s`. `0s` for no limit: a write then waits for as long as the cluster is away, and does not fail. Set it for a `fallback` output to take over.").
			Default("0s").
			Advanced(),
	}
}
