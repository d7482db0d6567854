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
	for kind := range phonenumbers.UNKNOWN {
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
		// Old readings stay, or the text is refused.
		{"4901711234567", "DE", de, string(Ambiguous)},
		{"49 01711234567", "DE", de, string(Ambiguous)},
		{"4306641234567", "AT", DefaultRules("AT"), string(Ambiguous)},
		// A local number and three letters, a masked number, or a word is not a number.
		{"305-2345 DNC", "US", us, string(Invalid)},
		{"305.2345.Bob", "US", us, string(Invalid)},
		{"3052345DNC", "US", us, string(Invalid)},
		{"202-XXX-XXXX", "US", us, string(Invalid)},
		{"202-555-XXXX", "US", us, string(Invalid)},
		{"800-XXX-XXXX", "US", us, string(Invalid)},
		{"(202) unknown", "US", us, string(Invalid)},
		{"202-PRIVATE", "US", us, string(Invalid)},
		{"800-UNKNOWN", "US", us, string(Invalid)},
		{"202 555 Anna", "US", us, string(Invalid)},
		{"202-555-none", "US", us, string(Invalid)},
		{"202-555-DEAD", "US", us, string(Invalid)},
		{"202-555-STOP", "US", us, string(Invalid)},
		{"202 555 TAXI", "US", us, string(Invalid)},
		{"202-555-Anna", "US", us, string(Invalid)},
		{"202-555-AB CD", "US", us, string(Invalid)},
		{"305-2345-DNC", "US", us, string(Invalid)},
		{"212-555-TAXI", "US", us, "+12125558294"},
		{"212-MATTRES", "US", us, "+12126288737"},
		// Emergency numbers behind an area code or the region's own code.
		{"031-119", "KR", DefaultRules("KR"), string(EmergencyNumber)},
		{"+82 31 119", "KR", DefaultRules("KR"), string(EmergencyNumber)},
		{"030 112", "DE", de, string(EmergencyNumber)},
		{"+49 30 110", "DE", anyNumber, string(EmergencyNumber)},
		{"0662 133", "AT", DefaultRules("AT"), string(EmergencyNumber)},
		{"358112", "FI", DefaultRules("FI"), string(EmergencyNumber)},
		{"490110", "DE", anyNumber, string(EmergencyNumber)},
		{"4747112", "NO", anyNumber, string(EmergencyNumber)},
		// 00 is the sign of another country, also where carriers have longer prefixes.
		{"0066 62 345 6789", "TH", anyNumber, string(Invalid)},
		{"0066 81 234 5678", "JP", anyNumber, string(Invalid)},
		{"0065 9753 7209", "SG", anyNumber, string(Invalid)},
		{"0011 44 20 7946 0958", "AU", anyNumber, "+442079460958"},
		{"0011 1 202 555 0101", "AU", anyNumber, "+12025550101"},
		{"010 44 20 7946 0958", "JP", anyNumber, "+442079460958"},
		// What is no extension.
		{"301.234,56", "DE", de, string(Invalid)},
		{"30123456,5", "DE", de, string(Invalid)},
		{"030 123456,123457", "DE", de, string(Invalid)},
		{"030 123x4567", "DE", de, string(Invalid)},
		{"030 123456 x12", "DE", de, "+4930123456"},
		{"202-555-0101x12", "US", us, "+12025550101"},
		// Ordinals are not digits of the number.
		{"Tel. 2 030 123456", "DE", de, string(Invalid)},
		{"2. 030 123456", "DE", de, string(Invalid)},
		{"1) 664 1234567", "AT", DefaultRules("AT"), string(Invalid)},
		{"Tel: 1 202 555 0101", "US", us, "+12025550101"},
		{"тел. 8 912 345-67-89", "RU", DefaultRules("RU"), "+79123456789"},
		// Dates, addresses, and numbers that only look like one.
		{"2024-01-15", "DE", de, string(Invalid)},
		{"192.168.10.12", "DE", de, string(Invalid)},
		{"93.184.216.34", "DE", de, string(Invalid)},
		{"22.33.44.55", "NO", DefaultRules("NO"), "+4722334455"},
		{"22.123.45.67", "PL", DefaultRules("PL"), "+48221234567"},
		{"02.555.12.12", "BE", DefaultRules("BE"), "+3225551212"},
		{"044.668.18.00", "CH", DefaultRules("CH"), "+41446681800"},
		{"02.512.00.00", "BE", DefaultRules("BE"), "+3225120000"},
		{"202.555.0000", "US", us, "+12025550000"},
		// Slashes join an area code and a number, not two numbers.
		{"030 123456/7890", "DE", de, string(Invalid)},
		{"030/123456/78901", "DE", de, string(Invalid)},
		{"+49 30 123456/78901", "DE", de, string(Invalid)},
		{"030/1234/56789", "DE", de, string(Invalid)},
		{"030 123456(", "DE", de, string(Invalid)},
		{"030 123456/", "DE", de, string(Invalid)},
		{"05241/80-0", "DE", possible("DE"), "+495241800"},
		{"06/30/123-4567", "HU", DefaultRules("HU"), "+36301234567"},
		{"+32/2/555.12.12", "BE", DefaultRules("BE"), "+3225551212"},
		// Labels as people and programs write them.
		{"Tél. : 06 12 34 56 78", "FR", DefaultRules("FR"), "+33612345678"},
		{"Te\u0301l: 06 12 34 56 78", "FR", DefaultRules("FR"), "+33612345678"},
		{"Mobile - 202-555-0101", "US", us, "+12025550101"},
		{"(Mobile) 202-555-0101", "US", us, "+12025550101"},
		{"[Mobile] 202-555-0101", "US", us, "+12025550101"},
		{"Phone #: 202-555-0101", "US", us, "+12025550101"},
		{"Fon 030/123456", "DE", de, "+4930123456"},
		{"TEL;TYPE=CELL:+12025550101", "US", us, "+12025550101"},
		{"item1.TEL;type=pref:+1 202 555 0101", "US", us, "+12025550101"},
		{"callto:+12025550101", "US", us, "+12025550101"},
		{"[202] 555-0101", "US", us, "+12025550101"},
		{"<2025550101>", "US", us, "+12025550101"},
		{"x1234", "US", us, string(Invalid)},
		{"０３ー１２３４ー５６７８", "JP", DefaultRules("JP"), "+81312345678"},
		{"(030 123456)", "DE", de, "+4930123456"},
		// Services that a plan numbers like lines.
		{"202-555-1212", "US", us, string(TypeRefused)},
		{"812-976-0100", "US", us, string(TypeRefused)},
		{"116117", "DE", possible("DE"), string(Invalid)},
		{"11833", "DE", possible("DE"), string(Invalid)},
		{"905 12 34 56", "ES", possible("ES"), string(TypeRefused)},
		{"0190 123456", "DE", possible("DE"), string(TypeRefused)},
		{"+88213123456", "", Rules{Possible: true, RefuseTypes: DefaultRefuseTypes()}, string(TypeRefused)},
		{"+882 32 1234567", "", DefaultRules(""), string(TypeRefused)},
		{"+1 600 555 0100", "CA", DefaultRules("CA"), string(TypeRefused)},
		{"+7 954 123 45 67", "RU", DefaultRules("RU"), string(TypeRefused)},
		{"+62 868 1234567", "ID", DefaultRules("ID"), string(TypeRefused)},
		{"+86 1349 123 4567", "CN", DefaultRules("CN"), string(TypeRefused)},
		{"+86 1740 012 3456", "CN", DefaultRules("CN"), string(TypeRefused)},
		{"+1 900 291 0100", "US", possible("US"), string(TypeRefused)},
		// Neither reading of a text is a valid number.
		{"972501234567", "IL", DefaultRules("IL"), string(Invalid)},
		{"972501234567", "IL", possible("IL"), string(Ambiguous)},
		{"+44 1481 000000", "GB", possible("GB"), "+441481000000"},
		{"+441481712345", "GG", DefaultRules("GG"), "+441481712345"},
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
		{"+49 30 1234567890123", "DE", possible("DE"), string(Invalid)},
		{"000000000000100", "TH", possible("TH"), string(Invalid)},
		{"+4900083000000", "DE", possible("DE"), string(Invalid)},
		{"491701234567", "DE", possible("DE"), string(Ambiguous)},
		{"20001012345678", "EG", DefaultRules("EG"), string(Invalid)}, // the library takes two zeros away
		{"200000000010", "EG", possible("EG"), string(Invalid)},
		{"201012345678", "EG", DefaultRules("EG"), "+201012345678"},
		{"2001012345678", "EG", DefaultRules("EG"), "+201012345678"},
		{"55800123456", "BR", possible("BR"), string(Ambiguous)}, // once dialed as +5555800123456
		{"+1 900 055 0100", "US", possible("US"), string(Invalid)},
		{"+1 900 555 0100", "US", possible("US"), string(TypeRefused)},
	} {
		assert.Equal(t, tc.want, verdict(tc.text, tc.region, tc.rules), "%q in %s", tc.text, tc.region)
	}
}

func TestTollFreeNumbersServeAllOfNorthAmerica(t *testing.T) {
	regions := 0
	for _, region := range KnownRegions() {
		if phonenumbers.GetCountryCodeForRegion(region) != nanp {
			continue
		}
		regions++
		for _, area := range []string{"800", "833", "844", "855", "866", "877", "888"} {
			number := "+1" + area + "5550100"
			assert.Equal(t, number, verdict(number, region, DefaultRules(region)), region)
		}
	}
	require.Equal(t, 25, regions)
}
