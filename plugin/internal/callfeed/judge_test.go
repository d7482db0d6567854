package callfeed

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

func TestWhatAnObservedCallIsEmittedAs(t *testing.T) {
	const day = 24 * time.Hour
	all := rules{poll: 15 * time.Second, maxAge: 7 * day}
	with := func(change func(*rules)) rules {
		r := all
		change(&r)
		return r
	}
	changes := with(func(r *rules) { r.changes = true })
	busy := with(func(r *rules) { r.statuses = []happyrobot.Status{"Busy", "Left word"} })
	busyChanges := with(func(r *rules) { r.statuses, r.changes = busy.statuses, true })
	now := time.Now()
	for name, tc := range map[string]struct {
		rules   rules
		status  happyrobot.Status
		emitted happyrobot.Status
		age     time.Duration
		want    verdict // without since and next
	}{
		"over":                         {rules: all, status: "Completed", want: verdict{outcome: Complete}},
		"over, however old":            {rules: all, status: "completed", age: 30 * day, want: verdict{outcome: Complete}},
		"over, not wanted":             {rules: busy, status: "Completed", want: verdict{finished: true}},
		"over by the user's word":      {rules: busy, status: "left-word", want: verdict{outcome: Complete}},
		"not over":                     {rules: all, status: "Ringing"},
		"not over, old":                {rules: all, status: "Ringing", age: 8 * day, want: verdict{finished: true, expired: true}},
		"unknown":                      {rules: all, status: "Left word"},
		"unknown, old":                 {rules: all, status: "Left word", age: 8 * day, want: verdict{outcome: Expired}},
		"unknown, old, not wanted":     {rules: busy, status: "Odd", age: 8 * day, want: verdict{finished: true, expired: true}},
		"unknown, old, emitted before": {rules: changes, status: "Odd", emitted: "Odd", age: 8 * day, want: verdict{emitted: "Odd", finished: true, expired: true}},
		"a change":                     {rules: changes, status: "Ringing", emitted: "Queued", want: verdict{emitted: "Queued", outcome: NotReady}},
		"another spelling":             {rules: changes, status: "in-progress", emitted: "In progress", want: verdict{emitted: "In progress"}},
		"a change, not wanted":         {rules: busyChanges, status: "Ringing", emitted: "Queued", want: verdict{emitted: "Ringing"}},
	} {
		t.Run(name, func(t *testing.T) {
			since := now.Add(-tc.age)
			got := tc.rules.judge(since, since, tc.emitted, itemOf(tc.rules, happyrobot.Call{Status: tc.status}), now)
			assert.True(t, got.since.Equal(since))
			watched := tc.want.outcome == "" && !tc.want.finished
			assert.True(t, !watched || got.next.After(now), "it is looked at again")
			got.since, got.next = time.Time{}, time.Time{}
			assert.Equal(t, tc.want, got)
		})
	}
}

func TestACallIsLookedAtTheLessOftenTheOlderItIs(t *testing.T) {
	r := rules{poll: 15 * time.Second, maxAge: 168 * time.Hour}
	now := time.Now()
	for age, want := range map[time.Duration]time.Duration{
		0:                  30 * time.Second,
		time.Hour:          6 * time.Minute,
		10 * time.Hour:     30 * time.Minute,
		-time.Hour:         6 * time.Minute, // it is due in an hour
		-15 * time.Second:  30 * time.Second,
		-400 * time.Second: 40 * time.Second,
	} {
		assert.Equal(t, want, r.interval(now.Add(-age), now), "%v old", age)
	}
	due := now.Add(40 * time.Hour).UTC().Truncate(time.Second)
	call := happyrobot.Call{Status: happyrobot.StatusScheduled, Raw: json.RawMessage(fmt.Sprintf(`{"scheduled_for":%q}`, due.Format(time.RFC3339)))}
	v := r.judge(now.Add(-1000*time.Hour), now.Add(-1000*time.Hour), "", itemOf(r, call), now)
	assert.True(t, v.since.Equal(due), "its age counts from when it is due")
	assert.False(t, v.finished)
	call.Raw = json.RawMessage(`{"scheduled_for":5}`)
	assert.True(t, r.judge(now.Add(-1000*time.Hour), now.Add(-1000*time.Hour), "", itemOf(r, call), now).since.Equal(now), "it may be due any day")
}

// itemOf is a call as the rules get it.
func itemOf(r rules, call happyrobot.Call) *Item {
	item := Calls{Statuses: r.statuses}.item(call)
	return &item
}
