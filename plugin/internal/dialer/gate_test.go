package dialer

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/ledger"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
)

// outage is longer than any pause of the dialer's own.
const outage = 3*time.Hour + time.Minute

// dialApart dials each lead in a Dial of its own, all at once.
func dialApart(t *testing.T, d *Dialer, calls []Call) []Outcome {
	t.Helper()
	all := make([]Outcome, len(calls))
	var wg sync.WaitGroup
	for i, c := range calls {
		wg.Go(func() { all[i] = dial(t, d, c)[0].Outcome })
	}
	wg.Wait()
	return all
}

func TestAfterAnUnknownNoRequestLeavesUntilTheAPIAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		api, calls := &fakeAPI{onPost: first(answer{err: lost})}, leads(t, 7)
		api.onList = func(int) error {
			if time.Since(began) < outage {
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
		assert.GreaterOrEqual(t, requests[1].at.Sub(began), outage)
		assert.Len(t, requests[1].calls, 1, "the probe risks one call")
		assert.Len(t, requests[2].calls, 4, "and opens the gate for the rest")
	})
}

func TestAnOutageMakesNoMoreUnknownThanIsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, calls := time.Now(), leads(t, 30)
		out := func() bool { return time.Since(began) < outage }
		api := &fakeAPI{}
		api.onPost = func(int, []*Call) answer {
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
			if p.at.Before(began.Add(outage)) {
				during++
			}
		}
		assert.Equal(t, 3, during)
	})
}

func TestOthersGoOnAsSoonAsAnUnknownCanBeAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		api, calls := &fakeAPI{onPost: first(answer{creates: none, err: lost})}, leads(t, 2)
		assert.ElementsMatch(t, []Outcome{Held, Accepted}, dialApart(t, open(t, api, ledger.NewMemory()), calls))
		assert.Less(t, api.requests()[1].at.Sub(began), 2*time.Second, "not for settle: the API lists calls")
	})
}

func TestOthersGoOnWhenNobodyAsksForAnUnknownAnyMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{onPost: first(answer{err: lost}), onList: func(int) error { return status(503) }}
		d := open(t, api, ledger.NewMemory())
		_, err := dialUntil(t, d, time.Minute, leads(t, 1))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, []Outcome{Accepted}, outcomes(dial(t, d, lead(t, 2))))
	})
}

// The API goes wrong while a call waits for the rate limit, or for its claim.
func TestARequestThatTheGateLetOutMayStillBeStopped(t *testing.T) {
	for _, where := range []string{"rate limit", "claim"} {
		t.Run(where, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began, calls := time.Now(), leads(t, 2)
				late := &slow{Memory: ledger.NewMemory(), key: calls[1].Ref}
				if where == "claim" {
					late.takes = 10 * time.Second
				}
				api := &fakeAPI{onPost: func(int, []*Call) answer {
					if time.Since(began) < time.Hour {
						return answer{takes: time.Second, creates: none, err: status(401)}
					}
					return answer{}
				}}
				d := open(t, api, late, func(o *Options) {
					o.Wait = func(ctx context.Context) error {
						if where == "rate limit" && ctx.Value(slowDial{}) != nil && time.Since(began) < 10*time.Second {
							return pause.SleepUntil(ctx, began.Add(10*time.Second))
						}
						return nil
					}
				})
				var wg sync.WaitGroup
				wg.Go(func() { dial(t, d, calls[0]) })
				wg.Go(func() {
					ctx, cancel := bounded(context.WithValue(t.Context(), slowDial{}, true))
					defer cancel()
					_, err := d.Dial(ctx, calls[1:])
					assert.NoError(t, err)
				})
				wg.Wait()
				assertOneCallEach(t, api, calls)
				assert.Equal(t, api.requests()[0].calls[0].Ref, calls[0].Ref)
				for _, p := range api.requests() {
					assert.NotEqual(t, began.Add(10*time.Second), p.at, "sent into a closed gate")
				}
				if where == "rate limit" {
					assert.NotContains(t, late.added, began.Add(10*time.Second), "claimed behind a closed gate")
				}
			})
		})
	}
}

type slowDial struct{}

// slow takes its time to add one key at first, and remembers when it did.
type slow struct {
	*ledger.Memory
	key   string
	takes time.Duration
	added []time.Time
}

func (s *slow) Add(ctx context.Context, key string, value []byte, ttl *time.Duration) error {
	if key == s.key {
		if len(s.added) == 0 {
			if err := pause.Sleep(ctx, s.takes); err != nil {
				return err
			}
		}
		s.added = append(s.added, time.Now())
	}
	return s.Memory.Add(ctx, key, value, ttl)
}

// A claim is good for one timeout: after a slow ledger it is taken afresh.
func TestAnOldClaimIsNotDialedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := leads(t, 2)
		late := &slow{Memory: ledger.NewMemory(), key: calls[1].Ref, takes: timeout/2 + time.Second}
		api := &fakeAPI{}
		assert.Equal(t, []Outcome{Accepted, Accepted}, outcomes(dial(t, open(t, api, late), calls...)))
		assertOneCallEach(t, api, calls)
		assert.Len(t, api.requests(), 1)
		assert.Len(t, late.added, 2)
	})
}

// sluggish takes a second for each operation.
type sluggish struct{ *ledger.Memory }

func (s sluggish) Get(ctx context.Context, key string) ([]byte, error) {
	_ = pause.Sleep(ctx, time.Second)
	return s.Memory.Get(ctx, key)
}

func (s sluggish) Add(ctx context.Context, key string, value []byte, ttl *time.Duration) error {
	_ = pause.Sleep(ctx, time.Second)
	return s.Memory.Add(ctx, key, value, ttl)
}

// Reading one call's history takes longer than its neighbour's claim is good for.
func TestASlowLedgerDoesNotHoldAGroupForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, calls, mem, ttl := &fakeAPI{}, leads(t, 4), sluggish{ledger.NewMemory()}, window
		for n := range 20 {
			key := calls[0].Ref
			if n > 0 {
				key = fmt.Sprintf("%s/%d", calls[0].Ref, n+1)
			}
			void := fmt.Sprintf(`{"v":1,"state":"void","owner":"dead","at":%q}`, time.Now().Format(time.RFC3339))
			require.NoError(t, mem.Set(t.Context(), key, []byte(void), &ttl))
		}
		began := time.Now()
		results, _ := dialUntil(t, open(t, api, mem), time.Hour, calls)
		assert.Equal(t, []Outcome{Accepted, Accepted, Accepted, Accepted}, outcomes(results))
		assertOneCallEach(t, api, calls)
		assert.Less(t, time.Since(began), 5*time.Minute)
	})
}

// The list works, but no dial is answered: each probe costs one call, and the
// pauses between them grow.
func TestProbesStaySmallWhileDialsGoUnanswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := leads(t, 12)
		api := &fakeAPI{onPost: func(n int, _ []*Call) answer {
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
		api := &fakeAPI{onPost: func(int, []*Call) answer {
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
		g.close(turn{}, setupWrong, 0, nil)
		for _, most := range []int{1, 2, 4, 8, 8, 8} {
			began := time.Now()
			p, err := g.enter(t.Context())
			require.NoError(t, err)
			assert.True(t, p.probe)
			assert.LessOrEqual(t, time.Since(began), time.Duration(most)*time.Second)
			g.close(p, setupWrong, 0, nil)
		}
		for range 20 {
			p, err := g.enter(t.Context())
			require.NoError(t, err)
			g.answered(p)
			g.close(turn{}, setupWrong, 0, nil)
			assert.LessOrEqual(t, time.Until(g.until), time.Second, "after an answer they start short again")
		}
		p, err := g.enter(t.Context())
		require.NoError(t, err)
		g.answered(p)
		g.close(turn{}, rateLimited, time.Minute, nil)
		began := time.Now()
		_, err = g.enter(t.Context())
		require.NoError(t, err)
		assert.Equal(t, time.Minute, time.Since(began), "the API's own wait is kept to")
	})
}

func TestAClosedGateLetsAnotherProbeWhenOneIsNotUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(Options{InitialInterval: time.Second, MaxInterval: time.Second})
		g.close(turn{}, setupWrong, 0, nil)
		p, err := g.enter(t.Context())
		require.NoError(t, err)

		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err = g.enter(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded, "one at a time")

		entered := make(chan turn)
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
		g.close(early, setupWrong, time.Minute, nil)
		g.answered(early)
		assert.False(t, g.valid(early))
		began := time.Now()
		p, err := g.enter(t.Context())
		require.NoError(t, err)
		assert.True(t, p.probe && g.valid(p))
		assert.Equal(t, time.Minute, time.Since(began))
	})
}

func TestACauseThatChangesEndsOneNoticeAndBeginsTheOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := &reports{}
		d := open(t, &fakeAPI{onPost: first(answer{creates: none, err: tooMany}, answer{creates: none, err: status(401)})}, ledger.NewMemory(), told.to)
		assert.Equal(t, []Outcome{Accepted}, outcomes(dial(t, d, lead(t, 1))))
		require.Len(t, told.lines, 4)
		for i, want := range []string{"rate_limited begins: ", "rate_limited ends after 1m0s", "setup begins: ", "setup ends after "} {
			assert.Contains(t, told.lines[i], want)
		}
	})
}

// The latest reason is the one that is repeated.
func TestAReminderSaysWhatHappenedLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, told := time.Now(), &reports{}
		api := &fakeAPI{onPost: func(int, []*Call) answer {
			if since := time.Since(began); since < time.Minute {
				return answer{creates: none, err: status(401)}
			} else if since < 10*time.Minute {
				return answer{creates: none, err: status(404)}
			}
			return answer{}
		}}
		dial(t, open(t, api, ledger.NewMemory(), told.to), lead(t, 1))
		assert.Equal(t, []string{"setup begins: dial: status 401 Unauthorized"}, told.said("setup begins"))
		assert.Equal(t, "setup lasts since 2000-01-01T00:00:00Z: dial: status 404 Not Found", told.said("setup lasts")[0])
	})
}

func TestCallsThatCannotBeLookedUpAreReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, told := time.Now(), &reports{}
		api := &fakeAPI{onPost: first(answer{err: lost})}
		api.onList = func(int) error {
			if time.Since(began) < 6*time.Minute {
				return status(503)
			}
			return nil
		}
		assert.Equal(t, []Outcome{Accepted}, outcomes(dial(t, open(t, api, ledger.NewMemory(), told.to), lead(t, 1))))
		assert.Equal(t, []string{"look_ups begins: looking up calls: dial: status 503 Service Unavailable"}, told.said("look_ups begins"))
		assert.Len(t, told.said("look_ups lasts"), 1)
		assert.Len(t, told.said("look_ups ends"), 1)
	})
}
