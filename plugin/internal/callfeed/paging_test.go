package callfeed_test

import (
	"context"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/callfeed"
)

// history is n calls that ended, one every hour until now.
func history(n int) *scripted {
	s := &scripted{}
	for i := range n {
		s.calls = append(s.calls, made(i, time.Now().Add(-time.Duration(n-i)*time.Hour), "Completed"))
	}
	return s
}

func ids(from, to int) (list []string) {
	for n := from; n < to; n++ {
		list = append(list, callID(n))
	}
	return list
}

// Each of these is an API that behaves as the documentation does not exclude.
func TestEveryCallIsToldOnceHoweverTheAPIPages(t *testing.T) {
	for name, tc := range map[string]struct {
		api     func() *scripted
		size    int
		ordered bool
		warns   string
	}{
		"as one hopes":      {api: func() *scripted { return history(30) }, size: 7, ordered: true},
		"page size 1":       {api: func() *scripted { return history(30) }, size: 1, ordered: true},
		"a full last page":  {api: func() *scripted { return history(30) }, size: 30, ordered: true},
		"pages capped to 3": {api: func() *scripted { s := history(30); s.cap = 3; return s }, size: 10, ordered: true},
		"pages capped to 1": {api: func() *scripted { s := history(30); s.cap = 1; return s }, size: 10, ordered: true},
		"from is ignored": {api: func() *scripted {
			s := history(30)
			s.whim = func(q *happyrobot.ListCallsQuery) { q.From = time.Time{} }
			return s
		}, size: 7, ordered: true},
		"from is exclusive": {api: func() *scripted {
			s := history(30)
			s.whim = func(q *happyrobot.ListCallsQuery) { q.From = q.From.Add(time.Second) }
			return s
		}, size: 7, ordered: true},
		"newest comes first": {api: func() *scripted {
			s := history(30)
			s.whim = func(q *happyrobot.ListCallsQuery) { q.Sort = "desc" }
			return s
		}, size: 7, warns: "not sorted"},
		"calls have no dates": {api: func() *scripted { s := history(30); undate(s); return s }, size: 7, ordered: true, warns: "without a date"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api, log := tc.api(), &logbook{}
				o := options(api, &disk{}, log)
				o.PageSize, o.Start = tc.size, time.Now().Add(-20*time.Hour-time.Minute)
				want := ids(10, 30)
				if tc.warns == "without a date" {
					want = ids(0, 30) // nobody knows that some are older
				}
				got, stop := follow(t, o)
				time.Sleep(time.Hour)
				if tc.ordered {
					assert.Equal(t, want, got.ids())
				} else {
					assert.ElementsMatch(t, want, got.ids())
				}

				// And none again, now or by the next process.
				stop()
				again, _ := follow(t, o)
				api.add(made(30, time.Now(), "Busy"))
				time.Sleep(time.Hour)
				assert.Equal(t, ids(30, 31), again.ids())
				if tc.warns == "" {
					assert.Empty(t, log.all(), "silence when all is well")
				} else {
					require.NotEmpty(t, log.all())
					assert.Contains(t, log.all()[0], tc.warns)
				}
			})
		})
	}
}

// A list whose order is not the one asked for must show that before the start moves.
func TestAListFromTheNewestOnIsReadToItsEnd(t *testing.T) {
	for name, gap := range map[string]time.Duration{"calls of one moment": 0, "a call each second": time.Second} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api, log := &scripted{}, &logbook{}
				for n := range 30 {
					api.calls = append(api.calls, made(n, time.Now().Add(-10*time.Hour), "Completed"))
				}
				for n := 30; n < 630; n++ {
					api.calls = append(api.calls, made(n, time.Now().Add(-time.Duration(630-n)*gap), "Completed"))
				}
				api.whim = func(q *happyrobot.ListCallsQuery) { q.Sort = "desc" }
				o := options(api, &disk{}, log)
				o.PageSize = 7
				got, _ := follow(t, o)
				time.Sleep(5 * time.Minute)
				assert.ElementsMatch(t, ids(0, 630), got.ids())
				require.Len(t, log.all(), 1)
				assert.Contains(t, log.all()[0], "not sorted")
			})
		})
	}
}

// A list may be sorted by another date: a call may stand hours behind its time.
func TestACallThatStandsOutOfOrderIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := history(30)
		early := api.calls[2]
		copy(api.calls[2:], api.calls[3:21])
		api.calls[20] = early
		o := options(api, &disk{}, &logbook{})
		o.PageSize, o.Start = 7, time.Now().Add(-40*time.Hour)
		got, _ := follow(t, o)
		time.Sleep(time.Hour)
		assert.ElementsMatch(t, ids(0, 30), got.ids())
	})
}

// Databases do not promise the order of rows that are equal, not even from one
// answer to the next.
func TestCallsOfOneMomentThatChangePlacesAreToldOnce(t *testing.T) {
	for seed := range uint64(10) {
		synctest.Test(t, func(t *testing.T) {
			const each, total = 5, 100
			api, log := &scripted{}, &logbook{}
			for n := range total {
				api.calls = append(api.calls, made(n, time.Now().Add(time.Duration(n/each)*30*time.Minute-20*time.Hour), "Completed"))
			}
			rng := rand.New(rand.NewPCG(seed, 1))
			api.onPage = func(int) {
				api.mu.Lock()
				defer api.mu.Unlock()
				for n := 0; n < total; n += each {
					same := api.calls[n : n+each]
					rng.Shuffle(each, func(i, j int) { same[i], same[j] = same[j], same[i] })
				}
			}
			o := options(api, &disk{}, log)
			o.PageSize = 12
			got, _ := follow(t, o)
			time.Sleep(time.Hour)
			assert.ElementsMatch(t, ids(0, total), got.ids())
			assert.Empty(t, log.all())
		})
	}
}

func undate(s *scripted) {
	for _, c := range s.calls {
		delete(c, "created")
	}
}

// Deleted calls move the pages: what stood behind a page's end now stands before it.
func TestCallsThatVanishBetweenPagesHideNoOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, gone := range []int{1, 4, 9} {
			api := history(20)
			api.onPage = func(n int) {
				if n == 2 {
					api.mu.Lock()
					api.calls = api.calls[gone:]
					api.mu.Unlock()
				}
			}
			o := options(api, &disk{}, &logbook{})
			o.PageSize = 5
			got, stop := follow(t, o)
			time.Sleep(10 * time.Minute)
			assert.Equal(t, ids(0, 20), got.ids(), "%d vanished", gone)
			stop()
		}
	})
}

// While the pipeline is slow a listing takes long, and a call may come to be listed
// behind it.
func TestACallListedLateBehindASlowPassIsFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &scripted{}
		start := time.Now()
		late := made(1, start.Add(-time.Minute), "Completed")
		late["visible"] = start.Add(3 * time.Minute) // within Lag
		api.calls = []object{late}
		api.add(made(0, start.Add(-2*time.Minute), "Completed"))
		api.add(made(2, start.Add(-30*time.Second), "Completed"))
		api.add(made(3, start.Add(-20*time.Second), "Completed"))
		api.onPage = func(n int) {
			if n == 3 { // the first of the second pass; and now the pipeline stalls
				time.Sleep(40 * time.Minute)
				api.add(made(4, time.Now(), "Completed"))
			}
		}
		o := options(api, &disk{}, &logbook{})
		o.PageSize = 3 // the next page begins with a call that was seen: no gap shows
		got, _ := follow(t, o)
		time.Sleep(2 * time.Hour)
		assert.ElementsMatch(t, ids(0, 5), got.ids())
	})
}

func TestAnAPIThatIgnoresSkipIsToldOnceAndNotAskedWithoutEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, log := history(20), &logbook{}
		api.whim = func(q *happyrobot.ListCallsQuery) { q.Skip = 0 }
		o := options(api, &disk{}, log)
		o.PageSize = 5
		got, _ := follow(t, o)
		time.Sleep(time.Minute)
		pages, _ := api.counts()
		assert.LessOrEqual(t, pages, 25)
		reached := got.ids()
		assert.Equal(t, ids(0, len(reached)), reached, "what can be reached is told")
		require.Len(t, log.all(), 1)
		assert.Contains(t, log.all()[0], "ignores skip")
	})
}

// Nothing is read while nothing is acknowledged, beyond what is bounded.
func TestASlowPipelineStopsTheReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := history(5000)
		o := options(api, &disk{}, &logbook{})
		o.Start = time.Now().Add(-10000 * time.Hour)
		feed, err := callfeed.Open(t.Context(), o)
		require.NoError(t, err)
		var taken []*callfeed.Event
		for {
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			e, err := feed.Next(ctx)
			cancel()
			if err != nil {
				break
			}
			taken = append(taken, e)
		}
		assert.Len(t, taken, callfeed.MaxPending)
		pages, _ := api.counts()
		assert.LessOrEqual(t, pages, callfeed.MaxPending/99+2)
		require.NoError(t, taken[500].Ack(t.Context(), nil))
		_, err = feed.Next(t.Context())
		assert.NoError(t, err, "one acknowledgement makes room for one more")
		assert.NoError(t, feed.Close(t.Context()))
	})
}
