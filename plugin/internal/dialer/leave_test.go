package dialer

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/ledger"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
)

// dialOn dials calls that may be given back, and says when that was asked for.
func dialOn(t *testing.T, d *Dialer, leave bool, calls []Call) (results []Result, asked []time.Time, err error) {
	t.Helper()
	ctx, cancel := bounded(t.Context())
	defer cancel()
	results, err = d.DialOn(ctx, calls, Terms{Began: time.Now(), Leave: func(*Paused) bool {
		asked = append(asked, time.Now())
		return leave
	}})
	return results, asked, err
}

// refused is an API that refuses everything until a time.
func refused(code int, until time.Time) *fakeAPI {
	return &fakeAPI{onPost: refusesAll(code, until), onList: func(int) error {
		if time.Now().Before(until) {
			return status(code)
		}
		return nil
	}}
}

func TestCallsThatWaitAreGivenBackWithNothingLeftBehind(t *testing.T) {
	for name, tt := range map[string]struct {
		cause Cause
		api   func(until time.Time) *fakeAPI
		calls func(t *testing.T) []Call
	}{
		"a refused key":         {Setup, func(u time.Time) *fakeAPI { return refused(401, u) }, func(t *testing.T) []Call { return leads(t, 3) }},
		"too many requests":     {RateLimited, func(u time.Time) *fakeAPI { return refused(429, u) }, func(t *testing.T) []Call { return leads(t, 1) }},
		"invalid messages, too": {Setup, func(u time.Time) *fakeAPI { return refused(401, u) }, func(t *testing.T) []Call { return append(invalids(1), leads(t, 2)...) }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began, mem, calls := time.Now(), ledger.NewMemory(), tt.calls(t)
				d := open(t, tt.api(began.Add(time.Hour)), mem)
				results, asked, err := dialOn(t, d, true, calls)
				var paused *Paused
				require.ErrorAs(t, err, &paused)
				assert.Equal(t, tt.cause, paused.Cause)
				require.Len(t, asked, 1)
				assert.InDelta(t, leaveAfter, asked[0].Sub(began), float64(time.Second))
				for i, r := range results {
					assert.Empty(t, r.Outcome, "nothing is decided")
					if calls[i].Rejection == nil {
						_, err := mem.Get(t.Context(), calls[i].Ref)
						require.ErrorIs(t, err, store.ErrNotFound, "nothing is claimed")
					}
				}
				time.Sleep(time.Hour)
				for i, o := range outcomes(dial(t, d, calls...)) {
					if calls[i].Rejection == nil {
						assert.Equal(t, Accepted, o)
					}
				}
			})
		})
	}
}

// stuck is a store that deletes nothing, and writes over nothing.
type stuck struct{ *ledger.Memory }

func (s stuck) Delete(context.Context, string) error { return errors.New("read-only") }

func (s stuck) Set(context.Context, string, []byte, *time.Duration) error {
	return errors.New("read-only")
}

// In each case the API is away for an hour, and something became of one call.
func TestNoCallIsGivenBackWhileAnythingIsClaimedInDoubtOrDecided(t *testing.T) {
	anHour := func() time.Time { return time.Now().Add(time.Hour) }
	for name, tt := range map[string]func(t *testing.T, calls []Call) *Dialer{
		"in doubt": func(t *testing.T, _ []Call) *Dialer {
			return open(t, refused(502, anHour()), ledger.NewMemory(), func(o *Options) { o.MaxCallsPerRequest = 1 })
		},
		"in doubt, and ruled out": func(t *testing.T, _ []Call) *Dialer {
			until := anHour()
			return open(t, &fakeAPI{onPost: func(n int, _ []*Call) answer {
				switch {
				case n == 1:
					return answer{creates: none, err: status(502)}
				case time.Now().Before(until):
					return answer{creates: none, err: tooMany}
				}
				return answer{}
			}}, ledger.NewMemory(), redial)
		},
		"the claim stays": func(t *testing.T, _ []Call) *Dialer {
			return open(t, refused(401, anHour()), stuck{ledger.NewMemory()})
		},
		"accepted": func(t *testing.T, _ []Call) *Dialer {
			api, until := &fakeAPI{}, anHour()
			api.onPost = func(n int, _ []*Call) answer {
				if n > 1 && time.Now().Before(until) {
					return answer{creates: none, err: status(401)}
				}
				return answer{}
			}
			return open(t, api, ledger.NewMemory(), func(o *Options) { o.MaxCallsPerRequest = 1 })
		},
		"a duplicate": func(t *testing.T, calls []Call) *Dialer {
			mem := ledger.NewMemory()
			dial(t, open(t, &fakeAPI{}, mem), calls[0])
			return open(t, refused(401, anHour()), mem)
		},
		"another process has a claim": func(t *testing.T, calls []Call) *Dialer {
			mem := ledger.NewMemory()
			other := open(t, &fakeAPI{onPost: first(answer{takes: timeout})}, mem)
			go func() { _, _ = other.Dial(t.Context(), calls[:1]) }()
			synctest.Wait()
			return open(t, refused(401, anHour()), mem)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := leads(t, 2)
				d := tt(t, calls)
				ctx, cancel := context.WithTimeout(t.Context(), 50*time.Minute)
				defer cancel()
				_, err := d.DialOn(ctx, calls, Terms{Began: time.Now(), Leave: func(p *Paused) bool {
					t.Errorf("asked to give back: %v", p)
					return true
				}})
				if err != nil {
					assert.ErrorIs(t, err, context.DeadlineExceeded)
				}
			})
		})
	}
}

func TestARunIsUntouchedOnlyIfEachOfItsCallsIs(t *testing.T) {
	assert.True(t, (&run{jobs: []*job{{}, {}}}).untouched())
	for name, j := range map[string]*job{
		"decided":             {result: Result{Outcome: Duplicate}},
		"claimed":             {claimed: true},
		"in doubt":            {doubt: ledger.Standing{Kind: ledger.InDoubt}},
		"once in doubt":       {ruledOut: 1},
		"of another's claims": {later: &postponement{cause: ClaimedElsewhere}},
	} {
		assert.False(t, (&run{jobs: []*job{{}, j}}).untouched(), name)
	}
}

func TestAClaimCountsUntilItIsReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for released, mem := range map[bool]store.Store{true: ledger.NewMemory(), false: stuck{ledger.NewMemory()}} {
			call := lead(t, 1)
			r := &run{Dialer: open(t, &fakeAPI{}, mem), jobs: []*job{{call: &call}}}
			mine, err := r.claim(t.Context(), r.jobs, &agenda{})
			require.NoError(t, err)
			require.Len(t, mine, 1)
			assert.False(t, r.untouched())
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			r.release(ctx, mine)
			cancel()
			assert.Equal(t, released, r.untouched())
		}
	})
}

func TestABatchThatMayNotLeaveIsAskedOnceAndWaitsOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := leads(t, 2)
		api := refused(401, time.Now().Add(time.Hour))
		results, asked, err := dialOn(t, open(t, api, ledger.NewMemory()), false, calls)
		require.NoError(t, err)
		assert.Len(t, asked, 1)
		assert.Equal(t, []Outcome{Accepted, Accepted}, outcomes(results))
		assertOneCallEach(t, api, calls)
	})
}

func TestCallsThatWaitForTheBrakeAreGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := open(t, &fakeAPI{}, ledger.NewMemory(), func(o *Options) { o.MaxRejectsInARow = 3 })
		var waiting sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		waiting.Go(func() { _, _ = d.Dial(ctx, invalids(100)) })
		time.Sleep(20 * time.Minute) // its pauses are long by now
		_, asked, err := dialOn(t, d, true, leads(t, 1))
		var paused *Paused
		require.ErrorAs(t, err, &paused)
		assert.Equal(t, Refusals, paused.Cause)
		assert.Len(t, asked, 1)
		cancel()
		waiting.Wait()
	})
}

func TestCallsThatWereGivenBackGiveUpAsSoonAsOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		d := open(t, refused(401, began.Add(time.Hour)), ledger.NewMemory(), func(o *Options) { o.MaxElapsedTime = time.Minute })
		_, _, err := dialOn(t, d, true, leads(t, 1))
		require.Error(t, err)
		results, err := d.DialOn(t.Context(), leads(t, 1), Terms{Began: began})
		require.NoError(t, err)
		assert.Equal(t, ReasonGaveUp, results[0].Reason)
		assert.Equal(t, time.Minute, time.Since(began).Round(time.Second))
	})
}

func TestAnOpenGateGivesNothingBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{onPost: func(int, []*Call) answer { return answer{takes: 20 * time.Second} }}
		results, asked, err := dialOn(t, open(t, api, ledger.NewMemory(), func(o *Options) { o.MaxCallsPerRequest = 1 }), true, leads(t, 3))
		require.NoError(t, err)
		assert.Empty(t, asked)
		assert.Equal(t, []Outcome{Accepted, Accepted, Accepted}, outcomes(results))
	})
}
