package callfeed_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/callfeed"
)

// densities are how many calls share a second of creation, as the API writes it.
var densities = []int{1, 10, 200, 1000}

// sized is a number as the full lane has it, or a smaller one for the fast lane, in which CI
// runs the race detector too.
func sized(full, fast int) int {
	if testing.Short() {
		return fast
	}
	return full
}

// dense is n calls, so many created in each second from a time on.
func dense(n, density int, from time.Time, status string) *scripted {
	s := &scripted{}
	for i := range n {
		s.calls = append(s.calls, made(i, from.Truncate(time.Second).Add(time.Duration(i/density)*time.Second), status))
	}
	return s
}

// sorted are the ids that were told, in the order of numbers.
func sorted(got *told) []string { return slices.Sorted(slices.Values(got.ids())) }

const mostPerCall = 0.02

// growing is how many pages it takes until they are as large as they get.
func growing(size int) (pages int) {
	for ; size < callfeed.MaxPage; size *= 2 {
		pages++
	}
	return pages
}

func TestABackfillCostsFewRequestsAtAnyDensity(t *testing.T) {
	const n = 3000
	for _, density := range densities[:sized(len(densities), 2)] {
		for _, capped := range []int{0, 100} {
			t.Run(fmt.Sprintf("%d a second, pages up to %d", density, capped), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					api, log := dense(n, density, time.Now().Add(-2*time.Hour), "Completed"), &logbook{}
					api.cap = capped
					got, _ := follow(t, options(api, &disk{}, log))
					time.Sleep(10 * time.Second) // one pass
					assert.Equal(t, ids(0, n), sorted(got))
					pages, gets := api.counts()
					assert.Zero(t, gets)
					assert.LessOrEqual(t, float64(pages)/n, mostPerCall)
					if capped == 0 {
						assert.LessOrEqual(t, pages, growing(100)+1+n/callfeed.MaxPage+1, "pages grow; the last look is whether more follow")
					}
					t.Logf("%d requests, %.4f a call", pages, float64(pages)/n)
					assert.Empty(t, log.all())
				})
			})
		}
	}
}

// What a dialer makes: some thousand calls a day, all of them scheduled.
func TestScheduledCallsHoldNobody(t *testing.T) {
	const scheduled, finished = 600, 50
	for _, density := range []int{10, 600}[:sized(2, 1)] {
		t.Run(fmt.Sprintf("%d a second", density), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api, due := dense(scheduled+finished, density, time.Now().Add(-2*time.Hour), "Scheduled"), time.Now().Add(24*time.Hour)
				for n, c := range api.calls {
					if c["scheduled_for"] = due.UTC().Format(time.RFC3339); n >= scheduled {
						c["status"] = "Completed"
					}
				}
				store := &disk{}
				o := options(api, store, &logbook{})
				o.Poll = 5 * time.Minute
				got, stop := follow(t, o)
				time.Sleep(10 * time.Second)
				pages, gets := api.counts()
				assert.Equal(t, ids(scheduled, scheduled+finished), sorted(got))
				assert.Zero(t, gets)
				assert.LessOrEqual(t, float64(pages)/(scheduled+finished), mostPerCall)

				// They wait for their time in the next process, too, at next to no cost.
				time.Sleep(time.Hour)
				stop()
				_, gets = api.counts()
				got, stop = follow(t, o)
				time.Sleep(10 * time.Hour)
				_, later := api.counts()
				assert.LessOrEqual(t, later-gets, int(10*time.Hour/o.Poll)+1, "one is looked at in each poll")
				assert.Empty(t, got.ids())
				for n := range scheduled {
					api.set(n, "Busy")
				}
				time.Sleep(14 * time.Hour)
				stop()
				assert.Equal(t, ids(0, scheduled), sorted(got))
			})
		})
	}
}

// While a dialer works, each poll lists the calls of list_lag again, and costs as many pages as those take.
func TestAFeedKeepsUpWithADialer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const density = 10
		minutes := sized(10, 3)
		api := &scripted{}
		o := options(api, &disk{}, &logbook{})
		polls := func(d time.Duration) int { return int(d/o.Poll) + 1 } // at most: one at each end
		got, _ := follow(t, o)
		time.Sleep(500 * time.Millisecond) // no poll is at the moment in which calls are created
		n := 0
		for range minutes * 60 {
			at := time.Now().Truncate(time.Second)
			api.mu.Lock()
			for range density {
				api.calls = append(api.calls, made(n, at, "Completed"))
				n++
			}
			api.mu.Unlock()
			time.Sleep(time.Second)
		}
		time.Sleep(30 * time.Second)
		assert.Equal(t, ids(0, n), sorted(got))
		pages, gets := api.counts()
		assert.Zero(t, gets)
		// Listed again are those of list_lag, and of the two or three seconds by which a bound is put earlier. A page begins
		// with the calls of the second that the one before ended in.
		again := density * int((o.Lag + o.Poll + 5*time.Second).Seconds())
		each := (again-1)/(callfeed.MaxPage-density) + 1
		assert.LessOrEqual(t, pages, polls(time.Duration(minutes)*time.Minute+30*time.Second)*(each+1), "in each poll one more asks whether more follow")
		t.Logf("%d requests, %.4f a call", pages, float64(pages)/float64(n))
		// When nobody calls any more, what was listed is not listed over and over.
		time.Sleep(time.Hour)
		before, _ := api.counts()
		time.Sleep(time.Hour)
		after, _ := api.counts()
		assert.LessOrEqual(t, after-before, 2*polls(time.Hour), "each poll asks for the newest calls, and whether more follow")
	})
}

// More calls share a second than the API gives on a page, and stand in another order
// in each answer.
func TestCrowdsThatChangePlacesAreToldOnce(t *testing.T) {
	for _, density := range []int{120, 1000} {
		for seed := range uint64(sized(2, 1)) {
			synctest.Test(t, func(t *testing.T) {
				const total = 2000
				api, log := dense(total, density, time.Now().Add(-2*time.Hour), "Completed"), &logbook{}
				api.cap = 100
				rng := rand.New(rand.NewPCG(seed, 1))
				api.onPage = func(int) {
					api.mu.Lock()
					defer api.mu.Unlock()
					for n := 0; n < total; n += density {
						same := api.calls[n:min(n+density, total)]
						rng.Shuffle(len(same), func(i, j int) { same[i], same[j] = same[j], same[i] })
					}
				}
				got, _ := follow(t, options(api, &disk{}, log))
				time.Sleep(10 * time.Second)
				pages, _ := api.counts()
				assert.Equal(t, ids(0, total), sorted(got), "density %d, seed %d, %d pages", density, seed, pages)
				t.Logf("density %d: %d pages", density, pages)
				assert.Empty(t, log.all())
			})
		}
	}
}

// particular refuses or fails pages that are larger than it likes.
type particular struct {
	*scripted
	most    int
	err     error
	refused atomic.Int64
}

func (p *particular) ListCallsPage(ctx context.Context, q happyrobot.ListCallsQuery) ([]happyrobot.Call, error) {
	if q.Limit > p.most {
		p.refused.Add(1)
		return nil, p.err
	}
	return p.scripted.ListCallsPage(ctx, q)
}

func TestAPageThatFailsIsAskedForSmaller(t *testing.T) {
	for name, err := range map[string]error{
		"refused":    &happyrobot.Error{Op: "listCalls", Status: 422},
		"gives up":   &happyrobot.Error{Op: "listCalls", Status: 504},
		"no answer":  &happyrobot.Error{Op: "listCalls", Err: context.DeadlineExceeded},
		"unreadable": &happyrobot.Error{Op: "listCalls", Status: 200},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api, log := &particular{scripted: dense(3000, 200, time.Now().Add(-2*time.Hour), "Completed"), most: 500, err: err}, &logbook{}
				got, _ := follow(t, options(api, &disk{}, log))
				time.Sleep(10 * time.Second) // one pass
				assert.Equal(t, ids(0, 3000), sorted(got))
				assert.Empty(t, log.all(), "that is no trouble")
				assert.LessOrEqual(t, int(api.refused.Load()), 2)
				pages, _ := api.counts()
				assert.LessOrEqual(t, pages, 60)
			})
		})
	}
}

// The cursor of a backfill that is killed covers what was acknowledged, within a second
// of calls, too.
func TestABackfillThatIsKilledOftenIsNeitherLostNorRepeated(t *testing.T) {
	for _, density := range []int{10, 1000} {
		synctest.Test(t, func(t *testing.T) {
			n := sized(3000, 1500)
			api, store := dense(n, density, time.Now().Add(-2*time.Hour), "Completed"), &disk{}
			acked := map[string]int{}
			for len(acked) < n {
				feed, err := callfeed.Open(t.Context(), options(api, store, &logbook{}))
				require.NoError(t, err)
				for range min(271, n-len(acked)) {
					e, err := feed.Next(t.Context())
					require.NoError(t, err)
					require.NoError(t, e.Ack(t.Context(), nil))
					acked[e.Item.ID]++
					require.Equal(t, 1, acked[e.Item.ID], e.Item.ID)
				}
				store = store.kill()
				_ = feed.Close(context.Background())
			}
		})
	}
}

// counted counts the pages of an archive.
type counted struct {
	archive
	pages atomic.Int64
}

func (c *counted) ListCallsPage(ctx context.Context, q happyrobot.ListCallsQuery) ([]happyrobot.Call, error) {
	c.pages.Add(1)
	if q.Sort == "desc" { // by which the feed learns what time it is there
		newest := c.archive[len(c.archive)-1]
		return []happyrobot.Call{newest}, nil
	}
	return c.archive.ListCallsPage(ctx, q)
}

// A pass that is deep in the list begins anew where it is, not list_lag before.
func TestALongBackfillIsNotListedTwice(t *testing.T) {
	for _, density := range []int{10, 1000} {
		synctest.Test(t, func(t *testing.T) {
			n := sized(40_000, 8000)
			api, store, from := &counted{archive: make(archive, n)}, &disk{}, time.Now().Add(-20*time.Hour)
			for i := range api.archive {
				api.archive[i] = happyrobot.Call{ID: callID(i), Created: from.Add(time.Duration(i/density) * time.Second), Status: happyrobot.StatusCompleted}
			}
			api.archive[n-1].Created = time.Now().Add(-time.Minute) // so that the others are certainly old
			o := options(api, store, &logbook{})
			feed, err := callfeed.Open(t.Context(), o)
			require.NoError(t, err)
			largest := 0
			var acks sync.WaitGroup
			for i := range n {
				e, err := feed.Next(t.Context())
				require.NoError(t, err)
				require.Equal(t, callID(i), e.Item.ID, "each once, in order")
				acks.Go(func() { assert.NoError(t, e.Ack(t.Context(), nil)) })
				if i%1000 == 0 {
					acks.Wait()
					largest = max(largest, store.size())
				}
			}
			acks.Wait()
			assert.LessOrEqual(t, float64(api.pages.Load())/float64(n), mostPerCall/5)
			assert.Less(t, largest, 30_000*45, "what is done with is forgotten on the way")
			t.Logf("density %d: %d requests, %.5f a call; the largest cursor has %d bytes", density, api.pages.Load(), float64(api.pages.Load())/float64(n), largest)
			require.NoError(t, feed.Close(t.Context()))
		})
	}
}
