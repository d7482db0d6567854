package plugin_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The size is that of the call as it is sent, less the reference.
func TestACallOfTheLargestSizeIsSent(t *testing.T) {
	t.Parallel()
	for limit, extra := range map[int]string{32768: "", 500: ", max_call_bytes: 500"} {
		for _, letter := range []string{"x", "é", "<", `"`} {
			api := startRecorder(t)
			s := run(t, parts{output: fmt.Sprintf(`
fallback:
  - happyrobot_dial: {api_key: test-key, base_url: %q, batching: {count: 3, period: 10ms}%s}
  - collect: {}
`, api.url, extra)})
			message := func(phone string, size int) string {
				var call map[string]any
				require.NoError(t, json.Unmarshal([]byte(request(phone, `,"params":{"note":""}`)), &call))
				note := strings.Repeat(letter, 100)
				asJSON := func() string {
					call["params"] = map[string]any{"note": note}
					var b strings.Builder
					e := json.NewEncoder(&b)
					e.SetEscapeHTML(false)
					require.NoError(t, e.Encode(call))
					return strings.TrimSpace(b.String())
				}
				note += strings.Repeat("x", size-len(asJSON()))
				require.Len(t, asJSON(), size)
				return asJSON()
			}
			require.NoError(t, s.deliver(message("+12025550101", limit-1), message("+12025550102", limit), message("+12025550103", limit+1)))
			failed := s.out.all()
			require.Len(t, failed, 1, letter)
			assert.Equal(t, fmt.Sprintf("rejected: too_large: params: the call is %d bytes as JSON, more than max_call_bytes (%d)", limit+1, limit), failed[0]["@fallback_error"])
			sent := map[string]int{}
			for _, raw := range api.calls {
				_, number, _ := strings.Cut(raw, `"phone_number":"`)
				sent[number[:len("+12025550101")]] = len(raw)
			}
			const reference = len(`,"metadata":{"dial_ref":"0123456789abcdef0123456789abcdef"}`)
			assert.Equal(t, map[string]int{"+12025550101": limit - 1 + reference, "+12025550102": limit + reference}, sent, letter)
		}
	}
}
