package plugin

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/redpanda-data/benthos/v4/public/bloblang"
	_ "github.com/redpanda-data/benthos/v4/public/components/pure"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParsePhoneNumberExamplesAreTrue(t *testing.T) {
	t.Parallel()
	tested := 0
	bloblang.GlobalEnvironment().WalkMethods(func(name string, view *bloblang.MethodView) {
		if name != "parse_phone_number" {
			return
		}
		for _, example := range view.TemplateData().Examples {
			mapping, err := bloblang.Parse(example.Mapping)
			require.NoError(t, err, example.Mapping)
			for _, pair := range example.Results {
				var input any
				require.NoError(t, json.Unmarshal([]byte(pair[0]), &input))
				output, err := mapping.Query(input)
				if pair[1] == "<Message deleted>" {
					assert.ErrorIs(t, err, bloblang.ErrRootDeleted, pair[0])
				} else if assert.NoError(t, err, pair[0]) {
					got, err := json.Marshal(output)
					require.NoError(t, err)
					assert.JSONEq(t, pair[1], string(got), pair[0])
				}
				tested++
			}
		}
	})
	assert.Equal(t, 4, tested)
}

func TestParsePhoneNumberOfAConstant(t *testing.T) {
	t.Parallel()
	mapping, err := bloblang.Parse(`root = "(415) 555-0100".parse_phone_number("US")`)
	require.NoError(t, err)
	for range 2 {
		got, err := mapping.Query(nil)
		require.NoError(t, err)
		assert.Equal(t, map[string]any{
			"e164": "+14155550100", "country": "US", "type": "fixed_line_or_mobile", "valid": true,
			"possible": true, "emergency": false, "reason": "",
			"timezones": []any{"America/Los_Angeles"},
		}, got)
	}
}

func TestParsePhoneNumberRefusesOtherTypesWithoutRepeatingThem(t *testing.T) {
	t.Parallel()
	mapping, err := bloblang.Parse(`root = this.phone.parse_phone_number("US")`)
	require.NoError(t, err)
	for _, value := range []any{4155550100, 4155550100.5, true, nil, map[string]any{"n": "4155550100"}} {
		_, err := mapping.Query(map[string]any{"phone": value})
		require.ErrorContains(t, err, "must be a string")
		assert.NotContains(t, err.Error(), "4155550100")
	}
	got, err := mapping.Query(map[string]any{"phone": []byte("(415) 555-0100")})
	require.NoError(t, err)
	assert.Equal(t, "+14155550100", got.(map[string]any)["e164"])
}

func TestParsePhoneNumberRefusesAnUnknownRegionBeforeAnyMessage(t *testing.T) {
	t.Parallel()
	_, err := bloblang.Parse(`root = this.phone.parse_phone_number("XX")`)
	require.ErrorContains(t, err, `unknown region "XX"`)
}

func TestParsePhoneNumberErrorsSayWhatToDoAndNotTheNumber(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ number, region, problem string }{
		{"", "US", "not a phone number"},
		{"call Anna Kovač", "US", "not a phone number"},
		{"7", "US", "not a phone number"},
		{strings.Repeat("4155550100", 50), "US", "not a phone number"},
		{"(415) 555-0100", "", "give a region such as US, or write it in international form"},
		{"+999 415 555 0100", "", "country code that does not exist"},
		{"415-555-0100 Anna", "US", "has letters"},
		{"4155550100.0", "US", "export the column as text"},
		{"0044 20 4155 0100", "US", "starts with 00: write +"},
	} {
		mapping, err := bloblang.Parse(`root = this.phone.parse_phone_number("` + tc.region + `")`)
		require.NoError(t, err)
		_, err = mapping.Query(map[string]any{"phone": tc.number})
		require.ErrorContains(t, err, tc.problem)
		for _, part := range []string{"415", "0100", "Anna"} {
			assert.NotContains(t, err.Error(), part)
		}
	}
}

func TestParsePhoneNumberGivesTheReasonOfADial(t *testing.T) {
	t.Parallel()
	mapping, err := bloblang.Parse(`root = this.phone.parse_phone_number("DE")`)
	require.NoError(t, err)
	for text, want := range map[string][]any{ // e164, reason, valid, possible, emergency
		"030 123456":      {"+4930123456", "", true, true, false},
		"112":             {"+49112", "emergency_number", false, false, true},
		"+49 112":         {"+49112", "emergency_number", false, false, true},
		"491701234567":    {"", "ambiguous_phone_number", true, true, false},
		"+1 202 555 0101": {"+12025550101", "region_not_allowed", true, true, false},
		"0900 1234567":    {"+499001234567", "number_type_refused", true, true, false},
		"+881612345678":   {"+881612345678", "region_not_allowed", true, true, false},
		"+49 123":         {"+49123", "invalid_phone_number", false, false, false},
	} {
		got, err := mapping.Query(map[string]any{"phone": text})
		require.NoError(t, err, text)
		n := got.(map[string]any)
		assert.Equal(t, want, []any{n["e164"], n["reason"], n["valid"], n["possible"], n["emergency"]}, text)
	}
}
