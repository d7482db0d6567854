package platform

import (
	"slices"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

// RunStatus is a word for how a run stands. The set is open; a word is kept as it was
// written, and compared with Is, in any spelling. That a run is completed says that its
// nodes ran, not that anybody answered: see LastSession.
type RunStatus string

// Known words of runs. The first five can be asked for in a list.
const (
	RunScheduled  RunStatus = "scheduled"
	RunRunning    RunStatus = "running"
	RunCompleted  RunStatus = "completed"
	RunCanceled   RunStatus = "canceled"
	RunFailed     RunStatus = "failed"
	RunNotStarted RunStatus = "not_started"
	RunSucceeded  RunStatus = "succeeded"
	RunSkipped    RunStatus = "skipped"
)

// SessionStatus is a word for how a session stands, as RunStatus is for a run.
type SessionStatus string

// Known words of sessions.
const (
	SessionQueued     SessionStatus = "queued"
	SessionInProgress SessionStatus = "in-progress"
	SessionCompleted  SessionStatus = "completed"
	SessionBusy       SessionStatus = "busy"
	SessionMissed     SessionStatus = "missed"
	SessionVoicemail  SessionStatus = "voicemail"
	SessionFailed     SessionStatus = "failed"
	SessionCanceled   SessionStatus = "canceled" // also of business hours and of a contact block
)

// Environment is one of those into which a version of a workflow is published.
type Environment string

// Environments.
const (
	Production  Environment = "production"
	Staging     Environment = "staging"
	Development Environment = "development"
)

// Known words, and whether what they are of is over.
var (
	runOver = map[RunStatus]bool{
		RunScheduled: false, RunRunning: false, RunNotStarted: false,
		RunCompleted: true, RunCanceled: true, RunFailed: true, RunSucceeded: true, RunSkipped: true,
	}
	sessionOver = map[SessionStatus]bool{
		SessionQueued: false, SessionInProgress: false,
		SessionCompleted: true, SessionBusy: true, SessionMissed: true, SessionVoicemail: true, SessionFailed: true, SessionCanceled: true,
	}
)

// spellings are other words for known ones.
var spellings = map[string]string{"cancelled": "canceled"}

func folded(word string) string {
	word = happyrobot.Fold(word)
	if american, ok := spellings[word]; ok {
		return american
	}
	return word
}

func byFold[W ~string](known map[W]bool) map[string]W {
	found := map[string]W{}
	for word := range known {
		found[folded(string(word))] = word
	}
	return found
}

var (
	runWords     = byFold(runOver)
	sessionWords = byFold(sessionOver)
)

// Canonical is the known spelling of a word, or the word itself when it is not known.
func (s RunStatus) Canonical() RunStatus { return canonical(runWords, s) }

// Canonical is the known spelling of a word, or the word itself when it is not known.
func (s SessionStatus) Canonical() SessionStatus { return canonical(sessionWords, s) }

func canonical[W ~string](words map[string]W, word W) W {
	if known, ok := words[folded(string(word))]; ok {
		return known
	}
	return word
}

// Is reports whether two words are spellings of one.
func (s RunStatus) Is(other RunStatus) bool { return folded(string(s)) == folded(string(other)) }

// Is reports whether two words are spellings of one.
func (s SessionStatus) Is(other SessionStatus) bool {
	return folded(string(s)) == folded(string(other))
}

// Is reports whether two words are spellings of one.
func (e Environment) Is(other Environment) bool { return folded(string(e)) == folded(string(other)) }

// In reports whether a list holds the word, in any spelling.
func (e Environment) In(list []Environment) bool { return slices.ContainsFunc(list, e.Is) }

// Over says whether a run with this status is over. Unknown words are not.
func (s RunStatus) Over() bool { return runOver[s.Canonical()] }

// Over says whether a session with this status is over. Unknown words are not.
func (s SessionStatus) Over() bool { return sessionOver[s.Canonical()] }

// Known says whether any source lists the word.
func (s RunStatus) Known() bool { _, ok := runOver[s.Canonical()]; return ok }

// Known says whether any source lists the word.
func (s SessionStatus) Known() bool { _, ok := sessionOver[s.Canonical()]; return ok }
