package callfeed_test

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/callfeed"
)

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
				transcript, outcome := &parts{ready: time.Now()}, callfeed.Complete
				if !refused {
					transcript.ready, outcome = time.Now().Add(math.MaxInt64), callfeed.NotReady
				}
				o.Parts = transcript.read
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
				assert.Equal(t, callID(0), e.Item.ID)
				assert.Equal(t, "Completed", string(e.Item.Status))
				assert.Equal(t, outcome, e.Outcome)
				assert.Equal(t, map[string]any{"id": callID(0)}, e.Content)
				if refused {
					assert.Equal(t, 1, transcript.asked, "nothing more can be read of it")
				}
				require.NoError(t, e.Ack(ctx, nil))
				_, err = feed.Next(ctx)
				require.ErrorIs(t, err, context.DeadlineExceeded)
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
		o.Parts = func(context.Context, callfeed.Item) (any, bool, error) { return nil, false, errors.New("status 503") }
		follow(t, o)
		time.Sleep(time.Minute)
		api.add(made(301, time.Now().Add(time.Hour), "Completed"))
		time.Sleep(3 * time.Hour)
		const calls, parts = "annot read call", "annot read the transcript or other parts of call"
		assert.Equal(t, 1, logged(log, "C"+calls))
		assert.InDelta(t, 24, logged(log, "c"+calls), 2, "every five minutes, since the first was read by itself")
		assert.Equal(t, 1, logged(log, "C"+parts))
		assert.Equal(t, 6, logged(log, "c"+parts), "until include_timeout") // both calls were emitted without
		assert.Equal(t, 1, logged(log, "can be read again"))

		api.mu.Lock()
		api.refuse = nil
		api.mu.Unlock()
		time.Sleep(time.Hour)
		assert.Equal(t, 1, logged(log, "Open calls can be read again"))
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
		assert.Equal(t, 1, logged(log, "Open calls can be read again"))
	})
}

// An outage says nothing about a call, however long it lasts.
func TestACallThatTheAPIRefusesIsGivenUpInTheEnd(t *testing.T) {
	for status, givenUp := range map[int]bool{
		http.StatusUnprocessableEntity: true, http.StatusMovedPermanently: true,
		http.StatusUnauthorized: false, http.StatusRequestTimeout: false, http.StatusTooManyRequests: false,
		http.StatusServiceUnavailable: false, 0: false,
		http.StatusOK: false, // no JSON, or cut short
	} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			err := &happyrobot.Error{Op: "getCall", Status: status, Err: errors.New("refused")}
			refuse(t, givenUp, func() error { return err })
		})
	}
	t.Run("something else than a call", func(t *testing.T) {
		refuse(t, true, func() error {
			_, err := clientOf(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				_, _ = w.Write([]byte(`{"data":{}}`))
			})).GetCall(context.Background(), callID(0))
			return err
		})
	})
}

// refuse watches a call whose reads all fail.
func refuse(t *testing.T, givenUp bool, answer func() error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		api, log := &refusing{&scripted{calls: []object{made(0, time.Now(), "In progress")}}, answer}, &logbook{}
		o := options(api, &disk{}, log)
		o.MaxAge, o.Poll = 24*time.Hour, 2*time.Minute
		dropped := map[string]int{}
		o.OnDrop = func(reason string) { dropped[reason]++ }
		_, stop := follow(t, o)
		time.Sleep(2 * o.Poll)
		api.add(made(1, time.Now().Add(time.Hour), "Completed")) // takes the list past the other
		time.Sleep(48 * time.Hour)
		stop()
		if givenUp {
			assert.Equal(t, map[string]int{"expired": 1}, dropped)
			assert.Equal(t, 1, logged(log, "Stopped watching call "+callID(0)))
			assert.Equal(t, 1, logged(log, "Open calls can be read again"), "its trouble ends with it")
		} else {
			assert.Empty(t, dropped)
		}
	})
}

// refusing answers no read of a call.
type refusing struct {
	*scripted
	answer func() error
}

func (r refusing) GetCall(context.Context, string) (happyrobot.Call, error) {
	return happyrobot.Call{}, r.answer()
}
