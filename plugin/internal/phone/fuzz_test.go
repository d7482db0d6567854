package phone

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/nyaruka/phonenumbers/v2"
	"github.com/stretchr/testify/require"
	"golang.org/x/text/unicode/norm"
)

// digitsOf writes the digits of a text in ASCII. It shares no code with the reader.
func digitsOf(text string) string { return phonenumbers.NormalizeDigitsOnly(text) }

// prescribed are digits that a numbering plan puts into a number or takes out of
// it, by its region, behind the country code: Argentina's 9 in place of 15 for
// mobile phones, San Marino's 0549, and the area codes of places that have but one.
var prescribed = map[string]string{
	"AR": "9", "SM": "0549", "CC": "8", "CX": "8", "NF": "3", "MG": "20", "GG": "1481", "JE": "1534", "IM": "1624",
	"AG": "268", "AI": "264", "AS": "684", "BB": "246", "BM": "441", "BS": "242", "DM": "767", "GD": "473", "GU": "671", "KN": "869", "KY": "345", "LC": "758",
	"MP": "670", "MS": "664", "SX": "721", "TC": "649", "TT": "868", "VC": "784", "VG": "284", "VI": "340",
}

// plainForms writes full-width letters, blanks and the like in the forms of ASCII, and
// drops marks that nobody sees.
func plainForms(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.Is(unicode.Cf, r):
			return -1
		case unicode.IsSpace(r):
			return ' '
		}
		return r
	}, norm.NFKC.String(text))
}

// isTail says whether the national digits are the last of the text's digits, or
// with what the plan of the region prescribes: nothing in the middle is chosen.
func isTail(digits, national, region string) bool {
	if strings.HasSuffix(digits, national) {
		return true
	}
	added, ok := strings.CutPrefix(national, prescribed[region])
	if !ok || prescribed[region] == "" {
		return false
	}
	if region == "AR" { // 011 15-2345-6789 is 9 11 2345 6789
		for area := 2; area <= 4; area++ {
			if len(added) > area && strings.HasSuffix(digits, added[:area]+"15"+added[area:]) {
				return true
			}
		}
	}
	return strings.HasSuffix(digits, added)
}

var anExtension = regexp.MustCompile(`(?i)(?:ext|extn|extension|extensión|xt|x|#|доб|;ext=|,)[.:]?[ :]*[\p{Nd}]{1,7}#?["'\x60“”„‘’‚«»<>)\]\s\p{Cf}]*$`)

// rulePlace is a place for a group in a rule of the library, such as $1.
var rulePlace = regexp.MustCompile(`\$(\d)`)

// onlyPrefixes says whether nothing but an international prefix, the country code,
// and a trunk or carrier prefix stands in front of the number among its digits.
func onlyPrefixes(digits string, n Number, from, home *phonenumbers.PhoneMetadata) bool {
	afterCode := []string{digits}
	if idd := from.GetInternationalPrefix(); idd != "" {
		if at := regexp.MustCompile("^(?:" + idd + ")").FindStringIndex(digits); at != nil {
			afterCode = append(afterCode, digits[at[1]:])
		}
	}
	for _, rest := range slices.Clone(afterCode) {
		if rest, ok := strings.CutPrefix(rest, strconv.Itoa(n.countryCode())); ok {
			afterCode = append(afterCode, rest)
		}
	}
	for _, rest := range afterCode {
		if rest == n.national() {
			return true
		}
		prefix := regexp.MustCompile("^(?:" + home.GetNationalPrefixForParsing() + ")")
		if at := prefix.FindStringIndex(rest); at != nil && rest[at[1]:] == n.national() {
			return true
		}
		if rule := home.GetNationalPrefixTransformRule(); rule != "" && prefix.ReplaceAllString(rest, rulePlace.ReplaceAllString(rule, "$${$1}")) == n.national() {
			return true
		}
	}
	return false
}

// The digits that are sent are digits of the text, in their order and up to its
// end, but for an extension, with the country code and what the plan prescribes.
func FuzzDigitsSentAreDigitsOfTheText(f *testing.F) {
	for _, seed := range [][2]string{
		{"(415) 555-0100", "US"}, {"+44 20 7946 0958", ""}, {"06 698 12345", "IT"}, {"+800 1234 5678", ""}, {"tel:863-1234;phone-context=+1-914-555", ""},
		{"011 15-2345-6789", "AR"}, {"1-800-FLOWERS x2", "US"}, {"+", ""}, {"００", "JP"}, {"no number", "DE"}, {"030 123456 (Anna)", "DE"}, {"0044 20 7946 0958", "DE"},
		{"882345", "SM"}, {"491701234567", "DE"}, {"555-0142", "AG"}, {"202-555-0101,,12", "US"}, {"8 (912) 345-67-89 доб. 45", "RU"}, {"=\"030 123456\"", "DE"}, {"٠١٢", "EG"},
		{"0 15 11 96123-4567", "BR"}, {"+49 (0)30 123456", ""}, {"112", "DE"}, {"tel 202-555-0101", "US"}, {"1-800-MY-APPLE", "CA"},
	} {
		f.Add(seed[0], seed[1])
	}
	regions := geographic(f)
	f.Fuzz(func(t *testing.T, text, region string) {
		n, err := Read(text, region)
		if err != nil && region != "" && !KnownRegion(region) {
			return // the config's fault, which names the region
		}
		if err != nil {
			for _, part := range strings.FieldsFunc(text, func(r rune) bool { return r < '0' || r > '9' }) {
				require.False(t, len(part) > 3 && strings.Contains(err.Error(), part), "an error repeats the number")
			}
			return
		}
		n.Timezones()
		n.Type()
		if n.E164 == "" {
			require.Error(t, Rules{}.Check(n), "a text with two readings is not dialed")
			return
		}
		require.Regexp(t, `^\+[0-9]+$`, n.E164)
		if (Rules{Regions: []string{AnyRegion}, Possible: true}).Check(n) != nil {
			return
		}
		require.Regexp(t, `^\+[1-9][0-9]{1,14}$`, n.E164)

		seen := plainForms(text)
		forms := []string{seen}
		if at := anExtension.FindStringIndex(seen); at != nil {
			forms = append(forms, seen[:at[0]])
		}
		from := regions[strings.ToUpper(region)]
		made := func(digits string) bool {
			return (isTail(digits, n.national(), n.home()) || isTail(digits, n.national(), strings.ToUpper(region))) &&
				(!strings.Contains(seen, "+") || strings.HasPrefix(strings.TrimLeft(digits, "0"), strconv.Itoa(n.countryCode()))) &&
				(onlyPrefixes(digits, n, from, regions[n.home()]) || onlyPrefixes(digits, n, from, from))
		}
		fromDigits := slices.ContainsFunc(forms, func(form string) bool { return made(digitsOf(form)) })
		fromLetters := n.countryCode() == nanp && slices.ContainsFunc(forms, func(form string) bool {
			return made(digitsOf(phonenumbers.ConvertAlphaCharactersInNumber(form)))
		})
		require.True(t, fromDigits || fromLetters, "%q became %s", text, n.E164)
		if old := before(text, region); old != "" {
			require.Equal(t, old, n.E164, "a text that rang another phone before is refused: %q", text)
		}

		again, err := Read(n.E164, "")
		require.NoError(t, err)
		require.Equal(t, n.E164, again.E164)
		require.Equal(t, n.Valid(), again.Valid())
	})
}
