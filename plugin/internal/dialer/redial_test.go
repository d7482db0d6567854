package dialer

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/ledger"
)

// What the API shows with our reference was created, whatever else it lacks.
func TestACallWithoutAnIDIsHeldAndNeverRedialed(t *testing.T) {
	for name, tt := range map[string]struct {
		answer  answer
		lists   bool // whether the list ever has it
		outcome Outcome
	}{
		"neither the reply nor the list has one": {answer{dropsID: true}, true, Held},
		"the reply was lost":                     {answer{dropsID: true, err: lost}, true, Held},
		"nor any other member":                   {answer{dropsID: true, dropsTime: true, err: lost}, true, Held},
		"listed late":                            {answer{dropsID: true, listedIn: settle - time.Second, err: lost}, true, Held},
		"never listed":                           {answer{dropsID: true, listedIn: window}, false, Held},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api, mem, calls := &fakeAPI{onPost: first(tt.answer)}, ledger.NewMemory(), leads(t, 2)
				for _, r := range dial(t, open(t, api, mem, redial), calls...) {
					assert.Equal(t, Held, r.Outcome)
					require.EqualError(t, r.Err, "held: unknown: the API has the call, and gives no id of it that can be read; it is not dialed again")
				}
				assertOneCallEach(t, api, calls)
				assert.Len(t, api.requests(), 1)

				// Nor by the next process.
				assert.Equal(t, []Outcome{Held, Held}, outcomes(dial(t, open(t, api, mem, redial), calls...)))
				assertOneCallEach(t, api, calls)
			})
		})
	}
}

func TestAnIDThatOnlyTheListHasIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, one := &fakeAPI{onPost: first(answer{dropsID: true})}, lead(t, 1)
		api.onList = func(int) error {
			api.mu.Lock()
			defer api.mu.Unlock()
			api.placed[0].ID = "call-late"
			return nil
		}
		// The list was copied before: the second look sees it.
		r := dial(t, open(t, api, ledger.NewMemory(), redial), one)[0]
		assert.Equal(t, Accepted, r.Outcome)
		assert.Equal(t, "call-late", r.CallID)
		assertOneCallEach(t, api, []Call{one})
	})
}

// sends are the times at which requests were made.
func sends(api *fakeAPI) (at []time.Time) {
	for _, p := range api.requests() {
		at = append(at, p.at)
	}
	return at
}

func TestALeadIsSentAgainABoundedNumberOfTimes(t *testing.T) {
	for most := range 4 {
		synctest.Test(t, func(t *testing.T) {
			api, mem, one := &fakeAPI{}, ledger.NewMemory(), lead(t, 1)
			api.onPost = func(int, []*Call) answer { return answer{creates: none, err: lost} }
			bound := func(o *Options) { o.MaxRedials = most }
			r := dial(t, open(t, api, mem, redial, bound), one)[0]
			assert.Equal(t, Held, r.Outcome)
			assert.Equal(t, ReasonUnknown, r.Reason)
			require.ErrorContains(t, r.Err, "max_redials")
			at := sends(api)
			require.Len(t, at, most+1)
			for i := 1; i < len(at); i++ {
				assert.GreaterOrEqual(t, at[i].Sub(at[i-1]), settle<<(i-1), "settle doubles each time")
			}

			// The next process counts on.
			assert.Equal(t, []Outcome{Held}, outcomes(dial(t, open(t, api, mem, redial, bound), one)))
			assert.Len(t, api.requests(), most+1)
		})
	}
}

// Each process is killed after its claim, with the request on its way or not.
func TestTheBoundHoldsAcrossProcesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem, one, began := ledger.NewMemory(), lead(t, 1), time.Now()
		claimAndDie(t, mem, one)
		for range 3 {
			next := witness(t, mem, one)
			time.Sleep(time.Hour)
			takeOverDoubt(t, next, one)
		}
		api := &fakeAPI{}
		r := dial(t, open(t, api, mem, redial), one)[0]
		assert.Equal(t, Held, r.Outcome)
		require.ErrorContains(t, r.Err, "it was sent 4 times")
		assert.Empty(t, api.requests())
		assert.Less(t, time.Since(began), 4*time.Hour)
	})
}

// An outage in which every dial is answered with 5xx does not use the bound up, whatever
// lead it meets: the API is broken, not the lead.
func TestAnOutageDoesNotUseTheBoundUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		api, calls := &fakeAPI{}, leads(t, 3)
		api.onPost = func(int, []*Call) answer {
			if time.Since(began) < 6*time.Hour {
				return answer{creates: none, err: status(503)}
			}
			return answer{}
		}
		results := dial(t, open(t, api, ledger.NewMemory(), redial), calls...)
		assert.Equal(t, []Outcome{Accepted, Accepted, Accepted}, outcomes(results))
		assertOneCallEach(t, api, calls)
	})
}

// Nor do restarts during the outage, which find calls that were held.
func TestAnOutageWithRestartsDoesNotUseTheBoundUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, mem, calls := &fakeAPI{}, ledger.NewMemory(), leads(t, 3)
		api.onPost = func(int, []*Call) answer { return answer{creates: none, err: status(503)} }
		for range 6 {
			ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
			_, err := open(t, api, mem, redial).Dial(ctx, calls)
			require.Error(t, err)
			stop()
		}
		assert.GreaterOrEqual(t, len(api.requests()), 6)
		api.onPost = nil
		assert.Equal(t, []Outcome{Accepted, Accepted, Accepted}, outcomes(dial(t, open(t, api, mem, redial), calls...)))
		assertOneCallEach(t, api, calls)
	})
}

// A lead that alone is answered with 5xx counts, since the API accepts others.
func TestALeadThatBreaksTheAPIUsesTheBoundUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, bad, done := &fakeAPI{}, lead(t, 1), make(chan struct{})
		api.onPost = func(_ int, calls []*Call) answer {
			if calls[0].Ref == bad.Ref {
				return answer{creates: none, err: status(500)}
			}
			return answer{}
		}
		d := open(t, api, ledger.NewMemory(), redial)
		go func() { // others, meanwhile
			defer close(done)
			for n := range 1000 {
				time.Sleep(time.Second)
				dial(t, d, lead(t, 2+n))
			}
		}()
		assert.Equal(t, []Outcome{Held}, outcomes(dial(t, d, bad)))
		<-done
		sent := 0
		for _, p := range api.requests() {
			if p.calls[0].Ref == bad.Ref {
				sent++
			}
		}
		assert.Equal(t, 4, sent)
	})
}
