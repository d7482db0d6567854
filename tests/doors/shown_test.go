package doors

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/tests/program"
)

// Go's HTTP client logs what follows a reply that is longer than it says.
func TestAReplyThatIsTooLongIsNotPrinted(t *testing.T) {
	const more = " Ada Lovelace, ada@example.com, " + apiKey
	api := &http.Server{ReadHeaderTimeout: patience, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if !assert.NoError(t, err) {
			return
		}
		defer conn.Close()
		_, _ = fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"+more)
	})}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go api.Serve(listener)
	defer api.Close()

	process := program.Start(t, environ(t, ""), "run", "-s", "http.enabled=false", write(t, "config.yaml", `
input: { generate: { count: 0, interval: 20ms, mapping: 'root = {}' } }
pipeline:
  processors:
    - happyrobot_request:
        api_key: `+apiKey+`
        base_url: "http://`+listener.Addr().String()+`/api/v1"
        operation: getUsage
output: { drop: {} }
`))
	require.Eventually(t, func() bool {
		select {
		case <-process.Ended():
			return true
		default:
			return strings.Contains(process.Log(), "Unsolicited response")
		}
	}, patience, 5*time.Millisecond)
	process.Stop(t)
	assert.Contains(t, process.Log(), "Unsolicited response received on idle HTTP channel starting with … (the rest is left out")
	for _, secret := range []string{"Ada", "example.com", apiKey} {
		assert.NotContains(t, process.Log(), secret)
	}
}

func TestEchoHidesKeysAndHeaders(t *testing.T) {
	for _, component := range []string{
		`input: { happyrobot_calls: { %s } }`,
		`input: { happyrobot_runs: { workflows: [ w ], %s } }`,
		`pipeline: { processors: [ { happyrobot_run: { run_id: x, %s } } ] }`,
		`pipeline: { processors: [ { happyrobot_dial: { %s } } ] }`,
		`pipeline: { processors: [ { happyrobot_call: { call_id: x, %s } } ] }`,
		`pipeline: { processors: [ { happyrobot_request: { operation: getUsage, %s } } ] }`,
		`output: { happyrobot_dial: { %s } }`,
	} {
		config := write(t, "config.yaml", fmt.Sprintf(component, `api_key: `+apiKey+`, headers: { X-Team: t34m-secret, X-Number: "5150" }`))
		out, err := program.Run(t, os.Environ(), "echo", config)
		require.NoError(t, err, out)
		assert.Contains(t, out, "X-Team")
		for _, secret := range []string{apiKey, "t34m-secret", "5150"} {
			assert.NotContains(t, out, secret, component)
		}
	}
	for _, section := range []string{
		"input: { redpanda: { seed_brokers: [ b ], topics: [ t ], consumer_group: g, sasl: [ { mechanism: OAUTHBEARER, token: s3cret-of-ours } ] } }",
		"output: { redpanda: { seed_brokers: [ b ], topic: t, sasl: [ { mechanism: PLAIN, username: u, password: s3cret-of-ours } ] } }",
		"output: { sql_raw: { driver: postgres, dsn: 'postgres://u:s3cret-of-ours@h/d', query: SELECT 1 } }",
		"cache_resources: [ { label: c, postgres: { dsn: 'postgres://u:s3cret-of-ours@h/d', table: t } } ]",
		"cache_resources: [ { label: c, redis: { url: 'redis://:s3cret-of-ours@h' } } ]",
		"rate_limit_resources: [ { label: r, redis: { url: 'redis://:s3cret-of-ours@h', key: k } } ]",
		"metrics: { prometheus: { push_url: 'http://u:s3cret-of-ours@h', push_basic_auth: { username: u, password: s3cret-of-ours } } }",
	} {
		out, err := program.Run(t, os.Environ(), "echo", write(t, "config.yaml", section))
		require.NoError(t, err, out)
		assert.NotContains(t, out, "s3cret-of-ours", section)
	}
	for _, secrets := range []string{"secret: " + webhookSecret, "secrets: [ " + webhookSecret + ", " + webhookSecret + "-too ]"} {
		out, err := program.Run(t, os.Environ(), "echo", write(t, "config.yaml", "input: { happyrobot_webhook: { "+secrets+" } }"))
		require.NoError(t, err, out)
		assert.NotContains(t, out, webhookSecret)
	}
}
