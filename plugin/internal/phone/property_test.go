package phone

import (
	"os"
	"regexp/syntax"
	"strconv"
	"strings"
	"testing"

	"github.com/nyaruka/phonenumbers/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// verdict is the number that a dial with these rules rings, or the reason why none.
func verdict(text, region string, rules Rules) string {
	n, err := Read(text, region)
	if err == nil {
		err = rules.Check(n)
	}
	if err == nil {
		return n.E164
	}
	return string(ReasonOf(err))
}

// anyNumber lets through whatever the text alone does not forbid.
var anyNumber = Rules{Regions: []string{AnyRegion}, Possible: true}

func TestNoEmergencyNumberOfAnyRegionIsDialed(t *testing.T) {
	short, err := phonenumbers.ShortNumberMetadataCollection()
	require.NoError(t, err)
	codes := geographic(t)
	regions, tried := 0, 0
	for _, meta := range short.GetMetadata() {
		pattern, region := meta.GetEmergency().GetNationalNumberPattern(), meta.GetId()
		if pattern == "" || pattern == "NA" {
			continue
		}
		parsed, err := syntax.Parse(pattern, syntax.Perl)
		require.NoError(t, err)
		regions++
		for _, number := range everyText(parsed) {
			require.True(t, phonenumbers.IsEmergencyNumber(number, region), "%s %s", region, number)
			code := "+" + strconv.Itoa(int(codes[region].GetCountryCode()))
			for _, text := range []string{number, " " + number + " ", strings.Join(strings.Split(number, ""), " "), "tel: " + number, code + number, code + " " + number, code + " 0" + number, "0" + number} {
				tried++
				got := verdict(text, region, anyNumber)
				if strings.HasPrefix(text, "0") && text != number || strings.Contains(text, " 0") {
					assert.NotContains(t, got, "+", "%s %q", region, text)
					continue
				}
				assert.Equal(t, string(EmergencyNumber), got, "%s %q", region, text)
			}
		}
	}
	t.Logf("%d texts of %d regions", tried, regions)
	require.Greater(t, regions, 200)
}

func TestEveryExampleNumberGetsTheDecisionOfItsType(t *testing.T) {
	kinds := map[phonenumbers.PhoneNumberType]bool{}
	tried := 0
	for region := range geographic(t) {
		rules := DefaultRules(region)
		for kind := range phonenumbers.UNKNOWN {
			example := phonenumbers.GetExampleNumberForTypeInRegion(region, kind)
			if example == nil {
				continue
			}
			number := phonenumbers.Format(example, phonenumbers.E164)
			for _, text := range []string{number, phonenumbers.Format(example, phonenumbers.INTERNATIONAL), phonenumbers.Format(example, phonenumbers.RFC3966)} {
				tried++
				kinds[kind] = true
				got := verdict(text, region, rules)
				switch n := (Number{parsed: example}); {
				case phonenumbers.IsPossibleNumberWithReason(example) == phonenumbers.IS_POSSIBLE_LOCAL_ONLY:
					assert.Equal(t, string(Invalid), got, "%s %s has no area code", region, text)
				case n.Type() == Satellite, kind == phonenumbers.PREMIUM_RATE, kind == phonenumbers.SHARED_COST, kind == phonenumbers.PERSONAL_NUMBER, kind == phonenumbers.PAGER, kind == phonenumbers.VOICEMAIL:
					assert.Equal(t, string(TypeRefused), got, "%s %s", region, text)
				default:
					assert.Equal(t, number, got, "%s %s", region, text)
				}
			}
		}
	}
	t.Logf("%d texts of %d types", tried, len(kinds))
	require.Greater(t, len(kinds), 9)
}

// Whoever writes a valid number as people of its region do is understood, and
// only the region's own code in front makes a text ambiguous.
func TestNationalTextsAreAmbiguousOnlyBehindTheirOwnCode(t *testing.T) {
	count := 200
	if testing.Short() {
		count = 20
	}
	if asked := os.Getenv("PHONE_TEXTS"); asked != "" {
		var err error
		count, err = strconv.Atoi(asked)
		require.NoError(t, err)
	}
	for region, meta := range geographic(t) {
		t.Run(region, func(t *testing.T) {
			t.Parallel()
			numbers, code := drawFrom(t, meta, 1), strconv.Itoa(int(meta.GetCountryCode()))
			read, ambiguous := 0, 0
			for range count {
				n := numbers.draw()
				want := phonenumbers.Format(n, phonenumbers.E164)
				if text := strings.TrimPrefix(want, "+"); before(text, region) != "" {
					// Refused, or the number that was dialed for it before.
					got := verdict(text, region, anyNumber)
					require.Contains(t, []string{before(text, region), string(Ambiguous), string(Invalid), string(EmergencyNumber)}, got, "%q", text)
				}
				for _, text := range []string{phonenumbers.GetNationalSignificantNumber(n), phonenumbers.Format(n, phonenumbers.NATIONAL)} {
					switch got := verdict(text, region, anyNumber); {
					case got == string(Ambiguous):
						ambiguous++
						digits := strings.Map(func(c rune) rune {
							if c < '0' || c > '9' {
								return -1
							}
							return c
						}, text)
						require.True(t, strings.HasPrefix(digits, code), "%q is refused as ambiguous, and does not begin with %s", text, code)
					case got == want:
						read++
					case region == "GA" && text[0] == '0':
						// Gabon put a 0 in front of all numbers, which the library still takes
						// for a trunk prefix when it writes an old one.
					default:
						// Service codes, and numbers that begin as an international prefix does.
						require.NotContains(t, got, "+", "%q rings another phone than %s", text, want)
					}
				}
			}
			assert.Greater(t, read, count, "too few of %d texts are read; %d are ambiguous", 2*count, ambiguous)
		})
	}
}

// before is how the program read a text before it read them strictly: the
// library's reading of the whole text, if that is possible.
func before(text, region string) string {
	n, err := phonenumbers.Parse(text, strings.ToUpper(region))
	if err != nil || !phonenumbers.IsPossibleNumber(n) {
		return ""
	}
	return phonenumbers.Format(n, phonenumbers.E164)
}
