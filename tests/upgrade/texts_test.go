package upgrade

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/nyaruka/phonenumbers/v2"
)

var textRegions = []string{
	"US", "CA", "PR", "BS", "GB", "GG", "DE", "AT", "CH", "FR", "IT", "VA", "SM", "ES", "NL", "PL", "SE", "NO", "SJ", "DK",
	"HU", "LT", "RU", "KZ", "UA", "TR", "IL", "AE", "EG", "ZA", "NG", "CI", "IN", "CN", "JP", "KR", "SG", "ID", "PH", "AU", "NZ", "BR", "AR", "MX", "CO", "CR",
}

// writer makes texts of numbers and ids as people, exports and mistakes write them.
type writer struct{ *rand.Rand }

func pick[T any](w writer, from ...T) T { return from[w.IntN(len(from))] }

// number is one of a region, or of no plan at all. common says that it is an
// example of the kinds that people have.
func (w writer) number(region string) (n *phonenumbers.PhoneNumber, common bool) {
	kind := phonenumbers.PhoneNumberType(w.IntN(int(phonenumbers.UNKNOWN)))
	if common = w.IntN(2) == 0; common {
		kind = pick(w, phonenumbers.MOBILE, phonenumbers.FIXED_LINE)
	}
	n = phonenumbers.GetExampleNumberForTypeInRegion(region, kind)
	if n == nil {
		n, common = phonenumbers.GetExampleNumber(region), true
	}
	if w.IntN(8) == 0 {
		national, code := uint64(w.Int64N(pick(w, int64(1e3), int64(1e6), int64(1e9), int64(1e12)))), n.GetCountryCode()
		return &phonenumbers.PhoneNumber{CountryCode: &code, NationalNumber: &national}, false
	}
	return n, common
}

// phone is a text of a number. ordinary says that nothing about it is odd.
func (w writer) phone(region string) (text string, ordinary bool) {
	home := w.IntN(6) > 0
	from := region
	if !home {
		from = pick(w, textRegions...)
	}
	number, ordinary := w.number(from)
	national, code := phonenumbers.GetNationalSignificantNumber(number), fmt.Sprint(number.GetCountryCode())
	switch form := w.IntN(14); form {
	case 0, 1, 2:
		text, ordinary = phonenumbers.Format(number, phonenumbers.NATIONAL), ordinary && home
	case 3, 4:
		text, ordinary = phonenumbers.Format(number, phonenumbers.INTERNATIONAL), ordinary && home
	case 5, 6:
		text, ordinary = phonenumbers.Format(number, phonenumbers.E164), ordinary && home
	default:
		text, ordinary = []string{
			phonenumbers.Format(number, phonenumbers.RFC3966), national, code + national, "00" + code + national, "011 " + code + " " + national,
			"0" + national, "+" + code + " (0)" + national,
		}[form-7], false
	}
	for w.IntN(2) == 0 && text != "" {
		text, ordinary = w.spoil(text), false
	}
	return strings.ToValidUTF8(text, ""), ordinary // a cut may have gone through a letter
}

var words = []string{"Anna", "STOP", "do not call", "mobil", "(cell)", "Büro", "home", "ext. 12", "x7", "#5", "DW 3", ".0", "E9", ".00", ";ext=4", ",12", "/ 0170 1234567", "моб", "!", "*"}

var labels = []string{"tel:", "Tel. ", "phone: ", "p:", "whatsapp:", "T ", "=", "\"", "'", "DO NOT CALL ", "+", "00", "0", "1", "(", "\u200e", "\ufeff", " ", "#31#", "*67 "}

// spoil makes one change.
func (w writer) spoil(text string) string {
	at := w.IntN(len(text) + 1)
	switch w.IntN(8) {
	case 0:
		return text + pick(w, "", " ") + pick(w, words...)
	case 1:
		return pick(w, labels...) + text
	case 2: // digits of another script
		zero := pick(w, '０', '٠', '०', '߀', '𝟎')
		return strings.Map(func(r rune) rune {
			if r >= '0' && r <= '9' {
				return zero + r - '0'
			}
			return r
		}, text)
	case 3: // other marks between the digits
		mark := pick(w, "-", " ", ".", "/", "–", "−", "\u00a0", "\u200b", "\u2060", "_", "·", "")
		return strings.NewReplacer(" ", mark, "-", mark).Replace(text)
	case 4:
		return text[:at] + pick(w, "A", "O", "l", "abc", "x", "FLOWERS", "0", "7", "+", "-", "é") + text[at:]
	case 5:
		return text[:at/2] + text[at-at/2:]
	case 6:
		return strings.ReplaceAll(text, " ", "")
	default: // the last digits as letters, as on a keypad
		cut := max(0, len(text)-4)
		return text[:cut] + pick(w, "CALL", "HELP", "TAXI")
	}
}

// id is an id as JSON, and as a request shows it.
func (w writer) id() (text, shown string) {
	text = w.value()
	if s := ""; json.Unmarshal([]byte(text), &s) == nil && text != "null" {
		return text, oldText(s)
	}
	return text, text
}

func (w writer) value() string {
	digits := func(n int) string {
		b := []byte{byte('1' + w.IntN(9))}
		for range n - 1 {
			b = append(b, byte('0'+w.IntN(10)))
		}
		return string(b)
	}
	switch w.IntN(12) {
	case 0, 1, 2:
		return `"lead-` + digits(6) + `"`
	case 3:
		return digits(1 + w.IntN(15))
	case 4:
		return digits(16 + w.IntN(25))
	case 5:
		return "-" + digits(1+w.IntN(25))
	case 6:
		return digits(1+w.IntN(4)) + pick(w, ".0", ".5", ".50", "e3", "E2", "e-2", ".000000000000000000001")
	case 7:
		return pick(w, "null", "true", "false", `""`, `" "`, `"null"`, `"NaN"`, `"None"`, `"undefined"`, `"#N/A"`, "[]", "[1]", "0", `"0"`)
	case 8:
		return `"` + digits(4) + pick(w, "é", "日本", "😀", "/", "/null", " ", `\n`, `\"`, "<&>") + digits(4) + `"`
	case 9:
		return `"` + digits(1+w.IntN(25)) + `"`
	case 10:
		return `" ` + digits(5) + ` "`
	default:
		return `"` + digits(3) + "/" + digits(3) + `"`
	}
}
