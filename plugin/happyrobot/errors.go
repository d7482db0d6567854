package happyrobot

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const maxRetryAfter = time.Hour

// Error is a request that was not made, not answered, refused, or answered with what
// cannot be read. Class says what that means.
type Error struct {
	Op         string        // operation id, see Operations
	Status     int           // of the answer, 0 when there was none; a 2xx is a reply that cannot be read
	Message    string        // the API's own words, short, masked
	RetryAfter time.Duration // 0 when not asked for; at most an hour
	Body       string        // beginning of the reply, masked
	HTML       bool          // the reply is a page: of a proxy or firewall before the API, or of another host
	Err        error         // what went wrong here, if not the API's answer

	notSent bool
	setup   bool // the base URL is wrong, whatever the status
	unmet   bool // no answer was good before this one, see baseCheck
}

// Error says what failed, without key, number or transcript.
func (e *Error) Error() string {
	switch {
	case e.Err != nil && e.Status != 0:
		return fmt.Sprintf("%s: status %d: %v", e.Op, e.Status, e.Err)
	case e.Err != nil:
		return fmt.Sprintf("%s: %v", e.Op, e.Err)
	case e.Message != "":
		return fmt.Sprintf("%s: status %d: %s", e.Op, e.Status, e.Message)
	default:
		return fmt.Sprintf("%s: status %d %s", e.Op, e.Status, http.StatusText(e.Status))
	}
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

var errTooLarge = errors.New("the reply is larger")

// replyError makes the error of a reply whose body begins so. What the request carried
// is masked in it.
func replyError(op string, res *http.Response, body []byte, of secrets) *Error {
	cut := len(body) >= maxExcerptRead
	e := &Error{Op: op, Status: res.StatusCode, RetryAfter: retryAfter(res.Header.Get("Retry-After"), time.Now()), Body: of.excerpt(string(body), cut)}
	e.HTML = isPage(res.Header.Get("Content-Type"), body)
	var told struct {
		Message any `json:"message"`
		Error   any `json:"error"`
	}
	if json.Unmarshal(body, &told) == nil {
		if s, ok := told.Message.(string); ok {
			e.Message = of.excerpt(s, false)
		} else if s, ok := told.Error.(string); ok {
			e.Message = of.excerpt(s, false)
		}
	}
	if to, err := res.Location(); err == nil && e.redirected() {
		// Without the query, which may be signed.
		e.Message = of.excerpt("redirected to "+to.Scheme+"://"+to.Host+to.Path+", which is never followed; check the URL", false)
	}
	return e
}

// isPage says whether a reply is HTML.
func isPage(contentType string, body []byte) bool {
	kind, _, _ := strings.Cut(contentType, ";")
	if kind = strings.ToLower(strings.TrimSpace(kind)); kind == "text/html" || kind == "application/xhtml+xml" {
		return true
	}
	begins := strings.ToLower(string(bytes.TrimLeft(bytes.TrimPrefix(body, byteOrderMark), " \t\r\n")))
	return strings.HasPrefix(begins, "<!doctype html") || strings.HasPrefix(begins, "<html")
}

// retryAfter reads seconds or an HTTP date.
func retryAfter(header string, now time.Time) time.Duration {
	header = strings.TrimSpace(header)
	if header == "" {
		return 0
	}
	var wait time.Duration
	if seconds, err := strconv.ParseFloat(header, 64); err == nil {
		if !(seconds < maxRetryAfter.Seconds()) { // also NaN
			return maxRetryAfter
		}
		wait = time.Duration(seconds * float64(time.Second))
	} else if at, err := http.ParseTime(header); err == nil {
		wait = at.Sub(now)
	}
	return min(max(wait, 0), maxRetryAfter)
}

// scrub takes the URL out of a transport error, which may hold a number searched
// for, and masks in what it quotes of the peer's answer what an excerpt must not show.
func scrub(err error, of func() secrets) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	words := err.Error()
	if quoted.MatchString(words) {
		hidden := of()
		words = quoted.ReplaceAllStringFunc(words, func(s string) string { return hidden.excerpt(s, false) })
	}
	return transportError{err, words}
}

var quoted = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)

type transportError struct {
	cause error
	words string
}

func (e transportError) Error() string { return e.words }
func (e transportError) Unwrap() error { return e.cause }

// ErrOtherForm is the cause of an error about a 2xx with JSON that is not what was asked for.
var ErrOtherForm = errors.New("unexpected shape")

var errNoJSON = errors.New("not JSON, or cut short")

// decodeError keeps the value that did not fit out of the words.
func decodeError(reply []byte, err error) error {
	var t *json.UnmarshalTypeError
	switch {
	case !validJSON(reply):
		return errNoJSON
	case errors.As(err, &t):
		return fmt.Errorf("%w: %s", ErrOtherForm, misfit(t))
	case errors.Is(err, ErrOtherForm) || errors.Is(err, errOtherCall) || errors.Is(err, errNoCall):
		return err
	}
	return ErrOtherForm
}

// misfit says in the words of JSON what was found, and where what was expected.
func misfit(t *json.UnmarshalTypeError) string {
	found, _, _ := strings.Cut(t.Value, " ") // a number is quoted after it
	where := ""
	if t.Field != "" {
		where = t.Field + ": "
	}
	return where + article(found) + " where " + article(jsonType(t.Type)) + " was expected"
}

func article(kind string) string {
	if strings.ContainsRune("aeiou", rune(kind[0])) {
		return "an " + kind
	}
	return "a " + kind
}

// jsonType is what JSON calls the values that decode into a type.
func jsonType(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return jsonType(t.Elem())
	case reflect.Struct, reflect.Map:
		return "object"
	case reflect.Slice, reflect.Array:
		return "array"
	case reflect.Bool:
		return "bool"
	case reflect.String:
		return "string"
	default:
		return "number"
	}
}
