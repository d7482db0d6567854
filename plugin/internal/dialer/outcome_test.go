package dialer

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/ledger"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
)

func TestACallIsKnownByItsKey(t *testing.T) {
	a, first := Identify("key", []byte(`{"phone_number":"+12025550101"}`))
	b, second := Identify("key", []byte(`{"phone_number":"+12025550102"}`))
	assert.Equal(t, a, b)
	assert.NotEqual(t, first, second)

	c, third := Identify("", []byte(`{"phone_number":"+12025550102"}`))
	assert.Equal(t, second, third)
	assert.Equal(t, third, c, "without a key, equal contents are the same call")
	assert.NotEqual(t, b, c)
}

func TestEveryLeadOfALargeBatchIsCalledOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, calls := &fakeAPI{}, leads(t, 45)
		d := open(t, api, ledger.NewMemory())
		results := dial(t, d, calls...)
		assertOneCallEach(t, api, calls)
		for i, r := range results {
			assert.Equal(t, Accepted, r.Outcome)
			assert.Equal(t, http.StatusOK, r.HTTPStatus)
			for _, p := range api.placed {
				if p.ref == calls[i].Ref {
					assert.Equal(t, p.ID, r.CallID, "each lead gets its own call's id")
				}
			}
		}
		require.Len(t, api.requests(), 3)
		for _, p := range api.requests() {
			assert.LessOrEqual(t, len(p.calls), 20)
		}

		again := dial(t, d, calls...)
		for i, r := range again {
			assert.Equal(t, Result{Outcome: Duplicate, CallID: results[i].CallID}, r)
		}
		assert.Len(t, api.requests(), 3, "a duplicate makes no request")
		assert.Empty(t, api.lists())
	})
}

func TestALeadTwiceInABatchIsCalledOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, one := &fakeAPI{}, lead(t, 1)
		results := dial(t, open(t, api, ledger.NewMemory()), one, one, one)
		assertOneCallEach(t, api, []Call{one})
		assert.Equal(t, []Outcome{Accepted, Duplicate, Duplicate}, outcomes(results))
		for _, r := range results {
			assert.Equal(t, "call-1", r.CallID)
		}
	})
}

func TestTheSameKeyForAnotherCallIsAConflict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, one := &fakeAPI{}, lead(t, 1)
		d := open(t, api, ledger.NewMemory())
		dial(t, d, one)
		other := one
		other.Fingerprint = "other"
		r := dial(t, d, other)[0]
		assert.Equal(t, Conflict, r.Outcome)
		assert.Equal(t, ReasonConflict, r.Reason)
		assert.Equal(t, "call-1", r.CallID)
		require.ErrorContains(t, r.Err, "conflict: dedupe_conflict: ")
		assert.Len(t, api.requests(), 1)
	})
}

func TestARefusedCallFailsAloneAndCanBeDialedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, one := &fakeAPI{onPost: first(answer{creates: none, err: status(422)})}, lead(t, 1)
		d := open(t, api, ledger.NewMemory())
		r := dial(t, d, one)[0]
		assert.Equal(t, Rejected, r.Outcome)
		assert.Equal(t, ReasonRefused, r.Reason)
		assert.Equal(t, 422, r.HTTPStatus)
		require.ErrorAs(t, r.Err, new(*happyrobot.Error))

		assert.Equal(t, []Outcome{Accepted}, outcomes(dial(t, d, one)), "the claim was given up")
		assertOneCallEach(t, api, []Call{one})
	})
}

func TestTheStreamWaitsWhileTheAPITakesNoCalls(t *testing.T) {
	tests := map[string]struct {
		err  error
		why  Cause
		wait time.Duration // at least, between two tries
	}{
		"429":              {tooMany, RateLimited, time.Minute},
		"429 without time": {status(429), RateLimited, 0},
		"401":              {status(401), Setup, 0},
		"402":              {status(402), Setup, 0},
		"403":              {status(403), Setup, 0},
		"404":              {status(404), Setup, 0},
		"405":              {status(405), Setup, 0},
		"301":              {status(301), Setup, 0},
		"not sent":         {neverSent(t), Unanswered, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				api, calls := &fakeAPI{}, leads(t, 3)
				api.onPost = func(int, []*Call) answer {
					if time.Since(began) < time.Hour {
						return answer{creates: none, err: tt.err}
					}
					return answer{}
				}
				told := &reports{}
				results := dial(t, open(t, api, ledger.NewMemory(), told.to), calls...)
				assert.Equal(t, []Outcome{Accepted, Accepted, Accepted}, outcomes(results))
				assertOneCallEach(t, api, calls)
				assert.Equal(t, []string{string(tt.why) + " begins: " + tt.err.Error()}, told.said(string(tt.why)+" begins"), "reported once")
				reminders := len(told.said(string(tt.why) + " lasts"))
				assert.GreaterOrEqual(t, reminders, 11, "and again while it lasts")
				assert.Len(t, told.said(string(tt.why)+" ends after 1h"), 1)
				assert.Len(t, told.lines, 1+reminders+1, "there is no other cause")
				for _, at := range api.lists() {
					assert.LessOrEqual(t, at.Sub(began), settle+time.Second, "only a batch may be created in part, and settle says whether it was")
				}
				assert.Less(t, time.Since(began), time.Hour+time.Minute+time.Second)
				requests := api.requests()
				assert.Less(t, len(requests), 600, "tries keep apart")
				for i := 1; i < len(requests) && requests[i].at.Before(began.Add(time.Hour)); i++ {
					assert.Len(t, requests[i].calls, probeSize(tt.err, len(calls)))
					assert.GreaterOrEqual(t, requests[i].at.Sub(requests[i-1].at), tt.wait)
				}
			})
		})
	}
}

// probeSize is how many of the calls that wait a probe carries.
func probeSize(err error, waiting int) int {
	var e *happyrobot.Error
	if errors.As(err, &e) && e.Class() == happyrobot.ClassNotSent {
		return waiting
	}
	return 1
}

func TestNothingIsClaimedWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem, one := ledger.NewMemory(), lead(t, 1)
		api := &fakeAPI{onPost: first(answer{creates: none, err: tooMany})}
		var looked atomic.Int32
		unclaimed := func() {
			looked.Add(1)
			_, err := mem.Get(t.Context(), one.Ref)
			assert.ErrorIs(t, err, store.ErrNotFound)
		}
		time.AfterFunc(30*time.Second, unclaimed)
		dial(t, open(t, api, mem, func(o *Options) {
			o.Wait = func(context.Context) error { unclaimed(); return nil }
		}), one)
		assert.EqualValues(t, 3, looked.Load(), "the rate limit is asked before each of two requests")
	})
}

func TestAFailingRateLimitEndsTheDialWithNothingSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{}
		broken := errors.New("no such rate limit")
		d := open(t, api, ledger.NewMemory(), func(o *Options) { o.Wait = func(context.Context) error { return broken } })
		results, err := d.Dial(t.Context(), leads(t, 2))
		require.ErrorIs(t, err, broken)
		assert.Equal(t, []Outcome{"", ""}, outcomes(results))
		assert.Empty(t, api.requests())
	})
}

func TestCallsThatCannotBeSentInTimeAreGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, recovered := time.Now(), false
		api, calls := &fakeAPI{}, leads(t, 3)
		api.onPost = func(int, []*Call) answer {
			if recovered {
				return answer{}
			}
			return answer{creates: none, err: status(401)}
		}
		d := open(t, api, ledger.NewMemory(), func(o *Options) {
			o.MaxElapsedTime, o.MaxCallsPerRequest = 10*time.Minute, 2
		})
		for _, r := range dial(t, d, calls...) {
			assert.Equal(t, Rejected, r.Outcome)
			assert.Equal(t, ReasonGaveUp, r.Reason)
			require.ErrorContains(t, r.Err, "rejected: gave_up: ")
		}
		assert.InDelta(t, 10*time.Minute, time.Since(began), float64(time.Second))

		recovered = true
		assert.Equal(t, []Outcome{Accepted, Accepted, Accepted}, outcomes(dial(t, d, calls...)), "no claim was left behind")
		assertOneCallEach(t, api, calls)
	})
}

// The key of a call that may have been placed is used for other contents: once the call is
// found its id is told, and until then nothing is placed.
func TestAConflictWithACallInDoubtIsLookedUp(t *testing.T) {
	for _, created := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			api, mem, one := &fakeAPI{}, ledger.NewMemory(), lead(t, 1)
			claimAndDie(t, mem, one)
			if created {
				api.create([]*Call{&one}, answer{})
			}
			other := one
			other.Fingerprint = "other"
			r := dial(t, open(t, api, mem, redial), other)[0]
			assert.Equal(t, Conflict, r.Outcome)
			assert.Equal(t, ReasonConflict, r.Reason)
			assert.Empty(t, api.requests())
			if !created {
				assert.Empty(t, r.CallID)
				assert.ErrorContains(t, r.Err, "which may have been placed and was not found")
				return
			}
			assert.Equal(t, "call-1", r.CallID)
			r = dial(t, open(t, api, mem), one)[0]
			assert.Equal(t, Result{Outcome: Duplicate, CallID: "call-1"}, r, "it is recorded with its own contents")
		})
	}
}

// While the API takes nothing, a message that is delivered again is what the ledger knows.
func TestACallThatIsOutOfTimeIsAskedForInTheLedger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, mem, calls := &fakeAPI{}, ledger.NewMemory(), leads(t, 5)
		dial(t, open(t, api, mem), calls[:2]...)
		claimAndDie(t, mem, calls[2])
		api.onPost = first(answer{creates: none, err: lost})
		stopped, stop := context.WithTimeout(t.Context(), time.Second)
		_, err := open(t, &fakeAPI{onPost: api.onPost}, mem).Dial(stopped, calls[3:4])
		stop()
		require.Error(t, err, "held in the ledger, undecided here")

		calls[1].Fingerprint = "other"
		closed := &fakeAPI{onPost: func(int, []*Call) answer { return answer{creates: none, err: status(401)} }}
		d := open(t, closed, mem, func(o *Options) { o.MaxElapsedTime = time.Minute })
		d.gate.close(turn{}, setupWrong, time.Hour, status(401))
		results := dial(t, d, calls...)
		assert.Equal(t, []Outcome{Duplicate, Conflict, Held, Held, Rejected}, outcomes(results))
		assert.Equal(t, []string{"", ReasonConflict, ReasonClaimedElsewhere, ReasonNotLookedUp, ReasonGaveUp},
			[]string{results[0].Reason, results[1].Reason, results[2].Reason, results[3].Reason, results[4].Reason})
		assert.Equal(t, "call-1", results[0].CallID)
		assert.Equal(t, "call-2", results[1].CallID)
		assert.Empty(t, closed.requests())
	})
}
