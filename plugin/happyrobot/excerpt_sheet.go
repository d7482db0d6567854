package happyrobot

import (
	"regexp"
	"slices"
	"sort"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// shortValue is the fewest letters and digits of a value that is masked, shortNumber
	// the fewest of one without letters. Shorter ones say nothing, and stand in too many
	// texts.
	shortValue  = 2
	shortNumber = 3
	// partOfValue is how long a piece of a longer value must be to be masked where the
	// API quotes only that piece, as one that it cut off.
	partOfValue = 16
	// partOfKey is the same for the API key, of which less may be shown.
	partOfKey = 6
	// wordOfName is the fewest characters of a word of a name that is masked alone.
	wordOfName = 3
	// accountOfMail is the fewest characters before the @ of a mail address that are
	// masked alone.
	accountOfMail = 5
	// wordsOfName is the most words that a name has. Longer values are sentences.
	wordsOfName = 5
)

// sheet is a text on which stretches are masked.
type sheet struct {
	text  string
	masks []string // by byte of text: what stands for it, "" for itself

	plain string // the text as it is compared
	at    []int  // by byte of plain: the byte of text that it came from
}

func newSheet(text string) *sheet { return &sheet{text: text, masks: make([]string, len(text))} }

// compare makes the plain text, which only what is compared with it needs.
func (s *sheet) compare() {
	var b strings.Builder
	for i, r := range s.text {
		part := plain(string(r))
		b.WriteString(part)
		for range len(part) {
			s.at = append(s.at, i)
		}
	}
	s.plain = b.String()
}

// mask masks bytes of the text, except those that are masked already.
func (s *sheet) mask(from, to int, as string) {
	for i := from; i < to; i++ {
		if s.masks[i] == "" {
			s.masks[i] = as
		}
	}
}

// span is where a stretch of the plain text stands in the text, accents that follow
// as characters of their own included.
func (s *sheet) span(begin, end int) (from, to int) {
	to = s.at[end-1]
	_, size := utf8.DecodeRuneInString(s.text[to:])
	to += size
	for to < len(s.text) {
		r, size := utf8.DecodeRuneInString(s.text[to:])
		if !unicode.IsMark(r) {
			break
		}
		to += size
	}
	return s.at[begin], to
}

func (s *sheet) maskAll(pattern *regexp.Regexp, as string) {
	for _, found := range pattern.FindAllStringIndex(s.text, -1) {
		s.mask(found[0], found[1], as)
	}
}

// maskSecret masks a text wherever it stands, and pieces of it with all that is
// attached to them.
func (s *sheet) maskSecret(secret string, piece int, as string) {
	secret = plain(secret)
	switch {
	case len(secret) >= piece:
		s.maskPieces(s.pieces(piece), secret, piece, func(from, to int) {
			for from > 0 && !strings.ContainsRune(delimiters, rune(s.text[from-1])) {
				from--
			}
			for to < len(s.text) && !strings.ContainsRune(delimiters, rune(s.text[to])) {
				to++
			}
			s.mask(from, to, as)
		})
	case len(secret) >= partOfKey:
		s.maskWord(secret, false, as)
	case len(secret) >= shortValue:
		s.maskWord(secret, true, as)
	}
}

// delimiters end a stretch that shows a part of a key.
const delimiters = " \t\r\n\"'<>(){}[],;:="

// maskValues masks the values that stand in the text as words of their own, pieces of
// longer ones, and single words of names. A value that is the name of a member stays:
// there the API speaks of the member.
func (s *sheet) maskValues(values []string, names map[string]bool) {
	pieces, cuts := s.pieces(partOfValue), s.cuts()
	mask := func(form string, words bool) {
		switch {
		case names[form] || documentedNames[form]:
			return
		case len(form) >= partOfValue:
			s.maskPieces(pieces, form, partOfValue, func(from, to int) { s.mask(from, to, maskedValue) })
		case len(form) >= shortNumber || len(form) >= shortValue && strings.ContainsFunc(form, unicode.IsLetter):
			s.maskWord(form, words, maskedValue)
		}
		s.maskBeginnings(cuts, form)
	}
	for _, value := range values {
		form := plain(value)
		mask(form, !spaceless(value))
		if misread := plain(latin1([]byte(value))); misread != form {
			mask(misread, true)               // the API took UTF-8 for Latin-1
			mask(plain(asciiOf(value)), true) // or had no place for the character
		}
		for _, word := range nameWords(value) {
			mask(plain(word), !spaceless(word))
		}
		for _, account := range mailAccounts(value) {
			mask(plain(account), true)
		}
	}
}

// documentedNames are the members of a call, as they are compared.
var documentedNames = func() map[string]bool {
	names := map[string]bool{}
	for _, m := range CallMembers() {
		names[plain(m.Name)] = true
	}
	return names
}()

// nameWords are the words of what may be a name: a few words, all with a capital. The
// parts of a double name are words, too.
func nameWords(value string) (words []string) {
	if len(value) > 20*wordsOfName {
		return nil
	}
	all := strings.FieldsFunc(value, func(r rune) bool { return unicode.IsSpace(r) || r == ',' })
	if len(all) == 0 || len(all) > wordsOfName || slices.ContainsFunc(all, func(word string) bool { return !capital(word) }) {
		return nil
	}
	for _, word := range all {
		parts := strings.FieldsFunc(word, func(r rune) bool { return unicode.Is(unicode.Pd, r) })
		switch {
		case len(parts) > 1 && !strings.ContainsFunc(word, unicode.IsNumber):
			parts = append(slices.DeleteFunc(parts, func(part string) bool { return !capital(part) }), word)
		case len(all) == 1:
			return nil // a single word is the value
		default:
			parts = []string{word}
		}
		for _, part := range parts {
			if utf8.RuneCountInString(part) >= wordOfName {
				words = append(words, part)
			}
		}
	}
	return words
}

func capital(word string) bool {
	first, _ := utf8.DecodeRuneInString(word)
	return unicode.IsUpper(first)
}

// mailAccounts are what stands before the @ of the mail addresses in a value.
func mailAccounts(value string) (accounts []string) {
	for _, address := range mailLike.FindAllString(value, -1) {
		if account := address[:strings.LastIndexByte(address, '@')]; utf8.RuneCountInString(account) >= accountOfMail {
			accounts = append(accounts, account)
		}
	}
	return accounts
}

// asciiOf is what an encoding without other characters leaves of a text.
func asciiOf(text string) string {
	return strings.Map(func(r rune) rune {
		if r >= utf8.RuneSelf {
			return -1
		}
		return r
	}, text)
}

// spaceless reports whether a text is of a script that puts no blanks between words,
// or attaches endings to names.
func spaceless(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool {
		return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar)
	})
}

// maskWord masks a value, with words only where it is not part of a longer word.
func (s *sheet) maskWord(value string, words bool, as string) {
	for begin := 0; begin < len(s.plain); begin++ {
		i := strings.Index(s.plain[begin:], value)
		if i < 0 {
			return
		}
		begin += i
		if from, to := s.span(begin, begin+len(value)); !words || s.stands(from, to, len(value) <= shortValue) {
			s.mask(from, to, as)
		}
	}
}

// stands reports whether a stretch is no part of a longer word. Names of members are
// written with underscores and codes with hyphens: a value as short as "en" must leave
// en-US readable.
func (s *sheet) stands(from, to int, short bool) bool {
	inWord := func(r rune) bool {
		return r == '_' || r == '-' && short || unicode.IsLetter(r) || unicode.IsNumber(r)
	}
	before, _ := utf8.DecodeLastRuneInString(s.text[:from])
	after, _ := utf8.DecodeRuneInString(s.text[to:])
	return (from == 0 || !inWord(before)) && (to == len(s.text) || !inWord(after))
}

// pieces are all stretches of a length in the plain text.
func (s *sheet) pieces(length int) map[string]bool {
	pieces := make(map[string]bool, len(s.plain))
	for i := 0; i+length <= len(s.plain); i++ {
		pieces[s.plain[i:i+length]] = true
	}
	return pieces
}

// maskPieces masks every stretch of a length that the text and a value share, each of
// them once: whatever the value, no piece of the text is searched for twice.
func (s *sheet) maskPieces(pieces map[string]bool, value string, length int, mask func(from, to int)) {
	for i := 0; i+length <= len(value); i++ {
		piece := value[i : i+length]
		if !pieces[piece] {
			continue
		}
		delete(pieces, piece)
		for begin := 0; begin < len(s.plain); begin++ {
			found := strings.Index(s.plain[begin:], piece)
			if found < 0 {
				break
			}
			begin += found
			mask(s.span(begin, begin+length))
		}
	}
}

const (
	// mostCuts is how many of the places are looked at where a text seems to be cut.
	mostCuts = 20
	// beginningOfValue is the least of a value that is masked before such a place.
	beginningOfValue = 3
)

var ellipsis = regexp.MustCompile(`\s?(?:\.\.|…)`)

// cuts are the places in the plain text where an ellipsis says that the API cut off
// what it quotes.
func (s *sheet) cuts() (ends []int) {
	for _, found := range ellipsis.FindAllStringIndex(s.text, mostCuts) {
		ends = append(ends, sort.SearchInts(s.at, found[0]))
	}
	return ends
}

// maskBeginnings masks the beginning of a value where the API cut the rest.
func (s *sheet) maskBeginnings(cuts []int, value string) {
	for _, end := range cuts {
		for length := min(partOfValue, len(value), end); length >= beginningOfValue; length-- {
			if s.plain[end-length:end] != value[:length] {
				continue
			}
			if from, to := s.span(end-length, end); s.stands(from, to, false) {
				s.mask(from, to, maskedValue)
			}
			break
		}
	}
}

// masked writes the text, with one word for each stretch that is masked, the first
// where several adjoin. A text that was cut loses its last quarter.
func (s *sheet) masked(cut bool) string {
	end := len(s.text)
	if cut {
		end -= end / 4
	}
	var b strings.Builder
	for i := 0; i < end; {
		as := s.masks[i]
		if as == "" {
			b.WriteByte(s.text[i])
			i++
			continue
		}
		b.WriteString(as)
		for i < end && s.masks[i] != "" {
			i++
		}
	}
	return strings.ToValidUTF8(b.String(), "")
}
