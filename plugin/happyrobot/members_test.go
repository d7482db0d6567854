package happyrobot_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

// Each documented member that is not deprecated has a place in OutboundCall, and
// nothing else has.
func TestOutboundCallHasAPlaceForEachMember(t *testing.T) {
	for _, m := range happyrobot.CallMembers() {
		var call happyrobot.OutboundCall
		require.NoError(t, call.FromObject(map[string]any{m.Name: nil}))
		assert.Equal(t, m.Deprecated, len(call.Extra) == 1, m.Name)
	}
}

func TestMinutesAreWholeHoweverTheyAreWritten(t *testing.T) {
	for given, want := range map[any]int{
		json.Number("15"): 15, json.Number("15.0"): 15, json.Number("15.000"): 15, json.Number("1.5e1"): 15, json.Number("150E-1"): 15,
		json.Number("1e+2"): 100, json.Number("600000"): 600000, json.Number("9223372036854775807"): math.MaxInt64,
		float64(15): 15, float64(1e6): 1e6, int64(15): 15, uint64(15): 15, 15: 15,
		json.Number("-15.0"): -15, json.Number("-0"): 0, json.Number("0.0"): 0,
	} {
		var call happyrobot.OutboundCall
		require.NoError(t, call.FromObject(map[string]any{"max_duration_mins": given}), "%v", given)
		if assert.NotNil(t, call.MaxDurationMins, "%v", given) {
			assert.Equal(t, want, *call.MaxDurationMins, "%v", given)
		}
	}
	for _, given := range []any{
		json.Number("15.5"), json.Number("15.0000000000000000000001"), json.Number("1.5e0"), json.Number("1e-1"),
		json.Number("9223372036854775808"), json.Number("1e300"), json.Number("1e999999999"), json.Number("1e-999999999"),
		json.Number("0." + strings.Repeat("0", 500) + "1"),
		15.5, math.NaN(), math.Inf(1), uint64(math.MaxUint64), "15", "15.0", " ", true, []any{}, map[string]any{},
	} {
		var field *happyrobot.FieldError
		err := new(happyrobot.OutboundCall).FromObject(map[string]any{"max_duration_mins": given})
		if assert.ErrorAs(t, err, &field, "%v", given) {
			assert.Equal(t, "max_duration_mins", field.Field)
		}
	}
}

// What an export writes for an empty cell is absent, byte for byte. Params may be any
// value, so an empty text there is one.
func TestAnEmptyTextIsAnAbsentMember(t *testing.T) {
	encoded := func(object map[string]any) string {
		var call happyrobot.OutboundCall
		require.NoError(t, call.FromObject(object))
		b, err := call.Encode()
		require.NoError(t, err)
		return string(b.Bytes())
	}
	for _, m := range happyrobot.CallMembers() {
		switch {
		case m.Name == "params" || m.Deprecated: // always sent, as it is
			assert.Equal(t, `{"`+m.Name+`":""}`, encoded(map[string]any{m.Name: ""}))
		default:
			assert.Equal(t, `{}`, encoded(map[string]any{m.Name: ""}), m.Name)
			assert.Equal(t, `{}`, encoded(map[string]any{m.Name: nil}), m.Name)
		}
	}
}

func TestAnIDHasCharactersNotBytes(t *testing.T) {
	require.NoError(t, happyrobot.ValidateID(strings.Repeat("é", 24)))
	assert.ErrorContains(t, happyrobot.ValidateID(strings.Repeat("é", 12)), "not 12")
}
