package dialer

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/ledger"
)

// dialApart dials each lead in a Dial of its own, all at once.
func dialApart(t *testing.T, d *Dialer, calls []Call) []Outcome {
	t.Helper()
	all := make([]Outcome, len(calls))
	var wg sync.WaitGroup
	for i, c := range calls {
		wg.Go(func() {
			results, err := d.Dial(t.Context(), []Call{c})
			assert.NoError(t, err)
			all[i] = results[0].Outcome
		})
	}
	wg.Wait()
	return all
}

func TestAfterAnUnknownNoRequestLeavesUntilTheAPIAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		api, calls := &fakeAPI{onPost: first(answer{err: lost})}, leads(t, 7)
		api.onList = func(int) error {
			if time.Since(began) < time.Hour {
				return status(503)
			}
			return nil
		}
		d := open(t, api, ledger.NewMemory())
		var wg sync.WaitGroup
		wg.Go(func() { assert.Equal(t, []Outcome{Accepted, Accepted}, outcomes(dial(t, d, calls[:2]...))) })
		synctest.Wait()
		wg.Go(func() {
			for _, o := range outcomes(dial(t, d, calls[2:]...)) {
				assert.Equal(t, Accepted, o)
			}
		})
		wg.Wait()
		assertOneCallEach(t, api, calls)
		requests := api.requests()
		require.Len(t, requests, 3)
		assert.GreaterOrEqual(t, requests[1].at.Sub(began), time.Hour)
		assert.Len(t, requests[1].calls, 1, "the probe risks one call")
		assert.Len(t, requests[2].calls, 4, "and opens the gate for the rest")
	})
}

func TestAnOutageMakesNoMoreUnknownThanIsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, calls := time.Now(), leads(t, 30)
		out := func() bool { return time.Since(began) < time.Hour }
		api := &fakeAPI{}
		api.onPost = func(int, []happyrobot.OutboundCall) answer {
			if out() {
				return answer{takes: time.Second, creates: none, err: lost}
			}
			return answer{takes: time.Second}
		}
		api.onList = func(int) error {
			if out() {
				return status(503)
			}
			return nil
		}
		d := open(t, api, ledger.NewMemory())
		var wg sync.WaitGroup
		var held atomic.Int32
		for worker := range 3 { // as max_in_flight has it
			wg.Go(func() {
				for _, c := range calls[worker*10 : worker*10+10] {
					if dial(t, d, c)[0].Outcome == Held {
						held.Add(1)
					}
				}
			})
		}
		wg.Wait()
		assert.EqualValues(t, 3, held.Load())
		during := 0
		for _, p := range api.requests() {
			if p.at.Before(began.Add(time.Hour)) {
				during++
			}
		}
		assert.Equal(t, 3, during)
	})
}

// The list works, but no dial is answered: each probe costs one call, and the
// pauses between them grow.
func TestProbesStaySmallWhileDialsGoUnanswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := leads(t, 12)
		api := &fakeAPI{onPost: func(n int, _ []happyrobot.OutboundCall) answer {
			if n <= 4 {
				return answer{creates: none, err: status(502)}
			}
			return answer{}
		}}
		d := open(t, api, ledger.NewMemory())
		dial(t, d, calls[0])
		results := dial(t, d, calls[1:]...)
		sizes := []int{}
		for _, p := range api.requests() {
			sizes = append(sizes, len(p.calls))
		}
		assert.Equal(t, []int{1, 1, 1, 1, 1, 7}, sizes)
		assert.Equal(t, []Outcome{Held, Held, Held, Accepted}, outcomes(results[:4]))
		assertOneCallEach(t, api, calls[4:])
	})
}

func TestOneProbeAtATimeWhileTheGateIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, calls := time.Now(), leads(t, 10)
		api := &fakeAPI{onPost: func(int, []happyrobot.OutboundCall) answer {
			if time.Since(began) < 10*time.Minute {
				return answer{takes: 5 * time.Second, creates: none, err: status(429)}
			}
			return answer{}
		}}
		for _, o := range dialApart(t, open(t, api, ledger.NewMemory()), calls) {
			assert.Equal(t, Accepted, o)
		}
		assertOneCallEach(t, api, calls)
		for i, p := range api.requests() {
			// The first of each were on their way before the trouble was known.
			if i > len(calls) && p.at.Before(began.Add(10*time.Minute)) {
				assert.GreaterOrEqual(t, p.at.Sub(api.requests()[i-1].at), 5*time.Second, "request %d overlaps the one before", i)
			}
		}
	})
}

func TestPausesBetweenProbesGrowToTheLongest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(Options{InitialInterval: time.Second, MaxInterval: 8 * time.Second})
		g.close(pass{}, SetupWrong, 0, nil)
		for _, most := range []time.Duration{1, 2, 4, 8, 8, 8} {
			began := time.Now()
			p, err := g.enter(t.Context())
			require.NoError(t, err)
			assert.True(t, p.probe)
			assert.LessOrEqual(t, time.Since(began), most*time.Second)
			g.close(p, SetupWrong, 0, nil)
		}
		p, err := g.enter(t.Context())
		require.NoError(t, err)
		g.answered(p)
		g.close(pass{}, RateLimited, time.Minute, nil)
		began := time.Now()
		_, err = g.enter(t.Context())
		require.NoError(t, err)
		assert.Equal(t, time.Minute, time.Since(began), "the API's own wait is kept to")
	})
}

func TestAClosedGateLetsAnotherProbeWhenOneIsNotUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(Options{InitialInterval: time.Second, MaxInterval: time.Second})
		g.close(pass{}, SetupWrong, 0, nil)
		p, err := g.enter(t.Context())
		require.NoError(t, err)

		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err = g.enter(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded, "one at a time")

		entered := make(chan pass)
		go func() {
			p, _ := g.enter(t.Context())
			entered <- p
		}()
		synctest.Wait()
		g.leave(p)
		assert.True(t, (<-entered).probe)
	})
}

func TestAnAnswerFromBeforeTheTroubleOpensNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(Options{InitialInterval: time.Second, MaxInterval: time.Second})
		early, err := g.enter(t.Context())
		require.NoError(t, err)
		g.close(early, SetupWrong, time.Minute, nil)
		g.answered(early)
		assert.False(t, g.valid(early))
		began := time.Now()
		p, err := g.enter(t.Context())
		require.NoError(t, err)
		assert.True(t, p.probe && g.valid(p))
		assert.Equal(t, time.Minute, time.Since(began))
	})
}
