package happyrobot_test

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

// routed answers a request for one call and one for the list.
type routed struct {
	mu           sync.Mutex // of the answers, which change with time
	call, list   func() (status int, body string)
	calls, lists atomic.Int32
}

// change gives other answers from now on; nil stays as it is.
func (r *routed) change(call, list func() (int, string)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if call != nil {
		r.call = call
	}
	if list != nil {
		r.list = list
	}
}

func (r *routed) client(t *testing.T, change func(*happyrobot.Options)) *happyrobot.Client {
	t.Helper()
	return newClient(t, "http://api.example.invalid", func(o *happyrobot.Options) {
		o.Transport = roundTrip(func(req *http.Request) *http.Response {
			r.mu.Lock()
			answer, count := r.call, &r.calls
			if strings.HasSuffix(req.URL.Path, "/calls") {
				answer, count = r.list, &r.lists
			}
			r.mu.Unlock()
			count.Add(1)
			time.Sleep(time.Millisecond)
			status, body := answer()
			return respond(req, status, body)
		})
		o.Retry = happyrobot.Retry{InitialInterval: time.Second, MaxInterval: 30 * time.Second}
		if change != nil {
			change(o)
		}
	})
}

func always(status int, body string) func() (int, string) {
	return func() (int, string) { return status, body }
}

func TestTheFirst404AsksForTheListOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &routed{call: always(404, ""), list: always(200, `{"calls":[]}`)}
		c := r.client(t, nil)
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				_, err := c.GetCall(t.Context(), callID)
				assert.True(t, happyrobot.IsNotFound(err))
			})
		}
		wg.Wait()
		_, err := c.GetCall(t.Context(), callID)
		assert.True(t, happyrobot.IsNotFound(err))
		assert.EqualValues(t, 17, r.calls.Load())
		assert.EqualValues(t, 1, r.lists.Load())
	})
}

func TestAWrongBaseURLIsWaitedFor(t *testing.T) {
	for name, wrong := range map[string]func() (int, string){
		"404": always(404, ""), "a redirect": always(301, ""), "a web page": always(200, "<html>"), "405": always(405, ""), "something else": always(200, "[]"),
	} {
		for _, status := range []int{404, 301, 405} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := &routed{call: always(status, ""), list: wrong}
					var said atomic.Value
					c := r.client(t, func(o *happyrobot.Options) {
						o.OnRepeat = func(string) (func(error, time.Duration), func(error)) {
							return func(err error, _ time.Duration) { said.Store(err) }, func(error) {}
						}
					})
					time.AfterFunc(time.Hour, func() { r.change(always(200, aCall), always(200, `{"calls":[]}`)) })
					began := time.Now()
					_, err := c.GetCall(t.Context(), callID)
					require.NoError(t, err)
					assert.GreaterOrEqual(t, time.Since(began), time.Hour)
					why := said.Load().(error)
					assert.Equal(t, happyrobot.ClassSetup, happyrobot.ClassOf(why))
					assert.ErrorContains(t, why, "base_url http://api.example.invalid")
				})
			})
		}
	}
}

// A key that is refused, and an outage, say nothing about the base URL.
func TestWhileTheListCannotBeAskedNobodyKnows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, status := range []int{401, 429, 500, 408} {
			r := &routed{call: always(404, ""), list: always(status, "")}
			time.AfterFunc(time.Minute, func() { r.change(nil, always(200, `{"calls":[]}`)) })
			began := time.Now()
			_, err := r.client(t, nil).GetCall(t.Context(), callID)
			assert.True(t, happyrobot.IsNotFound(err))
			assert.GreaterOrEqual(t, time.Since(began), time.Minute)
		}
	})
}

func TestAWrongBaseURLFailsAtItsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &routed{call: always(404, ""), list: always(404, "")}
		_, err := r.client(t, func(o *happyrobot.Options) { o.Retry.MaxElapsedTime = time.Minute }).GetCall(t.Context(), callID)
		require.Error(t, err)
		assert.False(t, happyrobot.IsNotFound(err))
		assert.Equal(t, happyrobot.ClassSetup, happyrobot.ClassOf(err))
	})
}

// Once the API was met, 404 is about the object.
func TestAfterAnAnswerNobodyAsksForTheList(t *testing.T) {
	r := &routed{call: always(200, aCall), list: always(404, "")}
	c := r.client(t, nil)
	_, err := c.GetCall(t.Context(), callID)
	require.NoError(t, err)
	r.change(always(404, ""), nil)
	_, err = c.GetCall(t.Context(), callID)
	assert.True(t, happyrobot.IsNotFound(err))
	assert.Zero(t, r.lists.Load())
}

// A base URL leads nowhere if a dial and a list have the same answer, of a wrong setup, and
// neither client ever had a good one.
func TestNoAPIIsThereIfNothingWasEverAnsweredWell(t *testing.T) {
	t.Parallel()
	asked := func(good bool, status int) (dial, list error) {
		answer := func(well string) func() (int, string) {
			return func() (int, string) {
				if good {
					return http.StatusOK, well
				}
				return status, "no"
			}
		}
		r := &routed{call: answer("[]"), list: answer(`{"calls":[]}`)}
		dials, lists := r.client(t, nil), r.client(t, nil)
		ask := func() {
			_, dial = dials.CreateOutboundCalls(t.Context(), nil)
			for _, list = range lists.ListCalls(t.Context(), happyrobot.ListCallsQuery{Once: true}) {
				break
			}
		}
		if good {
			ask()
			good = false
		}
		ask()
		return dial, list
	}
	dial, list := asked(false, 404)
	metDial, metList := asked(true, 404)
	assert.True(t, happyrobot.LeadsNowhere(dial, list))
	assert.False(t, happyrobot.LeadsNowhere(metDial, list), "calls were created there")
	assert.False(t, happyrobot.LeadsNowhere(dial, metList), "calls were listed there")
	assert.False(t, happyrobot.LeadsNowhere(nil, list))
	assert.False(t, happyrobot.LeadsNowhere(dial, nil))
	otherDial, _ := asked(false, 405)
	assert.False(t, happyrobot.LeadsNowhere(otherDial, list), "two answers")
	for _, status := range []int{408, 422, 429, 500} {
		assert.False(t, happyrobot.LeadsNowhere(asked(false, status)), "not a wrong setup: %d", status)
	}
}
