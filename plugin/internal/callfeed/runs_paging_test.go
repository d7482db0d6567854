package callfeed_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot/platform"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/callfeed"
)

// pagedRuns is a list of completed runs, one in each step of time, that is paged in some
// other way than it is asked to.
type pagedRuns struct {
	n      int
	began  time.Time
	step   time.Duration
	most   int                                             // runs of a page; 0 is as asked
	hidden func(n int) bool                                // runs that are cut out of pages after these were made; nil for none
	tells  func(p *platform.Page[platform.Run], asked int) // what it says of a page; nil for the truth

	mu    sync.Mutex
	asked []int // sizes of pages
}

func (l *pagedRuns) ListRunsPage(_ context.Context, _ string, q platform.RunQuery) (p platform.Page[platform.Run], _ error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked = append(l.asked, q.PageSize)
	size := q.PageSize
	if l.most > 0 {
		size = min(size, l.most)
	}
	var all []int
	for n := range l.n {
		if !l.created(n).Before(q.From) {
			all = append(all, n)
		}
	}
	if q.Sort == platform.Descending {
		slices.Reverse(all)
	}
	from := min((q.Page-1)*size, len(all))
	to := min(from+size, len(all))
	for _, n := range all[from:to] {
		if l.hidden == nil || !l.hidden(n) {
			p.Items = append(p.Items, platform.Run{ID: fmt.Sprint("run-", n), Created: l.created(n), Status: platform.RunCompleted})
		}
	}
	p.Pagination = platform.Pagination{
		Page: q.Page, Size: size, Pages: (len(all) + size - 1) / size, Records: len(all), More: to < len(all), MoreKnown: true,
	}
	if l.tells != nil {
		l.tells(&p, q.PageSize)
	}
	return p, nil
}

func (l *pagedRuns) created(n int) time.Time { return l.began.Add(time.Duration(n) * l.step) }

func (l *pagedRuns) GetRun(context.Context, string) (platform.Run, error) {
	return platform.Run{}, &happyrobot.Error{Op: "getRun", Status: http.StatusNotFound, Err: errors.New("not found")}
}

func (l *pagedRuns) requests() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.asked)
}

// shown are the runs that are in pages, in the order of numbers.
func (l *pagedRuns) shown() (ids []string) {
	for n := range l.n {
		if l.hidden == nil || !l.hidden(n) {
			ids = append(ids, fmt.Sprint("run-", n))
		}
	}
	slices.Sort(ids)
	return ids
}

func runOptions(api callfeed.RunsAPI, log callfeed.Logger) callfeed.Options {
	o := options(nil, &disk{}, log)
	o.Unit, o.Relist, o.API = callfeed.RunUnit, 500, &callfeed.Runs{API: api, Workflow: "w"}
	return o
}

// echoes says that a page is as large as it was asked for.
func echoes(p *platform.Page[platform.Run], asked int) { p.Size = asked }

// counts says that a page is as large as it came.
func counts(p *platform.Page[platform.Run], _ int) { p.Size = len(p.Items) }

// uncounted says only whether more follows.
func uncounted(p *platform.Page[platform.Run], _ int) {
	p.Pagination = platform.Pagination{Records: -1, More: p.More, MoreKnown: true}
}

// A page that shows fewer runs than it could is no end while the API says that more follow.
func TestAShortPageOfRunsIsNoEndWhileMoreFollow(t *testing.T) {
	type tells func(*platform.Page[platform.Run], int)
	hides := map[string]func(n int) bool{
		"nothing":             nil,
		"each tenth":          func(n int) bool { return n%10 == 3 },
		"each second":         func(n int) bool { return n%2 == 1 },
		"the first":           func(n int) bool { return n < 150 },
		"three hundred":       func(n int) bool { return n >= 100 && n < 400 },
		"all but few at once": func(n int) bool { return n >= 7 && n < 1000 },
		"the last":            func(n int) bool { return n >= 1850 },
	}
	for name, hidden := range hides {
		for says, tell := range map[string]tells{"the truth": nil, "the size that was asked for": echoes, "the size that came": counts, "only that more follow": uncounted} {
			for _, most := range []int{0, 100, 37} {
				for _, size := range []int{100, 1000}[:sized(2, 1)] {
					step := time.Second
					if size == 100 {
						step = 5 * time.Millisecond
					}
					if says == "only that more follow" && hidden != nil && name != "each tenth" && name != "each second" {
						continue // an empty page is the end then
					}
					if most == 37 && tell != nil && (name == "the first" || name == "all but few at once") {
						continue // nothing shows that its pages are that small
					}
					t.Run(fmt.Sprintf("%s hidden, pages up to %d, it says %s, from %d", name, most, says, size), func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) {
							api, log := &pagedRuns{n: 2000, began: time.Now().Add(-2 * time.Hour), step: step, most: most, hidden: hidden, tells: tell}, &logbook{}
							o := runOptions(api, log)
							o.PageSize = size
							got, _ := follow(t, o)
							time.Sleep(10 * time.Second) // one pass
							assert.Equal(t, api.shown(), sorted(got))
							assert.Empty(t, log.all())
							assert.LessOrEqual(t, api.requests(), 250)

							// What is added is found on the same way.
							api.mu.Lock()
							api.n += 300
							api.mu.Unlock()
							time.Sleep(time.Minute)
							assert.Equal(t, api.shown(), sorted(got))
						})
					})
				}
			}
		}
	}
}

// What the API says to follow for ever does not hold the feed.
func TestAnEmptyPageOfRunsAfterAllThatAreCountedIsTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, log := &pagedRuns{n: 150, began: time.Now().Add(-time.Hour), step: time.Second}, &logbook{}
		api.tells = func(p *platform.Page[platform.Run], _ int) { p.More = true }
		got, _ := follow(t, runOptions(api, log))
		time.Sleep(10 * time.Second)
		assert.Equal(t, api.shown(), sorted(got))
		assert.LessOrEqual(t, api.requests(), 10)
	})
}

// A list whose last page is shorter than asked for says nothing about how large pages are.
func TestALastPageOfRunsIsNotTakenForTheSizeOfPages(t *testing.T) {
	for _, n := range []int{7, 250, 302, 303} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api, log := &pagedRuns{n: n, began: time.Now().Add(-2 * time.Hour), step: time.Second, tells: counts}, &logbook{}
				got, _ := follow(t, runOptions(api, log))
				time.Sleep(10 * time.Second)
				api.mu.Lock()
				api.n += 500
				api.mu.Unlock()
				time.Sleep(20 * time.Second)
				assert.Equal(t, api.shown(), sorted(got))
				assert.LessOrEqual(t, api.requests(), 30)
			})
		})
	}
}

// An API that gave small pages for a while is asked for larger ones again.
func TestLargerPagesOfRunsAreTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, log := &pagedRuns{n: 1000, began: time.Now().Add(-2 * time.Hour), step: time.Second, most: 50}, &logbook{}
		got, _ := follow(t, runOptions(api, log))
		time.Sleep(5 * time.Minute)
		api.mu.Lock()
		assert.LessOrEqual(t, slices.Max(api.asked[len(api.asked)-3:]), 50)
		api.most = 0
		api.mu.Unlock()
		time.Sleep(11 * time.Minute)
		api.mu.Lock()
		api.n, api.asked = 3000, nil
		api.mu.Unlock()
		time.Sleep(time.Minute)
		assert.Equal(t, api.shown(), sorted(got))
		api.mu.Lock()
		defer api.mu.Unlock()
		assert.Greater(t, slices.Max(api.asked), 500)
	})
}
