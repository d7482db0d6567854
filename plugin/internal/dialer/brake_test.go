package dialer

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/ledger"
)

// refusesAll answers every request with a status until a time.
func refusesAll(code int, until time.Time) func(int, []*Call) answer {
	return func(int, []*Call) answer {
		if time.Now().Before(until) {
			return answer{creates: none, err: status(code)}
		}
		return answer{}
	}
}

// inFlight decides batches, so many at a time, as an output does.
func inFlight(t *testing.T, d *Dialer, batches ...[]Call) (results [][]Result, wait func()) {
	t.Helper()
	results = make([][]Result, len(batches))
	queue := make(chan int, len(batches))
	for i := range batches {
		queue <- i
	}
	close(queue)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range queue {
				results[i] = dial(t, d, batches[i]...)
			}
		})
	}
	return results, wg.Wait
}

// invalid is a message that makes no valid call.
func invalid(n int) Call {
	rejection := Fail(Rejected, "missing_field", fmt.Errorf("number_id: is missing in %d", n))
	return Call{Rejection: &rejection}
}

func invalids(count int) []Call {
	calls := make([]Call, count)
	for i := range calls {
		calls[i] = invalid(i)
	}
	return calls
}

func TestAnAPIThatRefusesEveryCallFlushesNoTopic(t *testing.T) {
	for _, code := range []int{400, 409, 410, 412, 413, 414, 416, 418, 422, 423, 424, 451} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				all := leads(t, 400)
				var said reports
				refuses := refusesAll(code, time.Now().Add(time.Hour))
				api := &fakeAPI{onPost: func(n int, calls []*Call) answer {
					a := refuses(n, calls)
					a.takes = time.Duration(100+n%7) * time.Millisecond // others are in flight when the brake is put on
					return a
				}}
				d := open(t, api, ledger.NewMemory(), said.to)
				results, wait := inFlight(t, d, slices.Collect(slices.Chunk(all, 20))...)
				time.Sleep(time.Hour - time.Second)
				assert.Len(t, said.said("refusals begins: the API refused 20 different calls in a row with status "+fmt.Sprint(code)), 1)
				assert.Greater(t, len(said.said("refusals lasts")), 5, "a reminder every five minutes")
				wait()

				var failed []Call
				for i, r := range slices.Concat(results...) {
					if r.Outcome == Accepted {
						assert.Equal(t, 1, api.callsOf(all[i]))
						continue
					}
					assert.Equal(t, ReasonRefused, r.Reason)
					assert.Zero(t, api.callsOf(all[i]))
					failed = append(failed, all[i])
				}
				// 1 + 2 + 4 + ... + 256 s, and then 300 s each.

				assert.Len(t, failed, 20+19, "those that put the brake on, and one after each pause")
				assert.Len(t, said.said("refusals ends"), 1)
			})
		})
	}
}

func TestARefusalThatWasInFlightFailsNothingOnceTheBrakeIsOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{onPost: func(n int, _ []*Call) answer {
			if n <= 40 {
				return answer{takes: time.Duration(n) * time.Millisecond, creates: none, err: status(410)}
			}
			return answer{}
		}}
		d := open(t, api, ledger.NewMemory())
		all := leads(t, 40)
		var wg sync.WaitGroup
		failed := make([]bool, len(all))
		for i, c := range all {
			wg.Go(func() { failed[i] = dial(t, d, c)[0].Outcome == Rejected })
		}
		wg.Wait()
		n := 0
		for i, c := range all {
			if failed[i] {
				n++
			} else {
				assert.Equal(t, 1, api.callsOf(c))
			}
		}
		assert.Equal(t, 20, n)
	})
}

func TestEachTryIsAnotherCallAlsoOfAnotherBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := leads(t, 80)
		api := &fakeAPI{onPost: refusesAll(410, time.Now().Add(10*time.Minute))}
		results, wait := inFlight(t, open(t, api, ledger.NewMemory()), slices.Collect(slices.Chunk(all, 20))...)
		wait()
		require.Len(t, results, 4)
		batchOf := map[string]int{}
		for i, c := range all {
			batchOf[c.Ref] = i / 20
		}
		requests := api.requests()
		var tried []*Call
		var between []time.Duration
		for i, p := range requests { // tries are those that nothing follows for a while
			if i > 0 && p.at.Sub(requests[i-1].at) >= firstTry && i+1 < len(requests) && len(p.calls) == 1 {
				tried = append(tried, p.calls[0])
				between = append(between, p.at.Sub(requests[i-1].at))
			}
		}
		require.GreaterOrEqual(t, len(tried), 8)
		for i := range tried[:8] {
			for j := range i {
				assert.NotEqual(t, tried[i].Ref, tried[j].Ref)
			}
			if i > 0 {
				assert.NotEqual(t, batchOf[tried[i].Ref], batchOf[tried[i-1].Ref], "batches take turns")
			}
		}
		assert.Equal(t, []time.Duration{1, 2, 4, 8, 16, 32, 64, 128}, func() (seconds []time.Duration) {
			for _, d := range between[:8] {
				seconds = append(seconds, d/time.Second)
			}
			return seconds
		}())
	})
}

// Whatever the rest, a call that goes through starts the counts again.
func TestWhatStartsTheCountsAgain(t *testing.T) {
	for name, tc := range map[string]struct {
		between func(t *testing.T, d *Dialer, again Call)
		trips   string // what run of 20 still puts the brake on
	}{
		"an accepted call": {func(t *testing.T, d *Dialer, _ Call) {
			assert.Equal(t, []Outcome{Accepted}, outcomes(dial(t, d, lead(t, 999))))
		}, "none"},
		"a duplicate": {func(t *testing.T, d *Dialer, again Call) {
			assert.Equal(t, []Outcome{Duplicate}, outcomes(dial(t, d, again)))
		}, "of refusals"}, // it says nothing about the API
		"a conflict": {func(t *testing.T, d *Dialer, again Call) {
			again.Fingerprint = "another"
			assert.Equal(t, []string{ReasonConflict}, []string{dial(t, d, again)[0].Reason})
		}, "any"},
		"a held call": {func(t *testing.T, d *Dialer, _ Call) {
			assert.Equal(t, []Outcome{Held}, outcomes(dial(t, d, lead(t, 888))))
		}, "any"},
		"what a guard refuses": {func(t *testing.T, d *Dialer, _ Call) {
			assert.Equal(t, []Outcome{"suppressed"}, outcomes(dial(t, d, lead(t, 777))))
		}, "any"},
		"nothing": {func(*testing.T, *Dialer, Call) {}, "any"},
	} {
		for run, calls := range map[string]func(n int) []Call{
			"of refusals":   func(n int) []Call { return leads(t, n) },
			"of rejections": invalids,
		} {
			t.Run(name+" in a run "+run, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var said reports
					again := lead(t, 1000)
					api := &fakeAPI{onPost: func(_ int, calls []*Call) answer {
						switch calls[0].Ref {
						case again.Ref, lead(t, 999).Ref:
							return answer{}
						case lead(t, 888).Ref:
							return answer{creates: none, err: lost}
						}
						return answer{creates: none, err: status(410)}
					}}
					guard := &fakeGuard{check: func(_ time.Time, c *Call) (v Verdict) {
						if c.Ref == lead(t, 777).Ref {
							v = Verdict{Ruling: Refuse, Outcome: "suppressed", Reason: "listed", Why: errors.New("listed")}
						}
						return v
					}}
					d := open(t, api, ledger.NewMemory(), said.to, func(o *Options) { o.MaxRejectsInARow, o.Guards = 20, []Guard{guard} })
					dial(t, d, again)
					group := calls(20)
					dial(t, d, group[:19]...)
					tc.between(t, d, again)
					dial(t, d, group[19])
					assert.Equal(t, tc.trips == "any" || tc.trips == run, len(said.said("refusals begins")) == 1)
				})
			})
		}
	}
}

func TestTheSameCallRefusedManyTimesIsOneCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said reports
		d := open(t, &fakeAPI{onPost: refusesAll(410, time.Now().Add(time.Hour))}, ledger.NewMemory(), said.to)
		for range 50 {
			dial(t, d, lead(t, 1))
		}
		assert.Empty(t, said.said("refusals"))
	})
}

func TestABrokenConfigFlushesNoTopic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said reports
		api := &fakeAPI{}
		d := open(t, api, ledger.NewMemory(), said.to, func(o *Options) { o.MaxRejectsInARow = 100 })
		began := time.Now()
		batches := slices.Collect(slices.Chunk(invalids(107), 20))
		_, wait := inFlight(t, d, batches...)
		wait()
		assert.Equal(t, 127*time.Second, time.Since(began), "seven tries: 1 + 2 + ... + 64 s")
		assert.Len(t, said.said("refusals begins: 100 messages in a row made no valid call"), 1)
		assert.Contains(t, said.said("refusals begins")[0], "number_id: is missing")

		good := leads(t, 20)
		began = time.Now()
		assert.NotContains(t, outcomes(dial(t, d, append(invalids(3), good...)...)), Held)
		assert.Equal(t, 128*time.Second, time.Since(began), "a try that is accepted ends it, and the others wait no more")
		assertOneCallEach(t, api, good)
		assert.Len(t, said.said("refusals ends"), 1)
	})
}

func TestWithoutALimitRejectionsPauseNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said reports
		began := time.Now()
		dial(t, open(t, &fakeAPI{}, ledger.NewMemory(), said.to), invalids(5000)...)
		assert.Zero(t, time.Since(began))
		assert.Empty(t, said.said("refusals"))
	})
}

func TestADryRunHasNoBrake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		d := open(t, &fakeAPI{}, ledger.NewMemory(), func(o *Options) { o.MaxRejectsInARow, o.DryRun = 3, true })
		for _, r := range dial(t, d, invalids(100)...) {
			assert.Equal(t, Rejected, r.Outcome)
		}
		assert.Zero(t, time.Since(began))
	})
}

// A bad lead is no fault of an API that refuses calls, and waits for no try of it.
func TestWhileTheAPIRefusesCallsABadLeadFailsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := open(t, &fakeAPI{onPost: refusesAll(410, time.Now().Add(time.Hour))}, ledger.NewMemory())
		dial(t, d, leads(t, 20)...)
		began := time.Now()
		dial(t, d, invalids(50)...)
		assert.Zero(t, time.Since(began))
	})
}

func TestWhatTheLedgerKnowsPassesTheBrake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said reports
		called, now := leads(t, 120)[100:], time.Now()
		api := &fakeAPI{onPost: func(n int, calls []*Call) answer {
			if n == 1 {
				return answer{}
			}
			return refusesAll(410, now.Add(time.Hour))(n, calls)
		}}
		d := open(t, api, ledger.NewMemory(), said.to)
		dial(t, d, called...)
		dial(t, d, leads(t, 20)...)
		require.Len(t, said.said("refusals begins"), 1)

		began := time.Now()
		for _, r := range dial(t, d, called...) {
			assert.Equal(t, Duplicate, r.Outcome)
		}
		assert.Zero(t, time.Since(began))
		assert.Empty(t, said.said("refusals ends"), "which says nothing about the API")
		posts := len(api.requests())
		dial(t, d, leads(t, 21)[20])
		assert.Len(t, api.requests(), posts+1)
	})
}

// A request that left before the API began to refuse says nothing about now.
func TestOnlyACallThatLeftSinceReleasesTheBrake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said reports
		slow := lead(t, 500)
		api := &fakeAPI{}
		api.onPost = func(_ int, calls []*Call) answer {
			if calls[0].Ref == slow.Ref {
				return answer{takes: 25 * time.Second}
			}
			return answer{creates: none, err: status(http.StatusGone)}
		}
		d := open(t, api, ledger.NewMemory(), said.to)
		done := make(chan []Result)
		go func() { done <- dial(t, d, slow) }()
		synctest.Wait()
		for _, c := range leads(t, 20) {
			dial(t, d, c)
		}
		require.Len(t, said.said("refusals begins"), 1)
		assert.Equal(t, []Outcome{Accepted}, outcomes(<-done))
		assert.Empty(t, said.said("refusals ends"))
	})
}

func TestAShutdownEndsTheWaitForTheBrake(t *testing.T) {
	for name, calls := range map[string]func(int) []Call{"of refusals": func(n int) []Call { return leads(t, n) }, "of rejections": invalids} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := &fakeAPI{onPost: refusesAll(410, time.Now().Add(time.Hour))}
				d := open(t, api, ledger.NewMemory(), func(o *Options) { o.MaxRejectsInARow = 20 })
				dial(t, d, calls(20)...)
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				defer cancel()
				began := time.Now()
				results, err := d.Dial(ctx, calls(40)[20:])
				require.ErrorIs(t, err, context.DeadlineExceeded)
				assert.Equal(t, 100*time.Millisecond, time.Since(began))
				for _, r := range results {
					assert.Empty(t, r.Outcome, "undecided, and delivered again")
				}
			})
		})
	}
}

func TestMaxElapsedTimeEndsTheWaitForTheBrake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{onPost: refusesAll(410, time.Now().Add(24*time.Hour))}
		d := open(t, api, ledger.NewMemory(), func(o *Options) { o.MaxRejectsInARow, o.MaxElapsedTime = 20, time.Minute })
		dial(t, d, leads(t, 20)...)
		dial(t, d, invalids(20)...)
		began := time.Now()
		results := dial(t, d, append(leads(t, 60)[20:], invalids(20)...)...)
		assert.Equal(t, time.Minute, time.Since(began))
		gaveUp := 0
		for _, r := range results[:40] {
			assert.Equal(t, Rejected, r.Outcome)
			if r.Reason == ReasonGaveUp {
				gaveUp++
			}
		}
		assert.Greater(t, gaveUp, 30)
		for _, r := range results[40:] {
			assert.Equal(t, "missing_field", r.Reason)
		}
	})
}
