package dialer

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/ledger"
)

func TestADryRunAsksTheGuardsAndTouchesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem, api, g, calls := ledger.NewMemory(), &fakeAPI{}, &fakeGuard{}, leads(t, 6)
		dial(t, open(t, api, mem), calls[3])
		asked := len(api.requests())
		_, g.lookUp = only("2", Verdict{Ruling: Refuse, Outcome: "suppressed", Reason: "listed", Why: errTooLate})
		next := time.Date(2000, 1, 2, 9, 0, 0, 0, time.UTC)
		g.check = func(_ time.Time, c *Call) Verdict {
			switch c.Number[len(c.Number)-1] {
			case '1', '4':
				v := outside(next)
				v.LocalTime = time.Date(2000, 1, 1, 22, 30, 0, 0, time.FixedZone("", -5*3600))
				return v
			case '5':
				return Verdict{Ruling: Later, NotBefore: time.Now().Add(time.Hour), Cause: "evening", Why: errTooLate}
			}
			return Verdict{}
		}
		began := time.Now()
		results := dial(t, open(t, api, mem, guarded(g), func(o *Options) { o.DryRun = true }), calls...)
		var reasons []string
		for _, r := range results {
			assert.Equal(t, DryRun, r.Outcome)
			require.NoError(t, r.Err)
			reasons = append(reasons, r.Reason)
		}
		assert.Equal(t, []string{"hours", "listed", "", "", "", ""}, reasons, "a call that the ledger knows would be a duplicate")
		require.EqualError(t, results[0].WouldFail, "outside_hours: hours: the recipient's day is over; rule=us next_allowed=2000-01-02T09:00:00Z")
		results[0].WouldFail = nil
		assert.Equal(t, Result{
			Outcome: DryRun, Reason: "hours", Rule: "us", NextAllowed: "2000-01-02T09:00:00Z", LocalTime: "2000-01-01T22:30:00-05:00",
		}, results[0])
		assert.Equal(t, Result{Outcome: DryRun}, results[3])
		assert.Equal(t, "check 1, check 2, check 3, check 4, check 5, check 6, look up 2 3 6", g.did())
		assert.Zero(t, time.Since(began), "nothing is waited for")
		assert.Len(t, api.requests(), asked)
		for _, i := range []int{0, 1, 2, 4, 5} {
			unrecorded(t, mem, calls[i])
		}
	})
}

func TestADryRunAsksAPausingStoreLessAndLessOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, g, told, asked := time.Now(), &fakeGuard{}, &reports{}, 0
		g.lookUp = func(calls []*Call) []Verdict {
			asked++
			if time.Since(began) < time.Hour {
				return slices.Repeat([]Verdict{{Ruling: Pause, Cause: "switch", Why: errTooLate}}, len(calls))
			}
			return nil
		}
		d := open(t, &fakeAPI{}, ledger.NewMemory(), guarded(g), told.to, func(o *Options) { o.DryRun = true })
		assert.Equal(t, []Outcome{DryRun, DryRun}, outcomes(dial(t, d, leads(t, 2)...)))
		assert.GreaterOrEqual(t, time.Since(began), time.Hour)
		assert.Less(t, asked, 600, "the pauses grow to 30s, of which each is 15s on average")
		assert.Len(t, told.said("switch ends after 1h0m"), 1)
	})
}

func TestADryRunWithoutGuardsTouchesNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	results, err := open(t, nil, nil, func(o *Options) { o.DryRun = true }).Dial(ctx, leads(t, 3))
	require.NoError(t, err)
	assert.Equal(t, []Outcome{DryRun, DryRun, DryRun}, outcomes(results))
}
