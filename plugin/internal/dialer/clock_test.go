package dialer

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/ledger"
)

var skews = []time.Duration{
	0, -10 * time.Minute, 10 * time.Minute, -time.Hour, time.Hour, -3 * time.Hour, -5 * 24 * time.Hour, 5 * 24 * time.Hour, -20 * 365 * 24 * time.Hour,
}

// dated is the API with the Date of its answers, which a transport takes off them.
type dated struct {
	*fakeAPI
	clock *Clock
	date  func() (time.Time, bool) // nil: no Date
}

func (d *dated) saw(sent time.Time) {
	if d.date == nil {
		return
	}
	if date, ok := d.date(); ok {
		d.clock.SawDate(date.Truncate(time.Second), sent, time.Now())
	}
}

func (d *dated) Place(ctx context.Context, calls []*Call) ([]PlacedCall, error) {
	sent := time.Now()
	reply, err := d.fakeAPI.Place(ctx, calls)
	if err == nil {
		d.saw(sent)
	}
	return reply, err
}

func (d *dated) List(ctx context.Context, want Listing) iter.Seq2[PlacedCall, error] {
	from := want.From
	want.From = func(newest time.Time) time.Time {
		d.saw(time.Now())
		return from(newest)
	}
	return d.fakeAPI.List(ctx, want)
}

// Whatever the API's clock shows, and whatever its Date says, what it created is found.
func TestNoClockOfTheAPIDoublesACall(t *testing.T) {
	for _, skew := range skews {
		for name, date := range map[string]func(f *fakeAPI) func() (time.Time, bool){
			"own":     func(f *fakeAPI) func() (time.Time, bool) { return func() (time.Time, bool) { return f.now(), true } },
			"none":    func(*fakeAPI) func() (time.Time, bool) { return nil },
			"proxy's": func(*fakeAPI) func() (time.Time, bool) { return func() (time.Time, bool) { return time.Now(), true } },
			"garbage": func(*fakeAPI) func() (time.Time, bool) {
				return func() (time.Time, bool) { return time.Unix(0, 0), true }
			},
		} {
			for _, first := range []bool{true, false} { // a call is accepted before, or none ever was
				t.Run(fmt.Sprintf("%v, Date %s, first %v", skew, name, first), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						f, shared := &fakeAPI{}, &Shared{}
						f.clock = func() time.Duration { return skew }
						api, calls := &dated{f, &shared.Clock, date(f)}, leads(t, 4)
						d := open(t, api, ledger.NewMemory(), redial, func(o *Options) { o.Shared = shared })
						if !first {
							dial(t, d, lead(t, 99))
						}
						posts := len(f.requests())
						f.onPost = func(n int, _ []*Call) answer {
							if n == posts+1 {
								return answer{err: lost, listedIn: settle / 2}
							}
							return answer{}
						}
						assert.Equal(t, []Outcome{Accepted, Accepted, Accepted, Accepted}, outcomes(dial(t, d, calls...)))
						assertOneCallEach(t, f, calls)
						assert.Len(t, f.requests(), posts+1)
						if !first || name == "own" && skew.Abs() < mostDateSkew {
							assert.InDelta(t, skew, shared.Clock.Skew(), float64(time.Second))
						}
					})
				})
			}
		}
	}
}

// A clock that is set while running is noticed with the next Date or the next call, and
// what was created before is still looked for by the clock of then.
func TestAClockThatIsSetWhileRunningDoublesNothing(t *testing.T) {
	for _, from := range skews[:8] {
		for _, to := range skews[:8] {
			synctest.Test(t, func(t *testing.T) {
				var now atomic.Int64
				now.Store(int64(from))
				f, shared := &fakeAPI{}, &Shared{}
				f.clock = func() time.Duration { return time.Duration(now.Load()) }
				api := &dated{f, &shared.Clock, func() (time.Time, bool) { return f.now(), true }}
				d := open(t, api, ledger.NewMemory(), redial, func(o *Options) { o.Shared = shared })
				dial(t, d, lead(t, 1))
				before := answer{err: lost, listedIn: settle / 2}
				f.onPost = func(n int, _ []*Call) answer {
					switch n {
					case 2: // created by the old clock, looked for by the new one
						time.AfterFunc(time.Second, func() { now.Store(int64(to)) })
						return before
					case 4: // the new clock, of which only lists have told
						return before
					}
					return answer{}
				}
				calls := leads(t, 5)[1:]
				for _, c := range calls {
					assert.Equal(t, []Outcome{Accepted}, outcomes(dial(t, d, c)), "from %v to %v", from, to)
				}
				assertOneCallEach(t, f, calls)
				assert.InDelta(t, to, shared.Clock.Skew(), float64(time.Second))
			})
		}
	}
}

func TestTheSkewIsTheNearestThatReadingsAllow(t *testing.T) {
	var c Clock
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	assert.Zero(t, c.Skew())
	c.SawDate(at, at, at.Add(5*time.Second)) // may be right
	assert.Zero(t, c.Skew())
	assert.LessOrEqual(t, c.behind(at), clockStep)
	c.SawDate(at.Add(-10*time.Minute), at, at.Add(time.Second))
	assert.InDelta(t, -10*time.Minute, c.Skew(), float64(2*time.Second))
	c.SawDate(time.Unix(0, 0), at, at)
	assert.InDelta(t, -10*time.Minute, c.Skew(), float64(2*time.Second), "no clock")
	at = at.Add(time.Hour)
	c.sawCreated(at.Add(-20*time.Minute), at, at.Add(time.Second))
	assert.InDelta(t, -20*time.Minute, c.Skew(), float64(2*time.Second), "what is compared counts")
}

// A history says what a list of all its readings would.
func TestAHistoryRemembersTheMostSinceAnyTime(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 0))
		at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		var h history
		var all []reading
		for range 1 + rng.IntN(200) {
			at = at.Add(time.Duration(rng.IntN(1000)) * time.Second)
			r := reading{least: -time.Duration(rng.IntN(1000)) * time.Second, at: at}
			all = append(all, r)
			h.add(r)
		}
		require.LessOrEqual(t, len(h), mostHistory)
		for range 50 {
			since := all[rng.IntN(len(all))].at.Add(time.Duration(rng.IntN(3)-1) * time.Second)
			var want time.Duration
			for i, r := range all {
				if !r.at.Before(since) || i == len(all)-1 || !all[i+1].at.Before(since) {
					want = max(want, -r.least)
				}
			}
			got := h.behind(since)
			require.GreaterOrEqual(t, got, want, "seed %d", seed)
		}
	}
}
