package plugin_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/redpanda-data/benthos/v4/public/bloblang"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
)

func parseDialError(t *testing.T, text any) (any, error) {
	t.Helper()
	mapping, err := bloblang.Parse(`root = this.parse_dial_error()`)
	require.NoError(t, err)
	return mapping.Query(text)
}

func TestParseDialErrorTakesAFailureApart(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]map[string]any{
		"rejected: missing_field: phone_number: is missing": {"outcome": "rejected", "reason": "missing_field", "details": "phone_number: is missing"},
		"rejected: refused: status 422: a; b=c\nd; call_id=65ee00000000000000000101 http_status=422\n": {
			"outcome": "rejected", "reason": "refused", "details": "status 422: a; b=c\nd", "call_id": "65ee00000000000000000101", "http_status": int64(422)},
		`rejecting due to failed processing: held: unknown: x; rule="us, ny" next_allowed=2026-03-10T15:30:00Z`: {
			"outcome": "held", "reason": "unknown", "details": "x", "rule": "us, ny", "next_allowed": "2026-03-10T15:30:00Z"},
	} {
		for _, value := range []any{text, []byte(text)} {
			got, err := parseDialError(t, value)
			require.NoError(t, err)
			assert.Equal(t, want, got)
		}
	}
}

func TestParseDialErrorRefusesOtherTextWithoutRepeatingIt(t *testing.T) {
	t.Parallel()
	for _, value := range []any{"", "context canceled +12025550101", "not_found: not_found: +12025550101", nil, 12025550101, map[string]any{"a": "+12025550101"}} {
		_, err := parseDialError(t, value)
		require.Error(t, err)
		assert.NotContains(t, err.Error(), "2025550101")
	}
}

// What the forms in which Benthos hands a failure on really hold.
func TestParseDialErrorReadsWhatBenthosHandsOn(t *testing.T) {
	t.Parallel()
	const failed = `
  - collect: {}
    processors: [ { mapping: 'root = @fallback_error.parse_dial_error()' } ]`
	for name, tc := range map[string]struct {
		output string // %s is the dial's config
		indent int
	}{
		"fallback": {`
fallback:
  - happyrobot_dial:
      batching: {count: 2, period: 10ms}
      %s` + failed, 6},
		"fallback, processors on the output": {`
fallback:
  - happyrobot_dial:
      batching: {count: 2, period: 10ms}
      %s
    processors: [ { mapping: root = this } ]` + failed, 6},
		"processor": {`
collect: {}
processors:
  - happyrobot_dial:
      %s
  - catch: [ { mapping: 'root = error().parse_dial_error()' } ]`, 6},
		"reject_errored": {`
fallback:
  - reject_errored: { drop: {} }
    processors:
      - happyrobot_dial:
          %s` + failed, 10},
	} {
		for _, batch := range [][]string{{lead("refused", "+12025550102")}, {lead("good", "+12025550101"), lead("refused", "+12025550102")}} {
			t.Run(fmt.Sprint(name, " ", len(batch)), func(t *testing.T) {
				srv := startSim(t, callsim.Options{})
				srv.Sim.Refuse("+12025550102", http.StatusUnprocessableEntity)
				s := run(t, parts{output: fmt.Sprintf(strings.TrimSpace(tc.output), indent(tc.indent, dialYAML(srv.URL)))})
				require.NoError(t, s.deliver(batch...))
				var got map[string]any
				for _, m := range s.out.all() {
					if v := m["json"].(map[string]any); v["outcome"] != nil {
						require.Nil(t, got)
						got = v
					} else {
						assert.Equal(t, "good", v["id"])
					}
				}
				require.NotNil(t, got)
				assert.Equal(t, "rejected", got["outcome"])
				assert.Equal(t, "refused", got["reason"])
				assert.EqualValues(t, 422, got["http_status"])
				assert.NotContains(t, got["details"], "http_status=")
			})
		}
	}
}

// The first part is as it was, so that patterns of one's own still match.
func TestAFailuresTextEndsWithWhatElseIsKnown(t *testing.T) {
	t.Parallel()
	srv := startSim(t, callsim.Options{})
	s := run(t, dialParts(srv.URL))
	require.NoError(t, s.deliver(lead("a", "+12025550101")))
	require.NoError(t, s.deliver(lead("a", "+12025550102")))
	require.Len(t, s.out.all(), 1)
	assert.Regexp(t, `^conflict: dedupe_conflict: .+; call_id=`+srv.Sim.Calls()[0].ID+`$`, s.out.all()[0]["@fallback_error"])
}
