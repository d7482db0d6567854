package ledger

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
)

func TestAnAddThatFailsAfterWritingIsKnownByItsToken(t *testing.T) {
	for name, told := range map[string]error{
		"lost answer":                 errors.New("i/o timeout"),
		"its own write on a repeat":   store.ErrExists,
		"a duplicate, in other words": errors.New("UNIQUE constraint failed"),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mem := newFragile()
				mem.onAdd = once(true, told)
				began := time.Now()
				assert.Equal(t, 1, claim(t, open(t, mem), "ref").Attempt())
				assert.Zero(t, time.Since(began), "no pause was needed")
			})
		})
	}
}

func TestADuplicateReportedInOtherWordsIsADuplicate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := newFragile()
		l := open(t, mem, func(o *Options) { o.OnTrouble = func(err error) { t.Errorf("not trouble: %v", err) } })
		require.NoError(t, l.Complete(t.Context(), claim(t, l, "ref"), "call-1"))
		mem.onAdd = func(string) (bool, error) { return false, errors.New("UNIQUE constraint failed") }
		_, standing := ask(t, l, "ref")
		assert.Equal(t, Called, standing.Kind)
		assert.Equal(t, "call-1", standing.CallID)
	})
}

func TestAnAddThatWroteNothingIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := newFragile()
		mem.onAdd = once(false, errors.New("connection refused"))
		var troubles int
		l := open(t, mem, func(o *Options) { o.OnTrouble = func(error) { troubles++ } })
		claim(t, l, "ref")
		assert.Equal(t, 1, troubles)
	})
}

func TestAClaimWaitsWhileTheStoreFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := newFragile()
		var troubles, recovered atomic.Int32
		l := open(t, mem, func(o *Options) {
			o.OnTrouble = func(err error) {
				assert.ErrorIs(t, err, errStoreDown)
				troubles.Add(1)
			}
			o.OnRecovered = func() { recovered.Add(1) }
		})
		mem.setDown(true)
		began := time.Now()
		time.AfterFunc(time.Minute, func() { mem.setDown(false) })
		c := claim(t, l, "ref")
		waited := time.Since(began)
		assert.GreaterOrEqual(t, waited, time.Minute)
		assert.LessOrEqual(t, waited, time.Minute+15*time.Second, "pauses do not outgrow max_interval")
		assert.GreaterOrEqual(t, troubles.Load(), int32(4))
		assert.EqualValues(t, 1, recovered.Load())

		require.NoError(t, l.Complete(t.Context(), c, "call-1"))
		assert.EqualValues(t, 1, recovered.Load(), "told once, not at each success")
	})
}

func TestACallThatCannotBeRecordedIsTriedUntilItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := newFragile()
		l := open(t, mem)
		c := claim(t, l, "ref")
		mem.setDown(true)
		time.AfterFunc(time.Hour, func() { mem.setDown(false) })
		require.NoError(t, l.Complete(t.Context(), c, "call-1"))
		_, standing := ask(t, l, "ref")
		assert.Equal(t, "call-1", standing.CallID)
	})
}

func TestWaitingForTheStoreEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := newFragile()
		l := open(t, mem)
		c := claim(t, l, "other")
		mem.setDown(true)
		for name, op := range map[string]func(context.Context) error{
			"claim":    func(ctx context.Context) error { _, _, err := l.Claim(ctx, "ref", "print"); return err },
			"complete": func(ctx context.Context) error { return l.Complete(ctx, c, "call-1") },
			"hold":     func(ctx context.Context) error { return l.Hold(ctx, c) },
			"release":  func(ctx context.Context) error { return l.Release(ctx, c) },
		} {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			err := op(ctx)
			assert.ErrorIs(t, err, context.DeadlineExceeded, name)
			assert.ErrorIs(t, err, errStoreDown, name)
			cancel()
		}
	})
}

func TestAReleaseThatTakesTooLongVoidsTheClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := newFragile()
		l := open(t, mem)
		c := claim(t, l, "ref")
		mem.setDown(true)
		time.AfterFunc(2*lease, func() { mem.setDown(false) })
		require.NoError(t, l.Release(t.Context(), c))
		assert.Equal(t, stateVoid, stored(t, mem, "ref").State)
		assert.Equal(t, 2, claim(t, l, "ref").Attempt())
	})
}

func TestAReleaseWhoseAnswerIsLostTakesNobodyElsesClaim(t *testing.T) {
	for name, outage := range map[string]time.Duration{"when it deletes again": 0, "when it voids": 2 * lease} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mem := newFragile()
				released, other := open(t, mem), open(t, mem)
				c := claim(t, released, "ref")
				lost := false
				mem.onDelete = func(key string) (bool, error) {
					if lost {
						return true, nil
					}
					// Deleted, and before the release tries again, the dial is another's.
					lost = true
					require.NoError(t, mem.Memory.Delete(t.Context(), key))
					claim(t, other, "ref")
					if outage > 0 {
						mem.setDown(true)
						time.AfterFunc(outage, func() { mem.setDown(false) })
					}
					return false, errStoreDown
				}
				require.NoError(t, released.Release(t.Context(), c))
				assert.Equal(t, stateClaimed, stored(t, mem, "ref").State, "the other's claim still stands")
			})
		})
	}
}
