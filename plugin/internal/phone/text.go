package phone

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// written is a phone text without what is not part of the number.
type written struct {
	plus    bool   // begins with +, the sign of a country code
	digits  string // 0 to 9, in the order of the text; letters of a whole number are digits here
	ordinal bool   // the first digit may only count: "Tel. 2 030…", "1) 0664…"
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
	case networkAddress(text):
		return written{}, refuse(Invalid, "is a network address")
	}
	number, err := withoutLabel(text)
	if err != nil {
		return written{}, err
	}
	ordinal := counted.MatchString(number) || number != text && countedBehindLabel.MatchString(number)
	number = withoutExtension(number, region)
	if strings.ContainsFunc(number, unicode.IsLetter) {
		if number, err = spelledOut(number, region); err != nil {
			return written{}, err
		}
	}
	w, err := punctuated(number)
	w.ordinal = ordinal
	return w, err
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
// apostrophe or an equals sign in front, one pair of parentheses. Brackets are
// parentheses from here on.
func unwrap(text string) string {
	text = strings.TrimPrefix(text, "=")
	text = strings.TrimSpace(strings.Trim(text, "\"'`“”„‘’‚«»<>"))
	text = strings.NewReplacer("[", "(", "]", ")").Replace(text)
	if inner, ok := strings.CutPrefix(text, "("); ok {
		if inner, ok = strings.CutSuffix(inner, ")"); ok && !strings.ContainsAny(inner, "()") {
			text = strings.TrimSpace(inner)
		}
	}
	return text
}

var (
	scientific = regexp.MustCompile(`^[+-]?\d+(?:[.,]\d+)?[eE][+-]?\d+$`)
	fraction   = regexp.MustCompile(`^[+-]?\d{4,}\.\d{1,2}$|^[^.,]*[.,]0+$`)
	date       = regexp.MustCompile(`^(?:(?:19|20)\d\d[-/.](?:0?[1-9]|1[0-2])[-/.](?:0?[1-9]|[12]\d|3[01])|(?:0?[1-9]|[12]\d|3[01])[-/.](?:0?[1-9]|[12]\d|3[01])[-/.](?:19|20)\d\d)(?:[ T].*)?$`)
	fourGroups = regexp.MustCompile(`^(?:\d{1,3}\.){3}\d{1,3}$`)

	counted            = regexp.MustCompile(`^\d[.)] `)
	countedBehindLabel = regexp.MustCompile(`^\d `)
)

// networkAddress says whether a text is an IPv4 address. Some countries write their
// numbers in four groups with dots, most of them of two digits: 22.123.45.67.
func networkAddress(text string) bool {
	if !fourGroups.MatchString(text) {
		return false
	}
	at, err := netip.ParseAddr(text)
	if err != nil {
		return false
	}
	pairs := 0
	for group := range strings.SplitSeq(text, ".") {
		if len(group) == 2 {
			pairs++
		}
	}
	return pairs < 3 || at.IsPrivate() && pairs < 4
}

// labels are words that say of what follows that it is a phone. They stand in
// front of the number; behind it they might be anybody's name.
var labels = []string{
	"tel", "telephone", "phone", "ph", "mobile", "mob", "cell", "cellphone", "whatsapp", "callto", "business", "contact", "ddi", "switchboard",
	"office", "home", "work", "direct", "main", "number", "landline", "line",
	"telefon", "telefonnummer", "fon", "festnetz", "handy", "handynummer", "mobil", "mobilnummer", "mobiltelefon", "rufnummer", "privat", "büro",
	"téléphone", "tél", "portable", "fixe", "domicile",
	"teléfono", "telefono", "telf", "tfno", "tlf", "móvil", "movil", "celular", "cel",
	"telefone", "fone", "telemóvel", "tlm", "cellulare", "telefoon", "gsm", "kom", "τηλ", "тел", "телефон", "моб",
	"電話", "携帯", "电话", "手机", "전화", "휴대폰",
}

// shortLabels are letters and abbreviations that count only with a mark behind them.
var shortLabels = []string{"p", "t", "m", "c", "h", "w", "o", "d", "no", "nr", "n", "т"}

// signs of a phone.
const signs = "☎☏✆📞📱🕻🕽🖁"

// card is the line of a phone in a vCard.
var card = regexp.MustCompile(`(?i)^(?:item\d+\.)?tel(?:;[a-z0-9=,;"-]+)?:`)

// withoutLabel takes labels and signs off the front of a text.
func withoutLabel(text string) (string, error) {
	text = text[len(card.FindString(text)):]
	for {
		before := text
		text = strings.TrimLeft(text, signs+"\ufe0f ")
		if inside, rest, ok := parenthesized(text); ok && slices.Contains(labels, strings.ToLower(inside)) {
			text = strings.TrimLeft(rest, " ")
		}
		word := leadingLetters(text)
		rest := text[len(word):]
		word = strings.ToLower(norm.NFC.String(word)) // é may be two characters
		marked := strings.TrimLeft(rest, " .:º°#")
		switch {
		case word == "fax", word == "telefax", word == "télécopie":
			return "", refuse(Invalid, "is a fax number")
		case slices.Contains(labels, word), slices.Contains(shortLabels, word) && strings.TrimLeft(rest, ".:º°#") != rest:
			// A dash joins a label with what it labels: "Tel.-Nr.", "Mobile - 030…".
			text = strings.TrimLeft(strings.TrimPrefix(marked, "-"), " ")
		}
		if text == before {
			return text, nil
		}
	}
}

// parenthesized splits a text that begins with something in parentheses.
func parenthesized(text string) (inside, rest string, ok bool) {
	if inside, ok = strings.CutPrefix(text, "("); !ok {
		return "", "", false
	}
	return strings.Cut(inside, ")")
}

func leadingLetters(text string) string {
	for i, r := range text {
		if !unicode.IsLetter(r) && !unicode.IsMark(r) {
			return text[:i]
		}
	}
	return text
}

// Extensions are dialed once somebody answers, which nobody does here.
var (
	extension = regexp.MustCompile(`(?i)(?:[ ,.(-]*(?:ext|extn|extension|extensión|доб)[.:#]{0,2} *\d{1,7}\)?|;ext=\d{1,7}| [x#] ?\d{1,7})$`)
	// In other plans, whose numbers have no one length, x may mask a digit.
	extensionNANP = regexp.MustCompile(`(?i)[x#] ?\d{1,7}$`)
	// A comma is a pause. Behind a number without a country code it might as well be
	// a decimal comma, or stand before the next number of a list.
	extensionPause = regexp.MustCompile(`^(\+[^,]*),{1,3}\d{1,6}#?$`)
)

func withoutExtension(text, region string) string {
	if found := extensionPause.FindStringSubmatch(text); found != nil {
		return found[1]
	}
	found := extension.FindStringIndex(text)
	if found == nil && inNANP(text, region) {
		found = extensionNANP.FindStringIndex(text)
	}
	if found == nil || !strings.ContainsFunc(text[:found[0]], unicode.IsDigit) {
		return text
	}
	return strings.TrimRight(text[:found[0]], " ")
}

// A slash joins an area code and a number: 030/123456, 06/30/123-4567. Elsewhere it
// stands between two numbers, or two endings of one.
const mostBeforeSlash = 6 // digits of trunk prefix and area code; three more with a country code

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
		case r == '/' && i > 0:
			slash = b.Len()
		case strings.ContainsRune(" -.()", r):
		case r == ',', r == ';', r == '|', r == '&', r == '/':
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
	case slash >= 0 && (slash > mostBeforeSlash && !w.plus || slash > mostBeforeSlash+3):
		return written{}, refuse(Invalid, "has a / that does not stand behind the area code: one field must hold one number")
	case strings.HasSuffix(last, ")"):
		return written{}, refuse(Invalid, "ends with something in parentheses: write the number alone")
	case strings.HasSuffix(last, "-"), strings.HasSuffix(last, "("), strings.HasSuffix(last, "/"):
		return written{}, refuse(Invalid, "ends in the middle")
	}
	return w, nil
}
