package callfeed_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/callfeed"
)

// logged counts the lines that hold a text.
func logged(l *logbook, text string) (n int) {
	for _, line := range l.all() {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

func TestACallThatEndsHoursAfterNewerOnesIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &scripted{}
		o := options(api, &disk{}, &logbook{})
		got, _ := follow(t, o)
		api.add(made(0, time.Now(), "In progress"))
		for n := range 10 {
			time.Sleep(time.Hour)
			api.add(made(n+1, time.Now(), "Completed"))
		}
		api.set(0, "Completed")
		time.Sleep(time.Hour + time.Minute) // a tenth of its age, at most
		assert.Equal(t, append(ids(1, 11), callID(0)), got.ids())
		_, gets := api.counts()
		assert.Less(t, gets, 80, "the older, the less often")
	})
}

func TestCallsOfOneSecondAreNeitherLostNorRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, store := &scripted{}, &disk{}
		same := time.Now().Truncate(time.Second)
		for n := range 250 {
			api.calls = append(api.calls, made(n, same, "Completed"))
		}
		o := options(api, store, &logbook{})
		got, stop := follow(t, o)
		time.Sleep(time.Minute)
		assert.ElementsMatch(t, ids(0, 250), got.ids())
		stop()
		again, _ := follow(t, o)
		api.add(made(250, same, "Completed"))
		time.Sleep(time.Minute)
		assert.Equal(t, ids(250, 251), again.ids())
	})
}

func TestScheduledCallsWaitForTheirTimeCheaply(t *testing.T) {
	for name, told := range map[string]bool{"the API tells when": true, "it does not": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api, due := &scripted{}, time.Now().Add(30*24*time.Hour)
				call := made(0, time.Now(), "Scheduled")
				if told {
					call["scheduled_for"] = due.UTC().Format(time.RFC3339)
				}
				api.calls = []object{call}
				store := &disk{}
				o := options(api, store, &logbook{})
				o.Poll = 5 * time.Minute
				_, stop := follow(t, o)
				time.Sleep(29 * 24 * time.Hour)
				stop()
				got, _ := follow(t, o)
				time.Sleep(time.Until(due))
				_, gets := api.counts()
				assert.Less(t, gets, 30*48+100, "a look every half hour at most")
				api.set(0, "In progress")
				time.Sleep(24 * time.Hour) // its age counts from its time, not from its creation
				api.set(0, "Completed")
				time.Sleep(time.Hour)
				assert.Equal(t, ids(0, 1), got.ids())
				assert.Less(t, store.count(), 30*24*6+2000, "not with every look")
			})
		})
	}
}

func TestACallThatNeverEndsIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, log := &scripted{}, &logbook{}
		api.calls = []object{made(0, time.Now(), "In progress"), made(1, time.Now(), "In progress"), made(2, time.Now().Add(-20*time.Hour), "Queued")}
		o := options(api, &disk{}, log)
		o.Poll = time.Minute
		dropped := map[string]int{}
		o.OnDrop = func(reason string) { dropped[reason]++ }
		watched := -1
		o.OnProgress = func(n int, _ time.Duration) { watched = n }
		got, stop := follow(t, o)
		time.Sleep(168*time.Hour + 40*time.Minute)
		stop()
		assert.Empty(t, got.ids())
		assert.Equal(t, map[string]int{"expired": 3}, dropped)
		assert.Zero(t, watched)
		assert.Equal(t, 1, logged(log, "max_call_age"))
		_, gets := api.counts()
		assert.Less(t, gets, 3*450)
	})
}

func TestUnknownStatusesAreLoggedOnceAndWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, log := &scripted{}, &logbook{}
		for n := range 4 {
			api.calls = append(api.calls, made(n, time.Now(), "Voicemail left"))
		}
		api.calls[3]["status"] = nil
		o := options(api, &disk{}, log)
		o.Poll = 5 * time.Minute
		got, _ := follow(t, o)
		time.Sleep(3 * time.Hour)
		assert.Empty(t, got.ids())
		assert.Equal(t, 1, logged(log, `"Voicemail left"`))
		assert.Equal(t, 1, logged(log, "without a status"))

		api.set(1, "Completed")
		time.Sleep(time.Hour)
		assert.Equal(t, ids(1, 2), got.ids())

		// A word that stays for a week may well be an end that is not documented.
		time.Sleep(168 * time.Hour)
		assert.ElementsMatch(t, append(ids(1, 2), callID(0), callID(2), callID(3)), got.ids())
		assert.Equal(t, callfeed.Expired, got.all()[1].Outcome)
		assert.Len(t, log.all(), 2)
	})
}

func TestAListedStatusThatIsNotDocumentedIsAnEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &scripted{calls: []object{made(0, time.Now(), "Voicemail left"), made(1, time.Now(), "Completed"), made(2, time.Now(), "Busy")}}
		o := options(api, &disk{}, &logbook{})
		o.Statuses = []happyrobot.Status{"Voicemail left", happyrobot.StatusBusy}
		o.API = callfeed.Calls{API: api, Statuses: o.Statuses}
		got, _ := follow(t, o)
		time.Sleep(time.Minute)
		assert.ElementsMatch(t, []string{"Voicemail left", "Busy"}, got.statuses())
	})
}

// The filter by status is not the API's to apply: a call that ends after newer ones
// would come in where nobody looks any more.
func TestStatusesFilterCallsByHowTheyEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &scripted{calls: []object{made(0, time.Now(), "In progress")}}
		api.whim = func(q *happyrobot.ListCallsQuery) { assert.Empty(t, q.Statuses) }
		o := options(api, &disk{}, &logbook{})
		o.Statuses = []happyrobot.Status{happyrobot.StatusCompleted}
		got, _ := follow(t, o)
		for n := range 6 {
			time.Sleep(time.Hour)
			api.add(made(n+1, time.Now(), []string{"Completed", "Busy"}[n%2]))
		}
		api.set(0, "Completed")
		time.Sleep(time.Hour)
		assert.Equal(t, []string{callID(1), callID(3), callID(5), callID(0)}, got.ids())
	})
}

func TestClocksThatDifferLoseNothing(t *testing.T) {
	for name, skew := range map[string]time.Duration{"the API is ahead": 2 * time.Hour, "it is behind": -2 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api, log := &scripted{}, &logbook{}
				got, _ := follow(t, options(api, &disk{}, log))
				api.add(made(0, time.Now().Add(skew), "In progress"))
				// A date that no clock could have must not end the stream either.
				api.add(made(1, time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC), "Completed"))
				for n := 2; n < 30; n++ {
					time.Sleep(11 * time.Minute)
					api.add(made(n, time.Now().Add(skew), "Completed"))
				}
				api.set(0, "Completed")
				time.Sleep(2 * time.Hour)
				assert.ElementsMatch(t, ids(0, 30), got.ids())
				assert.Equal(t, 1, logged(log, "clock"))
				assert.Len(t, log.all(), 1)
			})
		})
	}
}

func TestCallsThatAreNoneAreToldOnceOrNotAtAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, log := &scripted{}, &logbook{}
		nameless, running := made(0, time.Now(), "Completed"), made(1, time.Now(), "Queued")
		delete(nameless, "id")
		delete(running, "id")
		api.calls = []object{nameless, running, {"unreadable": true}, made(3, time.Now(), "Busy"), {"id": "short", "status": "Queued", "metadata": nil, "created": 12}}
		got, _ := follow(t, options(api, &disk{}, log))
		time.Sleep(3 * time.Hour)
		assert.ElementsMatch(t, []string{"", callID(3)}, got.ids())
		assert.Equal(t, 1, logged(log, "without an id"))
	})
}

func TestChangesTellEachStatusObserved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, store := &scripted{}, &disk{}
		o := options(api, store, &logbook{})
		o.Changes = true
		got, stop := follow(t, o)
		words := []string{"Queued", "Ringing", "Unheard of", "In progress"}
		api.add(made(0, time.Now(), words[0]))
		for _, w := range words {
			api.set(0, w)
			time.Sleep(time.Minute)
		}
		assert.Equal(t, words, got.statuses())
		for i, e := range got.all() {
			assert.Equal(t, callfeed.NotReady, e.Outcome)
			if i > 0 {
				assert.Equal(t, words[i-1], string(e.Previous))
			}
		}
		stop()
		again, _ := follow(t, o)
		time.Sleep(time.Minute)
		assert.Empty(t, again.ids(), "a restart is no change")
		api.set(0, "Completed")
		time.Sleep(time.Hour)
		assert.Equal(t, []string{"Completed"}, again.statuses())
		assert.Equal(t, "In progress", string(again.all()[0].Previous))
	})
}
