package phone

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"unicode"

	"github.com/nyaruka/phonenumbers/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
)

func TestReadsWhatPeopleWrite(t *testing.T) {
	for _, tc := range []struct {
		number, region, e164, country string
		kind                          Type
	}{
		{"(415) 555-0100", "US", "+14155550100", "US", FixedLineOrMobile},
		{"(415) 555-0100", "us", "+14155550100", "US", FixedLineOrMobile},
		{"+1 415 555 0100", "DE", "+14155550100", "US", FixedLineOrMobile},
		{"tel:+1-415-555-0100", "", "+14155550100", "US", FixedLineOrMobile},
		{"415-555-0100 ext. 12", "US", "+14155550100", "US", FixedLineOrMobile},
		{"＋１ 415 555 0100", "", "+14155550100", "US", FixedLineOrMobile},
		{"(+49) 30 123456", "US", "+4930123456", "DE", FixedLine},
		{"(415) 555-0100.", "US", "+14155550100", "US", FixedLineOrMobile},
		{"1-800-FLOWERS", "US", "+18003569377", "US", TollFree},
		{"07912 345678", "GB", "+447912345678", "GB", Mobile},
		{"06 3600 1234", "IT", "+390636001234", "IT", FixedLine},
		{"+800 1234 5678", "", "+80012345678", "", TollFree},
		{"0147 123 456", "AU", "+61147123456", "AU", Satellite},
		{"+881 6 2345 6789", "", "+881623456789", "", Satellite},
		{"202-976-0100", "US", "+12029760100", "US", PremiumRate},
		{"800-976-0100", "US", "+18009760100", "US", TollFree},
	} {
		n, err := Read(tc.number, tc.region)
		require.NoError(t, err, tc.number)
		assert.Equal(t, []any{tc.e164, tc.country, tc.kind}, []any{n.E164, n.Country(), n.Type()}, tc.number)
		assert.True(t, n.Valid(), tc.number)
	}
}

func TestNumbersThatCannotExistAreMarked(t *testing.T) {
	n, err := Read("+1 415 555 010", "")
	require.NoError(t, err)
	assert.False(t, n.Valid())
	assert.False(t, n.Possible())
	assert.Equal(t, Unknown, n.Type())
	assert.Empty(t, n.Country())
	assert.Empty(t, n.Timezones(), "the library's word for unknown is no time zone")
}

func TestUnknownRegionsAreRefusedWithTheRightOne(t *testing.T) {
	for _, tc := range []struct{ region, problem string }{
		{"UK", `unknown region "UK": did you mean GB?`}, {"001", `unknown region "001"`}, {"(415) 555-0100", "unknown region: use a two-letter code"},
	} {
		_, err := Read("+1 415 555 0100", tc.region)
		require.ErrorContains(t, err, tc.problem)
		assert.NotContains(t, err.Error(), "0100")
	}
}

func TestEveryTypeOfTheLibraryHasAWord(t *testing.T) {
	words := map[Type]bool{}
	for kind := phonenumbers.FIXED_LINE; kind < phonenumbers.UNKNOWN; kind++ {
		word := typeOf(kind)
		assert.NotEqual(t, Unknown, word)
		assert.Contains(t, Types(), word)
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

// Digits of every script have their value, wherever their block begins.
func TestUnicodeDigitsCountByTheirValue(t *testing.T) {
	digits := 0
	for r := range rune(0x20000) {
		normal, err := normalize(string(r))
		if err != nil || len(normal) != 1 || normal[0] < '0' || normal[0] > '9' {
			require.False(t, unicode.IsDigit(r), "%U", r)
			continue
		}
		digits++
		require.True(t, unicode.IsDigit(r), "%U", r)
		if known := phonenumbers.NormalizeDigitsOnly(string(r)); known != "" {
			require.Equal(t, known, normal, "%U", r)
		}
	}
	require.Greater(t, digits, 600)
	for _, runs := range [][]rune{{'0', '٠', '۰', '०', '০', '๐', '០', '᠐', '０', '𝟎', '𝟘', '𝟢', '𝟬', '𝟶'}} {
		for _, zero := range runs {
			for value := range rune(10) {
				require.Equal(t, byte(value), digitValue(zero+value), "%U", zero+value)
			}
		}
	}
}

// The wrong phone rings in each of these in one way that the rules must catch.
func TestWhereARuleEnds(t *testing.T) {
	us, de := DefaultRules("US"), DefaultRules("DE")
	possible := func(region string) Rules {
		r := DefaultRules(region)
		r.Possible = true
		return r
	}
	for _, tc := range []struct {
		text, region string
		rules        Rules
		want         string
	}{
		{"030 123456/78", "DE", de, string(Invalid)},
		{"030/123456", "DE", de, "+4930123456"},
		{"030 123456 (2)", "DE", de, string(Invalid)},
		{"030 123456-", "DE", de, string(Invalid)},
		{"+030 123456", "DE", de, string(Invalid)},
		{"(030) 123456 +2", "DE", de, string(Invalid)},
		{"++49 30 123456", "DE", de, string(Invalid)},
		{"*31#030123456", "DE", de, string(Invalid)},
		{"030 123456\n030 123457", "DE", de, string(Invalid)},
		{"030 123456\n", "DE", de, "+4930123456"},
		{"123456.5", "DE", de, string(Invalid)},
		{"202-555-01O1", "US", us, string(Invalid)},
		{"202-555-0lOl", "US", us, string(Invalid)},
		{"1-800-CONTACTS", "US", us, string(Invalid)},
		{"+1 800 FLOWERS", "DE", Rules{}, "+18003569377"},
		{"800 FLOWERS", "DE", Rules{}, string(Invalid)},
		{"202 555 HOME", "US", us, string(Invalid)},
		{"202-555-0101, 202-555-0102", "US", us, string(Invalid)},
		{"+44 1481 712345", "GB", DefaultRules("GB"), "+441481712345"},
		{"06 69812345", "IT", DefaultRules("IT"), "+390669812345"},
		{"+4779012345", "NO", DefaultRules("NO"), "+4779012345"},
		{"+1 800 555 0100", "JM", DefaultRules("JM"), "+18005550100"},
		{"+1 876 555 0100", "US", us, string(RegionNotAllowed)},
		{"+1 876 555 0100", "US", Rules{Regions: []string{"US", "JM"}}, "+18765550100"},
		{"+800 1234 5678", "US", Rules{Regions: []string{"US"}}, string(RegionNotAllowed)},
		{"+800 1234 5678", "US", Rules{Regions: []string{AnyRegion}}, "+80012345678"},
		{"+979 1 2345 6789", "", DefaultRules(""), string(TypeRefused)},
		{"+979 1 2345 6789", "", Rules{}, "+979123456789"},
		// Possible numbers are those of a length and beginning that a plan can have.
		{"+1 222 555 0100", "US", us, string(Invalid)},
		{"+1 222 555 0100", "US", possible("US"), "+12225550100"},
		{"+1 222 555 0100", "GB", possible("GB"), string(RegionNotAllowed)},
		{"+1 242 555 0100", "US", possible("US"), string(RegionNotAllowed)},
		{"+44 7700 900123", "GB", DefaultRules("GB"), string(Invalid)},
		{"+44 7700 900123", "GB", possible("GB"), "+447700900123"},
		{"555-0142", "US", possible("US"), string(Invalid)},
		{"000-000-0000", "US", possible("US"), string(Invalid)},
		{"1234567890", "US", possible("US"), string(Invalid)},
		{"295-555-0100", "US", possible("US"), string(Invalid)},
		{"911-555-0100", "US", possible("US"), string(EmergencyNumber)},
		{"+1 202 911 0100", "US", possible("US"), string(EmergencyNumber)},
		{"000000000", "DE", possible("DE"), string(Invalid)},
		{"491701234567", "DE", possible("DE"), string(Ambiguous)},
		{"55800123456", "BR", possible("BR"), string(Ambiguous)}, // once dialed as +5555800123456
		{"+1 900 055 0100", "US", possible("US"), string(Invalid)},
		{"+1 900 555 0100", "US", possible("US"), string(TypeRefused)},
	} {
		assert.Equal(t, tc.want, verdict(tc.text, tc.region, tc.rules), "%q in %s", tc.text, tc.region)
	}
}
