package phone

import (
	"regexp"
	"slices"
	"strings"

	"github.com/nyaruka/phonenumbers/v2"
)

// whole is a number of North America's plan whose last digits are letters: an
// optional 1, the area code in digits, and letters up to the end.
var whole = regexp.MustCompile(`^\(?\+? ?1?[-. ]*\(?[2-9]\d{2}\)?[-. ]*[\d-. ]*[A-Za-z][A-Za-z-. ]*$`)

// aboutTheNumber are words that people write behind a number which lacks its last
// four digits. Behind a dash they are taken for part of the number.
var aboutTheNumber = []string{"stop", "home", "work", "cell", "main", "desk", "none", "null", "void", "dead", "test", "busy", "call", "text", "lead", "mobi", "wife", "mail"}

const fewestLetters = 3

// spelledOut writes a whole number of North America's plan that has letters
// (1-800-FLOWERS) in digits, by the keypad. All other letters are refused: read by
// the keypad, a name behind a number would be digits of a stranger's number.
func spelledOut(text, region string) (string, error) {
	problem := refuse(Invalid, "has letters: write the number alone, in digits")
	if !whole.MatchString(text) || !strings.HasPrefix(strings.TrimLeft(text, "("), "+1") && phonenumbers.GetCountryCodeForRegion(region) != nanp {
		return "", problem
	}
	letters := ""
	digits := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z':
			letters += string(r)
			return keypad(r)
		case r >= '0' && r <= '9':
			return r
		}
		return -1
	}, text)
	digits = strings.TrimPrefix(digits, "1")
	if len(digits) != nanpDigits {
		return "", refuse(Invalid, "has letters that do not complete a number of ten digits: write the number in digits")
	}
	if len(letters) < fewestLetters || strings.Trim(strings.ToLower(letters), "oil") == "" {
		return "", refuse(Invalid, "has letters in place of digits, such as O for 0")
	}
	if before, _, _ := strings.Cut(text, letters); strings.HasSuffix(before, " ") && slices.Contains(aboutTheNumber, strings.ToLower(letters)) {
		return "", problem
	}
	return "+1" + digits, nil
}

// keypad is the digit of a letter. ITU-T E.161.
func keypad(letter rune) rune {
	return rune("22233344455566677778889999"[letter|' '-'a'])
}
