package kafka_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// outConnectsFields are those of the output in Connect v4.105.0: path, type, kind, and
// default, which is - for none. Fields that are not here begin with a minus.
const outConnectsFields = `
seed_brokers string array -
client_id string scalar "redpanda-connect"
tls object scalar -
tls.enabled bool scalar false
tls.skip_cert_verify bool scalar false
tls.enable_renegotiation bool scalar false
tls.root_cas string scalar ""
tls.root_cas_file string scalar ""
tls.client_certs object array []
tls.client_certs[].cert string scalar ""
tls.client_certs[].key string scalar ""
tls.client_certs[].cert_file string scalar ""
tls.client_certs[].key_file string scalar ""
tls.client_certs[].password string scalar ""
sasl object array -
sasl[].mechanism string scalar -
sasl[].username string scalar ""
sasl[].password string scalar ""
sasl[].token string scalar ""
sasl[].extensions string map -
-sasl[].aws object scalar -
-sasl[].aws.region string scalar -
-sasl[].aws.endpoint string scalar -
-sasl[].aws.tcp object scalar -
-sasl[].aws.tcp.connect_timeout string scalar "0s"
-sasl[].aws.tcp.keep_alive object scalar -
-sasl[].aws.tcp.keep_alive.idle string scalar "15s"
-sasl[].aws.tcp.keep_alive.interval string scalar "15s"
-sasl[].aws.tcp.keep_alive.count int scalar 9
-sasl[].aws.tcp.tcp_user_timeout string scalar "0s"
-sasl[].aws.credentials object scalar -
-sasl[].aws.credentials.profile string scalar -
-sasl[].aws.credentials.id string scalar -
-sasl[].aws.credentials.secret string scalar -
-sasl[].aws.credentials.token string scalar -
-sasl[].aws.credentials.from_ec2_role bool scalar -
-sasl[].aws.credentials.role string scalar -
-sasl[].aws.credentials.role_external_id string scalar -
metadata_max_age string scalar "1m"
request_timeout_overhead string scalar "10s"
conn_idle_timeout string scalar "20s"
tcp object scalar -
tcp.connect_timeout string scalar "0s"
tcp.keep_alive object scalar -
tcp.keep_alive.idle string scalar "15s"
tcp.keep_alive.interval string scalar "15s"
tcp.keep_alive.count int scalar 9
tcp.tcp_user_timeout string scalar "0s"
topic string scalar -
key string scalar -
partition string scalar -
metadata object scalar -
metadata.include_prefixes string array []
metadata.include_patterns string array []
timestamp string scalar -
timestamp_ms string scalar -
max_in_flight int scalar 256
batching object  -
batching.count int scalar 0
batching.byte_size int scalar 0
batching.period string scalar ""
batching.check string scalar ""
batching.processors processor array -
inject_tracing_map string scalar -
partitioner string scalar -
idempotent_write bool scalar true
acks string scalar "all"
compression string scalar -
allow_auto_topic_creation bool scalar true
timeout string scalar "10s"
max_message_bytes string scalar "1MiB"
broker_write_max_bytes string scalar "100MiB"
max_buffered_records int scalar 10000
max_buffered_bytes string scalar "0"
max_in_flight_requests int scalar 1
record_retries int scalar 0
record_delivery_timeout string scalar "0s"
`

// outConnectsOptions are the words that Connect takes. Those that are not here begin with
// a minus.
var outConnectsOptions = map[string]string{
	"sasl[].mechanism": "none PLAIN SCRAM-SHA-256 SCRAM-SHA-512 OAUTHBEARER -AWS_MSK_IAM -REDPANDA_CLOUD_SERVICE_ACCOUNT",
	"partitioner":      "least_backup manual murmur2_hash round_robin",
	"acks":             "all leader none",
	"compression":      "lz4 snappy gzip none zstd",
}

type outField struct {
	Name        string          `json:"name"`
	Type        string          `json:"type"`
	Kind        string          `json:"kind"`
	Description string          `json:"description"`
	Default     json.RawMessage `json:"default"`
	Secret      bool            `json:"is_secret"`
	Options     []string        `json:"options"`
	Annotated   [][2]string     `json:"annotated_options"`
	Children    []outField      `json:"children"`
}

// outSpec are the fields of the output, by path.
func outSpec(t *testing.T) map[string]outField {
	t.Helper()
	view, ok := service.GlobalEnvironment().GetOutputConfig("redpanda")
	require.True(t, ok)
	spec, err := view.FormatJSON()
	require.NoError(t, err)
	var component struct {
		Config outField `json:"config"`
	}
	require.NoError(t, json.Unmarshal(spec, &component))
	fields := map[string]outField{}
	var walk func(prefix string, children []outField)
	walk = func(prefix string, children []outField) {
		for _, f := range children {
			path := prefix + f.Name
			fields[path] = f
			if f.Kind == "array" {
				path += "[]"
			}
			walk(path+".", f.Children)
		}
	}
	walk("", component.Config.Children)
	return fields
}

func TestTheOutputsFieldsAreConnects(t *testing.T) {
	have := outSpec(t)
	prose, err := os.ReadFile("output_redpanda.md")
	require.NoError(t, err)
	_, lacks, found := strings.Cut(string(prose), "## Not here, but in Redpanda Connect")
	require.True(t, found)
	for line := range strings.SplitSeq(strings.TrimSpace(outConnectsFields), "\n") {
		words := strings.SplitN(line, " ", 4)
		path := words[0]
		if gone, missing := strings.CutPrefix(path, "-"); missing {
			assert.NotContains(t, have, gone)
			assert.True(t, strings.Contains(lacks, "`"+gone+"`") || strings.HasPrefix(gone, "sasl[].aws.") && strings.Contains(lacks, "`sasl[].aws` and all of its fields"), "the page does not say that %s is not here", gone)
			continue
		}
		f, ok := have[path]
		if !assert.True(t, ok, "%s is missing", path) {
			continue
		}
		delete(have, path)
		byDefault := "-"
		if f.Default != nil {
			byDefault = string(f.Default)
		}
		assert.Equal(t, line, strings.Join([]string{path, f.Type, f.Kind, byDefault}, " "))
		if !strings.HasPrefix(path, "metadata.") && path != "batching" {
			assert.NotEmpty(t, f.Description, path)
		}
		if options, ok := outConnectsOptions[path]; ok {
			names := f.Options
			for _, option := range f.Annotated {
				names = append(names, option[0])
			}
			for option := range strings.FieldsSeq(options) {
				if gone, missing := strings.CutPrefix(option, "-"); missing {
					assert.NotContains(t, names, gone)
					assert.Contains(t, lacks, "`"+gone+"`")
					continue
				}
				assert.Contains(t, names, option, path)
			}
		}
	}
	assert.Empty(t, have, "Connect has no such fields")
	assert.True(t, outSpec(t)["sasl[].password"].Secret)
}
