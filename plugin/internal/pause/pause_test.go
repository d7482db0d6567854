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
	for i, most := range []time.Duration{100, 200, 400, 800, 1000, 1000} {
		most *= time.Millisecond
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
		assert.ErrorIs(t, Sleep(ctx, time.Hour), why)
		assert.Equal(t, 2*time.Hour+time.Minute, time.Since(began))
		assert.ErrorIs(t, Sleep(ctx, -time.Second), why)
	})
}

type lines []string

// recorder is a log that a reminder may write to at any moment.
type recorder struct {
	mu    sync.Mutex
	lines lines
}

func (r *recorder) Warnf(format string, args ...any) { r.add("WARN "+format, args...) }
func (r *recorder) Infof(format string, args ...any) { r.add("INFO "+format, args...) }

func (r *recorder) add(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, fmt.Sprintf(format, args...))
}

func (r *recorder) said() lines {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.lines)
}

func TestTroubleIsReportedWhenItStartsWhileItLastsAndWhenItIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log recorder
		var changes []bool
		n := NewNotice(&log, Wording{Begins: "Paused: %v.", Lasts: "Still paused, since %s: %v.", Ends: "Resumed after %v."},
			func(in bool) { changes = append(changes, in) })

		n.Recovered()
		n.Stop()
		assert.Empty(t, log.said(), "silence when all is well")

		n.Trouble(errors.New("first"))
		n.Trouble(errors.New("second"))
		assert.Equal(t, lines{"WARN Paused: first."}, log.said(), "reported once, however often it is met")
		assert.Equal(t, []bool{true}, changes)

		time.Sleep(2*Reminder + time.Second)
		synctest.Wait()
		assert.Equal(t, lines{"WARN Still paused, since 2000-01-01T00:00:00Z: second.", "WARN Still paused, since 2000-01-01T00:00:00Z: second."}, log.said()[1:])

		n.Recovered()
		n.Recovered()
		assert.Equal(t, lines{"INFO Resumed after 10m1s."}, log.said()[3:])
		assert.Equal(t, []bool{true, false}, changes)

		time.Sleep(3 * Reminder)
		synctest.Wait()
		assert.Len(t, log.said(), 4, "no reminder once it is over")

		n.TroubleSince(time.Now().Add(-time.Minute), errors.New("third"))
		n.Stop()
		time.Sleep(3 * Reminder)
		synctest.Wait()
		assert.Len(t, log.said(), 5, "stopping says nothing")
		assert.Equal(t, []bool{true, false, true, false}, changes)
	})
}
