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

// inConnectsFields are those of the input in Connect v4.105.0: path, type, kind, and
// default, which is - for none. Fields that are not here begin with a minus.
const inConnectsFields = `
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
topics string array -
regexp_topics bool scalar false
regexp_topics_include string array -
regexp_topics_exclude string array -
rack_id string scalar ""
instance_id string scalar ""
rebalance_timeout string scalar "45s"
session_timeout string scalar "1m"
heartbeat_interval string scalar "3s"
start_from_oldest bool scalar true
start_offset string scalar "earliest"
fetch_max_bytes string scalar "50MiB"
fetch_max_wait string scalar "5s"
fetch_min_bytes string scalar "1B"
fetch_max_partition_bytes string scalar "1MiB"
transaction_isolation_level string scalar "read_uncommitted"
consumer_group string scalar -
commit_period string scalar "5s"
partition_buffer_bytes string scalar "1MB"
topic_lag_refresh_period string scalar "5s"
max_yield_batch_bytes string scalar "32KB"
unordered_processing object scalar -
unordered_processing.enabled bool scalar false
unordered_processing.checkpoint_limit int scalar 1024
unordered_processing.batching object  -
unordered_processing.batching.count int scalar 0
unordered_processing.batching.byte_size int scalar 0
unordered_processing.batching.period string scalar ""
unordered_processing.batching.check string scalar ""
unordered_processing.batching.processors processor array -
auto_replay_nacks bool scalar true
timely_nacks_maximum_wait string scalar -
extract_tracing_map string scalar -
`

// inConnectsOptions are the words that Connect takes. Those that are not here begin with a
// minus.
var inConnectsOptions = map[string]string{
	"sasl[].mechanism":            "none PLAIN SCRAM-SHA-256 SCRAM-SHA-512 OAUTHBEARER -AWS_MSK_IAM -REDPANDA_CLOUD_SERVICE_ACCOUNT",
	"start_offset":                "committed earliest latest",
	"transaction_isolation_level": "read_committed read_uncommitted",
}

// inSpec are the fields of the input, by path.
func inSpec(t *testing.T) map[string]outField {
	t.Helper()
	view, ok := service.GlobalEnvironment().GetInputConfig("redpanda")
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

func TestTheInputsFieldsAreConnects(t *testing.T) {
	have := inSpec(t)
	assert.True(t, have["sasl[].password"].Secret)
	prose, err := os.ReadFile("input_redpanda.md")
	require.NoError(t, err)
	_, lacks, found := strings.Cut(string(prose), "## Not here, but in Redpanda Connect")
	require.True(t, found)
	for line := range strings.SplitSeq(strings.TrimSpace(inConnectsFields), "\n") {
		path, _, _ := strings.Cut(line, " ")
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
		if path != "unordered_processing.batching" {
			assert.NotEmpty(t, f.Description, path)
		}
		names := f.Options
		for _, option := range f.Annotated {
			names = append(names, option[0])
		}
		for option := range strings.FieldsSeq(inConnectsOptions[path]) {
			if gone, missing := strings.CutPrefix(option, "-"); missing {
				assert.NotContains(t, names, gone)
				assert.Contains(t, lacks, "`"+gone+"`")
				continue
			}
			assert.Contains(t, names, option, path)
		}
	}
	assert.Empty(t, have, "Connect has no such fields")
}
