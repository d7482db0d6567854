// Package kafka adds the input and the output redpanda, which read and write topics of
// any cluster that speaks Kafka's protocol:
//
//	import _ "github.com/benthos-happyrobot/benthos-happyrobot/plugin/connectors/kafka"
//
// Fields and metadata are those of the components of the same name in Redpanda Connect,
// minus lists at the end of each component's page.
//
// Both components:
//
//	connection.go  how to reach a cluster: fields of both components, and the client's options
//	sasl.go        who the client says it is
//	size.go        fields that are sizes, such as 1MiB
//	connect.go     connecting as Benthos wants it
//	trouble.go     one clear error for each cause of trouble
//	health.go      which brokers fail at the moment, and the client's own log
//	origin.go      which messages of a batch carry the context of another
//
// The input:
//
//	input.go           its fields; input_config.go reads them
//	offsets.go         up to where a partition's offset may be committed
//	tenure.go          one partition from its assignment to its revocation; replay.go finds what was rejected
//	record_message.go  a record as a message
//	input_connect.go   its life
//	input_read.go      from the client into buffers, and from there into batches; input_gather.go for batching policies
//	input_group.go     assignments, revocations, commits
//	input_watch.go     trouble that lasts, topics that were made again, and lag
//
// The output:
//
//	output.go      its life, and what a batch's error means; output_spec.go describes it
//	record.go      a message as a record
//	producer.go    how the client writes
//	write.go       one batch on its way; write_alone.go finds which record a broker refuses
package kafka
