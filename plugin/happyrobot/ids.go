package happyrobot

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// idLength is what the API documents of the ids of its objects, in characters; their
// alphabet is opaque.
const idLength = 24

// unsafeInIDs are characters that no id holds: some server on the way could take an id
// with one of them for several segments of a path, for a query, or for a list.
const unsafeInIDs = `/\%?#,`

// IDPattern is a regular expression for ids of objects, for linters. It lets ids of dots
// alone pass, which ValidateID does not.
const IDPattern = `^[^\p{Z}\p{C}/\\%?#,]{24}$`

// ValidateID says what is wrong with the id of an object, without repeating it.
func ValidateID(id string) error {
	if n := utf8.RuneCountInString(id); n != idLength {
		return fmt.Errorf("must be an id of exactly %d characters, not %d", idLength, n)
	}
	return ValidateOpaqueID(id)
}

// ValidateOpaqueID says what is wrong with an id of which nothing is documented, without
// repeating it. Every id that goes into a path or a list passes here.
func ValidateOpaqueID(id string) error {
	switch {
	case id == "":
		return errors.New("must be an id, and is empty")
	case !utf8.ValidString(id), strings.ContainsFunc(id, func(r rune) bool { return unicode.In(r, unicode.Z, unicode.C) }):
		return errors.New("must be an id without blanks, control and invisible characters")
	case strings.ContainsAny(id, unsafeInIDs), strings.Trim(id, ".") == "":
		return fmt.Errorf("must be an id, which holds none of the characters %s and is not made of dots", strings.Join(strings.Split(unsafeInIDs, ""), " "))
	}
	return nil
}

// callPath is the path of a call or of a part of it.
func callPath(id, part string) (string, error) {
	if err := ValidateID(id); err != nil {
		return "", fmt.Errorf("call id: %w", err)
	}
	return "/calls/" + url.PathEscape(id) + part, nil
}
