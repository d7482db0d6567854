package plugin

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/nyaruka/phonenumbers/v2"
	"github.com/redpanda-data/benthos/v4/public/bloblang"
	_ "github.com/redpanda-data/benthos/v4/public/components/pure"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
)

func TestParsePhoneNumberExamplesAreTrue(t *testing.T) {
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
	mapping, err := bloblang.Parse(`root = "(415) 555-0100".parse_phone_number("US")`)
	require.NoError(t, err)
	for range 2 {
		got, err := mapping.Query(nil)
		require.NoError(t, err)
		assert.Equal(t, map[string]any{
			"e164": "+14155550100", "country": "US", "type": "fixed_line_or_mobile", "valid": true,
			"timezones": []any{"America/Los_Angeles"},
		}, got)
	}
}

func TestParsePhoneReadsWhatPeopleWrite(t *testing.T) {
	cases := []struct{ number, region, e164, country, kind string }{
		{"(415) 555-0100", "US", "+14155550100", "US", "fixed_line_or_mobile"},
		{"(415) 555-0100", "us", "+14155550100", "US", "fixed_line_or_mobile"},
		{"+1 415 555 0100", "DE", "+14155550100", "US", "fixed_line_or_mobile"},
		{"tel:+1-415-555-0100", "", "+14155550100", "US", "fixed_line_or_mobile"},
		{"415-555-0100 ext. 12", "US", "+14155550100", "US", "fixed_line_or_mobile"},
		{"＋１ 415 555 0100", "", "+14155550100", "US", "fixed_line_or_mobile"},
		{"1-800-FLOWERS", "US", "+18003569377", "US", "toll_free"},
		{"07912 345678", "GB", "+447912345678", "GB", "mobile"},
		{"06 3600 1234", "IT", "+390636001234", "IT", "fixed_line"},
		{"+800 1234 5678", "", "+80012345678", "", "toll_free"},
	}
	for _, tc := range cases {
		number, err := parsePhone(tc.number, tc.region)
		require.NoError(t, err, tc.number)
		assert.Equal(t, []string{tc.e164, tc.country, tc.kind}, []string{number.E164, number.country(), phoneType(phonenumbers.GetNumberType(number.parsed))}, tc.number)
		assert.True(t, number.valid(), tc.number)
	}
}

func TestParsePhoneMarksNumbersThatCannotExist(t *testing.T) {
	number, err := parsePhone("+1 415 555 010", "")
	require.NoError(t, err)
	assert.False(t, number.valid())
	assert.Equal(t, "unknown", phoneType(phonenumbers.GetNumberType(number.parsed)))
	assert.Empty(t, number.country())
	assert.Empty(t, number.timezones(), "the library's word for unknown is no time zone")
}

func TestParsePhoneErrorsSayWhatToDoAndNotTheNumber(t *testing.T) {
	cases := []struct{ number, region, reason string }{
		{"", "US", "not a phone number"},
		{"call Anna Kovač", "US", "not a phone number"},
		{"7", "US", "not a phone number"},
		{strings.Repeat("4155550100", 50), "US", "not a phone number"},
		{"(415) 555-0100", "", "give a region such as US, or write it in international form"},
		{"+999 415 555 0100", "", "country code that does not exist"},
		{"(415) 555-0100", "UK", `unknown region "UK"`},
		{"+1 415 555 0100", "001", `unknown region "001"`},
		{"US", "(415) 555-0100", "unknown region"},
	}
	for _, tc := range cases {
		_, err := parsePhone(tc.number, tc.region)
		require.ErrorContains(t, err, tc.reason)
		for _, part := range []string{"415", "0100", "Anna"} {
			assert.NotContains(t, err.Error(), part)
		}
	}
}

func TestParsePhoneNumberRefusesOtherTypesWithoutRepeatingThem(t *testing.T) {
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
	_, err := bloblang.Parse(`root = this.phone.parse_phone_number("XX")`)
	require.ErrorContains(t, err, `unknown region "XX"`)
}

func TestEveryTypeOfNumberHasAWord(t *testing.T) {
	words := map[string]bool{}
	for kind := phonenumbers.FIXED_LINE; kind < phonenumbers.UNKNOWN; kind++ {
		word := phoneType(kind)
		assert.NotEqual(t, "unknown", word)
		words[word] = true
	}
	assert.Len(t, words, int(phonenumbers.UNKNOWN))
}

func TestAPlainNumberIsReadAsTheLibraryReadsIt(t *testing.T) {
	for range 20_000 {
		number := fmt.Sprintf("+1%d", 2_000_000_000+rand.N(8_000_000_000))
		want, err := phonenumbers.Parse(number, []string{"", "US", "BS", "DE"}[rand.N(4)])
		require.NoError(t, err, number)
		got := plainNANP(number)
		require.NotNil(t, got, number)
		require.True(t, proto.Equal(want, got), "%s: %v, %v", number, want, got)
		require.Equal(t, phonenumbers.Format(want, phonenumbers.E164), number)
	}
	for _, other := range []string{"", "+1", "+14155550100x", "+1415555010", "+11415555010", "+1 415 555 0100", "+44155550100", "14155550100", "+1415555010a"} {
		assert.Nil(t, plainNANP(other), other)
	}
}

func FuzzParsePhone(f *testing.F) {
	for _, seed := range [][2]string{
		{"(415) 555-0100", "US"}, {"+44 20 7946 0958", ""}, {"06 698 12345", "IT"}, {"+800 1234 5678", ""},
		{"tel:863-1234;phone-context=+1-914-555", ""}, {"011 15-2345-6789", "AR"}, {"1-800-FLOWERS x2", "US"},
		{"+", ""}, {"００", "JP"}, {"no number", "DE"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, text, region string) {
		number, err := parsePhone(text, region)
		if err != nil {
			for _, part := range strings.FieldsFunc(text, func(r rune) bool { return r < '0' || r > '9' }) {
				require.False(t, len(part) > 3 && strings.Contains(err.Error(), part), "an error repeats the number")
			}
			return
		}
		number.timezones()
		require.Regexp(t, `^\+[0-9]+$`, number.E164)
		if phonenumbers.IsPossibleNumber(number.parsed) { // it is called in this form
			require.Regexp(t, `^\+[1-9][0-9]{1,16}$`, number.E164)
		}
		if !number.valid() {
			return
		}
		require.True(t, phonenumbers.IsPossibleNumber(number.parsed), "what is valid can be called")
		again, err := parsePhone(number.E164, "")
		require.NoError(t, err)
		assert.True(t, again.valid())
		assert.Equal(t, number.E164, again.E164)
	})
}
