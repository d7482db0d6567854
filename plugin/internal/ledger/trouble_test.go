package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
)

// lines are what a ledger's notice reports. Reminders are written by a timer of their own.
type lines struct {
	mu   sync.Mutex
	said []string
}

func (l *lines) Warnf(format string, args ...any) { l.add(format, args...) }
func (l *lines) Infof(format string, args ...any) { l.add(format, args...) }

func (l *lines) add(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.said = append(l.said, fmt.Sprintf(format, args...))
}

func (l *lines) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.said)
}

// reporting makes a ledger report its trouble.
func reporting(to *lines) func(*Options) {
	return func(o *Options) {
		o.Notice = pause.NewNotice(to, pause.Wording{Begins: "paused: %v", Lasts: "still paused since %s: %v", Ends: "resumed after %v"}, nil)
	}
}

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
		var told lines
		l := open(t, mem, reporting(&told))
		require.NoError(t, l.Complete(t.Context(), claim(t, l, "ref"), "call-1"))
		mem.onAdd = func(string) (bool, error) { return false, errors.New("UNIQUE constraint failed") }
		_, standing := ask(t, l, "ref")
		assert.Equal(t, Called, standing.Kind)
		assert.Equal(t, "call-1", standing.CallID)
		assert.Empty(t, told.all(), "that is no trouble")
	})
}

func TestAnAddThatWroteNothingIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := newFragile()
		mem.onAdd = once(false, errors.New("connection refused"))
		var told lines
		claim(t, open(t, mem, reporting(&told)), "ref")
		require.Len(t, told.all(), 2)
		assert.Equal(t, "paused: claiming in ledger: connection refused", told.all()[0])
	})
}

func TestAClaimWaitsWhileTheStoreFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := newFragile()
		var told lines
		l := open(t, mem, reporting(&told))
		mem.setDown(true)
		began := time.Now()
		time.AfterFunc(time.Minute, func() { mem.setDown(false) })
		c := claim(t, l, "ref")
		waited := time.Since(began)
		assert.GreaterOrEqual(t, waited, time.Minute)
		assert.LessOrEqual(t, waited, time.Minute+15*time.Second, "pauses do not outgrow max_interval")
		require.Len(t, told.all(), 2, "reported when it starts and when it is over")
		assert.Equal(t, "paused: reading ledger: store down", told.all()[0])
		assert.Contains(t, told.all()[1], "resumed after 1m")

		require.NoError(t, l.Complete(t.Context(), c, "call-1"))
		assert.Len(t, told.all(), 2)
	})
}

// One key of a store may fail while others can be read: that is no recovery.
func TestTheStoreHasRecoveredWhenNobodyWaitsForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := newFragile()
		var told lines
		l := open(t, mem, reporting(&told))
		began := time.Now()
		mem.onAdd = func(key string) (bool, error) {
			if key == "broken" && time.Since(began) < time.Hour {
				return false, errStoreDown
			}
			return true, nil
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			claim(t, l, "broken")
		}()
		synctest.Wait()
		claim(t, l, "good")
		assert.Len(t, told.all(), 1)
		<-ended
		assert.Equal(t, 1, strings.Count(strings.Join(told.all(), "\n"), "resumed after"))
		assert.Contains(t, told.all()[len(told.all())-1], "resumed after 1h0m")
	})
}

func TestAStoreThatIsGivenUpHasNotRecovered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := newFragile()
		mem.setDown(true)
		var told lines
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, _, err := open(t, mem, reporting(&told)).Claim(ctx, dialOf("ref"))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		time.Sleep(2 * pause.Reminder)
		assert.Len(t, told.all(), 1)
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
			"claim":    func(ctx context.Context) error { _, _, err := l.Claim(ctx, dialOf("ref")); return err },
			"complete": func(ctx context.Context) error { return l.Complete(ctx, c, "call-1") },
			"hold":     func(ctx context.Context) error { return l.Hold(ctx, c, Finding{}) },
			"release":  func(ctx context.Context) error { return l.Release(ctx, c) },
		} {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			err := op(ctx)
			require.ErrorIs(t, err, context.DeadlineExceeded, name)
			require.ErrorIs(t, err, errStoreDown, name)
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
