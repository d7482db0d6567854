package happyrobot

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"html"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

const (
	maxExcerptRead = 4 << 10 // read of an error's body
	maxExcerpt     = 256     // kept of it
)

// Words that stand for what is masked.
const (
	maskedKey    = "(key)"
	maskedHeader = "(header)"
	maskedToken  = "(token)"
	maskedMail   = "(mail)"
	maskedNumber = "(number)"
	maskedValue  = "(value)"
)

var (
	// phoneLike finds what may be a phone number: seven or more digits of any script,
	// with up to three characters between two of them that are neither letter nor digit,
	// or an x.
	phoneLike = regexp.MustCompile(`\+?\(?[\p{Nd}\p{No}](?:(?:[^\p{L}\p{N}]{0,3}|[^\p{L}\p{N}]?[xX][^\p{L}\p{N}]?)[\p{Nd}\p{No}]){6,}`)

	mailLike = regexp.MustCompile(`[^\s@<>"'()\[\]{},;:=|\\/]+@[^\s@<>"'()\[\]{},;:=|\\/]+\.[\p{L}\p{N}-]{2,}`)

	// tokenLike finds credentials by the word before them, and JSON web tokens. Short
	// words of letters alone are left, as in "bearer authentication".
	tokenLike = regexp.MustCompile(`(?i:\b(?:bearer|basic)[\s:+]+(?:[\w.~+/=-]*\d[\w.~+/=-]*|[\w.~+/=-]{20,}))|\beyJ[\w-]{8,}\.[\w.-]+`)

	// signedLike finds what signs a URL, from the first such parameter to the end.
	signedLike = regexp.MustCompile(`(?i)[?&][\w.~-]*(?:signature|sig|credential|token|expires|policy|key-pair-id)[\w.~-]*=[^\s"'<>]*`)
)

// Excerpt shortens text of the API's for an error, and masks in it phone numbers,
// mail addresses, tokens and what signs a URL.
func Excerpt(s string) string { return secrets{}.excerpt(s, false) }

// secrets are texts that an excerpt must not show: what the request carried that the
// text answers, and what the client was configured with. They are collected only when
// a request failed.
type secrets struct {
	keys    []string
	headers []string
	values  []string
	names   map[string]bool // of members, which stay readable; folded
}

// secretsOf collects them of a request.
func (c *Client) secretsOf(r request) secrets {
	s := secrets{keys: c.opts.APIKeys(), names: map[string]bool{}}
	for _, v := range c.opts.Headers {
		s.headers = append(s.headers, v)
	}
	for name, values := range r.query {
		s.names[plain(name)] = true
		if !slices.Contains(plainQuery, name) {
			s.values = append(s.values, values...)
		}
	}
	if r.body != nil {
		s.collect(r.body.json)
	}
	return s
}

// plainQuery are the parameters whose values are words of the API, or counts.
var plainQuery = []string{"type", "statuses", "sort", "limit", "skip", "page", "page_size", "status", "environment", "is_e2e_test", "annotation"}

// minNumber is how many characters a number in JSON must have to be masked: limits
// and lengths, of which the API's words speak, are shorter.
const minNumber = 4

// collect takes the values of a body, and the names of its members.
func (s *secrets) collect(body []byte) {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for name, member := range v {
				s.names[plain(name)] = true
				walk(member)
			}
		case []any:
			for _, item := range v {
				walk(item)
			}
		case string:
			s.values = append(s.values, v)
		case json.Number:
			if len(v) >= minNumber {
				s.values = append(s.values, v.String())
			}
		}
	}
	for {
		var v any
		if err := dec.Decode(&v); err != nil {
			if err != io.EOF {
				s.values = append(s.values, string(body))
			}
			return
		}
		walk(v)
	}
}

// excerpt masks, and then shortens. A text that was cut when it was read loses its
// last quarter, in which a secret may have been cut in two.
func (s secrets) excerpt(text string, cut bool) string {
	t := newSheet(decoded(text))
	if len(s.keys)+len(s.headers)+len(s.values) > 0 {
		t.compare()
	}
	for _, key := range s.keys {
		for _, form := range formsOf(key) {
			t.maskSecret(form, partOfKey, maskedKey)
		}
	}
	for _, header := range s.headers {
		for _, form := range formsOf(header) {
			t.maskSecret(form, partOfValue, maskedHeader)
		}
	}
	t.maskAll(signedLike, maskedToken)
	t.maskAll(tokenLike, maskedToken)
	t.maskAll(mailLike, maskedMail)
	t.maskAll(phoneLike, maskedNumber)
	t.maskValues(s.values, s.names)
	shown := t.masked(cut)
	shown = strings.Join(strings.FieldsFunc(shown, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }), " ")
	if len(shown) > maxExcerpt {
		shown = strings.ToValidUTF8(shown[:maxExcerpt], "") + "..."
	}
	return shown
}

// formsOf are a secret, and what base64 makes of it behind any number of other bytes,
// such as a user's name and a colon. All alphabets of base64 are compared as one, since
// they differ in what is no letter or digit.
func formsOf(secret string) []string {
	forms := []string{secret}
	if len(secret) < partOfKey {
		return forms // of which too little is left
	}
	for shift := range 3 {
		written := base64.RawStdEncoding.EncodeToString(append(make([]byte, shift), secret...))
		forms = append(forms, written[(8*shift+5)/6:]) // without what the bytes before have a part in
	}
	return forms
}

var (
	jsonEscapes    = regexp.MustCompile(`(?:\\u[0-9a-fA-F]{4})+|\\["\\/bfnrt]`)
	codeEscapes    = regexp.MustCompile(`\\u\{0*[0-9a-fA-F]{1,6}\}`)
	byteEscapes    = regexp.MustCompile(`(?:\\x[0-9a-fA-F]{2})+`)
	percentEscapes = regexp.MustCompile(`(?:%[0-9a-fA-F]{2})+`)
	// mailEscapes are those of quoted-printable mail, two or more: one alone may be the
	// beginning of a value, as in id=48213.
	mailEscapes = regexp.MustCompile(`(?:=[0-9a-fA-F]{2}){2,}`)
)

// mostEncodings is how many times a text may be wrapped in another encoding, such as
// JSON in a string of JSON.
const mostEncodings = 4

// decoded undoes the ways in which an API may write what it quotes: JSON, HTML, URLs,
// mail, characters and bytes of a programming language, and Latin-1. What a text says must not depend on
// them.
func decoded(s string) string {
	s = validText([]byte(s))
	for range mostEncodings {
		before := s
		s = jsonEscapes.ReplaceAllStringFunc(s, func(escape string) string {
			var text string
			if json.Unmarshal([]byte(`"`+escape+`"`), &text) != nil {
				return escape
			}
			return text
		})
		s = codeEscapes.ReplaceAllStringFunc(s, func(escape string) string {
			code, err := strconv.ParseInt(strings.Trim(escape, `\u{}`), 16, 32)
			if err != nil || !utf8.ValidRune(rune(code)) {
				return escape
			}
			return string(rune(code))
		})
		s = byteEscapes.ReplaceAllStringFunc(s, func(escape string) string { return validText(hexBytes(escape, `\x`)) })
		s = percentEscapes.ReplaceAllStringFunc(s, func(escape string) string { return validText(hexBytes(escape, "%")) })
		s = mailEscapes.ReplaceAllStringFunc(s, func(escape string) string { return validText(hexBytes(escape, "=")) })
		s = html.UnescapeString(s)
		if s == before {
			break
		}
	}
	return s
}

// validText reads bytes as UTF-8, or else each as a character of Latin-1.
func validText(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	return latin1(b)
}

func latin1(b []byte) string {
	runes := make([]rune, len(b))
	for i, c := range b {
		runes[i] = rune(c)
	}
	return string(runes)
}

func hexBytes(escapes, prefix string) (b []byte) {
	for _, digits := range strings.Split(escapes, prefix)[1:] {
		var c byte
		for _, d := range []byte(strings.ToLower(digits)) {
			c = c<<4 | byte(strings.IndexByte("0123456789abcdef", d))
		}
		b = append(b, c)
	}
	return b
}

// plain is a text as texts are compared: letters and digits only, without case and
// accents.
func plain(s string) string {
	return oneCase.Replace(strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsNumber(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, norm.NFKD.String(s)))
}

// oneCase joins letters that have one capital form and more than one small form.
var oneCase = strings.NewReplacer("ß", "ss", "ς", "σ", "ı", "i")
