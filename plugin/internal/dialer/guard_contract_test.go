package dialer

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/ledger"
)

// A guard that breaks its contract must not let a call through, nor stop one without
// saying why.
func TestAVerdictThatLacksWhatItNeedsPanics(t *testing.T) {
	whole := map[Ruling]Verdict{
		Later:  {Ruling: Later, NotBefore: time.Now(), Cause: "evening", Why: errTooLate},
		Pause:  {Ruling: Pause, Cause: "switch", Why: errTooLate},
		Refuse: {Ruling: Refuse, Outcome: "outside_hours", Reason: "hours", Why: errTooLate},
	}
	for ruling, v := range whole {
		assert.NotPanics(t, func() { v.mustBeWhole(&fakeGuard{}) }, ruling)
	}
	without := func(r Ruling, change func(v *Verdict)) Verdict {
		v := whole[r]
		change(&v)
		return v
	}
	const waits, refuses = "guard *dialer.fakeGuard: a verdict Later or Pause needs a Cause and a Why", "guard *dialer.fakeGuard: a verdict Refuse needs an Outcome, a Reason and a Why"
	for name, tt := range map[string]struct {
		verdict Verdict
		text    string
	}{
		"refused without an outcome": {without(Refuse, func(v *Verdict) { v.Outcome = "" }), refuses},
		"refused without a reason":   {without(Refuse, func(v *Verdict) { v.Reason = "" }), refuses},
		"refused without a why":      {without(Refuse, func(v *Verdict) { v.Why = nil }), refuses},
		"later without a cause":      {without(Later, func(v *Verdict) { v.Cause = "" }), waits},
		"later without a why":        {without(Later, func(v *Verdict) { v.Why = nil }), waits},
		"paused without a cause":     {without(Pause, func(v *Verdict) { v.Cause = "" }), waits},
		"paused without a why":       {without(Pause, func(v *Verdict) { v.Why = nil }), waits},
		"no ruling":                  {Verdict{Ruling: Pause + 1}, "guard *dialer.fakeGuard: no such ruling: 4"},
	} {
		for where, g := range map[string]*fakeGuard{
			"check":   {check: func(time.Time, *Call) Verdict { return tt.verdict }},
			"look up": {lookUp: func(calls []*Call) []Verdict { return slices.Repeat([]Verdict{tt.verdict}, len(calls)) }},
			"reserve": {reserve: func(calls []*Call) []Verdict { return slices.Repeat([]Verdict{tt.verdict}, len(calls)) }},
		} {
			t.Run(name+", "+where, func(t *testing.T) {
				api := &fakeAPI{}
				d := open(t, api, ledger.NewMemory(), guarded(g))
				assert.PanicsWithValue(t, tt.text, func() { _, _ = d.Dial(t.Context(), leads(t, 2)) })
				assert.Empty(t, api.requests())
			})
		}
	}
}

func TestVerdictsThatAreNotOneForEachCallAllowNothing(t *testing.T) {
	g, jobs := &fakeGuard{}, []*job{{}, {}}
	assert.PanicsWithValue(t, "guard *dialer.fakeGuard: 1 verdicts on 2 calls", func() { judge(g, jobs, []Verdict{{}}) })
	assert.Panics(t, func() { judge(g, jobs, []Verdict{}) })
	assert.Panics(t, func() { judge(g, jobs, []Verdict{{}, {}, {}}) })
	assert.Nil(t, judge(g, jobs, nil))
}
