package plugin

import (
	"math"
	"regexp"
	"strings"
	"sync"
	"unicode"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

// documented members of a call, by name.
var documented = func() map[string]happyrobot.Member {
	byName := map[string]happyrobot.Member{}
	for _, m := range happyrobot.CallMembers() {
		byName[m.Name] = m
	}
	return byName
}()

// memberWarnings report once per component what is odd about the members of calls.
type memberWarnings struct {
	log *service.Logger

	mu   sync.Mutex
	told map[string]bool
}

// maxMemberWarnings bounds how many distinct values are reported: they come from messages.
const maxMemberWarnings = 20

// first says whether something is seen for the first time, and there is room to say so.
func (w *memberWarnings) first(what string, room int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.told[what] || len(w.told) >= room {
		return false
	}
	if w.told == nil {
		w.told = map[string]bool{}
	}
	w.told[what] = true
	return true
}

func (w *memberWarnings) deprecated(name string) {
	if w.first("deprecated "+name, math.MaxInt) {
		w.log.Warnf("Calls have the member %s, which the API documents as deprecated; it is sent as it is.", name)
	}
}

func (w *memberWarnings) value(name, value string) {
	if !w.first(name+" "+value, maxMemberWarnings) {
		return
	}
	known := documented[name].Values
	advice := "known values are " + strings.Join(known, ", ")
	if near := nearestLanguages(value, known); len(near) > 0 {
		advice = "did you mean " + strings.Join(near, " or ") + "?"
	}
	shown := "a value that is not a language tag"
	if languageTag.MatchString(value) {
		shown = value
	}
	w.log.Warnf("Calls ask for an unknown %s, which the API may refuse: %s; %s", name, shown, advice)
}

// languageTag is what may be printed: short, and no name or number of anybody.
var languageTag = regexp.MustCompile(`^[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,4}){0,2}$`)

// nearestLanguages finds the known tag that is spelt otherwise, or else those of the
// same language.
func nearestLanguages(value string, known []string) (near []string) {
	value = strings.ToLower(strings.ReplaceAll(strings.TrimSpace(value), "_", "-"))
	language, _, _ := strings.Cut(value, "-")
	for _, tag := range known {
		if strings.EqualFold(tag, value) {
			return []string{tag}
		}
		if own, _, _ := strings.Cut(tag, "-"); own == language {
			near = append(near, tag)
		}
	}
	return near
}

// nearestMember is the documented member that a name is likely a misspelling of.
func nearestMember(name string) (nearest string) {
	given := bare(name)
	if len(given) > 40 {
		return ""
	}
	best := 3 // more changes than two make another word
	for _, m := range happyrobot.CallMembers() {
		if m.Deprecated {
			continue
		}
		own := bare(m.Name)
		far := editDistance(given, own)
		if len(given) >= 4 && strings.HasPrefix(own, given) {
			far = min(far, 2) // phone, for phone_number
		}
		if far < best && far < len(given) {
			best, nearest = far, m.Name
		}
	}
	return nearest
}

// bare folds the ways in which programs write names: numberId, Number-ID, number_id.
func bare(name string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			return -1
		}
		return unicode.ToLower(r)
	}, name)
}

// editDistance counts the letters to insert, delete or replace.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.\-]{0,39}$`)

// printableName is a member's name for an error. Through `root = this` it comes from
// the message, and may be anything: a phone number, or somebody's name.
func printableName(name string) string {
	digits := 0
	for _, r := range name {
		if unicode.IsDigit(r) {
			digits++
		}
	}
	if !identifier.MatchString(name) || digits >= 7 {
		return "(a member)"
	}
	return name
}
