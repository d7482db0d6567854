package pause

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAPauseGrowsToItsLongestAndIsDrawnFromAllOfIt(t *testing.T) {
	longest := make([]time.Duration, 6)
	for range 2000 {
		g := NewGrowing(100*time.Millisecond, time.Second)
		for i := range longest {
			d := g.Next()
			assert.Positive(t, d)
			longest[i] = max(longest[i], d)
		}
		g.Reset()
		assert.LessOrEqual(t, g.Next(), 100*time.Millisecond+1, "after a success it is short again")
	}
	for i, milliseconds := range []int{100, 200, 400, 800, 1000, 1000} {
		most := time.Duration(milliseconds) * time.Millisecond
		assert.LessOrEqual(t, longest[i], most+1)
		assert.Greater(t, longest[i], most*8/10, "all of the interval is drawn from")
	}
	assert.Positive(t, NewGrowing(0, 0).Next(), "a loop that waits must not spin")
}

func TestASleepEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		assert.NoError(t, Sleep(t.Context(), time.Hour))
		assert.NoError(t, SleepUntil(t.Context(), began.Add(2*time.Hour)))
		assert.Equal(t, 2*time.Hour, time.Since(began))

		why := errors.New("the stream stops")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Minute, func() { cancel(why) })
		require.ErrorIs(t, Sleep(ctx, time.Hour), why)
		assert.Equal(t, 2*time.Hour+time.Minute, time.Since(began))
		assert.ErrorIs(t, Sleep(ctx, -time.Second), why)
	})
}

// lines is a log. Reminders are written by a timer of their own.
type lines struct {
	mu   sync.Mutex
	said []string
}

func (l *lines) Warnf(format string, args ...any) { l.add("WARN "+format, args...) }
func (l *lines) Infof(format string, args ...any) { l.add("INFO "+format, args...) }

func (l *lines) add(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.said = append(l.said, fmt.Sprintf(format, args...))
}

// from are the lines after the first n.
func (l *lines) from(n int) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.said[n:])
}

func TestTroubleIsReportedWhenItStartsWhileItLastsAndWhenItIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lines
		var changes []bool
		n := NewNotice(&log, Wording{Begins: "Paused: %v.", Lasts: "Still paused, since %s: %v.", Ends: "Resumed after %v."},
			func(in bool) { changes = append(changes, in) })

		n.Recovered()
		n.Stop()
		assert.Empty(t, log.from(0), "silence when all is well")

		n.Trouble(errors.New("first"))
		n.Trouble(errors.New("second"))
		assert.Equal(t, []string{"WARN Paused: first."}, log.from(0), "reported once, however often it is met")
		assert.Equal(t, []bool{true}, changes)

		time.Sleep(2*Reminder + time.Second)
		synctest.Wait()
		assert.Equal(t, []string{"WARN Still paused, since 2000-01-01T00:00:00Z: second.", "WARN Still paused, since 2000-01-01T00:00:00Z: second."}, log.from(1))

		n.Recovered()
		n.Recovered()
		assert.Equal(t, []string{"INFO Resumed after 10m1s."}, log.from(3))
		assert.Equal(t, []bool{true, false}, changes)

		time.Sleep(3 * Reminder)
		synctest.Wait()
		assert.Len(t, log.from(0), 4, "no reminder once it is over")

		n.TroubleSince(time.Now().Add(-time.Minute), errors.New("third"))
		n.Stop()
		time.Sleep(3 * Reminder)
		synctest.Wait()
		assert.Len(t, log.from(0), 5, "stopping says nothing")
		assert.Equal(t, []bool{true, false, true, false}, changes)
	})
}
