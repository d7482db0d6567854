package callfeed_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/callfeed"
)

// A call that is older than the listing is read by itself. Whatever comes back is
// the end of that call, or of none.
func TestACallThatIsReadByItselfIsTheOneAskedFor(t *testing.T) {
	for name, tc := range map[string]struct {
		swap  func(id, body string) string
		taken bool
	}{
		"another call":  {func(id, body string) string { return strings.Replace(body, `"id":"`+id, `"id":"`+callID(999), 1) }, false},
		"without an id": {func(id, body string) string { return strings.Replace(body, `"id":"`+id+`",`, ``, 1) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sim := callsim.New(callsim.Options{Speed: 1})
				var swapping atomic.Bool
				swapping.Store(true)
				api := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
					rec := httptest.NewRecorder()
					sim.ServeHTTP(rec, req)
					body := rec.Body.String()
					if id := strings.TrimPrefix(req.URL.Path, "/api/v1/calls/"); id != req.URL.Path && swapping.Load() {
						body = tc.swap(id, body)
					}
					w.WriteHeader(rec.Code)
					_, _ = fmt.Fprint(w, body)
				})
				ids, err := sim.Arrive(callsim.Arrival{EndsAs: "completed", Talk: callsim.Duration(20 * time.Minute)})
				require.NoError(t, err)
				log := &logbook{}
				got, _ := follow(t, options(clientOf(t, api), &disk{}, log))
				time.Sleep(15 * time.Minute)
				newer, err := sim.Arrive(callsim.Arrival{EndsAs: "Busy"})
				require.NoError(t, err)
				time.Sleep(time.Hour)

				want := []string{newer[0]}
				if tc.taken {
					want = append(want, ids[0])
				}
				assert.ElementsMatch(t, want, got.ids())
				swapping.Store(false)
				time.Sleep(2 * time.Hour)
				assert.ElementsMatch(t, []string{newer[0], ids[0]}, got.ids(), "nothing is lost by it")
				assert.Equal(t, !tc.taken, logged(log, "another call") > 0)
			})
		})
	}
}

// Spellings of a status that was saved by an earlier version are no change.
func TestAnotherSpellingOfTheSavedStatusIsNoChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, store := &scripted{calls: []object{made(0, time.Now(), "in-progress")}}, &disk{}
		o := options(api, store, &logbook{})
		o.Changes = true
		got, stop := follow(t, o)
		time.Sleep(time.Minute)
		stop()
		api.set(0, "In Progress")
		again, _ := follow(t, o)
		time.Sleep(time.Minute)
		api.set(0, "no_answer")
		time.Sleep(time.Hour)
		assert.Equal(t, []string{"in-progress"}, got.statuses())
		assert.Equal(t, []string{"no_answer"}, again.statuses())
		assert.Equal(t, happyrobot.StatusInProgress, again.events[0].Previous.Canonical())
		assert.Equal(t, callfeed.Complete, again.events[0].Outcome)
	})
}
