package faults

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// side is a way to call leads.
type side string

const (
	hold         side = "hold"
	redialAbsent side = "redial_absent"
	peer         side = "http_client"
)

const (
	maxBatch    = 20
	maxInFlight = 4
)

const leadMapping = `root.number_id = "64f0c0de00000000000000c1"
root.phone_number = this.phone
root.metadata.lead_id = this.id`

// config is a stream in YAML, without its input.
type config struct {
	processors []string
	output     string
	caches     []string
	limits     []string
	metrics    string    // "" for none
	log        io.Writer // nil for none
}

// quickRetry keeps the pauses of a run short.
const quickRetry = "retry: {initial_interval: 5ms, max_interval: 50ms}"

func indent(n int, text string) string {
	return strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n"+strings.Repeat(" ", n))
}

// quickBatching forms requests of maxBatch calls.
var quickBatching = fmt.Sprintf("batching: {count: %d, period: 5ms}", maxBatch)

// dialConfig is a happyrobot_dial that collects what fails and what it called.
func dialConfig(url string, onUnknown side, extra ...string) string {
	return fmt.Sprintf(`
happyrobot_dial:
  api_key: test-key
  base_url: %s
  settle: %s
  on_unknown: %s
  dedupe_key: ${! json("id") }
  call_mapping: |
    %s
  max_in_flight: %d
  receipts: {collect: {as: receipt}}
  failures: {collect: {as: failure}}
  %s
`, url, settle, onUnknown, indent(4, leadMapping), maxInFlight, indent(2, strings.Join(extra, "\n")))
}

// peerConfig is what one builds of stock components to the same end: leads are
// deduplicated on the same cache, requests are retried with growing pauses, and
// what fails goes to the same output. A dedupe that fails is retried, for it
// would drop the lead, or let it through unchecked, otherwise.
func peerConfig(url string, timeout time.Duration) config {
	return config{
		processors: []string{`
retry:
  backoff: {initial_interval: 5ms, max_interval: 50ms, max_elapsed_time: 0s}
  processors:
    - dedupe: {cache: ledger, key: '${! json("id") }', drop_on_err: false}`},
		output: fmt.Sprintf(`
fallback:
  - http_client:
      url: %s/dial/outbound-batched
      verb: POST
      headers: {Authorization: Bearer test-key, Content-Type: application/json}
      timeout: %s
      retries: 10
      retry_period: 5ms
      max_retry_backoff: 50ms
      backoff_on: [429]
      max_in_flight: %d
      batching:
        count: %d
        period: 5ms
        processors:
          - mapping: |
              %s
          - archive: {format: json_array}
  - collect: {as: failure}
`, url, timeout, maxInFlight, maxBatch, indent(14, leadMapping)),
	}
}
