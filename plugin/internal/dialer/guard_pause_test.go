package dialer

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/ledger"
)

func TestAPauseHoldsTheStreamAndFailsNothing(t *testing.T) {
	for where, pausing := range map[string]func(g *fakeGuard, one func() Verdict){
		"check": func(g *fakeGuard, one func() Verdict) {
			g.check = func(time.Time, *Call) Verdict { return one() }
		},
		"look up": func(g *fakeGuard, one func() Verdict) {
			g.lookUp = func(calls []*Call) []Verdict { return slices.Repeat([]Verdict{one()}, len(calls)) }
		},
		"reserve": func(g *fakeGuard, one func() Verdict) {
			g.reserve = func(calls []*Call) []Verdict { return append(make([]Verdict, len(calls)-1), one()) }
		},
	} {
		t.Run(where, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began, g, mem, api, told := time.Now(), &fakeGuard{}, ledger.NewMemory(), &fakeAPI{}, &reports{}
				pausing(g, func() Verdict {
					if time.Since(began) < time.Hour {
						return Verdict{Ruling: Pause, Cause: "switch", Why: errors.New("on request")}
					}
					return Verdict{}
				})
				calls := leads(t, 3)
				time.AfterFunc(30*time.Minute+123*time.Millisecond, func() {
					for _, c := range calls {
						unrecorded(t, mem, c)
					}
				})
				assert.Equal(t, []Outcome{Accepted, Accepted, Accepted}, outcomes(dial(t, open(t, api, mem, guarded(g), told.to), calls...)))
				require.Len(t, api.requests(), 1)
				assert.Len(t, api.requests()[0].calls, 3)
				assert.GreaterOrEqual(t, time.Since(began), time.Hour)
				assert.LessOrEqual(t, time.Since(began), time.Hour+30*time.Second)
				synctest.Wait() // for what is being reported
				assert.Equal(t, []string{"switch begins: on request"}, told.said("switch begins"))
				assert.Len(t, told.said("switch ends after 1h0m"), 1)
				assert.Less(t, len(g.steps), 2*3*7200+100, "it is not asked without end")
			})
		})
	}
}

func TestAGuardThatPausesForTooLongEndsAsEverythingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &fakeGuard{check: func(time.Time, *Call) Verdict { return Verdict{Ruling: Pause, Cause: "switch", Why: errTooLate} }}
		began := time.Now()
		const odd = time.Minute + time.Millisecond // not a multiple of askAgain
		d := open(t, &fakeAPI{}, ledger.NewMemory(), guarded(g), func(o *Options) { o.MaxElapsedTime = odd })
		assert.Equal(t, ReasonGaveUp, dial(t, d, lead(t, 1))[0].Reason)
		assert.Equal(t, odd, time.Since(began))
	})
}

// The pause is over when calls may leave again, not when they are all decided.
func TestAPauseIsOverBeforeTheRequestLeaves(t *testing.T) {
	for _, where := range []string{"look up", "reserve"} {
		t.Run(where, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, told, began := &fakeGuard{}, &reports{}, time.Now()
				pausing := func(calls []*Call) []Verdict {
					if time.Since(began) < time.Minute {
						return slices.Repeat([]Verdict{{Ruling: Pause, Cause: "switch", Why: errTooLate}}, len(calls))
					}
					return nil
				}
				if g.lookUp = pausing; where == "reserve" {
					g.lookUp, g.reserve = nil, pausing
				}
				api := &fakeAPI{onPost: func(int, []*Call) answer {
					assert.Len(t, told.said("switch ends"), 1)
					return answer{}
				}}
				dial(t, open(t, api, ledger.NewMemory(), guarded(g), told.to), leads(t, 2)...)
				assert.Len(t, api.requests(), 1)
				assert.Len(t, told.lines, 2)
			})
		})
	}
}

// The guard lets the calls fail that it paused the stream for: no request leaves.
func TestAPauseIsOverWhereAllCallsAreRefusedThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, told, began := &fakeGuard{}, &reports{}, time.Now()
		g.lookUp = func(calls []*Call) []Verdict {
			v := outside(time.Time{})
			if time.Since(began) < time.Minute {
				v = Verdict{Ruling: Pause, Cause: "switch", Why: errTooLate}
			}
			return slices.Repeat([]Verdict{v}, len(calls))
		}
		assert.Equal(t, []Outcome{"outside_hours"}, outcomes(dial(t, open(t, &fakeAPI{}, ledger.NewMemory(), guarded(g), told.to), lead(t, 1))))
		assert.Len(t, told.said("switch ends"), 1)
	})
}
