package dialer

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/ledger"
)

// requestsFor dials 64 requests at once whose answers are all lost, while the list has
// 24,000 calls of the last two minutes, and says how many requests the looks made.
func requestsFor(t *testing.T, components int, takes time.Duration) int {
	t.Helper()
	api, calls := &fakeAPI{listTakes: takes}, leads(t, 64)
	for n := range 24_000 {
		c := newCall(fmt.Sprintf("other-%d", n), fmt.Sprintf("+1303555%04d", n%10_000))
		api.create([]*Call{&c}, answer{})
		if n%200 == 0 {
			time.Sleep(time.Second)
		}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	api.onPost = func(n int, batch []*Call) answer {
		api.mu.Lock()
		defer api.mu.Unlock()
		a := answer{takes: upTo(rng, 2*time.Second), err: lost, listedIn: upTo(rng, settle/2)}
		if n%2 == 0 && n <= len(calls) {
			a.creates = none
		}
		if n > len(calls) {
			a = answer{}
		}
		return a
	}
	shared, mem := &Shared{}, ledger.NewMemory()
	var wg sync.WaitGroup
	dialers := make([]*Dialer, components)
	for i := range dialers {
		dialers[i] = open(t, api, mem, redial, func(o *Options) { o.MaxCallsPerRequest, o.Shared = 1, shared })
	}
	for i, c := range calls {
		wg.Go(func() { assert.Equal(t, []Outcome{Accepted}, outcomes(dial(t, dialers[i%components], c))) })
	}
	wg.Wait()
	assertOneCallEach(t, api, calls)
	assert.Greater(t, len(api.requests()), len(calls), "some were not created, and are dialed again")
	return api.pages
}

func TestOneListingServesAllDoubtsOfAWindow(t *testing.T) {
	for _, components := range []int{1, 4} {
		for _, takes := range []time.Duration{0, time.Second, 10 * time.Second} {
			synctest.Test(t, func(t *testing.T) {
				n := requestsFor(t, components, takes)
				t.Logf("%d components, a listing takes %v: %d requests for lists", components, takes, n)
				assert.LessOrEqual(t, n, 300)
			})
		}
	}
}

// After a crash the store of one machine says when its calls began: what was created in
// the hour before is not gone through for them.
func TestARestartOnAnExclusiveStoreLooksBackNoFurtherThanItsCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, mem, calls := &fakeAPI{}, ledger.NewMemory(), leads(t, 20)
		for n := range 72_000 { // of an hour
			c := newCall(fmt.Sprintf("other-%d", n), fmt.Sprintf("+1303555%04d", n%10_000))
			api.create([]*Call{&c}, answer{})
			if n%20 == 0 {
				time.Sleep(time.Second)
			}
		}
		api.onPost = first(answer{takes: timeout, creates: func(c *Call) bool { return c.Ref != calls[0].Ref }})
		old := startProcess(mem, "OLD", 0)
		ctx, die := context.WithCancel(t.Context())
		var dying sync.WaitGroup
		defer dying.Wait()
		dying.Go(func() { _, _ = open(t, api, old, redial).Dial(ctx, calls) })
		time.Sleep(time.Second)
		old.kill()
		die()
		time.Sleep(timeout)
		restarted := time.Now()
		l, err := ledger.New(startProcess(mem, "NEW", 0), ledger.Options{Window: window, Lease: timeout + settle, Exclusive: func() bool { return true }})
		require.NoError(t, err)
		before := api.pages
		d := New(api, l, Options{
			Timeout: timeout, Settle: settle, Window: window, OnUnknown: RedialAbsent, MaxRedials: 3, MaxCallsPerRequest: 20,
			InitialInterval: 500 * time.Millisecond, MaxInterval: 30 * time.Second,
		})
		for _, r := range dial(t, d, calls...) {
			assert.Equal(t, Accepted, r.Outcome)
		}
		assertOneCallEach(t, api, calls)
		assert.Less(t, time.Since(restarted), settle, "the attempt was over a timeout and settle after its date")
		t.Logf("%d requests for lists", api.pages-before)
		assert.LessOrEqual(t, api.pages-before, 60)
	})
}

// slowList lists slowly, and notes when each listing began and whose it was.
type slowList struct {
	*fakeAPI
	name  string
	began *[]string
}

func (s slowList) List(ctx context.Context, want Listing) iter.Seq2[PlacedCall, error] {
	s.mu.Lock()
	*s.began = append(*s.began, s.name)
	s.mu.Unlock()
	return s.fakeAPI.List(ctx, want)
}

// Who lists for others may have to leave: one of them lists then.
func TestAListingIsTakenOverFromWhoLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var began []string
		f, s := &fakeAPI{listTakes: 10 * time.Second}, &Shared{}
		c := lead(t, 1)
		f.create([]*Call{&c}, answer{})
		ctx, leave := context.WithCancel(t.Context())
		errs := make([]error, 4)
		looks := make([]*look, 4)
		var wg sync.WaitGroup
		for i := range looks {
			looks[i] = &look{calls: []sought{{refs: []string{c.Ref}, number: "1"}}, since: time.Now().Add(-time.Hour)}
			ctx := ctx
			if i > 0 {
				ctx = t.Context()
			}
			wg.Go(func() { errs[i] = s.list(ctx, slowList{f, fmt.Sprint(i), &began}, looks[i], false) })
			synctest.Wait()
		}
		time.Sleep(time.Second)
		leave()
		wg.Wait()
		require.ErrorIs(t, errs[0], context.Canceled)
		for i := 1; i < 4; i++ {
			require.NoError(t, errs[i])
			assert.NotNil(t, looks[i].calls[0].found)
		}
		assert.Equal(t, []string{"0", "1"}, began, "one for the first, and one for all others")
		assert.False(t, s.lanes[laneKey{span: spanOf(time.Hour)}].busy)
	})
}

// Each may leave at any moment; whoever stays is served, by a listing that began after it came.
func TestWhoStaysIsServedByAListingThatBeganLateEnough(t *testing.T) {
	for seed := range uint64(300) {
		synctest.Test(t, func(t *testing.T) {
			rng, fails := rand.New(rand.NewPCG(seed, 0)), rand.New(rand.NewPCG(seed, 1))
			f, s := &fakeAPI{listTakes: time.Second}, &Shared{}
			f.onList = func(int) error {
				f.mu.Lock()
				defer f.mu.Unlock()
				if fails.IntN(4) == 0 {
					return lost
				}
				return nil
			}
			var wg sync.WaitGroup
			for i := range 30 {
				comes, stays := upTo(rng, 10*time.Second), upTo(rng, 4*time.Second)
				if rng.IntN(2) == 0 {
					stays = time.Hour
				}
				wg.Go(func() {
					time.Sleep(comes)
					c := newCall(fmt.Sprintf("%d", i), "+12025550101")
					f.create([]*Call{&c}, answer{})
					ctx, cancel := context.WithTimeout(t.Context(), stays)
					defer cancel()
					came := time.Now()
					l := &look{calls: []sought{{refs: []string{c.Ref}, number: digits(c.Number)}}, since: came.Add(-time.Minute)}
					switch err := s.list(ctx, f, l, false); {
					case ctx.Err() != nil:
					case errors.Is(err, lost):
					case err != nil:
						t.Error(err)
					default:
						assert.False(t, l.began.Before(came), "seed %d", seed)
						assert.NotNil(t, l.calls[0].found, "seed %d: it was created before the listing began", seed)
					}
					assert.Less(t, time.Since(came), stays+time.Minute)
				})
			}
			wg.Wait()
			for _, at := range s.lanes {
				assert.False(t, at.busy)
				assert.Empty(t, at.waiting)
			}
		})
	}
}

func TestALookAtLongAgoKeepsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, slow, quick := &Shared{}, &fakeAPI{listTakes: time.Hour}, &fakeAPI{}
		done := make(chan error, 1)
		go func() {
			done <- s.list(t.Context(), slow, &look{since: time.Now().Add(-window), calls: []sought{{refs: []string{"a"}, number: "1"}}}, false)
		}()
		synctest.Wait()
		began := time.Now()
		require.NoError(t, s.list(t.Context(), quick, &look{since: began.Add(-2 * time.Minute), calls: []sought{{refs: []string{"b"}, number: "2"}}}, false))
		assert.Zero(t, time.Since(began))
		require.NoError(t, <-done)
	})
}

func TestALookWaitsForNoLimitOfAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, slow, quick := &Shared{}, &fakeAPI{listTakes: time.Hour}, &fakeAPI{}
		began, done := time.Now(), make(chan error, 1)
		find := func(api API, ref, limit string) error {
			return s.list(t.Context(), api, &look{since: began, limit: limit, calls: []sought{{refs: []string{ref}, number: ref}}}, false)
		}
		go func() { done <- find(slow, "1", "hourly") }()
		synctest.Wait()
		require.NoError(t, find(quick, "2", ""))
		assert.Zero(t, time.Since(began))
		require.NoError(t, <-done)
	})
}

// The client repeats a page that fails, and only the time tells.
func TestALookThatGetsNoFurtherIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said reports
		api := &fakeAPI{onPost: first(answer{err: lost}), listTakes: time.Minute}
		d := open(t, api, ledger.NewMemory(), said.to, func(o *Options) { o.LookUps = o.Notice("look_ups") })
		ended := make(chan []Result, 1)
		go func() { ended <- dial(t, d, lead(t, 1)) }()
		time.Sleep(listSilence + time.Second)
		synctest.Wait()
		assert.Len(t, said.said("look_ups begins: the API does not answer its list"), 1)
		assert.Equal(t, 1, d.LookedFor())
		assert.Equal(t, []Outcome{Accepted}, outcomes(<-ended))
		assert.Len(t, said.said("look_ups ends"), 1)
		assert.Zero(t, d.LookedFor())
	})
}
