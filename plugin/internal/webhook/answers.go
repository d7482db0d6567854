// Package webhook is the HTTP door for call events: who may post them, that each is
// taken once, and what its sender is told. It knows neither Benthos nor what becomes of
// an event.
package webhook

import (
	"net/http"
	"slices"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

// Result is how a request ended.
type Result string

// All results: each is a key of answers.
const (
	Taken       Result = "taken"        // the pipeline has taken the event
	Known       Result = "known"        // it had taken it before
	Failed      Result = "failed"       // it refused it
	Late        Result = "late"         // it took longer than the sender may wait
	Busy        Result = "busy"         // too many events wait already
	CacheFailed Result = "cache_failed" // whether it had taken it cannot be found out
	Stopping    Result = "stopping"     // no event is taken any more

	WrongPath   Result = "wrong_path"
	WrongMethod Result = "wrong_method"
	Stranger    Result = "stranger" // the secret is missing or wrong
	TooLarge    Result = "too_large"
	Slow        Result = "slow" // the body did not arrive in time
	Cut         Result = "cut"  // the body ended before its end
	NoJSON      Result = "no_json"
	NoEvent     Result = "no_event"

	WrongEncoding Result = "wrong_encoding" // the body is compressed in a way that is not read
	BadEncoding   Result = "bad_encoding"   // it is not compressed as it says
)

// answer is what the sender is told: a status, and a few words.
type answer struct {
	status int
	text   string
}

var answers = map[Result]answer{
	Taken:       {http.StatusOK, ""},
	Known:       {http.StatusOK, ""},
	Failed:      {http.StatusServiceUnavailable, "not taken"},
	Late:        {http.StatusServiceUnavailable, "not taken in time"},
	Busy:        {http.StatusServiceUnavailable, "too many events at once"},
	CacheFailed: {http.StatusServiceUnavailable, "not taken"},
	Stopping:    {http.StatusServiceUnavailable, "stopping"},

	WrongPath:   {http.StatusNotFound, "not found"},
	WrongMethod: {http.StatusMethodNotAllowed, "only POST"},
	Stranger:    {http.StatusUnauthorized, "unauthorized"},
	TooLarge:    {http.StatusRequestEntityTooLarge, "too large"},
	Slow:        {http.StatusRequestTimeout, "too slow"},
	Cut:         {http.StatusBadRequest, "cut short"},
	NoJSON:      {http.StatusBadRequest, happyrobot.ErrNoJSON.Error()},
	NoEvent:     {http.StatusBadRequest, "the body is no CloudEvent (id, type), no call hook (type, call.id), no callback (run id)"},

	WrongEncoding: {http.StatusUnsupportedMediaType, "only gzip"},
	BadEncoding:   {http.StatusBadRequest, "not gzip"},
}

// Results are the names of all results, in alphabetical order.
func Results() (names []string) {
	for result := range answers {
		names = append(names, string(result))
	}
	slices.Sort(names)
	return names
}
