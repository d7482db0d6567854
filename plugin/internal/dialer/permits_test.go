package dialer

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/ledger"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
)

// tokens is a rate limit: so many permits in each interval.
type tokens struct {
	count    int
	interval time.Duration

	mu     sync.Mutex
	left   int
	refill time.Time
	given  int
	broken error
}

func (l *tokens) ask(context.Context) (time.Duration, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken != nil {
		return time.Second, l.broken
	}
	if now := time.Now(); !now.Before(l.refill) {
		l.left, l.refill = l.count, now.Add(l.interval)
	}
	if l.left == 0 {
		return time.Until(l.refill), nil
	}
	l.left--
	l.given++
	return 0, nil
}

func (l *tokens) limits(o *Options) {
	o.Calls = &CallLimit{Ask: l.ask, Waits: pause.NewSlow(o.notice("call_rate_limit"), errors.New("no permit"))}
}

// dialBatches dials batches side by side, as a stream with max_in_flight does.
func dialBatches(t *testing.T, d *Dialer, inFlight int, batches ...[]Call) (all []Outcome) {
	t.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	next := make(chan []Call)
	for range inFlight {
		wg.Go(func() {
			for batch := range next {
				said := outcomes(dial(t, d, batch...))
				mu.Lock()
				all = append(all, said...)
				mu.Unlock()
			}
		})
	}
	for _, b := range batches {
		next <- b
	}
	close(next)
	wg.Wait()
	return all
}

func TestACallLimitOfOneASecondSendsOneCallASecond(t *testing.T) {
	for name, inFlight := range map[string]int{"one batch at a time": 1, "four at a time": 4} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began, api, calls, limit := time.Now(), &fakeAPI{}, leads(t, 30), &tokens{count: 1, interval: time.Second}
				d := open(t, api, ledger.NewMemory(), limit.limits)
				said := dialBatches(t, d, inFlight, slices.Collect(slices.Chunk(calls, 20))...)
				assert.Equal(t, slices.Repeat([]Outcome{Accepted}, 30), said)
				assert.GreaterOrEqual(t, time.Since(began), 29*time.Second)
				assert.Less(t, time.Since(began), 31*time.Second, "no permit is lost")
				assert.Equal(t, 30, limit.given)
				for _, request := range api.requests() {
					assert.Len(t, request.calls, 1)
				}
				assertOneCallEach(t, api, calls)
			})
		})
	}
}

func TestACallLimitLetsThroughWhatItHasAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, api, limit := time.Now(), &fakeAPI{}, &tokens{count: 8, interval: 10 * time.Second}
		dial(t, open(t, api, ledger.NewMemory(), limit.limits), leads(t, 20)...)
		var sizes []int
		for _, request := range api.requests() {
			sizes = append(sizes, len(request.calls))
		}
		assert.Equal(t, []int{8, 8, 4}, sizes)
		assert.Equal(t, 20*time.Second, time.Since(began))
		assert.Equal(t, 20, limit.given)
	})
}

func TestWhatTheLedgerKnowsNeedsNoPermit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, mem, calls := &fakeAPI{}, ledger.NewMemory(), leads(t, 10_000)
		dialBatches(t, open(t, api, mem), 1, slices.Collect(slices.Chunk(calls, 20))...)

		began, limit := time.Now(), &tokens{count: 1, interval: time.Hour, left: 0, refill: time.Now().Add(time.Hour)}
		d := open(t, api, mem, limit.limits)
		said := dialBatches(t, d, 4, slices.Collect(slices.Chunk(calls, 20))...)
		assert.Equal(t, slices.Repeat([]Outcome{Duplicate}, len(calls)), said)
		conflict := newCall("lead-1", "+12025559999")
		results := dial(t, d, conflict)
		assert.Equal(t, ReasonConflict, results[0].Reason)
		assert.Zero(t, limit.given)
		assert.Zero(t, time.Since(began))
	})
}

// Another process takes a call between its permit and its claim.
func TestThePermitOfACallThatIsKnownMeanwhileIsForTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, mem, calls, limit := &fakeAPI{}, ledger.NewMemory(), leads(t, 3), &tokens{count: 1, interval: time.Second}
		other := open(t, api, mem)
		taken := false
		d := open(t, api, mem, limit.limits, func(o *Options) {
			o.Wait = func(context.Context) error { // after the permit, before the claim
				if !taken {
					taken = true
					dial(t, other, calls[0])
				}
				return nil
			}
		})
		began := time.Now()
		assert.Equal(t, []Outcome{Duplicate, Accepted, Accepted}, outcomes(dial(t, d, calls...)))
		assert.Equal(t, 2, limit.given, "the first permit was used by the second call")
		assert.Equal(t, time.Second, time.Since(began))
		assertOneCallEach(t, api, calls)
	})
}

func TestAPermitThatIsGivenBackGoesToWhoeverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit := &tokens{count: 1, interval: time.Hour}
		p := &permits{limit: CallLimit{Ask: limit.ask}}
		granted, err := p.take(t.Context(), 1)
		require.NoError(t, err)
		began := time.Now()
		time.AfterFunc(time.Second, func() { p.giveBack(granted) })
		again, err := p.take(t.Context(), 1)
		require.NoError(t, err)
		assert.Equal(t, 1, again)
		assert.Equal(t, time.Second, time.Since(began), "and not the hour of the limit")

		p.giveBack(again)
		time.Sleep(spareFor + time.Second)
		_, err = p.take(t.Context(), 1)
		require.NoError(t, err)
		assert.Equal(t, time.Hour, time.Since(began), "one that is old is no permit beside those of the limit")
		assert.Equal(t, 2, limit.given)
	})
}

func TestACallThatIsSentAgainKeepsItsPermit(t *testing.T) {
	for name, failure := range map[string]error{"throttled": tooMany, "setup": status(401), "not sent": neverSent(t)} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api, calls, limit := &fakeAPI{onPost: first(answer{creates: none, err: failure})}, leads(t, 3), &tokens{count: 1, interval: time.Minute}
				assert.Equal(t, []Outcome{Accepted, Accepted, Accepted}, outcomes(dial(t, open(t, api, ledger.NewMemory(), limit.limits), calls...)))
				assert.Len(t, api.requests(), 4)
				assert.Equal(t, 3, limit.given, "once for each call")
				assertOneCallEach(t, api, calls)
			})
		})
	}
}

func TestAStopWhileWaitingForAPermitIsQuickAndLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, api, mem, calls := time.Now(), &fakeAPI{}, ledger.NewMemory(), leads(t, 3)
		limit := &tokens{count: 1, interval: time.Hour}
		results, err := dialUntil(t, open(t, api, mem, limit.limits), 10*time.Second, calls)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, []Outcome{Accepted, "", ""}, outcomes(results))
		assert.Equal(t, 10*time.Second, time.Since(began))
		for _, c := range calls[1:] {
			_, err := mem.Get(t.Context(), c.Ref)
			require.ErrorIs(t, err, store.ErrNotFound, "nothing is claimed while waiting")
		}
	})
}

func TestCallsThatGetNoPermitInTimeAreGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, limit := time.Now(), &tokens{count: 1, interval: time.Hour}
		d := open(t, &fakeAPI{}, ledger.NewMemory(), limit.limits, func(o *Options) { o.MaxElapsedTime = 10 * time.Minute })
		results := dial(t, d, leads(t, 2)...)
		assert.Equal(t, []Outcome{Accepted, Rejected}, outcomes(results))
		assert.Equal(t, ReasonGaveUp, results[1].Reason)
		assert.Equal(t, 10*time.Minute, time.Since(began))
	})
}

func TestLongWaitsForPermitsAreOneTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said reports
		limit := &tokens{count: 1, interval: 90 * time.Second}
		dial(t, open(t, &fakeAPI{}, ledger.NewMemory(), said.to, limit.limits), leads(t, 11)...)
		time.Sleep(time.Minute)
		assert.Equal(t, []string{"call_rate_limit begins: no permit"}, said.said("call_rate_limit begins"), "one for each wait would be ten")
		assert.Len(t, said.said("call_rate_limit lasts"), 2)
		assert.Equal(t, []string{"call_rate_limit ends after 15m10s"}, said.said("call_rate_limit ends"))

		limit.interval = 59 * time.Second
		dial(t, open(t, &fakeAPI{}, ledger.NewMemory(), limit.limits), leads(t, 5)...)
		assert.Len(t, said.said("call_rate_limit begins"), 1, "shorter waits are none")
	})
}

func TestALimitThatCannotBeAskedIsReportedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said reports
		limit := &tokens{count: 1, broken: errors.New("no server")}
		time.AfterFunc(29500*time.Millisecond, func() { limit.mu.Lock(); limit.broken = nil; limit.mu.Unlock() })
		api := &fakeAPI{}
		dial(t, open(t, api, ledger.NewMemory(), said.to, limit.limits), leads(t, 1)...)
		assert.Equal(t, []string{"call_rate_limit begins: no server", "call_rate_limit ends after 30s"}, said.said("call_rate_limit"))
		assert.Len(t, api.requests(), 1)
	})
}
