package callfeed_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/callfeed"
)

func TestAStateThatCannotBeUsedIsRefusedAndKept(t *testing.T) {
	for state, want := range map[string]error{
		`{"version":2,"owner":"x","from":1}`:           callfeed.ErrNewerState,
		`{"version":7,"cursor":{"of":"another kind"}}`: callfeed.ErrNewerState,
		``:                                 callfeed.ErrUnreadableState,
		`null`:                             callfeed.ErrUnreadableState,
		`{"version":1,"owner":"x","from":`: callfeed.ErrUnreadableState,
		`{"version":1,"owner":"x","from":1,"done":{"ids":["a"]}}`:                 callfeed.ErrUnreadableState,
		`{"version":1,"owner":"x","open":[],"done":{"ids":[],"created":[]}}`:      callfeed.ErrUnreadableState,
		`{"version":1,"from":1,"open":[{"id":5}],"done":{"ids":[],"created":[]}}`: callfeed.ErrUnreadableState,
	} {
		store := &disk{state: []byte(state)}
		_, err := callfeed.Open(t.Context(), options(history(3), store, &logbook{}))
		require.ErrorIs(t, err, want, state)
		assert.Equal(t, state, string(store.state), "it may be all that somebody has")
	}
}

// take reads n events.
func take(t *testing.T, feed *callfeed.Feed, n int) (events []*callfeed.Event) {
	t.Helper()
	for range n {
		e, err := feed.Next(t.Context())
		require.NoError(t, err)
		events = append(events, e)
	}
	return events
}

func TestAStateCoversOnlyWhatWasAcknowledged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &disk{}
		o := options(history(20), store, &logbook{})
		feed, err := callfeed.Open(t.Context(), o)
		require.NoError(t, err)
		events := take(t, feed, 20)
		for _, n := range []int{19, 3, 11} {
			require.NoError(t, events[n].Ack(t.Context(), nil))
		}
		time.Sleep(time.Hour)
		o.Store = store.kill()
		_ = feed.Close(context.Background())

		got, _ := follow(t, o)
		time.Sleep(time.Minute)
		var want []string
		for n, id := range ids(0, 20) {
			if n != 19 && n != 3 && n != 11 {
				want = append(want, id)
			}
		}
		assert.ElementsMatch(t, want, got.ids())
	})
}

func TestARefusedEventIsToldAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		feed, err := callfeed.Open(t.Context(), options(history(2), &disk{}, &logbook{}))
		require.NoError(t, err)
		events := take(t, feed, 2)
		require.NoError(t, events[0].Ack(t.Context(), errors.New("no room")))
		require.NoError(t, events[1].Ack(t.Context(), nil))
		again := take(t, feed, 1)
		assert.Equal(t, callID(0), again[0].Item.ID)
		require.NoError(t, again[0].Ack(t.Context(), nil))
		require.NoError(t, feed.Close(t.Context()))
	})
}

func TestARefusedEventIsReplayedWithGrowingPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := history(2)
		o := options(api, &disk{}, &logbook{})
		o.Replay = true
		feed, err := callfeed.Open(t.Context(), o)
		require.NoError(t, err)
		events := take(t, feed, 2)
		require.NoError(t, events[1].Ack(t.Context(), nil))
		began, pages := time.Now(), func() int { n, _ := api.counts(); return n }
		for range 20 {
			require.NoError(t, events[0].Ack(t.Context(), errors.New("no room")))
			require.Same(t, events[0], take(t, feed, 1)[0])
		}
		assert.Greater(t, time.Since(began), time.Second)
		assert.Less(t, time.Since(began), 19*time.Second, "up to two seconds each")
		assert.LessOrEqual(t, pages(), 6, "the call is not read again")
		require.NoError(t, events[0].Ack(t.Context(), nil))
		require.NoError(t, feed.Close(t.Context()))
	})
}

// An acknowledgement that is not saved has not happened.
func TestAcknowledgementsWaitForAStoreThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, log := &disk{}, &logbook{}
		feed, err := callfeed.Open(t.Context(), options(history(1), store, log))
		require.NoError(t, err)
		time.Sleep(time.Minute)
		store.mu.Lock()
		store.fails = 100
		store.mu.Unlock()
		e := take(t, feed, 1)[0]
		began := time.Now()
		require.NoError(t, e.Ack(t.Context(), nil))
		assert.Greater(t, time.Since(began), 90*time.Second)
		synctest.Wait()
		assert.Equal(t, 1, logged(log, "Saving the cursor failed"))
		assert.Equal(t, 1, logged(log, "saved again"))
		require.NoError(t, feed.Close(t.Context()))
		assert.NoError(t, feed.Close(t.Context()), "twice is no harm")
	})
}

// Two that write one cursor would each forget what the other has open.
func TestTheLastFeedOpenedOwnsTheCursor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, store := history(3), &disk{}
		first, err := callfeed.Open(t.Context(), options(api, store, &logbook{}))
		require.NoError(t, err)
		old := take(t, first, 1)[0]
		time.Sleep(time.Second) // of two that write at the same moment, either may win
		second, stop := follow(t, options(api, store, &logbook{}))
		time.Sleep(time.Minute)
		assert.ElementsMatch(t, ids(0, 3), second.ids())

		require.ErrorIs(t, old.Ack(t.Context(), nil), callfeed.ErrTakenOver)
		_, err = first.Next(t.Context())
		require.ErrorIs(t, err, callfeed.ErrTakenOver)
		require.ErrorIs(t, first.Close(t.Context()), callfeed.ErrTakenOver)
		api.add(made(3, time.Now(), "Completed"))
		time.Sleep(time.Minute)
		assert.ElementsMatch(t, ids(0, 4), second.ids(), "the second one continues")
		stop()
	})
}

// A backfill of many must not leave many behind.
func TestTheStateIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const open = 100
		api, store := history(1000), &disk{}
		for n := range open {
			api.add(made(10_000+n, time.Now().Add(-3000*time.Hour), "In progress"))
		}
		o := options(api, store, &logbook{})
		o.Start, o.MaxAge = time.Now().Add(-10_000*time.Hour), 10_000*time.Hour
		got, stop := follow(t, o)
		time.Sleep(10 * time.Second)
		pages, _ := api.counts()
		assert.LessOrEqual(t, pages, 1100/99+2)
		time.Sleep(10 * time.Minute)
		stop()
		assert.Len(t, got.ids(), 1000)
		assert.Less(t, len(store.state), open*80+45+200)
		for n := range 300 {
			api.add(made(20_000+n, time.Now(), "Busy"))
		}
		before := len(store.state)
		got, stop = follow(t, o)
		time.Sleep(time.Minute)
		stop()
		assert.Len(t, got.ids(), 300)
		assert.Less(t, len(store.state)-before, 300*45)
	})
}
