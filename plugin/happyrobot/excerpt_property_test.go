package happyrobot

import (
	"encoding/json"
	"fmt"
	"html"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"golang.org/x/text/unicode/norm"
)

// A value is masked in every script, and in whatever encodings an API wraps it.
func TestAValueIsMaskedInEveryScriptAndEncoding(t *testing.T) {
	values := []string{
		"Nguyễn Văn An", "Müller-Lüdenscheidt", "O'Brien", "Ümit Çelik", "Łukasz Żółć", "Анна Каренина", "محمد علي", "สมชาย ใจดี", "김철수", "山田 太郎",
		"Jean-Luc d'Aubigné", "李", "Li Wu", "x-1", "ID 99-AB", "İpek Işık", "Ng", "Æsa Þórsdóttir", "עדה לוי", "ｆｕｌｌ ｗｉｄｔｈ", "Dr. A. B. Smith, PhD",
		"<b>Eve</b>", "50% off & more", `back\slash "quoted"`, "tab\tand\nnewline", "emoji 😀 Joe",
	}
	cases := []func(string) string{func(s string) string { return s }, strings.ToUpper, strings.ToLower, norm.NFD.String}
	encodings := []func(string) string{
		html.EscapeString, url.QueryEscape, url.PathEscape, escapedJSON,
		func(s string) string { b, _ := json.Marshal(s); return string(b[1 : len(b)-1]) },
	}
	places := [][2]string{{"value ", " is bad"}, {"'", "'"}, {`["`, `"]`}, {"name=", "&x=1"}, {"(", ")"}, {"", ""}}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		value := values[rng.IntN(len(values))]
		shown := cases[rng.IntN(len(cases))](value)
		for range rng.IntN(4) {
			shown = encodings[rng.IntN(len(encodings))](shown)
		}
		place := places[rng.IntN(len(places))]
		got := secrets{values: []string{value}}.excerpt(place[0]+shown+place[1], false)
		assert.Contains(t, got, maskedValue, "%q as %q", value, shown)
		assert.NotContains(t, plain(got), plain(value), "%q as %q", value, shown)
		if t.Failed() {
			return
		}
	}
}

// escapedJSON writes all but ASCII as escapes, as many languages do.
func escapedJSON(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r < utf8.RuneSelf || r > 0xffff {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}
