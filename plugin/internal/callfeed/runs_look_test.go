package callfeed_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot/platform"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/callfeed"
)

// listedRuns is a list of runs that are not known by themselves.
type listedRuns struct {
	mu      sync.Mutex
	runs    []platform.Run // oldest first
	largest int            // pages of more runs are refused; 0 for none
	refused int
	pages   int
	gets    int
}

func (l *listedRuns) ListRunsPage(_ context.Context, _ string, q platform.RunQuery) (p platform.Page[platform.Run], _ error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pages++; l.largest > 0 && q.PageSize > l.largest {
		l.refused++
		return p, &happyrobot.Error{Op: "listRuns", Status: http.StatusUnprocessableEntity, Err: errors.New("page_size")}
	}
	for _, r := range l.runs {
		if !r.Created.Before(q.From) {
			p.Items = append(p.Items, r)
		}
	}
	from := min((q.Page-1)*q.PageSize, len(p.Items))
	to := min(from+q.PageSize, len(p.Items))
	p.More, p.MoreKnown = to < len(p.Items), true
	p.Items = p.Items[from:to]
	return p, nil
}

func (l *listedRuns) GetRun(context.Context, string) (platform.Run, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gets++
	return platform.Run{}, &happyrobot.Error{Op: "getRun", Status: http.StatusNotFound, Err: errors.New("not found")}
}

// change changes the runs.
func (l *listedRuns) change(how func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	how()
}

// Before a run is given up because the API has not known it for an hour, the list is asked.
func TestARunThatOnlyTheListKnowsIsNotGivenUp(t *testing.T) {
	for name, listed := range map[string]bool{"listed": true, "gone": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api, log := &listedRuns{}, &logbook{}
				api.runs = []platform.Run{{ID: "long", Created: time.Now(), Status: platform.RunRunning}}
				o := runOptions(api, log)
				var dropped []string
				o.OnDrop = func(reason string) { dropped = append(dropped, reason) }
				got, stop := follow(t, o)
				time.Sleep(time.Minute)
				for n := range 2 { // so that passes leave the first behind
					time.Sleep(20 * time.Minute)
					api.change(func() {
						api.runs = append(api.runs, platform.Run{ID: fmt.Sprint(n), Created: time.Now(), Status: platform.RunCompleted})
					})
				}
				if !listed {
					api.change(func() { api.runs = api.runs[1:] })
				}
				time.Sleep(5 * time.Hour)
				if listed {
					api.change(func() { api.runs[0].Status = platform.RunCompleted })
				}
				time.Sleep(2 * time.Hour)
				stop()
				if listed {
					assert.ElementsMatch(t, []string{"long", "0", "1"}, got.ids())
					assert.Empty(t, dropped)
					return
				}
				assert.ElementsMatch(t, []string{"0", "1"}, got.ids())
				assert.Equal(t, []string{"deleted"}, dropped)
			})
		})
	}
}

// A page that shows open runs is asked for in a smaller size when a larger one is refused.
func TestAPageOfOpenRunsThatIsTooLargeShrinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, log := &listedRuns{largest: 100}, &logbook{}
		for n := range 50 {
			api.runs = append(api.runs, platform.Run{ID: fmt.Sprint(n), Created: time.Now(), Status: platform.RunRunning})
		}
		got, _ := follow(t, runOptions(api, log))
		time.Sleep(time.Minute)
		time.Sleep(20 * time.Minute)
		api.change(func() {
			api.runs = append(api.runs, platform.Run{ID: "newer", Created: time.Now(), Status: platform.RunCompleted})
		})
		time.Sleep(20 * time.Minute)
		api.change(func() {
			for n := range 50 {
				api.runs[n].Status = platform.RunCompleted
			}
		})
		time.Sleep(30 * time.Minute)
		assert.Len(t, got.ids(), 51)
		assert.Zero(t, api.gets, "the list shows all of them")
		assert.Positive(t, api.refused)
		assert.LessOrEqual(t, api.refused, 30, "and a size that was refused is not asked for each time")
		assert.Empty(t, log.all())
	})
}

// What ended while no parts can be read is kept until they can, and then emitted with them.
func TestRunsWaitForTheirPartsWhileNoneCanBeRead(t *testing.T) {
	for _, status := range []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusUnprocessableEntity} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api, log := &listedRuns{}, &logbook{}
				api.runs = []platform.Run{{ID: "a", Created: time.Now(), Status: platform.RunCompleted}, {ID: "b", Created: time.Now(), Status: platform.RunCompleted}}
				o := runOptions(api, log)
				o.PartsTimeout, o.UnreadTimeout = 2*time.Minute, 30*time.Minute
				fixed := time.Now().Add(6 * time.Hour)
				o.Parts = func(_ context.Context, item callfeed.Item) (any, bool, error) {
					if time.Now().Before(fixed) {
						return nil, false, &happyrobot.Error{Op: "listRunSessions", Status: status, Err: errors.New("no")}
					}
					return item.ID, true, nil
				}
				var mu sync.Mutex
				waits := map[string]bool{}
				o.CauseOf = func(error) string { return "setup" }
				o.Wait = func() func(string) {
					return func(cause string) {
						mu.Lock()
						defer mu.Unlock()
						waits[cause] = true
					}
				}
				got, _ := follow(t, o)
				time.Sleep(5 * time.Hour)
				if status == http.StatusUnprocessableEntity { // this says something of each run
					assert.Len(t, got.ids(), 2)
					return
				}
				assert.Empty(t, got.ids())
				assert.Equal(t, 1, logged(log, "Cannot read the sessions or other parts of run"))
				mu.Lock()
				assert.True(t, waits["setup"])
				mu.Unlock()
				time.Sleep(2 * time.Hour)
				require.Len(t, got.ids(), 2)
				for _, e := range got.all() {
					assert.Equal(t, callfeed.Complete, e.Outcome)
					assert.Equal(t, e.Item.ID, e.Content)
				}
			})
		})
	}
}
