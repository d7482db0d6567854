package happyrobot

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// Status of a call: an open word. Three generations of the documentation list
// different ones, and copies of the API write them in other case, with hyphens, or
// in British spelling. A Status is kept as it was written; its methods compare the
// folded word, so that no reader can forget to.
type Status string

// Documented statuses.
const (
	StatusScheduled     Status = "Scheduled"
	StatusQueued        Status = "Queued"
	StatusInitiated     Status = "Initiated"
	StatusRinging       Status = "Ringing"
	StatusInProgress    Status = "In progress"
	StatusTransferred   Status = "Transferred"
	StatusCompleted     Status = "Completed"
	StatusAMDTerminated Status = "AMD Terminated"
	StatusBusy          Status = "Busy"
	StatusNoAnswer      Status = "No answer"
	StatusCanceled      Status = "Canceled"
	StatusFailed        Status = "Failed"

	// Oldest generation.
	StatusDialing   Status = "Dialing"
	StatusConnected Status = "Connected"
	StatusEnded     Status = "Ended"
	StatusMissed    Status = "Missed"
	StatusAbandoned Status = "Abandoned"
)

// final says of each known status whether the call is over; the API does not,
// so it is read from the words.
var final = map[Status]bool{
	StatusScheduled: false, StatusQueued: false, StatusInitiated: false, StatusRinging: false,
	StatusInProgress: false, StatusDialing: false, StatusConnected: false,
	StatusTransferred: true, StatusCompleted: true, StatusAMDTerminated: true, StatusBusy: true,
	StatusNoAnswer: true, StatusCanceled: true, StatusFailed: true,
	StatusEnded: true, StatusMissed: true, StatusAbandoned: true,
}

// byFold finds a documented status by its folded word, in either spelling.
var byFold = func() map[string]Status {
	found := map[string]Status{"cancelled": StatusCanceled, "dialling": StatusDialing}
	for s := range final {
		found[s.fold()] = s
	}
	return found
}()

const minusSign = '\u2212' // which stands for a hyphen, and is no punctuation

// Fold drops what the spellings of one word of the API differ in: case, width, and the
// blanks, punctuation and invisible characters in and around it. A word of nothing else
// stays, so that it is no spelling of an empty one. Words of both generations are compared
// so, and in no other way.
func Fold(word string) string {
	folded := strings.ToLower(strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || unicode.IsPunct(r) || unicode.Is(unicode.Cf, r) || r == minusSign {
			return -1
		}
		return r
	}, norm.NFKC.String(word)))
	return cmp.Or(folded, strings.TrimSpace(word))
}

func (s Status) fold() string { return Fold(string(s)) }

// Canonical returns the documented spelling of a status, however it is written, or
// the status itself when no documentation lists it.
func (s Status) Canonical() Status {
	if _, documented := final[s]; documented {
		return s
	}
	if known, ok := byFold[s.fold()]; ok {
		return known
	}
	return s
}

// Is reports whether two statuses are spellings of one word, documented or not.
func (s Status) Is(other Status) bool {
	return s == other || s.Canonical().fold() == other.Canonical().fold()
}

// In reports whether a list holds the status, in any spelling.
func (s Status) In(list []Status) bool { return slices.ContainsFunc(list, s.Is) }

// Final says whether a call with this status is over. Unknown words are not.
func (s Status) Final() bool { return final[s.Canonical()] }

// Known says whether any documentation lists the word.
func (s Status) Known() bool { _, ok := final[s.Canonical()]; return ok }

// KnownStatuses are the words that any documentation lists, sorted.
func KnownStatuses() []Status { return slices.Sorted(maps.Keys(final)) }

// ExpectsTranscript says whether a call that ended so was a talk, whose
// transcript is worth waiting for. Others may have one, or never.
func (s Status) ExpectsTranscript() bool {
	switch s.Canonical() {
	case StatusCompleted, StatusTransferred, StatusEnded:
		return true
	}
	return false
}
