package pause

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

var words = Wording{Begins: "Paused: %v.", Lasts: "Still paused, since %s: %v.", Ends: "Resumed after %v."}

func TestANoticeLastsUntilNobodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log recorder
		n := NewNotice(&log, words, nil)
		well, first, second := n.Waiter(), n.Waiter(), n.Waiter()
		first.Trouble(errors.New("no route"))
		second.Trouble(errors.New("no host"))
		second.Trouble(errors.New("no host"))
		assert.Equal(t, lines{"WARN Paused: no route."}, log.said())

		well.Recovered()
		first.Recovered()
		first.Recovered()
		time.Sleep(Reminder)
		synctest.Wait()
		assert.Equal(t, lines{"WARN Still paused, since 2000-01-01T00:00:00Z: no host."}, log.said()[1:], "one still waits")

		second.Recovered()
		assert.Equal(t, lines{"INFO Resumed after 5m0s."}, log.said()[2:])
		first.Trouble(errors.New("too late"))
		assert.Len(t, log.said(), 3, "a waiter is used once")
	})
}

func TestALastWaiterThatStopsIsNoRecovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log recorder
		var changes []bool
		n := NewNotice(&log, words, func(in bool) { changes = append(changes, in) })
		w := n.Waiter()
		w.Trouble(errors.New("no route"))
		w.Stop()
		time.Sleep(3 * Reminder)
		synctest.Wait()
		assert.Len(t, log.said(), 1)
		assert.Equal(t, []bool{true, false}, changes)
	})
}

func TestAnErrorSaysMoreThanSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log recorder
		n := NewNotice(&log, words, nil)
		failing, silent := n.Waiter(), n.Waiter()
		failing.Trouble(errors.New("no route"))
		silent.Silence(time.Now(), errors.New("nothing happens"))
		time.Sleep(Reminder)
		synctest.Wait()
		assert.Equal(t, lines{"WARN Still paused, since 2000-01-01T00:00:00Z: no route."}, log.said()[1:])
		failing.Stop()
		silent.Stop()

		n.Waiter().Silence(time.Now(), errors.New("nothing happens"))
		assert.Equal(t, lines{"WARN Paused: nothing happens."}, log.said()[2:])
		n.Stop()
	})
}

func TestWithoutANoticeNothingIsReported(*testing.T) {
	var n *Notice
	n.Trouble(nil)
	n.Recovered()
	n.Stop()
	w := n.Waiter()
	w.Trouble(nil)
	w.Silence(time.Now(), nil)
	w.Recovered()
	w.Stop()
}

// blocking is a log whose first line is slow.
type blocking struct {
	recorder
	slow sync.Once
	free chan struct{}
}

func (b *blocking) Warnf(format string, args ...any) {
	b.slow.Do(func() { <-b.free })
	b.recorder.Warnf(format, args...)
}

// The last word in the log, and of the metric, must be what is the case now.
func TestReportsKeepTheirOrderAndNobodyWaitsForThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &blocking{free: make(chan struct{})}
		var changes []bool
		n := NewNotice(log, words, func(in bool) { changes = append(changes, in) })
		go n.Trouble(errors.New("first"))
		synctest.Wait()
		n.Recovered() // while the first line is being written
		n.Trouble(errors.New("second"))
		n.Recovered()
		close(log.free)
		synctest.Wait()
		assert.Equal(t, lines{"WARN Paused: first.", "INFO Resumed after 0s.", "WARN Paused: second.", "INFO Resumed after 0s."}, log.said())
		assert.Equal(t, []bool{true, false, true, false}, changes)
	})
}
