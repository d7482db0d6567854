// Package kafka adds the input and the output redpanda, which read and write topics of
// any cluster that speaks Kafka's protocol:
//
//	import _ "github.com/benthos-happyrobot/benthos-happyrobot/plugin/connectors/kafka"
//
// Fields and metadata are those of the components of the same name in Redpanda Connect,
// minus lists at the end of each component's page.
//
//	connection.go  how to reach a cluster: fields of both components, and the client's options
//	sasl.go        who the client says it is
//	size.go        fields that are sizes, such as 1MiB
//	trouble.go     one clear error for each cause of trouble
//	health.go      which brokers fail at the moment, and the client's own log
package kafka
