package dialer

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/ledger"
)

// wanting notes what lists are wanted for.
type wanting struct {
	*fakeAPI
	final []bool
	ours  func(string) bool
}

func (w *wanting) List(ctx context.Context, want Listing) iter.Seq2[PlacedCall, error] {
	w.final, w.ours = append(w.final, want.Final), want.Ours
	return w.fakeAPI.List(ctx, want)
}

var filtered = &Refusal{"refused_by_filter", &happyrobot.Error{Op: "dial", Status: http.StatusForbidden}}

// Who looks again after a third of settle looks three times: at once, then, and at the end.
func TestACallInDoubtIsLookedForThreeTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, one := &fakeAPI{onPost: first(answer{creates: none, err: lost})}, lead(t, 1)
		d := open(t, api, ledger.NewMemory(), func(o *Options) { o.LookAgain = (settle + 2) / 3 })
		assert.Equal(t, []Outcome{Held}, outcomes(dial(t, d, one)))
		assert.Len(t, api.lists(), 3)
	})
}

// Only a listing of which somebody takes what it lacks for not created must tell all.
func TestOnlyTheLastLookIsFinal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, one := &wanting{fakeAPI: &fakeAPI{onPost: first(answer{creates: none, err: lost})}}, lead(t, 1)
		d := open(t, api, ledger.NewMemory(), func(o *Options) { o.LookAgain = (settle + 2) / 3 })
		assert.Equal(t, []Outcome{Held}, outcomes(dial(t, d, one)))
		assert.Equal(t, []bool{false, false, true}, api.final)
		assert.True(t, api.ours(one.Ref))
		assert.False(t, api.ours("another"))
	})
}

func TestACallThatCanNeverBeLookedUpIsHeldAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, one, began := &fakeAPI{onPost: first(answer{creates: none, err: lost})}, lead(t, 1), time.Now()
		api.onList = func(int) error { return &Unlistable{errors.New("no key"), true} }
		mem := ledger.NewMemory()
		r := dial(t, open(t, api, mem, redial), one)[0]
		assert.Equal(t, Held, r.Outcome)
		assert.Equal(t, ReasonNotLookedUp, r.Reason)
		require.ErrorContains(t, r.Err, "no key")
		assert.Less(t, time.Since(began), time.Second)

		assert.Equal(t, []Outcome{Held}, outcomes(dial(t, open(t, api, mem, redial), one)), "nor does a restart dial it again")
		assert.Len(t, api.requests(), 1)
		assert.Equal(t, []Outcome{Accepted}, outcomes(dial(t, open(t, api, mem), lead(t, 2))), "others go on")
	})
}

// A key that may not list may be given the right to before settle is over.
func TestACallThatCannotBeListedIsHeldAfterSettle(t *testing.T) {
	for _, granted := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			api, one, began := &fakeAPI{onPost: first(answer{err: lost})}, lead(t, 1), time.Now()
			api.onList = func(int) error {
				if granted && time.Since(began) > settle/2 {
					return nil
				}
				return &Unlistable{Err: &happyrobot.Error{Op: "list", Status: http.StatusForbidden}}
			}
			want := map[bool]Outcome{true: Accepted, false: Held}[granted]
			r := dial(t, open(t, api, ledger.NewMemory(), redial), one)[0]
			assert.Equal(t, want, r.Outcome)
			assert.Len(t, api.requests(), 1)
			if !granted {
				assert.GreaterOrEqual(t, time.Since(began), settle)
				assert.Equal(t, ReasonNotLookedUp, r.Reason)
			}
		})
	}
}

// What refused the call may stand before the API, or behind it.
func TestACallRefusedForWhatItHoldsIsLookedUpFirst(t *testing.T) {
	for _, created := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			a := answer{err: filtered, listedIn: settle / 2}
			if !created {
				a.creates = none
			}
			api, calls := &fakeAPI{onPost: first(a)}, leads(t, 3)
			d := open(t, api, ledger.NewMemory(), redial, func(o *Options) { o.MaxCallsPerRequest = 1 })
			results := dial(t, d, calls...)
			if created {
				assert.Equal(t, []Outcome{Accepted, Accepted, Accepted}, outcomes(results))
			} else {
				assert.Equal(t, []Outcome{Rejected, Accepted, Accepted}, outcomes(results))
				assert.Equal(t, "refused_by_filter", results[0].Reason)
				assert.Equal(t, http.StatusForbidden, results[0].HTTPStatus)
			}
			assert.Len(t, api.requests(), 3, "none is sent again")
		})
	}
}

// The first that is refused is looked for until settle is over. Once that was for nothing,
// one look is enough.
func TestRefusalsForWhatCallsHoldCostOneSettle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, calls, began := &fakeAPI{onPost: func(int, []*Call) answer { return answer{creates: none, err: filtered} }}, leads(t, 5), time.Now()
		d := open(t, api, ledger.NewMemory(), func(o *Options) { o.MaxCallsPerRequest = 1 })
		for _, r := range dial(t, d, calls...) {
			assert.Equal(t, Rejected, r.Outcome)
		}
		assert.Less(t, time.Since(began), settle+5*time.Second)
	})
}

// Without a reference nothing can be ruled out: who lists the call may know why.
func TestWhyACallsReferenceIsNotShownIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, one := &fakeAPI{onPost: first(answer{err: lost, dropsEcho: true})}, lead(t, 1)
		d := open(t, unreadable{api}, ledger.NewMemory(), redial)
		r := dial(t, d, one)[0]
		assert.Equal(t, Held, r.Outcome)
		require.ErrorContains(t, r.Err, "it may not be read")
		assert.Len(t, api.requests(), 1)
	})
}

// unreadable lists calls whose reference may not be read.
type unreadable struct{ *fakeAPI }

func (u unreadable) List(ctx context.Context, want Listing) iter.Seq2[PlacedCall, error] {
	return func(yield func(PlacedCall, error) bool) {
		for c, err := range u.fakeAPI.List(ctx, want) {
			c.NoRef, c.Number = errors.New("it may not be read"), ""
			if !yield(c, err) {
				return
			}
		}
	}
}

func TestARunIsCalledARun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, one := &fakeAPI{onPost: first(answer{creates: none, err: lost})}, lead(t, 1)
		d := open(t, api, ledger.NewMemory(), func(o *Options) { o.Wording = Wording{"run", "started", "started"} })
		require.ErrorContains(t, dial(t, d, one)[0].Err, "the run may have been started, and 20s later the API did not list it; it is not started again")
	})
}

// A Date may be a proxy's. Where no call shows the API's own clock, the time of a call whose
// reference cannot be read says nothing.
func TestACallThatCannotBeReadIsNotOlderForAProxysDate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, shared := &fakeAPI{onPost: first(answer{err: lost})}, &Shared{}
		f.clock = func() time.Duration { return -time.Hour }
		proxy := &dated{f, &shared.Clock, func() (time.Time, bool) { return time.Now(), true }}
		one := lead(t, 1)
		d := open(t, unreadableOf{proxy}, ledger.NewMemory(), redial, func(o *Options) { o.Shared = shared })
		assert.Equal(t, []Outcome{Held}, outcomes(dial(t, d, one)))
		assert.Equal(t, 1, f.callsOf(one))
	})
}

// unreadableOf is unreadable for any API.
type unreadableOf struct{ API }

func (u unreadableOf) List(ctx context.Context, want Listing) iter.Seq2[PlacedCall, error] {
	return func(yield func(PlacedCall, error) bool) {
		for c, err := range u.API.List(ctx, want) {
			c.Ref, c.Number, c.NoRef = "", "", errors.New("it may not be read")
			if !yield(c, err) {
				return
			}
		}
	}
}

// asking repeats what is limited by itself, and tells of that.
type asking struct {
	*fakeAPI
	limited time.Duration
}

func (a asking) List(ctx context.Context, want Listing) iter.Seq2[PlacedCall, error] {
	return func(yield func(PlacedCall, error) bool) {
		for began := time.Now(); time.Since(began) < a.limited; time.Sleep(time.Second) {
			want.Asked(&happyrobot.Error{Op: "list", Status: http.StatusTooManyRequests})
		}
		for c, err := range a.fakeAPI.List(ctx, want) {
			if !yield(c, err) {
				return
			}
		}
	}
}

// An API that limits its list is there: others are dialed meanwhile, and the log says why
// those in doubt wait.
func TestALimitedListKeepsUpOnlyThoseInDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said reports
		api, began := asking{&fakeAPI{onPost: first(answer{err: lost})}, time.Hour}, time.Now()
		d := open(t, api, ledger.NewMemory(), said.to)
		done := make(chan []Result, 1)
		go func() { done <- dial(t, d, lead(t, 1)) }()
		synctest.Wait()
		assert.Equal(t, []Outcome{Accepted}, outcomes(dial(t, d, lead(t, 2))))
		assert.Less(t, time.Since(began), time.Minute)
		assert.Equal(t, []Outcome{Accepted}, outcomes(<-done))
		assert.GreaterOrEqual(t, time.Since(began), time.Hour)
		synctest.Wait() // a reminder may be reporting
		assert.Len(t, said.said("look_ups begins: list: status 429"), 1)
		assert.Len(t, said.said("look_ups ends"), 1)
	})
}
