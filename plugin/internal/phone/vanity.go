package phone

import (
	"regexp"
	"slices"
	"strings"

	"github.com/nyaruka/phonenumbers/v2"
)

// whole is a number of North America's plan that ends in letters: area code, what
// stands between it and the letters, letters.
var whole = regexp.MustCompile(`^\(?\+?1?[-. ]*\(?([2-9]\d{2})\)?([-. \d]*)([A-Za-z][A-Za-z-. ]*)$`)

// notSpelled are words that people write where digits of a number are missing.
var notSpelled = []string{
	"stop", "home", "work", "cell", "main", "desk", "none", "null", "void", "dead", "test", "busy", "call", "text", "lead", "wife", "mail", "spam", "fake", "temp",
	"gone", "quit", "deny", "unknown", "private", "blocked", "refused", "nophone", "dnclist", "removed", "deleted", "invalid", "missing", "nothing",
}

// Letters of a whole number: toll-free numbers are advertised as words, others
// rarely are, so these must look like one.
const (
	fewestLettersTollFree = 3
	fewestLetters         = 4
)

// spelledOut writes a whole number of North America's plan that has letters
// (1-800-FLOWERS) in digits, by the keypad. All other letters are refused: read by
// the keypad, a name behind a number would be digits of a stranger's number.
func spelledOut(text, region string) (string, error) {
	found := whole.FindStringSubmatch(text)
	if found == nil || !inNANP(text, region) {
		return "", refuse(Invalid, "has letters: write the number alone, in digits")
	}
	area, between, spelled := found[1], found[2], found[3]
	only := func(keep func(rune) bool, s string) string {
		return strings.Map(func(r rune) rune {
			if keep(r) {
				return r
			}
			return -1
		}, s)
	}
	letters := only(func(r rune) bool { return r >= 'A' }, spelled)
	digits := area + only(func(r rune) bool { return r >= '0' && r <= '9' }, between) + strings.Map(keypad, letters)
	upper := strings.ToUpper(letters)
	switch {
	case len(digits) != nanpDigits:
		return "", refuse(Invalid, "has letters that do not complete a number of ten digits: write the number alone, in digits")
	case strings.Trim(upper, "OIL") == "":
		return "", refuse(Invalid, "has letters in place of digits, such as O for 0")
	case slices.Contains(notSpelled, strings.ToLower(letters)), threeAlike(upper):
		return "", refuse(Invalid, "has a word or a mask in place of digits: write the number in digits")
	case nanpTollFree(area) && len(letters) >= fewestLettersTollFree:
		return "+1" + digits, nil
	case len(letters) < fewestLetters, letters != upper, strings.Contains(spelled, " "), !strings.HasSuffix(between, "-") && !strings.HasSuffix(between, "."):
		return "", refuse(Invalid, "has letters: write the number alone, in digits")
	}
	return "+1" + digits, nil
}

// threeAlike finds masks such as XXX.
func threeAlike(letters string) bool {
	for i := 2; i < len(letters); i++ {
		if letters[i-2] == letters[i-1] && letters[i-1] == letters[i] {
			return true
		}
	}
	return false
}

// inNANP says whether a text is read by North America's plan.
func inNANP(text, region string) bool {
	text = strings.TrimLeft(text, "( ")
	if rest, plus := strings.CutPrefix(text, "+"); plus {
		return strings.HasPrefix(strings.TrimLeft(rest, "( "), "1")
	}
	return phonenumbers.GetCountryCodeForRegion(region) == nanp
}

// keypad is the digit of a letter. ITU-T E.161.
func keypad(letter rune) rune {
	return rune("22233344455566677778889999"[letter|' '-'a'])
}
