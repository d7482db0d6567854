package dialer

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/ledger"
)

func TestAnUnknownThatTheAPIListsIsAccepted(t *testing.T) {
	for name, a := range map[string]answer{
		"lost":       {err: lost},
		"500":        {err: status(500)},
		"408":        {err: status(408)},
		"unreadable": {err: status(200)},
		"timeout":    {takes: time.Hour},
	} {
		for policy, onUnknown := range map[string]OnUnknown{"hold": Hold, "redial": RedialAbsent} {
			t.Run(name+" "+policy, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					if a.takes > 0 {
						a.listedIn = -a.takes
					}
					api, calls := &fakeAPI{onPost: first(a)}, leads(t, 3)
					began := time.Now()
					d := open(t, api, ledger.NewMemory(), func(o *Options) { o.OnUnknown = onUnknown })
					assert.Equal(t, []Outcome{Accepted, Accepted, Accepted}, outcomes(dial(t, d, calls...)))
					assertOneCallEach(t, api, calls)
					assert.Len(t, api.requests(), 1)
					assert.LessOrEqual(t, time.Since(began), timeout+time.Second, "what is listed need not wait for settle")
				})
			})
		}
	}
}

func TestAnUnknownIsHeldWhenItIsNotListedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, one := &fakeAPI{onPost: first(answer{creates: none, err: lost})}, lead(t, 1)
		mem, began := ledger.NewMemory(), time.Now()
		r := dial(t, open(t, api, mem), one)[0]
		assert.Equal(t, Held, r.Outcome)
		assert.Equal(t, ReasonUnknown, r.Reason)
		require.ErrorContains(t, r.Err, "held: unknown: ")
		assert.GreaterOrEqual(t, time.Since(began), settle)
		assert.False(t, api.lists()[len(api.lists())-1].Before(began.Add(settle)), "the last look is not before settle")

		// A restarted process finds it in doubt, and holds it again.
		assert.Equal(t, []Outcome{Held}, outcomes(dial(t, open(t, api, mem), one)))
		assert.Len(t, api.requests(), 1, "never dialed again")
		assert.LessOrEqual(t, time.Since(began), timeout+settle+time.Second, "the first said that it gave up")

		// The list came late, but it came.
		api.create([]*Call{&one}, answer{})
		api.placed[0].Created = began
		assert.Equal(t, []Result{{Outcome: Accepted, CallID: "call-1", HTTPStatus: 200}}, dial(t, open(t, api, mem), one))
		assert.Equal(t, []Outcome{Duplicate}, outcomes(dial(t, open(t, api, mem), one)))
		assert.Len(t, api.requests(), 1)
	})
}

func TestAnAbsentUnknownIsDialedOnceMoreWhenAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, calls := &fakeAPI{}, leads(t, 3)
		// Of the first request, one call is created and two are lost.
		api.onPost = first(answer{creates: func(c *Call) bool { return c.Ref == calls[1].Ref }, err: lost})
		assert.Equal(t, []Outcome{Accepted, Accepted, Accepted}, outcomes(dial(t, open(t, api, ledger.NewMemory(), redial), calls...)))
		assertOneCallEach(t, api, calls)
		requests := api.requests()
		sent := map[string]int{}
		for _, p := range requests {
			for _, c := range p.calls {
				sent[c.Ref]++
			}
		}
		assert.Equal(t, map[string]int{calls[0].Ref: 2, calls[1].Ref: 1, calls[2].Ref: 2}, sent)
		assert.GreaterOrEqual(t, requests[1].at.Sub(requests[0].at), settle, "not before the list can be trusted")
		assert.LessOrEqual(t, requests[1].at.Sub(requests[0].at), settle+2*time.Second, "nor much later")
	})
}

func TestEachAbsentAttemptIsLookedUpBeforeTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := answer{creates: none, err: lost}
		api, one := &fakeAPI{onPost: first(gone, gone, answer{err: lost})}, lead(t, 1)
		assert.Equal(t, []Outcome{Accepted}, outcomes(dial(t, open(t, api, ledger.NewMemory(), redial), one)))
		assertOneCallEach(t, api, []Call{one})
		require.Len(t, api.requests(), 3)
		for i := 1; i < 3; i++ {
			assert.GreaterOrEqual(t, api.requests()[i].at.Sub(api.requests()[i-1].at), settle)
		}
	})
}

func TestAListThatLagsLessThanSettleIsWaitedFor(t *testing.T) {
	for _, onUnknown := range []OnUnknown{Hold, RedialAbsent} {
		synctest.Test(t, func(t *testing.T) {
			api, calls := &fakeAPI{onPost: first(answer{err: lost, listedIn: settle - time.Millisecond})}, leads(t, 3)
			d := open(t, api, ledger.NewMemory(), func(o *Options) { o.OnUnknown = onUnknown })
			assert.Equal(t, []Outcome{Accepted, Accepted, Accepted}, outcomes(dial(t, d, calls...)))
			assertOneCallEach(t, api, calls)
			assert.Len(t, api.requests(), 1)
		})
	}
}

func TestAListThatLagsMoreThanSettleHoldsAndIsBelievedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, calls := &fakeAPI{onPost: first(answer{err: lost, listedIn: 2 * settle})}, leads(t, 3)
		d := open(t, api, ledger.NewMemory())
		assert.Equal(t, []Outcome{Held, Held, Held}, outcomes(dial(t, d, calls...)))
		time.Sleep(settle)
		assert.Equal(t, []Outcome{Accepted, Accepted, Accepted}, outcomes(dial(t, d, calls...)))
		assertOneCallEach(t, api, calls)
	})
}

func TestTheAPIsClockMayBeBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, one := &fakeAPI{onPost: first(answer{err: lost, clockBehind: lookBack - time.Second})}, lead(t, 1)
		assert.Equal(t, []Outcome{Accepted}, outcomes(dial(t, open(t, api, ledger.NewMemory(), redial), one)))
		assertOneCallEach(t, api, []Call{one})
	})
}

func TestAnUnknownWaitsWhileTheAPICannotBeAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		api, one := &fakeAPI{onPost: first(answer{creates: none, err: lost})}, lead(t, 1)
		api.onList = func(int) error {
			if time.Since(began) < time.Hour {
				return status(503)
			}
			return nil
		}
		assert.Equal(t, []Outcome{Accepted}, outcomes(dial(t, open(t, api, ledger.NewMemory(), redial), one)))
		assert.GreaterOrEqual(t, api.requests()[1].at.Sub(began), time.Hour, "a failed look proves nothing")
		assert.Less(t, len(api.lists()), 600)
	})
}

func TestAnUnknownIsHeldWhenTheAPICannotBeAskedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, one := &fakeAPI{onPost: first(answer{err: lost}), onList: func(int) error { return status(503) }}, lead(t, 1)
		d := open(t, api, ledger.NewMemory(), redial, func(o *Options) { o.MaxElapsedTime = 10 * time.Minute })
		began := time.Now()
		assert.Equal(t, []Outcome{Held}, outcomes(dial(t, d, one)))
		assert.InDelta(t, 10*time.Minute, time.Since(began), float64(time.Minute))
		assertOneCallEach(t, api, []Call{one})
	})
}

func TestACallThatAReplyLeavesOutIsLookedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, calls := &fakeAPI{}, leads(t, 4)
		api.onPost = first(answer{
			creates: func(c *Call) bool { return c.Ref != calls[3].Ref },
			omits:   func(c *Call) bool { return c.Ref == calls[0].Ref },
		})
		d := open(t, api, ledger.NewMemory())
		assert.Equal(t, []Outcome{Accepted, Accepted, Accepted, Held}, outcomes(dial(t, d, calls...)))
		assertOneCallEach(t, api, calls[:3])
		assert.Len(t, api.requests(), 1)
	})
}

func TestOfAPartialReplyOnlyTheAbsentAreRedialed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, calls := &fakeAPI{}, leads(t, 4)
		api.onPost = first(answer{creates: func(c *Call) bool { return c.Ref != calls[3].Ref }})
		d := open(t, api, ledger.NewMemory(), redial)
		assert.Equal(t, []Outcome{Accepted, Accepted, Accepted, Accepted}, outcomes(dial(t, d, calls...)))
		assertOneCallEach(t, api, calls)
		require.Len(t, api.requests(), 2)
		assert.Len(t, api.requests()[1].calls, 1)
	})
}
