package happyrobot

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// refusals are the operations of the platform that Do does not call, and why.
var refusals = map[string]string{
	"triggerRun":               startsRuns,
	"triggerHook":              startsRuns,
	"triggerHookInEnvironment": startsRuns,
	// Whether it only reads cannot be told from a statement. Its tables may be what a
	// workflow knows a second run by.
	"twinSql":       "would run any SQL statement, and one that writes may undo what keeps a workflow from running twice",
	"streamSession": "would answer with a stream of events, which is not one answer; listSessionMessages reads what was said",
}

const (
	placesCalls = "would place calls past the ledger; use happyrobot_dial"
	startsRuns  = "would start runs past the ledger; use happyrobot_workflow"
)

// Refusal says why Do does not call the operation, as the end of a sentence; empty where
// it does.
func (o Operation) Refusal() string {
	if o.API == V1 && dialPath.MatchString(strings.ToLower(o.Path)) {
		return placesCalls
	}
	return refusals[o.ID]
}

// PlacesCalls says whether the operation makes phones ring, or starts a run, which may.
func (o Operation) PlacesCalls() bool {
	why := o.Refusal()
	return why == placesCalls || why == startsRuns
}

// Changes says whether the operation does more than read.
func (o Operation) Changes() bool { return o.Method != http.MethodGet }

// RefusedPath is a form of paths below a base URL to which nothing is sent.
type RefusedPath struct {
	Pattern string // a regular expression for the path in lower case
	Unless  string // one for those that are let through all the same; empty for none
	Changes bool   // it concerns only operations that change something
	Why     string // the end of a sentence
}

// ends is what may follow a word in a segment that some servers take for the word alone:
// parameters of the segment, a verb, an extension.
const ends = `([/;:.]|$)`

// RefusedPaths are the paths to which Operation.At leads no operation, so that none gets
// past a ledger. Those for changes go by words, since the platform has operations that its
// description here lacks.
func RefusedPaths() []RefusedPath { return slices.Clone(refusedPaths) }

var refusedPaths = []RefusedPath{
	{Pattern: `(^|/)dial` + ends, Why: placesCalls},
	{Pattern: `(^|/)hooks?` + ends, Why: "would reach a hook, which starts runs past the ledger; use happyrobot_workflow"},
	{Pattern: `(^|/)signals?` + ends, Why: "would send signals into live sessions"},
	{Pattern: `(^|/)stream[^/]*$`, Why: refusals["streamSession"]},
	{Changes: true, Pattern: `(^|/)twin` + ends, Why: refusals["twinSql"]},
	{Changes: true, Pattern: `trigger|re-?start|re-?run|re-?try|re-?dial|re-?play`, Why: startsRuns},
	{Changes: true, Pattern: `(^|[/_.~:;-])(runs?|start|resume|execute|launch|dispatch)([_.~:;-][^/]*)?$`, Unless: `(^|/)cancel-runs?$`, Why: startsRuns},
}

const cancelsNothing = "does not end with cancel, as those of all known changes of the platform do"

// CancelPath is a regular expression for the paths, in lower case, that the changes of the
// platform may be given: all of those that are known cancel something.
const CancelPath = `/cancel(-[a-z]+)*$`

var (
	dialPath        = regexp.MustCompile(refusedPaths[0].Pattern)
	cancelPath      = regexp.MustCompile(CancelPath)
	refusedCompiled = func() (compiled [][2]*regexp.Regexp) {
		for _, refused := range refusedPaths {
			c := [2]*regexp.Regexp{regexp.MustCompile(refused.Pattern)}
			if refused.Unless != "" {
				c[1] = regexp.MustCompile(refused.Unless)
			}
			compiled = append(compiled, c)
		}
		return compiled
	}()
)

// refusesPath says why the operation must not be sent to a path, which is not escaped;
// empty where it may.
func (o Operation) refusesPath(path string) string {
	path = strings.ToLower(path)
	for i, refused := range refusedPaths {
		c := refusedCompiled[i]
		if (o.Changes() || !refused.Changes) && c[0].MatchString(path) && (c[1] == nil || !c[1].MatchString(path)) {
			return refused.Why
		}
	}
	if o.API != V1 && o.Changes() && !cancelPath.MatchString(path) {
		return cancelsNothing
	}
	return ""
}

// refusesFilled is refusesPath for a path whose parameters are filled in. In the
// operation's own path they are ids, which lead nowhere else.
func (o Operation) refusesFilled(path string) string {
	if o.atOwnPath() {
		if o.API == V1 && dialPath.MatchString(strings.ToLower(path)) {
			return placesCalls
		}
		return ""
	}
	return o.refusesPath(path)
}
