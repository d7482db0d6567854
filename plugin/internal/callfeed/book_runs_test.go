package callfeed

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot/platform"
)

// runRules are those of a feed of runs.
var runRules = rules{poll: 15 * time.Second, maxAge: 168 * time.Hour, partsTimeout: 2 * time.Minute, unreadTimeout: 30 * time.Minute, queues: true}

func runItem(id string, status platform.RunStatus, created time.Time) *Item {
	item := (&Runs{}).item(platform.Run{ID: id, Status: status, Created: created})
	return &item
}

// bookOf is a book in which one run is open.
func bookOf(t *testing.T, item *Item, now time.Time) (*book, finding) {
	t.Helper()
	b := newBook(runRules, now.Add(-time.Hour))
	found := b.listed(item.ID, item, b.from, now)
	require.Equal(t, 1, b.watched())
	return b, found
}

func TestARunThatWaitsInLineIsLookedAtTheLessOftenTheLongerItDoes(t *testing.T) {
	for name, created := range map[string]bool{"with its date": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			item := runItem("r", platform.RunScheduled, began)
			if !created {
				item.Created = time.Time{}
			}
			b, _ := bookOf(t, item, began)
			looks, now := 0, began
			for ; now.Before(began.Add(48 * time.Hour)); looks++ {
				now = b.open["r"].next
				require.Len(t, b.due(now, 10, 0), 1, "it may start at any time")
				b.looked("r", item, now)
				assert.LessOrEqual(t, b.open["r"].next.Sub(now), maxInterval)
				assert.Equal(t, now, b.open["r"].since, "its age counts from its start")
			}
			assert.LessOrEqual(t, looks, 150)
			assert.Equal(t, maxInterval, b.open["r"].next.Sub(now))
		})
	}
}

func TestRunsThatWaitInLineLeaveRoomForOthers(t *testing.T) {
	now := time.Now()
	b := newBook(runRules, now.Add(-time.Hour))
	list := func(from, to int, status platform.RunStatus) {
		for n := from; n < to; n++ {
			b.listed(fmt.Sprint(n), runItem(fmt.Sprint(n), status, now), b.from, now)
		}
	}
	list(0, MaxWatched, platform.RunScheduled)
	assert.False(t, b.full(now.Add(time.Second)))
	list(MaxWatched, 2*MaxWatched, platform.RunRunning)
	assert.True(t, b.full(now.Add(time.Second)))

	b = newBook(runRules, now.Add(-time.Hour))
	list(0, MaxWaiting, platform.RunScheduled)
	assert.True(t, b.full(now.Add(time.Second)), "they take room, too")
}

func TestARunThatGoesOnWaitsForItsPartsAnew(t *testing.T) {
	for name, lacks := range map[string]lack{"missing": partsMissing, "unreadable": partsRefused} {
		t.Run(name, func(t *testing.T) {
			now := time.Now()
			b, found := bookOf(t, runItem("r", platform.RunCompleted, now), now)
			require.False(t, b.withoutParts(found.event, lacks, 0, now))
			now = now.Add(time.Minute)
			b.due(now, 10, 0)
			changes := b.changed()
			b.looked("r", runItem("r", platform.RunRunning, now), now)
			assert.Greater(t, b.changed(), changes, "a state that is saved knows of it")
			now = now.Add(time.Hour)
			b.due(now, 10, 0)
			found = b.looked("r", runItem("r", platform.RunCompleted, now), now)
			assert.False(t, b.withoutParts(found.event, lacks, 0, now), "it is over since just now")
		})
	}
}

func TestARunThatTurnsOutToBeOfAnotherEnvironmentIsNotEmitted(t *testing.T) {
	now := time.Now()
	b, _ := bookOf(t, runItem("r", platform.RunRunning, now), now)
	now = now.Add(time.Minute)
	b.due(now, 10, 0)
	item := runItem("r", platform.RunCompleted, now)
	item.Foreign = true
	assert.Nil(t, b.looked("r", item, now).event)
	assert.Zero(t, b.watched())
	assert.Nil(t, b.listed("r", item, b.from, now).event)
}

// Those that waited in line make room from the start of the next process on.
func TestRunsThatWaitInLineLeaveRoomForOthersAfterARestart(t *testing.T) {
	now := time.Now()
	s := state{From: millis(now.Add(-time.Hour))}
	for n := range MaxWatched {
		s.Open = append(s.Open, openRec{ID: fmt.Sprint(n), Created: millis(now.Add(-time.Hour)), Since: millis(now.Add(-time.Minute))})
	}
	assert.False(t, bookFrom(runRules, s).full(now))
	calls := runRules
	calls.queues = false
	assert.True(t, bookFrom(calls, s).full(now), "calls were due by then")
}

// The patience with parts that cannot be read counts no time in which nobody tried.
func TestPartsAreNotGivenUpWhileTheRunItselfCannotBeRead(t *testing.T) {
	now := time.Now()
	item := runItem("r", platform.RunCompleted, now)
	b, found := bookOf(t, item, now)
	require.False(t, b.withoutParts(found.event, partsRefused, 0, now))
	for range 4 {
		now = now.Add(maxInterval)
		require.Len(t, b.due(now, 10, 0), 1)
		b.unread("r", 0, false, now)
	}
	now = now.Add(maxInterval)
	b.due(now, 10, 0)
	found = b.looked("r", item, now)
	assert.False(t, b.withoutParts(found.event, partsRefused, 0, now))
	now = now.Add(runRules.unreadTimeout)
	b.due(now, 10, 0)
	found = b.looked("r", item, now)
	assert.True(t, b.withoutParts(found.event, partsRefused, 0, now), "but it ends")
}
