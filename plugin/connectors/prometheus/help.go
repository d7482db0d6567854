package prometheus

import (
	"strings"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/words"
)

// ofBenthos are the metrics that Benthos v4.80.0 makes.
var ofBenthos = map[string]string{
	"input_received":          "Messages that the input has received.",
	"input_connection_up":     "Connections of the input that were established.",
	"input_connection_failed": "Attempts of the input to connect that failed.",
	"input_connection_lost":   "Connections of the input that were lost.",
	"input_latency_ns":        "Time from receiving a message to its acknowledgement.",

	"buffer_received":       "Messages that the buffer has received.",
	"buffer_batch_received": "Batches of messages that the buffer has received.",
	"buffer_sent":           "Messages that the buffer has passed on.",
	"buffer_batch_sent":     "Batches of messages that the buffer has passed on.",
	"buffer_latency_ns":     "Time from passing a batch on to its acknowledgement.",

	"batch_created": "Batches that a batch policy has made, by what completed them.",

	"processor_received":       "Messages that the processor has received.",
	"processor_batch_received": "Batches of messages that the processor has received.",
	"processor_sent":           "Messages that the processor has passed on.",
	"processor_batch_sent":     "Batches of messages that the processor has passed on.",
	"processor_error":          "Messages on which the processor failed.",
	"processor_latency_ns":     "Time that the processor took.",

	"output_sent":              "Messages that the output has delivered.",
	"output_batch_sent":        "Batches of messages that the output has delivered.",
	"output_error":             "Batches that the output failed to deliver.",
	"output_rejected":          "Messages that the output has rejected.",
	"output_connection_up":     "Connections of the output that were established.",
	"output_connection_failed": "Attempts of the output to connect that failed.",
	"output_connection_lost":   "Connections of the output that were lost.",
	"output_latency_ns":        "Time that the output took to deliver a batch.",

	"cache_success":    "Operations of the cache that succeeded, by operation.",
	"cache_error":      "Operations of the cache that failed, by operation.",
	"cache_not_found":  "Keys that were looked for in the cache and are not there.",
	"cache_duplicate":  "Keys that were to be added to the cache and are there already.",
	"cache_latency_ns": "Time that operations of the cache took, by operation.",

	"rate_limit_checked":   "Requests that asked the rate limit.",
	"rate_limit_triggered": "Requests that the rate limit made wait.",
	"rate_limit_error":     "Requests for which the rate limit failed.",

	"http_request_latency_ns": "Time that HTTP requests took.",
	"http_request_code_1xx":   "HTTP answers with a status of 1xx.",
	"http_request_code_2xx":   "HTTP answers with a status of 2xx.",
	"http_request_code_3xx":   "HTTP answers with a status of 3xx.",
	"http_request_code_4xx":   "HTTP answers with a status of 4xx.",
	"http_request_code_5xx":   "HTTP answers with a status of 5xx.",

	"benchmark_messages_per_second": "Messages that passed the benchmark processor per second.",
	"benchmark_messages_total":      "Messages that passed the benchmark processor.",
	"benchmark_bytes_per_second":    "Bytes that passed the benchmark processor per second.",
	"benchmark_bytes_total":         "Bytes that passed the benchmark processor.",
}

// ofConnectors are the metrics that the connectors beside this one make.
var ofConnectors = map[string]string{
	"redpanda_lag": "Records of a partition that the consumer group has still to process, by topic and partition.",
}

// help is what a metric means.
func help(kind, name string) string {
	for _, table := range []map[string]string{ofBenthos, ofConnectors} {
		if text, found := table[name]; found {
			return text
		}
	}
	for _, m := range words.Metrics {
		if m.Name == name {
			return sentence(m.Meaning)
		}
	}
	return "A " + kind + " that this program has no description of." // of the config, or of another plugin
}

// sentence is a cell of the table of words as plain text.
func sentence(cell string) string {
	cell = strings.ReplaceAll(cell, "`", "")
	return strings.ToUpper(cell[:1]) + cell[1:] + "."
}
