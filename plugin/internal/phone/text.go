package phone

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// written is a phone text without what is not part of the number.
type written struct {
	plus   bool   // begins with +, the sign of a country code
	digits string // 0 to 9, in the order of the text; letters of a whole number are digits here
}

// longestText is far longer than any number, label and extension are.
const longestText = 100

// readText takes a label, an extension and punctuation off a phone text. What it
// leaves are digits of the text and no others: words around a number never choose
// or change who is called.
func readText(text, region string) (written, error) {
	if len(text) > 4*longestText {
		return written{}, refuse(Invalid, "is too long for a phone number")
	}
	text, err := normalize(text)
	if err != nil {
		return written{}, err
	}
	text = unwrap(text)
	switch {
	case text == "":
		return written{}, refuse(Invalid, "is blank")
	case scientific.MatchString(text), fraction.MatchString(text):
		return written{}, refuse(Invalid, "was exported as a number, and digits may be lost: export the column as text")
	case date.MatchString(text):
		return written{}, refuse(Invalid, "is a date")
	case address.MatchString(text):
		return written{}, refuse(Invalid, "is a network address")
	}
	if text, err = withoutLabel(text); err != nil {
		return written{}, err
	}
	text = withoutExtension(text)
	if strings.ContainsFunc(text, unicode.IsLetter) {
		if text, err = spelledOut(text, region); err != nil {
			return written{}, err
		}
	}
	return punctuated(text)
}

// normalize writes what has several forms in Unicode in the form of ASCII: digits
// of any script, full-width letters, dashes, blanks. Marks that nobody sees are
// dropped.
func normalize(text string) (string, error) {
	plain := true
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' {
			plain = false
			break
		}
	}
	if plain {
		return strings.TrimSpace(text), nil
	}
	if !utf8.ValidString(text) {
		return "", refuse(Invalid, "is not UTF-8 text")
	}
	var b strings.Builder
	for _, r := range strings.TrimFunc(text, func(r rune) bool { return unicode.IsSpace(r) || invisible(r) }) {
		switch {
		case invisible(r):
		case r == '\t', unicode.Is(unicode.Zs, r):
			b.WriteByte(' ')
		case r < ' ', unicode.IsControl(r), unicode.IsSpace(r):
			return "", refuse(Invalid, "has a line break or another control character: one field must hold one number")
		case unicode.IsDigit(r):
			b.WriteByte('0' + digitValue(r))
		case unicode.Is(unicode.Pd, r), r == '−', r == 'ー': // the minus sign, and Japan's long vowel mark
			b.WriteByte('-')
		case r >= '！' && r <= '～': // full-width forms
			b.WriteRune(r - '！' + '!')
		default:
			b.WriteRune(r)
		}
	}
	return strings.TrimSpace(b.String()), nil
}

// invisible marks: soft hyphen, zero-width, direction, byte order.
func invisible(r rune) bool { return unicode.Is(unicode.Cf, r) }

// digitValue is the value of a decimal digit of any script. Unicode keeps the ten
// digits of a script side by side, from zero on, so each range of the table is a
// multiple of ten.
func digitValue(r rune) byte {
	for _, run := range unicode.Nd.R16 {
		if r >= rune(run.Lo) && r <= rune(run.Hi) {
			return byte((r - rune(run.Lo)) % 10)
		}
	}
	for _, run := range unicode.Nd.R32 {
		if r >= rune(run.Lo) && r <= rune(run.Hi) {
			return byte((r - rune(run.Lo)) % 10)
		}
	}
	panic("not a decimal digit")
}

// unwrap takes off what spreadsheets and exports put around a text: quotes, an
// apostrophe or an equals sign in front, one pair of parentheses.
func unwrap(text string) string {
	text = strings.TrimPrefix(text, "=")
	text = strings.TrimSpace(strings.Trim(text, "\"'`“”„‘’‚«»"))
	if inner, ok := strings.CutPrefix(text, "("); ok {
		if inner, ok = strings.CutSuffix(inner, ")"); ok && !strings.ContainsAny(inner, "()") {
			text = strings.TrimSpace(inner)
		}
	}
	return text
}

var (
	scientific = regexp.MustCompile(`^[+-]?\d+(?:[.,]\d+)?[eE][+-]?\d+$`)
	fraction   = regexp.MustCompile(`^[+-]?\d{4,}\.\d{1,2}$|[.,]0+$`)
	date       = regexp.MustCompile(`^(?:(?:19|20)\d\d[-/.](?:0?[1-9]|1[0-2])[-/.](?:0?[1-9]|[12]\d|3[01])|(?:0?[1-9]|[12]\d|3[01])[-/.](?:0?[1-9]|[12]\d|3[01])[-/.](?:19|20)\d\d)(?:[ T].*)?$`)
	// Four groups of two digits are how some countries write their numbers.
	address = regexp.MustCompile(`^(?:\d{1,3}\.){3}\d{1,3}$`)
)

// labels are words that say of what follows that it is a phone. They stand in
// front of the number; behind it they might be anybody's name.
var labels = []string{
	"tel", "telephone", "phone", "ph", "mobile", "mob", "cell", "cellphone", "whatsapp", "office", "home", "work", "direct", "main", "number", "landline",
	"telefon", "telefonnummer", "handy", "mobil", "mobilnummer", "rufnummer",
	"téléphone", "tél", "portable",
	"teléfono", "telefono", "tlf", "móvil", "movil", "celular", "cel",
	"telefone", "telemóvel", "cellulare", "telefoon", "gsm", "тел", "телефон", "моб",
}

// shortLabels are letters and abbreviations that count only with a mark behind them.
var shortLabels = []string{"p", "t", "m", "c", "h", "w", "o", "no", "nr", "n"}

// signs of a phone.
const signs = "☎☏✆📞📱🕻🕽🖁"

// withoutLabel takes labels and signs off the front of a text.
func withoutLabel(text string) (string, error) {
	for {
		before := text
		text = strings.TrimLeft(text, signs+"\ufe0f ")
		word := strings.ToLower(leadingLetters(text))
		rest := text[len(leadingLetters(text)):]
		marked := strings.TrimLeft(rest, ".:º°")
		switch {
		case word == "fax", word == "telefax", word == "télécopie":
			return "", refuse(Invalid, "is a fax number")
		case word == "":
		case slices.Contains(labels, word), slices.Contains(shortLabels, word) && marked != rest:
			text = strings.TrimLeft(marked, " ")
			// "Tel.-Nr.": a dash joins two labels. In front of digits it is a minus.
			if joined, ok := strings.CutPrefix(text, "-"); ok && leadingLetters(joined) != "" {
				text = joined
			}
		}
		if text == before {
			return text, nil
		}
	}
}

func leadingLetters(text string) string {
	for i, r := range text {
		if !unicode.IsLetter(r) && !unicode.IsMark(r) {
			return text[:i]
		}
	}
	return text
}

// extension is dialed once somebody answers, which nobody does here. After a comma,
// which is a pause, it may not be a second number that the first one is listed with.
var extension = regexp.MustCompile(`(?i)(?:[ ,.-]*(?:(?:e?xt|extn|extension|extensión|доб)[.:]?|[x#])[ :]*\d{1,7}|;ext=\d{1,7}|,{1,3}\d{1,6}#?)$`)

func withoutExtension(text string) string {
	found := extension.FindStringIndex(text)
	if found == nil || !strings.ContainsFunc(text[:found[0]], unicode.IsDigit) {
		return text
	}
	return text[:found[0]]
}

// punctuated reads a text of digits and of the signs that people put between them.
func punctuated(text string) (written, error) {
	var w written
	var b strings.Builder
	slash := -1 // digits before it
	for i, r := range text {
		switch {
		case r >= '0' && r <= '9':
			b.WriteRune(r)
		case r == '+' && b.Len() == 0 && !w.plus:
			w.plus = true
		case r == '+' && b.Len() > 0:
			return written{}, refuse(Invalid, "has a + that is not in front: one field must hold one number, written +44…")
		case r == '+':
			return written{}, refuse(Invalid, "begins with more than one +")
		case r == '-' && b.Len() == 0 && !w.plus:
			return written{}, refuse(Invalid, "begins with a minus sign")
		case r == '/' && slash < 0 && i > 0:
			slash = b.Len()
		case strings.ContainsRune(" -.()", r):
		case r == '/', r == ',', r == ';', r == '|', r == '&':
			return written{}, refuse(Invalid, "has the character %q: one field must hold one number", r)
		case r == '*', r == '#':
			return written{}, refuse(Invalid, "has the character %q, which is part of a service code", r)
		default:
			return written{}, refuse(Invalid, "has a character that is not part of a phone number: write digits, blanks, dashes, dots and parentheses only")
		}
	}
	w.digits = b.String()
	switch last := strings.TrimRight(text, " ."); {
	case w.digits == "":
		return written{}, refuse(Invalid, "has no digits")
	case slash >= 0 && len(w.digits)-slash < 5:
		return written{}, refuse(Invalid, "has a / with another ending behind it: one field must hold one number")
	case strings.HasSuffix(last, ")"):
		return written{}, refuse(Invalid, "ends with something in parentheses: write the number alone")
	case strings.HasSuffix(last, "-"), strings.HasSuffix(last, "("), strings.HasSuffix(last, "/"):
		return written{}, refuse(Invalid, "ends in the middle")
	}
	return w, nil
}
