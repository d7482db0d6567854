package happyrobot

import (
	"encoding/json"
	"math/big"
	"regexp"
	"strconv"
)

// Member is a documented member of a call to place.
type Member struct {
	Name       string
	Deprecated bool     // superseded, and still accepted
	Values     []string // of an open enum: the API may know more. Nil for any
}

// CallMembers lists the documented members of an OutboundCall, in the order of the
// API's description. A test compares the two.
func CallMembers() []Member {
	return []Member{
		{Name: "number_id"}, {Name: "phone_number"}, {Name: "use_case_id"}, {Name: "agent_id"},
		{Name: "model_id"}, {Name: "prompt_id"},
		{Name: "language", Values: []string{
			"en-US", "en-GB", "es-MX", "es-ES", "pt-PT", "de-DE", "fr-FR", "pl-PL", "ro-RO", "it-IT",
			"es-CO", "zh-CN", "hi-IN", "ja-JP", "sv-SE",
		}},
		{Name: memberParams}, {Name: memberMetadata}, {Name: "campaign_id"}, {Name: "scheduled_for"},
		{Name: memberMaxDuration},
		{Name: "assistant_id", Deprecated: true}, {Name: "voice_id", Deprecated: true}, {Name: "model", Deprecated: true},
	}
}

// decimal is a JSON number whose exponent is short enough to be calculated with.
var decimal = regexp.MustCompile(`^-?\d{1,400}(?:\.\d{1,400})?(?:[eE][+-]?\d{1,3})?$`)

// wholeNumber reads a number that has no fraction, however it is written: 15, 15.0
// and 1.5e1 are the same minutes.
func wholeNumber(v any) (int, bool) {
	text := ""
	switch v := v.(type) {
	case json.Number:
		text = v.String()
	case float64:
		text = strconv.FormatFloat(v, 'f', -1, 64)
	case int:
		return v, true
	case int64:
		text = strconv.FormatInt(v, 10)
	case uint64:
		text = strconv.FormatUint(v, 10)
	}
	if n, err := strconv.Atoi(text); err == nil {
		return n, true
	}
	if !decimal.MatchString(text) {
		return 0, false
	}
	exact, ok := new(big.Rat).SetString(text)
	if !ok || !exact.IsInt() {
		return 0, false
	}
	n, err := strconv.Atoi(exact.Num().String())
	return n, err == nil
}
