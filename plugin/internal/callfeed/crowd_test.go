package callfeed_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/callfeed"
)

// crowded is an API with more calls of one second than a page has room for, which change
// their order between two answers, while calls are deleted and answers fail.
type crowded struct {
	*scripted
	rng      *rand.Rand
	date     time.Time // of the crowd
	shuffles bool
	removals int
	failures int
	killing  func() // now and then, between two pages

	wanted map[string]bool // not deleted
}

// newCrowded is one random history of calls, the crowd among sparse ones.
func newCrowded(rng *rand.Rand) *crowded {
	c := &crowded{
		scripted: &scripted{cap: []int{5, 20, 50}[rng.IntN(3)]}, rng: rng, wanted: map[string]bool{},
		date: time.Now().Add(-10 * time.Hour).Truncate(time.Second), shuffles: rng.IntN(3) > 0, removals: rng.IntN(25), failures: rng.IntN(6),
	}
	before := 1 + rng.IntN(60)
	for n := range before + 20 + rng.IntN(400) + 30 {
		at := c.date
		if n < before {
			at = at.Add(time.Duration(n-before) * 30 * time.Second)
		}
		c.calls = append(c.calls, made(n, at, "Completed"))
		c.wanted[callID(n)] = true
	}
	for i, call := range c.calls[len(c.calls)-30:] {
		call["created"] = c.date.Add(time.Duration(i+1) * 20 * time.Second).UTC().Format(time.RFC3339)
	}
	return c
}

func (c *crowded) ListCallsPage(ctx context.Context, q happyrobot.ListCallsQuery) ([]happyrobot.Call, error) {
	if c.failures > 0 && c.rng.IntN(10) == 0 {
		c.failures--
		return nil, &happyrobot.Error{Op: "listCalls", Status: 503}
	}
	page, err := c.scripted.ListCallsPage(ctx, q)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.removals > 0 && c.rng.IntN(4) == 0 {
		c.removals--
		at := c.rng.IntN(len(c.calls))
		id, _ := c.calls[at]["id"].(string)
		delete(c.wanted, id)
		c.calls = slices.Delete(c.calls, at, at+1)
	}
	if c.shuffles && c.rng.IntN(2) == 0 {
		of := func(o object) bool { return o.createdAt().Equal(c.date) }
		from := slices.IndexFunc(c.calls, of)
		same := c.calls[from:]
		if n := slices.IndexFunc(same, func(o object) bool { return !of(o) }); n > 0 {
			same = same[:n]
		}
		c.rng.Shuffle(len(same), func(i, j int) { same[i], same[j] = same[j], same[i] })
	}
	if c.rng.IntN(40) == 0 {
		c.killing()
	}
	return page, err
}

// A crowd that changes its order between answers, on an API that deletes calls and fails
// meanwhile, by a process that is killed between two pages: no call is lost, and none
// comes again that was acknowledged.
func TestACrowdIsNeitherLostNorRepeatedWhileItChanges(t *testing.T) {
	for seed := range 4 * seeds(t) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				rng := rand.New(rand.NewPCG(seed, 7))
				api, store, log := newCrowded(rng), &disk{}, &logbook{}
				sent, acked, lives := map[string]bool{}, map[string]int{}, 1+rng.IntN(4)
				for lives > 0 {
					ctx, kill := context.WithTimeout(t.Context(), 2*time.Hour)
					api.killing = func() {
						if lives > 1 {
							kill()
						}
					}
					feed, err := callfeed.Open(t.Context(), options(api, store, log))
					require.NoError(t, err)
					acknowledge(ctx, feed, sent, acked)
					kill()
					store = store.kill()
					_ = feed.Close(context.Background())
					lives--
				}
				lost := 0
				for id := range api.wanted {
					if !sent[id] {
						lost++
					}
				}
				assert.Zero(t, lost, "of %d calls; pages of %d, shuffled %v: %v", len(api.wanted), api.cap, api.shuffles, log.all())
				for id, times := range acked {
					assert.Equal(t, 1, times, id)
				}
			})
		})
	}
}

// acknowledge notes what was sent, and counts whose acknowledgement returned, until the
// context ends.
func acknowledge(ctx context.Context, feed *callfeed.Feed, sent map[string]bool, acked map[string]int) {
	var mu sync.Mutex
	var acks sync.WaitGroup
	defer acks.Wait()
	for {
		e, err := feed.Next(ctx)
		if err != nil {
			return
		}
		sent[e.Item.ID] = true
		acks.Go(func() {
			if e.Ack(ctx, nil) == nil {
				mu.Lock()
				acked[e.Item.ID]++
				mu.Unlock()
			}
		})
	}
}

// An outage just after a step back in a crowd must not let the next listing begin
// behind it.
func TestACrowdThatWasNotFullySeenIsListedAgainAfterAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size, total = 350, 551
		crowd := time.Now().Add(-10 * time.Hour).Truncate(time.Second)
		api, log, rng := &scripted{cap: 100}, &logbook{}, rand.New(rand.NewPCG(0, 1))
		api.calls = append(api.calls, made(0, crowd.Add(-time.Hour), "Completed"))
		for n := 1; n < total; n++ {
			api.calls = append(api.calls, made(n, crowd.Add(time.Duration(max(0, n-size))*20*time.Second), "Completed"))
		}
		api.onPage = func(int) {
			api.mu.Lock()
			defer api.mu.Unlock()
			same := api.calls[1 : size+1]
			rng.Shuffle(len(same), func(i, j int) { same[i], same[j] = same[j], same[i] })
		}
		got, _ := follow(t, options(&failsAfter{scripted: api, crowd: crowd, fails: 3}, &disk{}, log))
		time.Sleep(30 * time.Minute)
		assert.Equal(t, ids(0, total), sorted(got))
		require.Len(t, log.all(), 2, "the outage, and its end")
	})
}

// failsAfter fails some times when a page has shown where the crowd ends.
type failsAfter struct {
	*scripted
	crowd time.Time
	shown bool
	fails int
}

func (f *failsAfter) ListCallsPage(ctx context.Context, q happyrobot.ListCallsQuery) ([]happyrobot.Call, error) {
	if f.shown && f.fails > 0 {
		f.fails--
		return nil, &happyrobot.Error{Op: "listCalls", Status: 503}
	}
	page, err := f.scripted.ListCallsPage(ctx, q)
	if last := len(page) - 1; last > 0 && page[0].Created.Equal(f.crowd) && page[last].Created.After(f.crowd) {
		f.shown = true
	}
	return page, err
}
