package plugin

import (
	"regexp"
	"strings"
	"unicode"
)

// missingWords are the words that programs and spreadsheets write where there is
// nothing, in any case.
var missingWords = map[string]bool{
	"null": true, "none": true, "nil": true, "undefined": true,
	"n/a": true, "#n/a": true, "#null!": true, "#value!": true, "#ref!": true, "#name?": true, "#div/0!": true, "#num!": true,
}

// notANumber holds those that programs write in one way, and people, whose names are
// Nan, Nat and NAT, in another: JavaScript, Java, Go and pandas; Python and C; PHP; pandas.
var notANumber = map[string]bool{"NaN": true, "nan": true, "NAN": true, "NaT": true}

// Such a word in a text that was joined before it came here is a missing part where it
// is all that stands between two separators. There Null and NAN are names. A comma or
// colon before a blank is prose: "Null, Anna", "note: none". What is in angle brackets
// is no name anywhere.
var (
	missingPart  = regexp.MustCompile(`(?:^|[/|:;,])[\s"'(\[{]*(null|NULL|None|NONE|none|nil|undefined|NaN|nan|NaT|#?N/A|#?n/a)[\s"')\]}]*(?:[/|:;,]|$)`)
	prose        = regexp.MustCompile(`[:,]\s`)
	bracketedNil = regexp.MustCompile(`<nil>|<NA>`)
)

// unwrapped is a text without what surrounds a value and says nothing.
func unwrapped(text string) string {
	return strings.TrimFunc(text, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.In(r, unicode.Cc, unicode.Cf) || strings.ContainsRune(`"'<>()[]{}`, r)
	})
}

// missingWord is the word that a text consists of, if it stands for nothing.
func missingWord(text string) string {
	if word := unwrapped(text); notANumber[word] || missingWords[strings.ToLower(word)] {
		return word
	}
	return ""
}

// missingWordIn is the word with which a text, or a part of it, stands for nothing.
func missingWordIn(text string) string {
	if word := missingWord(text); word != "" {
		return word
	}
	// Each of the words below has an n: most keys need no closer look.
	if !strings.ContainsAny(text, "nN") {
		return ""
	}
	if word := bracketedNil.FindString(text); word != "" {
		return word
	}
	if m := missingPart.FindStringSubmatch(prose.ReplaceAllString(text, "_")); m != nil {
		return m[1]
	}
	return ""
}

// separators join the parts of a key. A dash, a dot or a blank is part of many ids.
const separators = "/|:;,"

// onlySeparators says that a key is nothing but separators.
func onlySeparators(key string) bool { return strings.Trim(key, separators+" ") == "" }

// hasOpenEnd says that a key begins or ends with a separator, as if a part lacked.
func hasOpenEnd(key string) bool { return strings.Trim(key, separators) != key }
