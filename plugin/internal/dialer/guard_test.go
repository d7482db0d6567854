package dialer

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/ledger"
)

func TestGuardsAreAskedInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, mem := &fakeGuard{}, ledger.NewMemory()
		calls := leads(t, 2)
		g.reserve = func(calls []*Call) []Verdict {
			for _, c := range calls {
				_, err := mem.Get(t.Context(), c.Ref)
				assert.NoError(t, err, "reserved once it is claimed")
			}
			return nil
		}
		g.lookUp = func(calls []*Call) []Verdict {
			unrecorded(t, mem, *calls[0])
			return nil
		}
		api := &fakeAPI{onPost: func(_ int, calls []*Call) answer { g.step("place", calls...); return answer{} }}
		wait := func(o *Options) { o.Wait = func(context.Context) error { g.step("wait"); return nil } }
		assert.Equal(t, []Outcome{Accepted, Accepted}, outcomes(dial(t, open(t, api, mem, guarded(g), wait), calls...)))
		assert.Equal(t, "check 1, check 2, wait, check 1, check 2, look up 1 2, reserve 1 2, place 1 2, commit 1 2", g.did())
	})
}

func TestTheFirstGuardThatDoesNotAllowDecides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := &fakeGuard{}, &fakeGuard{}
		first.check, _ = only("1", outside(time.Time{}))
		_, second.reserve = only("2", outside(time.Time{}))
		assert.Equal(t, []Outcome{"outside_hours", "outside_hours", Accepted}, outcomes(dial(t, open(t, &fakeAPI{}, ledger.NewMemory(), guarded(first, second)), leads(t, 3)...)))
		assert.Equal(t, "check 1, check 2, check 3, check 2, check 3, look up 2 3, reserve 2 3, release 2, commit 3", first.did())
		assert.Equal(t, "check 2, check 3, check 2, check 3, look up 2 3, reserve 2 3, release 2, commit 3", second.did())
	})
}

func TestARefusedCallFailsAloneAndIsNotRecorded(t *testing.T) {
	for where, refusing := range map[string]func(g *fakeGuard, v Verdict){
		"check":   func(g *fakeGuard, v Verdict) { g.check, _ = only("2", v) },
		"look up": func(g *fakeGuard, v Verdict) { _, g.lookUp = only("2", v) },
		"reserve": func(g *fakeGuard, v Verdict) { _, g.reserve = only("2", v) },
	} {
		t.Run(where, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, mem, api, calls := &fakeGuard{}, ledger.NewMemory(), &fakeAPI{}, leads(t, 3)
				refusing(g, outside(time.Date(2000, 1, 1, 9, 0, 0, 0, time.FixedZone("", 3600))))
				results := dial(t, open(t, api, mem, guarded(g)), calls...)
				assert.Equal(t, []Outcome{Accepted, "outside_hours", Accepted}, outcomes(results))
				assert.Equal(t, "hours", results[1].Reason)
				assert.Equal(t, []string{"us", "2000-01-01T08:00:00Z", ""}, []string{results[1].Rule, results[1].NextAllowed, results[1].LocalTime})
				require.EqualError(t, results[1].Err, "outside_hours: hours: the recipient's day is over; rule=us next_allowed=2000-01-01T08:00:00Z")
				unrecorded(t, mem, calls[1])
				assert.Zero(t, api.callsOf(calls[1]))
				if where == "reserve" {
					assert.Contains(t, g.did(), "release 2")
				}

				assert.Equal(t, []Outcome{Accepted}, outcomes(dial(t, open(t, api, mem), calls[1])), "it may be called another time")
			})
		})
	}
}

// The rate limit may let a call through after the recipient's day.
func TestACallIsCheckedAgainAfterTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		closes := time.Now().Add(time.Hour)
		g := &fakeGuard{check: func(now time.Time, _ *Call) Verdict {
			if now.Before(closes) {
				return Verdict{}
			}
			return outside(closes.Add(12 * time.Hour))
		}}
		api := &fakeAPI{}
		d := open(t, api, ledger.NewMemory(), guarded(g), func(o *Options) {
			o.Wait = func(ctx context.Context) error { time.Sleep(2 * time.Hour); return nil }
		})
		assert.Equal(t, []Outcome{"outside_hours"}, outcomes(dial(t, d, lead(t, 1))))
		assert.Empty(t, api.requests())
	})
}

func TestACallIsCheckedAgainAfterASlowLookUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		closes := time.Now().Add(time.Hour)
		g := &fakeGuard{}
		g.check = func(now time.Time, c *Call) Verdict {
			if now.Before(closes) || c.Facts == "always" {
				return Verdict{}
			}
			return outside(closes.Add(12 * time.Hour))
		}
		g.lookUp = func([]*Call) []Verdict { time.Sleep(2 * time.Hour); return nil }
		api, calls := &fakeAPI{}, leads(t, 2)
		calls[1].Facts = "always"
		assert.Equal(t, []Outcome{"outside_hours", Accepted}, outcomes(dial(t, open(t, api, ledger.NewMemory(), guarded(g)), calls...)))
		assert.Zero(t, api.callsOf(calls[0]))
	})
}

// A slow ledger makes the verdict old: the call is judged afresh.
func TestACallIsCheckedAgainWithANewClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, g := lead(t, 1), &fakeGuard{}
		late := &slow{Memory: ledger.NewMemory(), key: one.Ref, takes: timeout/2 + time.Second}
		api := &fakeAPI{}
		assert.Equal(t, []Outcome{Accepted}, outcomes(dial(t, open(t, api, late, guarded(g)), one)))
		assert.Equal(t, "check 1, check 1, look up 1, reserve 1, release 1, check 1, check 1, look up 1, reserve 1, commit 1", g.did())
	})
}

func TestARefusedCallThatTheLedgerKnowsGoesOnAsUsual(t *testing.T) {
	closed := &fakeGuard{check: func(time.Time, *Call) Verdict { return outside(time.Time{}) }}
	t.Run("called", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			mem, api, one := ledger.NewMemory(), &fakeAPI{}, lead(t, 1)
			dial(t, open(t, api, mem), one)
			assert.Equal(t, []Result{{Outcome: Duplicate, CallID: "call-1"}}, dial(t, open(t, api, mem, guarded(closed)), one))

			one.Fingerprint = "other"
			assert.Equal(t, ReasonConflict, dial(t, open(t, api, mem, guarded(closed)), one)[0].Reason)
		})
	})
	for name, tt := range map[string]struct {
		created   bool
		onUnknown OnUnknown
		want      Outcome
	}{
		"in doubt and listed":            {true, Hold, Accepted},
		"in doubt and absent":            {false, Hold, Held},
		"in doubt, absent, to redial":    {false, RedialAbsent, "outside_hours"},
		"in doubt and listed, to redial": {true, RedialAbsent, Accepted},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mem, api, one := ledger.NewMemory(), &fakeAPI{}, lead(t, 1)
				claimAndDie(t, mem, one) // elsewhere at first, then in doubt
				if tt.created {
					api.create([]*Call{&one}, answer{})
				}
				for range 2 { // the old record stays in doubt, so the next delivery looks, too
					assert.Equal(t, []Outcome{tt.want}, outcomes(dial(t, open(t, api, mem, guarded(closed), func(o *Options) { o.OnUnknown = tt.onUnknown }), one)))
					if tt.want == Accepted {
						break
					}
				}
				assert.NotEmpty(t, api.lists())
				assert.Empty(t, api.requests())
			})
		})
	}
}

func TestALaterCallWaitsUnclaimedAndBlocksNoNeighbour(t *testing.T) {
	for where, postpone := range map[string]func(g *fakeGuard, v func() Verdict){
		"check": func(g *fakeGuard, v func() Verdict) {
			g.check = func(_ time.Time, c *Call) Verdict {
				if c.Facts == "evening" {
					return v()
				}
				return Verdict{}
			}
		},
		"reserve": func(g *fakeGuard, v func() Verdict) {
			g.reserve = func(calls []*Call) []Verdict {
				all := make([]Verdict, len(calls))
				for i, c := range calls {
					if c.Facts == "evening" {
						all[i] = v()
					}
				}
				return all
			}
		},
	} {
		t.Run(where, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began, g, mem, api, told := time.Now(), &fakeGuard{}, ledger.NewMemory(), &fakeAPI{}, &reports{}
				evening := began.Add(6 * time.Hour)
				postpone(g, func() Verdict {
					if time.Now().Before(evening) {
						return Verdict{Ruling: Later, NotBefore: evening, Cause: "evening", Why: errors.New("they work")}
					}
					return Verdict{}
				})
				calls := leads(t, 5)
				calls[1].Facts, calls[4].Facts = "evening", "evening"
				time.AfterFunc(time.Hour, func() {
					assert.Equal(t, 3, len(api.requests()[0].calls)+len(api.requests()[1].calls))
					unrecorded(t, mem, calls[1])
				})
				results := dial(t, open(t, api, mem, guarded(g), told.to, func(o *Options) { o.MaxCallsPerRequest = 3 }), calls...)
				assert.Equal(t, slices.Repeat([]Outcome{Accepted}, 5), outcomes(results))
				assertOneCallEach(t, api, calls)
				posts := api.requests()
				assert.True(t, posts[1].at.Equal(began), "neighbours are called at once")
				assert.True(t, posts[2].at.Equal(evening))
				assert.Len(t, told.said("evening begins: they work"), 1, "what waits is reported")
				assert.Len(t, told.said("evening ends after 6h0m0s"), 1)
			})
		})
	}
}

func TestADuplicateWaitsForNoGuard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem, one := ledger.NewMemory(), lead(t, 1)
		dial(t, open(t, &fakeAPI{}, mem), one)
		began := time.Now()
		g := &fakeGuard{check: func(time.Time, *Call) Verdict {
			return Verdict{Ruling: Later, NotBefore: began.Add(6 * time.Hour), Cause: "evening", Why: errTooLate}
		}}
		assert.Equal(t, []Outcome{Duplicate}, outcomes(dial(t, open(t, &fakeAPI{}, mem, guarded(g)), one)))
		assert.Zero(t, time.Since(began))
	})
}

func TestAGuardThatAnswersSoonIsNotAskedWithoutEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, g := time.Now(), &fakeGuard{}
		g.check = func(now time.Time, _ *Call) Verdict {
			if now.Sub(began) < 5*time.Second {
				return Verdict{Ruling: Later, NotBefore: now, Cause: "soon", Why: errTooLate}
			}
			return Verdict{}
		}
		dial(t, open(t, &fakeAPI{}, ledger.NewMemory(), guarded(g)), lead(t, 1))
		assert.Less(t, len(g.steps), 20)
	})
}

// What was reserved stays with a call that may have been created, and only with it.
func TestAReservationEndsWithTheClaim(t *testing.T) {
	for name, tt := range map[string]struct {
		answer answer
		want   string
	}{
		"refused":   {answer{creates: none, err: status(422)}, "reserve 1, release 1"},
		"throttled": {answer{creates: none, err: status(429)}, "reserve 1, release 1, reserve 1, commit 1"},
		"lost":      {answer{creates: none, err: lost}, "reserve 1"},
		"found":     {answer{err: lost}, "reserve 1, commit 1"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := &fakeGuard{}
				dial(t, open(t, &fakeAPI{onPost: first(tt.answer)}, ledger.NewMemory(), guarded(g)), lead(t, 1))
				steps := slices.DeleteFunc(strings.Split(g.did(), ", "), func(s string) bool {
					return strings.HasPrefix(s, "check") || strings.HasPrefix(s, "look up")
				})
				assert.Equal(t, tt.want, strings.Join(steps, ", "))
			})
		})
	}
}

// Its claim stays in doubt, and so does what was reserved for it: the next process that
// finds the call says Commit.
func TestACallThatIsNotRecordedIsNotCommitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, calls, mem := &fakeGuard{}, leads(t, 3), &brittle{Memory: ledger.NewMemory()}
		api := &fakeAPI{}
		mem.unwritable = calls[1].Ref
		results, err := dialUntil(t, open(t, api, mem, guarded(g)), time.Second, calls)
		require.NoError(t, err)
		assert.Equal(t, []Outcome{Accepted, "", Accepted}, outcomes(results))
		_, reserved, _ := strings.Cut(g.did(), "reserve ")
		assert.Equal(t, "1 2 3, commit 1 3", reserved)

		mem.unwritable = ""
		assert.Equal(t, []Outcome{Accepted}, outcomes(dial(t, open(t, api, mem, guarded(g)), calls[1])))
		assert.Equal(t, "commit 2", g.did()[strings.LastIndex(g.did(), ", ")+2:])
		assertOneCallEach(t, api, calls)
	})
}

func TestAShutdownInAGuardLeavesNothingBehind(t *testing.T) {
	stuck := func(ctx context.Context) { <-ctx.Done() }
	for name, g := range map[string]*stuckGuard{
		"look up": {lookUp: stuck}, "reserve": {reserve: stuck}, "pause": {pause: true}, "later": {later: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mem, calls, api := ledger.NewMemory(), leads(t, 2), &fakeAPI{}
				results, err := dialUntil(t, open(t, api, mem, guarded(g)), 20*time.Second, calls)
				require.ErrorIs(t, err, context.DeadlineExceeded)
				assert.Equal(t, []Outcome{"", ""}, outcomes(results))
				assert.Empty(t, api.requests())
				for _, c := range calls {
					unrecorded(t, mem, c)
				}
				if name == "reserve" {
					assert.Equal(t, "release 1 2", g.did()[strings.LastIndex(g.did(), "release"):], "also what may be reserved")
				}
			})
		})
	}
}

// Another process that sees the claim gone must find the place free.
func TestAReservationIsReleasedBeforeTheClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem, one := ledger.NewMemory(), lead(t, 1)
		g := &releaseGuard{released: func() {
			_, err := mem.Get(t.Context(), one.Ref)
			assert.NoError(t, err, "the claim still stands")
		}}
		dial(t, open(t, &fakeAPI{onPost: first(answer{creates: none, err: status(422)})}, mem, guarded(g)), one)
		assert.Contains(t, g.did(), "release 1")
		unrecorded(t, mem, one)
	})
}
