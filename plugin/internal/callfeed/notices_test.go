package callfeed_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/callfeed"
)

// onWarn is a log that does something with each warning.
type onWarn func()

func (onWarn) Infof(string, ...any)   {}
func (w onWarn) Warnf(string, ...any) { w() }

// A log that is slow must not keep acknowledgements waiting.
func TestNothingIsLoggedWithTheBookLocked(t *testing.T) {
	api := history(1)
	api.add(made(1, time.Now(), "Unheard of"))
	acked, warned := make(chan *callfeed.Event, 1), make(chan bool)
	o := options(api, &disk{}, onWarn(func() {
		e, done := <-acked, make(chan struct{})
		go func() {
			defer close(done)
			_ = e.Ack(context.Background(), errors.New("the output is full"))
		}()
		select {
		case <-done:
			warned <- true
		case <-time.After(20 * time.Second):
			warned <- false
		}
	}))
	o.PageSize = 1 // the second call comes when the first has been handed out
	api.cap = 1
	feed, err := callfeed.Open(t.Context(), o)
	require.NoError(t, err)
	acked <- take(t, feed, 1)[0]
	assert.True(t, <-warned, "the acknowledgement waits for the log")
	require.NoError(t, feed.Close(t.Context()))
}

// An API decides what words it has, not how much of the log they fill.
func TestOfManyUnknownStatusesSomeAreLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, log := &scripted{}, &logbook{}
		for n := range sized(300, 120) {
			api.calls = append(api.calls, made(n, time.Now(), fmt.Sprint("word ", n)))
		}
		follow(t, options(api, &disk{}, log))
		time.Sleep(time.Hour)
		assert.Len(t, log.all(), 100)
		api.add(object{"status": "Queued"})
		time.Sleep(time.Hour)
		assert.Equal(t, 1, logged(log, "without an id"), "other warnings have their own room")
	})
}

// Whoever closes a feed that is in trouble hears no more of it.
func TestAFeedThatIsClosedStopsItsNotices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, store, log := &unreachable{scripted: &scripted{}, until: time.Now().Add(10 * time.Hour)}, &disk{}, &logbook{}
		feed, err := callfeed.Open(t.Context(), options(api, store, log))
		require.NoError(t, err)
		store.mu.Lock()
		store.fails = 1 << 30
		store.mu.Unlock()
		time.Sleep(2*time.Hour + 2*time.Minute) // the hourly refresh finds that the store fails
		lines := log.all()
		for _, trouble := range []string{"Listing calls still fails", "Saving the cursor still fails"} {
			assert.Greater(t, logged(log, trouble), 10)
		}
		require.Error(t, feed.Close(context.Background()))
		time.Sleep(time.Hour)
		assert.Len(t, log.all(), len(lines))
	})
}

// deepFailing answers the first page, and no other.
type deepFailing struct{ *scripted }

func (d deepFailing) ListCallsPage(ctx context.Context, q happyrobot.ListCallsQuery) ([]happyrobot.Call, error) {
	if q.Skip > 0 {
		return nil, &happyrobot.Error{Op: "listCalls", Status: 504}
	}
	return d.scripted.ListCallsPage(ctx, q)
}

func TestAListThatFailsDeepInsideIsOneTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &logbook{}
		o := options(deepFailing{history(20)}, &disk{}, log)
		o.PageSize = 5
		follow(t, o)
		time.Sleep(14 * time.Minute)
		assert.Equal(t, 1, logged(log, "Listing calls failed"))
		assert.Len(t, log.all(), 3, "and two reminders")
	})
}

func TestAListThatIsReadAgainIsNoTroubleWhileThePipelineIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, log := &unreachable{scripted: history(20), until: time.Now().Add(time.Minute)}, &logbook{}
		feed, err := callfeed.Open(t.Context(), options(api, &disk{}, log))
		require.NoError(t, err)
		time.Sleep(time.Hour) // and nobody reads
		assert.Equal(t, 1, logged(log, "Listing calls works again, after 1m"))
		assert.Len(t, log.all(), 2)
		require.NoError(t, feed.Close(t.Context()))
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
		assert.Contains(t, lines[11], "Listing calls still fails, since 2000-01-01T00:00:00Z")
		assert.Contains(t, lines[12], "Listing calls works again, after 59m")
	})
}
