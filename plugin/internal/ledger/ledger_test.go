package ledger

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
)

func TestADialIsClaimedOnceAndItsCallRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := NewMemory()
		l := open(t, mem)
		c := claim(t, l, "ref")
		assert.Equal(t, 1, c.Attempt())
		assert.True(t, c.At().Equal(time.Now()))
		require.NoError(t, l.Complete(t.Context(), c, "call-1"))

		for _, l := range []*Ledger{l, open(t, mem)} {
			_, standing := ask(t, l, "ref")
			assert.Equal(t, Standing{Kind: Called, CallID: "call-1", Refs: []string{"ref"}, Fingerprint: "print", Attempt: 1}, standing)
		}
	})
}

func TestADialIsForgottenAfterItsWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := open(t, NewMemory())
		require.NoError(t, l.Complete(t.Context(), claim(t, l, "ref"), "call-1"))
		time.Sleep(window - time.Nanosecond)
		_, standing := ask(t, l, "ref")
		assert.Equal(t, Called, standing.Kind)
		time.Sleep(time.Nanosecond)
		assert.Equal(t, 1, claim(t, l, "ref").Attempt())
	})
}

func TestAWindowMustOutlastAClaim(t *testing.T) {
	_, err := New(NewMemory(), Options{Window: lease + Spare, Lease: lease})
	require.Error(t, err)
	_, err = New(NewMemory(), Options{Window: lease + Spare + 1, Lease: lease})
	assert.NoError(t, err)
}

func TestOfManyWhoClaimOneWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := NewMemory()
		var won, busy atomic.Int32
		var wg sync.WaitGroup
		for range 50 {
			l := open(t, mem)
			wg.Go(func() {
				_, standing, err := l.Claim(t.Context(), dialOf("ref"))
				require.NoError(t, err)
				switch standing.Kind {
				case Claimed:
					won.Add(1)
				case Busy:
					busy.Add(1)
				}
			})
		}
		wg.Wait()
		assert.EqualValues(t, 1, won.Load())
		assert.EqualValues(t, 49, busy.Load())
	})
}

func TestALiveClaimOfSomebodyElseIsBusyAndAStaleOneInDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := NewMemory()
		began := time.Now()
		put(t, mem, "ref", foreign(began).encode())
		l := open(t, mem)

		_, standing := ask(t, l, "ref")
		until := began.Add(lease + Spare)
		assert.Equal(t, Owner{Process: "elsewher", Claimed: began.UTC(), Until: until}, Owner{standing.Owner.Process, standing.Owner.Claimed.UTC(), standing.Owner.Until.Round(0)})
		time.Sleep(lease + Spare - time.Nanosecond)
		_, standing = ask(t, l, "ref")
		assert.Equal(t, Busy, standing.Kind)
		_, won, err := l.TakeOver(t.Context(), dialOf("ref"), standing)
		require.NoError(t, err)
		assert.False(t, won, "a live claim cannot be taken over")

		time.Sleep(time.Nanosecond)
		_, standing = ask(t, l, "ref")
		assert.Equal(t, InDoubt, standing.Kind)
		assert.Equal(t, "print", standing.Fingerprint)
		assert.True(t, standing.Since.Equal(began.Add(-clocksApart)), "its clock may be ahead")
		assert.True(t, standing.Last.Equal(began), "it was seen then")
	})
}

// A process need not live for a lease to decide the claims of a crash hours ago: no clock is
// an hour behind. A younger date may be that of a clock that is.
func TestAClaimOfLongAgoIsStaleAtFirstSight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for age, want := range map[time.Duration]Kind{
			lease + Spare + clocksApart + time.Nanosecond: InDoubt,
			lease + Spare + clocksApart:                   Busy,
			48 * time.Hour:                                InDoubt,
		} {
			mem, began := NewMemory(), time.Now()
			put(t, mem, "ref", foreign(began.Add(-age)).encode())
			l := open(t, mem)
			_, standing := ask(t, l, "ref")
			assert.Equal(t, want, standing.Kind, age)
			if want == InDoubt {
				assert.False(t, standing.Last.Add(lease+Spare).After(began), "and it was over")
				continue
			}
			time.Sleep(lease + Spare - time.Nanosecond)
			_, standing = ask(t, l, "ref")
			assert.Equal(t, Busy, standing.Kind, "once it was seen, a lease from then counts")
		}
	})
}

func TestAStaleClaimIsTakenOverByExactlyOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := NewMemory()
		put(t, mem, "ref", foreign(time.Now()).encode())
		const many = 50
		ledgers := make([]*Ledger, many)
		for i := range ledgers {
			ledgers[i] = open(t, mem)
			ask(t, ledgers[i], "ref")
		}
		time.Sleep(lease + Spare)

		var winners []Claim
		var mu sync.Mutex
		var ready, wg sync.WaitGroup
		ready.Add(many)
		for _, l := range ledgers {
			wg.Go(func() {
				_, standing, err := l.Claim(t.Context(), dialOf("ref"))
				ready.Done()
				require.NoError(t, err)
				assert.Equal(t, InDoubt, standing.Kind)
				ready.Wait()
				c, won, err := l.TakeOver(t.Context(), dialOf("ref"), standing)
				require.NoError(t, err)
				if won {
					mu.Lock()
					winners = append(winners, c)
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		require.Len(t, winners, 1)
		assert.Equal(t, 2, winners[0].Attempt())

		l := open(t, mem)
		_, standing := ask(t, l, "ref")
		assert.Equal(t, Busy, standing.Kind, "the new attempt is live")
		require.NoError(t, l.Complete(t.Context(), winners[0], "call-2"))
		_, standing = ask(t, l, "ref")
		assert.Equal(t, "call-2", standing.CallID)
	})
}

func TestAnExclusiveStoreHasNoOtherLivingOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := NewMemory()
		exclusive := func(o *Options) { o.Exclusive = func() bool { return true } }
		put(t, mem, "ref", foreign(time.Now()).encode())
		_, standing := ask(t, open(t, mem, exclusive), "ref")
		assert.Equal(t, InDoubt, standing.Kind, "whoever wrote this is dead")

		// This machine's clock wrote the date.
		at := time.Now()
		time.Sleep(time.Minute)
		_, standing = ask(t, open(t, mem, exclusive), "ref")
		assert.True(t, standing.Since.Equal(at))
		assert.True(t, standing.Last.Equal(at))
		put(t, mem, "later", foreign(time.Now().Add(time.Second)).encode())
		_, standing = ask(t, open(t, mem, exclusive), "later")
		assert.True(t, standing.Since.Equal(time.Now().Add(-clocksApart)), "the clock was set back, who knows how far")

		claim(t, open(t, mem, exclusive), "ours")
		_, standing = ask(t, open(t, mem, exclusive), "ours")
		assert.Equal(t, Busy, standing.Kind, "another ledger of this process is alive")
	})
}

func TestADateFarAheadSaysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := NewMemory()
		put(t, mem, "ref", foreign(time.Now().Add(-time.Minute)).encode())
		put(t, mem, "ref/2", foreign(time.Now().Add(clocksApart+time.Second)).encode())
		_, standing := ask(t, open(t, mem), "ref")
		assert.True(t, standing.Since.IsZero(), "whatever the other attempts say: %v", standing.Since)
		assert.True(t, standing.Last.Equal(time.Now()))
		assert.Equal(t, []string{"ref", "ref"}, standing.Refs)
		assert.False(t, standing.Unreadable)
	})
}

func TestAHeldDialIsInDoubtAtOnceForTheWholeHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := open(t, NewMemory())
		first := claim(t, l, "ref")
		require.NoError(t, l.Hold(t.Context(), first, Finding{}))
		_, standing := ask(t, l, "ref")
		require.Equal(t, InDoubt, standing.Kind)

		time.Sleep(time.Hour)
		second, won, err := l.TakeOver(t.Context(), dialOf("ref"), standing)
		require.NoError(t, err)
		require.True(t, won)
		require.NoError(t, l.Hold(t.Context(), second, Finding{}))
		_, standing = ask(t, l, "ref")
		assert.Equal(t, InDoubt, standing.Kind)
		assert.Equal(t, 2, standing.Attempt)
		assert.True(t, standing.Since.Equal(first.At()))
		assert.True(t, standing.Last.Equal(second.At()))

		_, won, err = l.TakeOver(t.Context(), dialOf("ref"), Standing{Kind: InDoubt, Attempt: 1})
		require.NoError(t, err)
		assert.False(t, won, "what was known of the first attempt is out of date")
	})
}

func TestAReleasedClaimIsGoneWithinItsLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := NewMemory()
		l := open(t, mem)
		require.NoError(t, l.Release(t.Context(), claim(t, l, "ref")))
		_, err := mem.Get(t.Context(), "ref")
		require.ErrorIs(t, err, store.ErrNotFound)
		assert.Equal(t, 1, claim(t, l, "ref").Attempt())
	})
}

func TestAClaimGivenUpPastItsLeaseIsVoidAndLeavesNoHole(t *testing.T) {
	for name, giveUp := range map[string]func(*Ledger, context.Context, Claim) error{"released": (*Ledger).Release, "abandoned": (*Ledger).Abandon} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mem := NewMemory()
				l := open(t, mem)
				slow := claim(t, l, "ref")
				standing := stale(t, l, "ref")
				next, won, err := l.TakeOver(t.Context(), dialOf("ref"), standing)
				require.NoError(t, err)
				require.True(t, won)
				require.NoError(t, giveUp(l, t.Context(), slow))
				assert.Equal(t, stateVoid, stored(t, mem, "ref").State)

				_, standing = ask(t, l, "ref")
				assert.Equal(t, Busy, standing.Kind, "the second attempt is seen past the void one")
				require.NoError(t, giveUp(l, t.Context(), next))
				assert.Equal(t, 2, claim(t, l, "ref").Attempt(), "a void attempt stands in nobody's way")
			})
		})
	}
}

// A number is used again after a release. Who looked the first attempt up knows nothing of
// the second.
func TestAnAttemptWithTheNumberOfOneThatWasLookedUpIsAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := NewMemory()
		l := open(t, mem)
		far := foreign(time.Now().Add(2 * (l.opts.Lease + Spare))) // in doubt at once
		put(t, mem, "ref", far.encode())
		_, doubt := ask(t, l, "ref")
		require.Equal(t, InDoubt, doubt.Kind)
		require.NoError(t, mem.Delete(t.Context(), "ref")) // its owner gave it up
		far.Token = "elsewhere-2"
		put(t, mem, "ref", far.encode())
		_, won, err := l.TakeOver(t.Context(), Dial{Key: "ref", Fingerprint: "print"}, doubt)
		require.NoError(t, err)
		assert.False(t, won)
	})
}
