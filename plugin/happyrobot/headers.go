package happyrobot

import (
	"fmt"
	"regexp"
	"strings"
)

var headerName = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")

// RefusedHeader are headers that cannot be set for every request.
type RefusedHeader struct {
	Pattern string // a regular expression for their names in lower case
	Why     string
}

var refusedHeaders = []RefusedHeader{
	{`^authorization$`, "the client sends the key in it; set api_key"},
	{`^host$`, "it would be ignored; set base_url"},
	{`^content-`, "the client describes the body that it sends"},
	{`^accept-encoding$`, "the client could not read the replies"},
	{`^(x-)?idempotency-key$`, "a dial that carries it may be sent twice"},
	{`^(connection|expect|keep-alive|te|trailer|transfer-encoding|upgrade)$`, "it belongs to the connection, not to a request"},
}

// RefusedHeaders are the headers that ValidateHeader refuses, for linters.
func RefusedHeaders() []RefusedHeader { return append([]RefusedHeader(nil), refusedHeaders...) }

// ValidateHeader says what is wrong with a header for every request, without repeating
// its value. One that cannot be sent would fail every request before it leaves, which
// looks like an outage.
func ValidateHeader(name, value string) error {
	if !headerName.MatchString(name) {
		return fmt.Errorf("%q is not the name of a header", name)
	}
	if strings.ContainsFunc(value, func(r rune) bool { return r != '\t' && (r < ' ' || r == 0x7f) }) {
		return fmt.Errorf("the value of %s must not contain control characters", name)
	}
	for _, refused := range refusedHeaders {
		if regexp.MustCompile(refused.Pattern).MatchString(strings.ToLower(name)) {
			return fmt.Errorf("%s must not be set: %s", name, refused.Why)
		}
	}
	return nil
}
