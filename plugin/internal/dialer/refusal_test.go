package dialer

import (
	"context"
	"fmt"
	"math/bits"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/ledger"
)

// refuses answers 422 to every request that holds one of these leads.
func refuses(poison ...Call) func(int, []*Call) answer {
	return func(_ int, calls []*Call) answer {
		for _, c := range calls {
			for _, p := range poison {
				if c.Ref == p.Ref {
					return answer{creates: none, err: status(422)}
				}
			}
		}
		return answer{}
	}
}

func TestARefusedCallIsIsolatedInFewRequests(t *testing.T) {
	for _, n := range []int{2, 3, 16, 20} {
		most := 2*bits.Len(uint(n-1)) + 1 // bits.Len(n-1) is log2, rounded up
		for bad := range n {
			t.Run(fmt.Sprintf("%d of %d", bad, n), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					all := leads(t, 2*n)
					api := &fakeAPI{onPost: refuses(all[bad], all[n+bad])}
					d := open(t, api, ledger.NewMemory())
					for batch, within := range []time.Duration{settle + time.Second, time.Second} { // the first of all is looked up for settle
						calls, posts, began := all[batch*n:][:n], len(api.requests()), time.Now()
						for i, r := range dial(t, d, calls...) {
							if i == bad {
								assert.Equal(t, ReasonRefused, r.Reason)
								assert.Zero(t, api.callsOf(calls[i]))
								continue
							}
							assert.Equal(t, Accepted, r.Outcome)
							assert.Equal(t, 1, api.callsOf(calls[i]))
						}
						assert.LessOrEqual(t, len(api.requests())-posts, most)
						assert.Less(t, time.Since(began), within)
					}
				})
			})
		}
	}
}

func TestOnlyTheRefusedFailOfABadBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := leads(t, 20)
		api := &fakeAPI{onPost: refuses(calls[2], calls[3], calls[17])}
		for i, r := range dial(t, open(t, api, ledger.NewMemory()), calls...) {
			if i == 2 || i == 3 || i == 17 {
				assert.Equal(t, Rejected, r.Outcome)
				continue
			}
			assert.Equal(t, Accepted, r.Outcome)
			assert.Equal(t, 1, api.callsOf(calls[i]))
		}
	})
}

// Half of what the API refuses it creates all the same, and lists it at once or
// late: once it was seen doing so, every refusal is looked up for settle.
func TestAPartialRefusalDoublesNothing(t *testing.T) {
	for name, listedIn := range map[string]time.Duration{"listed at once": 0, "listed one by one": settle - time.Second} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := leads(t, 16)
				api := &fakeAPI{}
				api.onPost = func(n int, batch []*Call) answer {
					a := refuses(calls[9])(n, batch)
					if a.err != nil && len(batch) > 1 {
						at := map[string]int{}
						for i, c := range batch {
							at[c.Ref] = i
						}
						a.creates = func(c *Call) bool { return at[c.Ref] < len(batch)/2 && c.Ref != calls[9].Ref }
						a.listedIn = listedIn
					}
					return a
				}
				warned := 0
				d := open(t, api, ledger.NewMemory(), func(o *Options) { o.OnPartialRefusal = func() { warned++ } })
				for i, r := range dial(t, d, calls...) {
					if i == 9 {
						assert.Equal(t, Rejected, r.Outcome)
						continue
					}
					assert.Equal(t, Accepted, r.Outcome)
					assert.Equal(t, 1, api.callsOf(calls[i]), "lead %d", i)
				}
				assert.Equal(t, 1, warned)
			})
		})
	}
}

func TestAfterAPartialRefusalTheRestMayBeListedLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := leads(t, 4)
		api := &fakeAPI{}
		api.onPost = func(n int, batch []*Call) answer {
			if n > 1 {
				return answer{}
			}
			api.create(batch[1:2], answer{listedIn: settle - time.Second})
			return answer{err: status(422), creates: func(c *Call) bool { return c.Ref == calls[0].Ref }}
		}
		results := dial(t, open(t, api, ledger.NewMemory()), calls...)
		assert.Equal(t, []Outcome{Accepted, Accepted, Accepted, Accepted}, outcomes(results))
		assertOneCallEach(t, api, calls)
	})
}

// One look is enough where refusals were seen to create nothing. Once one of them did
// create calls, what that look did not show may still be listed.
func TestARefusalThatCreatesCallsForTheFirstTimeIsLookedUpAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := leads(t, 6)
		api := &fakeAPI{onPost: refuses(calls[1])}
		d := open(t, api, ledger.NewMemory())
		assert.Equal(t, []Outcome{Accepted, Rejected}, outcomes(dial(t, d, calls[:2]...)), "a refusal that creates nothing")

		posts := len(api.requests())
		api.onPost = func(n int, batch []*Call) answer {
			if n > posts+1 {
				return answer{}
			}
			api.create(batch[1:2], answer{listedIn: settle - time.Second})
			return answer{err: status(422), creates: func(c *Call) bool { return c.Ref == calls[2].Ref }}
		}
		assert.Equal(t, []Outcome{Accepted, Accepted, Accepted, Accepted}, outcomes(dial(t, d, calls[2:]...)))
		assertOneCallEach(t, api, calls[2:])
	})
}

func TestARefusalIsNotSentAgainBeforeItCouldBeLookedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, calls := time.Now(), leads(t, 2)
		api := &fakeAPI{onPost: refuses(calls[1])}
		api.onList = func(int) error {
			if time.Since(began) < time.Hour {
				return status(503)
			}
			return nil
		}
		assert.Equal(t, []Outcome{Accepted, Rejected}, outcomes(dial(t, open(t, api, ledger.NewMemory()), calls...)))
		assert.GreaterOrEqual(t, api.requests()[1].at.Sub(began), time.Hour)
	})
}

func TestARefusalThatCannotBeLookedUpInTimeIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls, mem := leads(t, 2), ledger.NewMemory()
		down := true
		api := &fakeAPI{onPost: first(answer{err: status(422)})}
		api.onList = func(int) error {
			if down {
				return status(503)
			}
			return nil
		}
		d := open(t, api, mem, func(o *Options) { o.MaxElapsedTime = time.Minute })
		assert.Equal(t, []Outcome{Held, Held}, outcomes(dial(t, d, calls...)), "the refusal may have created calls")
		down = false
		assert.Equal(t, []Outcome{Accepted, Accepted}, outcomes(dial(t, d, calls...)))
		assertOneCallEach(t, api, calls)
	})
}

func TestARefusalIsHeldWhereItsCallsAreListedWithoutAReference(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := leads(t, 4)
		api := &fakeAPI{}
		api.onPost = first(answer{err: status(422), dropsEcho: true, creates: func(c *Call) bool {
			return c.Ref == calls[0].Ref || c.Ref == calls[1].Ref
		}})
		results := dial(t, open(t, api, ledger.NewMemory(), redial), calls...)
		require.Equal(t, []Outcome{Held, Held, Accepted, Accepted}, outcomes(results))
		assertOneCallEach(t, api, calls)
	})
}

// Nothing says that a batch is all or nothing: calls a second, calls at a time or
// credit may run out in the middle of it, and a number, agent or use case that is not
// found or not allowed may be met there.
func TestALimitMetInTheMiddleOfABatchDoublesNothing(t *testing.T) {
	for _, code := range []int{429, 401, 402, 403, 404, 405} {
		for name, listedIn := range map[string]time.Duration{"listed at once": 0, "all but one listed late": settle - time.Second} {
			t.Run(fmt.Sprintf("%d, %s", code, name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					calls := leads(t, 8)
					api := &fakeAPI{}
					api.onPost = func(n int, batch []*Call) answer {
						if n > 1 {
							return answer{}
						}
						api.create(batch[1:5], answer{listedIn: listedIn})
						return answer{err: status(code), creates: func(c *Call) bool { return c.Ref == calls[0].Ref }}
					}
					results := dial(t, open(t, api, ledger.NewMemory()), calls...)
					for i, r := range results {
						assert.Equal(t, Accepted, r.Outcome, "lead %d", i)
					}
					assertOneCallEach(t, api, calls)
				})
			})
		}
	}
}

// Of a batch that met a limit, part was created. That the list is declined, too, says
// nothing of it: it is asked again.
func TestALimitIsNotTakenAtItsWordWhileListsAreDeclined(t *testing.T) {
	for _, met := range []int{429, 402, 403, 404} {
		for _, list := range []int{429, 400, 404, 405, 407, 408, 410, 421, 422} {
			t.Run(fmt.Sprintf("%d, list %d", met, list), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					began, calls := time.Now(), leads(t, 4)
					api := &fakeAPI{onPost: first(answer{err: status(met), creates: func(c *Call) bool { return c.Number[len(c.Number)-1]%2 == 0 }})}
					api.onList = func(int) error {
						if time.Since(began) < time.Hour {
							return &happyrobot.Error{Op: "listCalls", Status: list}
						}
						return nil
					}
					results := dial(t, open(t, api, ledger.NewMemory()), calls...)
					assert.Equal(t, []Outcome{Accepted, Accepted, Accepted, Accepted}, outcomes(results))
					assertOneCallEach(t, api, calls)
				})
			})
		}
	}
}

// Whoever is not let in to list was not let in to dial.
func TestASetupThatIsWrongForListsAsWellCreatedNothing(t *testing.T) {
	for _, code := range []int{301, 401, 403} { // credit (402) may be used up in the middle of a batch
		synctest.Test(t, func(t *testing.T) {
			began, calls := time.Now(), leads(t, 4)
			api := &fakeAPI{onPost: first(answer{creates: none, err: status(code)})}
			api.onList = func(int) error { return &happyrobot.Error{Op: "listCalls", Status: code} }
			results := dial(t, open(t, api, ledger.NewMemory()), calls...)
			assert.Equal(t, []Outcome{Accepted, Accepted, Accepted, Accepted}, outcomes(results))
			assertOneCallEach(t, api, calls)
			assert.Len(t, api.lists(), 1)
			assert.LessOrEqual(t, time.Since(began), time.Second)
		})
	}
}

// A limit that is met in the middle of a batch proves nothing of its first calls: neither
// does a list that lags, nor one that this key may not read.
func TestAPartOfABatchThatIsListedLateIsFound(t *testing.T) {
	for _, code := range []int{401, 402, 403, 404, 429} {
		for name, onList := range map[string]func(n int) error{
			"lags": nil,
			"is not let in at first": func(n int) error {
				if n > 3 || code == 401 || code == 403 { // a key that may do nothing has no calls
					return nil
				}
				return &happyrobot.Error{Op: "listCalls", Status: 403}
			},
		} {
			t.Run(fmt.Sprintf("%d, and the list %s", code, name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					calls := leads(t, 4)
					api := &fakeAPI{onList: onList, onPost: first(answer{
						err: status(code), listedIn: settle / 2,
						creates: func(c *Call) bool { return c.Number[len(c.Number)-1]%2 == 0 },
					})}
					assert.Equal(t, []Outcome{Accepted, Accepted, Accepted, Accepted}, outcomes(dial(t, open(t, api, ledger.NewMemory()), calls...)))
					assertOneCallEach(t, api, calls)
				})
			})
		}
	}
}

// A stop in the middle of such a look leaves leads that were refused, not leads in doubt:
// the next process looks them up, and then dials those that are not listed.
func TestAShutdownWhileALimitIsLookedUpHoldsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls, mem, limited := leads(t, 4), ledger.NewMemory(), true
		api := &fakeAPI{onPost: first(answer{err: tooMany, creates: func(c *Call) bool { return c.Number[len(c.Number)-1]%2 == 0 }})}
		api.onList = func(int) error {
			if limited {
				return &happyrobot.Error{Op: "listCalls", Status: 429}
			}
			return nil
		}
		results, err := dialUntil(t, open(t, api, mem), time.Second, calls)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, []Outcome{"", "", "", ""}, outcomes(results))
		limited = false
		assert.Equal(t, []Outcome{Accepted, Accepted, Accepted, Accepted}, outcomes(dial(t, open(t, api, mem), calls...)))
		assertOneCallEach(t, api, calls)
	})
}

func TestALimitIsNotTakenAtItsWordWhileListsGoUnanswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, calls := time.Now(), leads(t, 4)
		api := &fakeAPI{onPost: first(answer{err: tooMany, creates: func(c *Call) bool { return c.Number[len(c.Number)-1]%2 == 0 }})}
		api.onList = func(int) error {
			if time.Since(began) < time.Hour {
				return status(503)
			}
			return nil
		}
		results := dial(t, open(t, api, ledger.NewMemory()), calls...)
		assert.Equal(t, []Outcome{Accepted, Accepted, Accepted, Accepted}, outcomes(results))
		assertOneCallEach(t, api, calls)
	})
}

func TestADialAndAListThatMovedCreatedNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := leads(t, 4)
		api := &fakeAPI{onPost: first(answer{creates: none, err: status(301)})}
		api.onList = func(int) error { return status(301) }
		results := dial(t, open(t, api, ledger.NewMemory()), calls...)
		assert.Equal(t, []Outcome{Accepted, Accepted, Accepted, Accepted}, outcomes(results))
		assert.Len(t, api.lists(), 1)
	})
}

// A topic that is delivered again holds a duplicate here and there.
func TestADuplicateInEachBatchHidesNoBrokenAPI(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said reports
		mem, known := ledger.NewMemory(), lead(t, 9999)
		dial(t, open(t, &fakeAPI{}, mem), known)
		d := open(t, &fakeAPI{onPost: refusesAll(410, time.Now().Add(window))}, mem, said.to)
		failed := 0
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for batch := range slices.Chunk(leads(t, 190), 19) {
			results, err := d.Dial(ctx, append([]Call{known}, batch...))
			if err != nil {
				break
			}
			for _, r := range results {
				if r.Outcome == Rejected {
					failed++
				}
			}
		}
		assert.Len(t, said.said("refusals begins: the API refused 20 different calls in a row with status 410"), 1)
		assert.Less(t, failed, 2*mostRefused)
	})
}
