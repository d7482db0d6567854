package kafka_test

import (
	"context"
	"log/slog"
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Each rule has a config that passes and one that fails, through the linter, and the
// constructor refuses the same.
func TestAConfigThatIsWrongSaysWhat(t *testing.T) {
	t.Parallel()
	const brokers = "seed_brokers: [ localhost:1 ]\ntopic: t\n"
	for _, test := range []struct{ name, fields, lint, start string }{
		{name: "least", fields: brokers},
		{name: "no brokers", fields: "topic: t", lint: "`seed_brokers` must name at least one broker", start: "seed_brokers"},
		{name: "an empty list of brokers", fields: "seed_brokers: []\ntopic: t", lint: "`seed_brokers` must name at least one broker", start: "field seed_brokers: must name at least one broker"},
		{name: "brokers of commas", fields: "seed_brokers: [ ' , ' ]\ntopic: t", start: "field seed_brokers: must name at least one broker"},
		{name: "a broker that is no address", fields: "seed_brokers: [ 'localhost:kafka' ]\ntopic: t", start: "checking the client's settings"},
		{name: "no topic", fields: "seed_brokers: [ localhost:1 ]", lint: "field topic is required", start: "topic"},
		{name: "an empty topic", fields: "seed_brokers: [ localhost:1 ]\ntopic: ''", start: "field topic: must not be empty"},
		{name: "manual without partition", fields: brokers + "partitioner: manual", lint: "`partitioner: manual` needs `partition`", start: "field partition: needed by partitioner manual"},
		{name: "manual", fields: brokers + "partitioner: manual\npartition: ${! @p }"},
		{name: "partition without manual", fields: brokers + "partition: '1'", lint: "`partition` is used with `partitioner: manual` only", start: "field partition: used with partitioner manual only"},
		{name: "two timestamps", fields: brokers + "timestamp: '1'\ntimestamp_ms: '1'", lint: "`timestamp` and `timestamp_ms` exclude each other", start: "fields timestamp and timestamp_ms exclude each other"},
		{name: "acks", fields: brokers + "acks: leader", lint: "`idempotent_write` needs `acks: all`", start: "field acks: must be all with idempotent_write"},
		{name: "acks without idempotence", fields: brokers + "acks: none\nidempotent_write: false"},
		{name: "the defaults, written out", fields: brokers + "acks: all\nmax_in_flight_requests: 1\nidempotent_write: true"},
		{name: "unknown acks", fields: brokers + "acks: some\nidempotent_write: false", lint: "some", start: "field acks: \"some\" is not one of"},
		{name: "requests", fields: brokers + "max_in_flight_requests: 2", lint: "`idempotent_write` needs `max_in_flight_requests: 1`", start: "field max_in_flight_requests: must be 1 with idempotent_write"},
		{name: "requests without idempotence", fields: brokers + "max_in_flight_requests: 2\nidempotent_write: false"},
		{name: "a size", fields: brokers + "max_message_bytes: large", start: "field max_message_bytes: \"large\" is not a size such as 1MiB"},
		{name: "a huge size", fields: brokers + "max_buffered_bytes: 3GiB", start: "field max_buffered_bytes: 3GiB is more than"},
		{name: "sizes that contradict", fields: brokers + "max_message_bytes: 200MiB", start: "field broker_write_max_bytes: must be at least max_message_bytes"},
		{name: "a short limit", fields: brokers + "record_delivery_timeout: 1ms", start: "field record_delivery_timeout: must be 0s or at least 1s"},
		{name: "no buffer", fields: brokers + "max_buffered_records: 0", start: "field max_buffered_records: must be more than zero"},
		{name: "compression", fields: brokers + "compression: rar", lint: "rar", start: "field compression: \"rar\" is not one of"},
		{name: "partitioner", fields: brokers + "partitioner: best", lint: "best", start: "field partitioner: \"best\" is not one of"},
		{name: "metadata age", fields: brokers + "metadata_max_age: 1s"},
		{name: "tcp", fields: brokers + "tcp: { tcp_user_timeout: 20s, keep_alive: { idle: 10s } }", start: "field tcp: keep_alive.idle (10s) must be greater"},
		{name: "sasl none", fields: brokers + "sasl: [ { mechanism: none } ]"},
		{name: "sasl in small letters", fields: brokers + "sasl: [ { mechanism: scram-sha-256, username: a, password: b } ]"},
		{name: "sasl of AWS", fields: brokers + "sasl: [ { mechanism: AWS_MSK_IAM } ]", lint: "this program does not have the mechanism AWS_MSK_IAM", start: "field sasl.0: mechanism: this program does not have the mechanism AWS_MSK_IAM"},
		{name: "fields of AWS", fields: brokers + "sasl: [ { mechanism: none, aws: { region: x } } ]", lint: "field aws not recognised"},
		{name: "sasl of Redpanda Cloud", fields: brokers + "sasl: [ { mechanism: REDPANDA_CLOUD_SERVICE_ACCOUNT } ]", lint: "not open source", start: "not open source"},
		{name: "unknown sasl", fields: brokers + "sasl: [ { mechanism: KERBEROS } ]", lint: "unknown mechanism", start: "unknown mechanism \"KERBEROS\""},
		{name: "sasl without user", fields: brokers + "sasl: [ { mechanism: PLAIN, password: b } ]", start: "field sasl.0: username: must not be empty"},
		{name: "sasl without password", fields: brokers + "sasl: [ { mechanism: PLAIN, username: a } ]", start: "field sasl.0: password: must not be empty"},
		{name: "sasl without token", fields: brokers + "sasl: [ { mechanism: OAUTHBEARER } ]", start: "field sasl.0: token: must not be empty"},
		{name: "certificates", fields: brokers + "tls: { enabled: true, root_cas_file: /does/not/exist.pem }", start: "field tls:"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			lints, err := service.GlobalEnvironment().NewComponentConfigLinter().LintOutputYAML([]byte("redpanda:\n" + outFields("%s", test.fields)))
			require.NoError(t, err)
			if test.lint == "" {
				assert.Empty(t, lints)
			} else if assert.NotEmpty(t, lints) {
				assert.Contains(t, lints[0].Error(), test.lint)
			}

			b := service.NewResourceBuilder()
			b.DisableLinting()
			b.SetLogger(slog.New(slog.DiscardHandler))
			require.NoError(t, b.AddOutputYAML("label: out\nredpanda:\n"+outFields("%s", test.fields)))
			res, stop, err := b.Build()
			if err == nil {
				err = res.AccessOutput(t.Context(), "out", func(*service.ResourceOutput) {})
				now, cancel := context.WithCancel(t.Context())
				cancel()
				_ = stop(now) // nothing runs: an output that was never written to never ends
			}
			if test.start == "" {
				assert.NoError(t, err)
			} else {
				assert.ErrorContains(t, err, test.start)
			}
		})
	}
}
