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
		var log lines
		n := NewNotice(&log, words, nil)
		well, first, second := n.Waiter(), n.Waiter(), n.Waiter()
		first.Trouble(errors.New("no route"))
		second.Trouble(errors.New("no host"))
		second.Trouble(errors.New("no host"))
		assert.Equal(t, []string{"WARN Paused: no route."}, log.from(0))

		well.Recovered()
		first.Recovered()
		first.Recovered()
		time.Sleep(Reminder)
		synctest.Wait()
		assert.Equal(t, []string{"WARN Still paused, since 2000-01-01T00:00:00Z: no host."}, log.from(1), "one still waits")

		second.Recovered()
		assert.Equal(t, []string{"INFO Resumed after 5m0s."}, log.from(2))
		first.Trouble(errors.New("too late"))
		assert.Len(t, log.from(0), 3, "a waiter is used once")
	})
}

func TestALastWaiterThatStopsIsNoRecovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lines
		var changes []bool
		n := NewNotice(&log, words, func(in bool) { changes = append(changes, in) })
		w := n.Waiter()
		w.Trouble(errors.New("no route"))
		w.Stop()
		time.Sleep(3 * Reminder)
		synctest.Wait()
		assert.Len(t, log.from(0), 1)
		assert.Equal(t, []bool{true, false}, changes)
	})
}

func TestTroubleThatIsGivenUpAndMetAgainIsReportedOncePerInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lines
		n := NewNotice(&log, words, nil)
		for range 12 * 6 { // every ten seconds, for twelve minutes
			w := n.Waiter()
			w.Trouble(errors.New("no route"))
			time.Sleep(9 * time.Second)
			w.Stop()
			time.Sleep(time.Second)
		}
		synctest.Wait()
		assert.Len(t, log.from(0), 3)

		w := n.Waiter()
		w.Trouble(errors.New("no host"))
		w.Recovered()
		n.Waiter().Trouble(errors.New("no host"))
		assert.Equal(t, []string{"WARN Paused: no host.", "INFO Resumed after 0s.", "WARN Paused: no host."}, log.from(3))
		n.Stop()
	})
}

func TestAnErrorSaysMoreThanSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lines
		n := NewNotice(&log, words, nil)
		failing, silent := n.Waiter(), n.Waiter()
		failing.Trouble(errors.New("no route"))
		silent.Silence(time.Now(), errors.New("nothing happens"))
		time.Sleep(Reminder)
		synctest.Wait()
		assert.Equal(t, []string{"WARN Still paused, since 2000-01-01T00:00:00Z: no route."}, log.from(1))
		failing.Stop()
		silent.Stop()

		n.Waiter().Silence(time.Now(), errors.New("nothing happens"))
		assert.Equal(t, []string{"WARN Paused: nothing happens."}, log.from(2))
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
	mu    sync.Mutex
	lines lines
	slow  sync.Once
	free  chan struct{}
}

func (b *blocking) Warnf(format string, args ...any) {
	b.slow.Do(func() { <-b.free })
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines.Warnf(format, args...)
}

func (b *blocking) Infof(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines.Infof(format, args...)
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
		assert.Equal(t, []string{"WARN Paused: first.", "INFO Resumed after 0s.", "WARN Paused: second.", "INFO Resumed after 0s."}, log.lines.from(0))
		assert.Equal(t, []bool{true, false, true, false}, changes)
	})
}
