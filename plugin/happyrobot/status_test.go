package happyrobot_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

// spellings are ways in which one status has been seen written, or may be.
func spellings(word string) []string {
	all := []string{word, strings.ToLower(word), strings.ToUpper(word), " " + word + "\n"}
	for _, separator := range []string{"-", "_", "", "  ", "\u00a0", "\u2013"} {
		all = append(all, strings.ReplaceAll(word, " ", separator), strings.ToLower(strings.ReplaceAll(word, " ", separator)))
	}
	all = append(all, word+".", "«"+word+"»", "\ufeff"+word+"\u200b", strings.ReplaceAll(word, " ", "/"), strings.ReplaceAll(word, " ", "\u2212"), strings.ReplaceAll(word, " ", "\u00ad"), fullWidth(word))
	switch word {
	case "Canceled":
		all = append(all, "Cancelled", "cancelled", "CANCELLED")
	case "Dialing":
		all = append(all, "Dialling", "dialling")
	}
	return all
}

// fullWidth writes ASCII as East Asian systems do.
func fullWidth(word string) string {
	return strings.Map(func(r rune) rune {
		if r > ' ' && r < 0x7f {
			return r + 0xfee0
		}
		return r
	}, word)
}

func TestEverySpellingOfAStatusIsThatStatus(t *testing.T) {
	for _, known := range happyrobot.KnownStatuses() {
		for _, spelling := range spellings(string(known)) {
			s := happyrobot.Status(spelling)
			assert.Equal(t, known, s.Canonical(), "%q", spelling)
			assert.True(t, s.Known(), "%q", spelling)
			assert.Equal(t, known.Final(), s.Final(), "%q", spelling)
			assert.Equal(t, known.ExpectsTranscript(), s.ExpectsTranscript(), "%q", spelling)
			assert.True(t, s.Is(known) && known.Is(s), "%q", spelling)
			assert.True(t, s.In([]happyrobot.Status{"Paused", known}), "%q", spelling)
		}
		for _, other := range happyrobot.KnownStatuses() {
			assert.Equal(t, known == other, known.Is(other), "%q, %q", known, other)
		}
	}
}

func TestStatusesOfTheCasesAreOverOrOpenOrUnknown(t *testing.T) {
	var cases struct{ Over, Open, Unknown []*happyrobot.Status }
	require.NoError(t, json.Unmarshal(testdata(t, "cases.statuses.json"), &cases))
	require.NotEmpty(t, cases.Over)
	for _, s := range cases.Over {
		assert.True(t, s.Known() && s.Final(), "%q", *s)
	}
	for _, s := range cases.Open {
		assert.True(t, s.Known() && !s.Final(), "%q", *s)
	}
	for _, s := range cases.Unknown {
		if s == nil { // null is a call without a status
			s = new(happyrobot.Status)
		}
		assert.False(t, s.Known() || s.Final() || s.ExpectsTranscript(), "%q", *s)
		assert.Equal(t, *s, s.Canonical(), "a word that nobody documents stays as it is")
	}
	assert.True(t, happyrobot.Status("left_voicemail").Is("Left voicemail"), "unknown words have spellings, too")
	assert.False(t, happyrobot.Status("").Is("Completed"))
	assert.False(t, happyrobot.Status("").Is("???"), "a word of punctuation is one")
	assert.False(t, happyrobot.Status("No answers").Known() || happyrobot.Status("Failed (busy)").Known())
}

func TestAListIsAskedForDocumentedSpellings(t *testing.T) {
	a, client := answering(t, reply{body: `{"calls":[]}`})
	_, err := client(nil).ListCallsPage(t.Context(), happyrobot.ListCallsQuery{Statuses: []happyrobot.Status{"no-answer", "Cancelled", "Paused"}})
	require.NoError(t, err)
	require.Len(t, a.requests, 1)
	assert.Equal(t, http.MethodGet, a.requests[0].Method)
	assert.Equal(t, "No answer,Canceled,Paused", a.requests[0].URL.Query().Get("statuses"))
}
