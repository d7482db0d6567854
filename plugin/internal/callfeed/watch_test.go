package callfeed_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

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

func TestADeletedCallIsDroppedAndTheStreamGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, log := &scripted{}, &logbook{}
		api.calls = []object{made(0, time.Now(), "In progress"), made(1, time.Now(), "In progress")}
		o := options(api, &disk{}, log)
		dropped := map[string]int{}
		o.OnDrop = func(reason string) { dropped[reason]++ }
		got, stop := follow(t, o)
		time.Sleep(time.Minute)
		api.mu.Lock()
		api.calls = api.calls[1:]
		api.mu.Unlock()
		api.set(1, "Completed")
		time.Sleep(4 * time.Hour)
		stop()
		assert.Equal(t, ids(1, 2), got.ids())
		assert.Equal(t, map[string]int{"deleted": 1}, dropped)
		assert.Equal(t, 1, logged(log, callID(0)))
		_, gets := api.counts()
		assert.LessOrEqual(t, gets, 5)
	})
}

// A proxy whose API is away may say 404 to everything.
func TestCallsThatAreUnknownForAWhileAreNotGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, log := &scripted{refuse: map[string]int{}}, &logbook{}
		for n := range 20 {
			api.calls = append(api.calls, made(n, time.Now(), "In progress"))
			api.refuse[callID(n)] = http.StatusNotFound
		}
		got, _ := follow(t, options(api, &disk{}, log))
		time.Sleep(time.Minute)
		api.add(made(20, time.Now().Add(2*time.Hour), "Completed")) // takes the list past the others
		time.Sleep(2*time.Hour + 50*time.Minute)
		api.mu.Lock()
		api.refuse = nil
		api.mu.Unlock()
		for n := range 20 {
			api.set(n, "Completed")
		}
		time.Sleep(time.Hour)
		assert.ElementsMatch(t, ids(0, 21), got.ids())
	})
}

// What was seen of a call that was over is told, even if no more can be read of it.
func TestACallThatVanishesAfterItsEndIsTold(t *testing.T) {
	for name, refused := range map[string]bool{"while its transcript is waited for": false, "after it was refused": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api, log := &scripted{calls: []object{made(0, time.Now(), "Completed")}}, &logbook{}
				o := options(api, &disk{}, log)
				if !refused {
					o.Parts = (&parts{ready: time.Now().Add(math.MaxInt64)}).read
				}
				feed, err := callfeed.Open(t.Context(), o)
				require.NoError(t, err)
				if refused {
					e, err := feed.Next(t.Context())
					require.NoError(t, err)
					require.NoError(t, e.Ack(t.Context(), errors.New("the output is full")))
				}
				synctest.Wait()
				api.mu.Lock()
				api.calls = nil
				api.mu.Unlock()
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Hour)
				defer cancel()
				e, err := feed.Next(ctx)
				require.NoError(t, err)
				assert.Equal(t, callID(0), e.Call.ID)
				assert.Equal(t, "Completed", string(e.Call.Status))
				require.NoError(t, e.Ack(ctx, nil))
				_, err = feed.Next(ctx)
				assert.ErrorIs(t, err, context.DeadlineExceeded)
				assert.Empty(t, log.all())
				assert.NoError(t, feed.Close(t.Context()))
			})
		})
	}
}

func TestAnOutageIsReportedAsOneHoweverManyCallsAreOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, log := &scripted{refuse: map[string]int{}}, &logbook{}
		for n := range 300 {
			api.calls = append(api.calls, made(n, time.Now(), "In progress"))
			api.refuse[callID(n)] = http.StatusServiceUnavailable
		}
		api.calls = append(api.calls, made(300, time.Now(), "Completed"))
		o := options(api, &disk{}, log)
		o.Parts = func(context.Context, happyrobot.Call) (any, bool, error) { return nil, false, errors.New("status 503") }
		follow(t, o)
		time.Sleep(time.Minute)
		api.add(made(301, time.Now().Add(time.Hour), "Completed"))
		time.Sleep(3 * time.Hour)
		const calls, parts = "annot read call", "annot read the transcript or other parts of call"
		assert.Equal(t, 1, logged(log, "C"+calls))
		assert.InDelta(t, 24, logged(log, "c"+calls), 2, "every five minutes, since the first was read by itself")
		assert.Equal(t, 1, logged(log, "C"+parts))
		assert.Equal(t, 6, logged(log, "c"+parts), "until include_timeout") // both calls were emitted without
		assert.Equal(t, 1, logged(log, "No call waits any longer"))

		api.mu.Lock()
		api.refuse = nil
		api.mu.Unlock()
		time.Sleep(time.Hour)
		assert.Equal(t, 1, logged(log, "Open calls are read again"))
		lines := len(log.all())
		time.Sleep(time.Hour)
		assert.Len(t, log.all(), lines, "and no more of it")
	})
}

func TestAnAnswerThatIsAnotherCallIsNotTakenForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, log := &scripted{calls: []object{made(0, time.Now(), "In progress")}}, &logbook{}
		o := options(wrapping{api}, &disk{}, log)
		o.Changes = true
		got, _ := follow(t, o)
		time.Sleep(time.Minute)
		api.add(made(1, time.Now().Add(time.Hour), "Completed"))
		time.Sleep(3 * time.Hour)
		assert.Equal(t, []string{"In progress", "Completed"}, got.statuses())
		assert.Equal(t, 1, logged(log, "Cannot read call"))
		assert.Positive(t, logged(log, "something else"))
	})
}

// wrapping answers a read with what is no call.
type wrapping struct{ *scripted }

func (w wrapping) GetCall(context.Context, string) (call happyrobot.Call, err error) {
	err = json.Unmarshal([]byte(`{"data":{}}`), &call)
	return call, err
}

// One call that cannot be read must not hold up the others.
func TestACallThatCannotBeReadIsReportedAndTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, log := &scripted{refuse: map[string]int{callID(0): http.StatusInternalServerError}}, &logbook{}
		for n := range 3 {
			api.calls = append(api.calls, made(n, time.Now(), "In progress"))
		}
		got, _ := follow(t, options(api, &disk{}, log))
		time.Sleep(time.Minute)
		api.add(made(3, time.Now().Add(2*time.Hour), "Completed")) // takes the list past the others
		time.Sleep(3 * time.Hour)
		for n := range 3 {
			api.set(n, "Completed")
		}
		time.Sleep(time.Hour)
		assert.ElementsMatch(t, ids(1, 4), got.ids())
		assert.Equal(t, 1, logged(log, "Cannot read call "+callID(0)))
		assert.Zero(t, logged(log, "are read again"), "others that are read do not end its trouble")

		api.mu.Lock()
		api.refuse = nil
		api.mu.Unlock()
		time.Sleep(time.Hour)
		assert.ElementsMatch(t, ids(0, 4), got.ids())
		assert.Equal(t, 1, logged(log, "Open calls are read again"))
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

// parts is Options.Parts of an API whose transcripts take their time.
type parts struct {
	ready time.Time
	err   error
	asked int
}

func (p *parts) read(_ context.Context, c happyrobot.Call) (any, bool, error) {
	p.asked++
	if p.err != nil {
		return map[string]any{"id": c.ID}, false, p.err
	}
	return map[string]any{"id": c.ID}, !time.Now().Before(p.ready), nil
}

func TestATranscriptIsWaitedForButNotForEver(t *testing.T) {
	for name, tc := range map[string]struct {
		parts   *parts
		outcome string
		after   time.Duration
		logs    int
	}{
		"it comes":      {&parts{ready: time.Now()}, callfeed.Complete, 0, 0},
		"it comes late": {&parts{}, callfeed.Complete, 10 * time.Minute, 0},
		"it never does": {&parts{}, callfeed.NotReady, 30 * time.Minute, 0},
		"it is refused": {&parts{err: errors.New("status 500")}, callfeed.NotReady, 30 * time.Minute, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := &logbook{}
				began := time.Now()
				tc.parts.ready = began.Add(tc.after)
				if tc.outcome == callfeed.NotReady {
					tc.parts.ready = began.Add(time.Hour * 1000)
				}
				api := &scripted{calls: []object{made(0, began, "Completed")}}
				o := options(api, &disk{}, log)
				o.Parts = tc.parts.read
				got, _ := follow(t, o)
				if tc.after > 0 {
					time.Sleep(tc.after - time.Second)
					assert.Empty(t, got.ids(), "it is waited for")
				}
				time.Sleep(time.Second + max(tc.after/3, time.Minute))
				require.Equal(t, ids(0, 1), got.ids())
				assert.Equal(t, tc.outcome, got.all()[0].Outcome)
				assert.Equal(t, map[string]any{"id": callID(0)}, got.all()[0].Content)
				assert.LessOrEqual(t, tc.parts.asked, 20, "with growing pauses")
				assert.Equal(t, tc.logs, logged(log, "Cannot read the transcript or other parts of call"))
				if tc.logs == 0 {
					assert.Empty(t, log.all())
				}
			})
		})
	}
}

func TestTheWaitForATranscriptOutlivesARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, never := &disk{}, &parts{ready: time.Now().Add(math.MaxInt64)}
		api := &scripted{calls: []object{made(0, time.Now(), "Completed")}}
		o := options(api, store, &logbook{})
		o.Parts = never.read
		_, stop := follow(t, o)
		time.Sleep(20 * time.Minute)
		stop()
		got, _ := follow(t, o)
		time.Sleep(11 * time.Minute)
		assert.Equal(t, ids(0, 1), got.ids())
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

// unreachable fails each time in other words, as a connection that breaks does, until
// a time.
type unreachable struct {
	*scripted
	until time.Time
	tries int
}

func (u *unreachable) ListCallsPage(ctx context.Context, q happyrobot.ListCallsQuery) ([]happyrobot.Call, error) {
	if !time.Now().Before(u.until) {
		return u.scripted.ListCallsPage(ctx, q)
	}
	u.tries++
	return nil, &happyrobot.Error{Op: "listCalls", Err: fmt.Errorf("read tcp 127.0.0.1:%d: connection reset by peer", 40000+u.tries)}
}

func TestAnAPIThatIsAwayIsReportedWhileItLasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, log := &unreachable{scripted: &scripted{}, until: time.Now().Add(59 * time.Minute)}, &logbook{}
		follow(t, options(api, &disk{}, log))
		time.Sleep(2 * time.Hour)
		lines := log.all()
		require.Len(t, lines, 1+11+1, "when it starts, every five minutes, and when it ends")
		assert.Contains(t, lines[0], "Listing calls failed; retrying")
		assert.Contains(t, lines[11], "Since 2000-01-01T00:00:00Z: listing calls fails")
		assert.Contains(t, lines[12], "Calls are listed again, after 59m")
	})
}
