package callfeed_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

// Open calls that a page can show together cost a request for all of them, whenever they
// end; those that no list shows are still read by themselves.
func TestOpenCallsThatShareAPageAreListedRatherThanReadOneByOne(t *testing.T) {
	for name, relist := range map[string]int{"one by one": 0, "listed": 500} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api, log := &scripted{}, &logbook{}
				began := time.Now()
				for n := range 300 {
					api.calls = append(api.calls, made(n, began.Add(time.Duration(n)*time.Second), "In progress"))
				}
				o := options(api, &disk{}, log)
				o.Relist = relist
				got, _ := follow(t, o)
				time.Sleep(10 * time.Minute)
				// Newer ones move the window that each pass lists on.
				for n := range 3 {
					time.Sleep(20 * time.Minute)
					api.add(made(1000+n, time.Now(), "Completed"))
				}
				api.hide(7) // from lists only
				pagesBefore, getsBefore := api.counts()
				for n := range 300 {
					api.set(n, "Completed")
				}
				time.Sleep(time.Hour)
				assert.Len(t, got.ids(), 303)
				assert.ElementsMatch(t, unique(got.ids()), got.ids(), "each once")
				pages, gets := api.counts()
				t.Logf("%d pages, %d reads", pages-pagesBefore, gets-getsBefore)
				if relist > 0 {
					assert.LessOrEqual(t, gets-getsBefore, 20)
				} else {
					assert.GreaterOrEqual(t, gets-getsBefore, 300)
				}
			})
		})
	}
}

// Calls that are days apart share no page: listing what lies between them would cost more
// than reading them.
func TestOpenCallsThatAreFarApartAreReadOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, log := &scripted{}, &logbook{}
		began := time.Now().Add(-20 * time.Hour)
		for n := range 2000 {
			status := "Completed"
			if n%200 == 0 {
				status = "In progress"
			}
			api.calls = append(api.calls, made(n, began.Add(time.Duration(n)*36*time.Second), status))
		}
		o := options(api, &disk{}, log)
		o.Relist = 100
		got, _ := follow(t, o)
		time.Sleep(time.Hour)
		assert.Len(t, got.ids(), 1990)
		for n := range 10 {
			api.set(200*n, "Completed")
		}
		time.Sleep(3 * time.Hour)
		assert.Len(t, got.ids(), 2000)
		assert.ElementsMatch(t, unique(got.ids()), got.ids(), "each once")
		_, gets := api.counts()
		assert.GreaterOrEqual(t, gets, 10)
	})
}
