package pause

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestATallyReportsTheFirstAtOnceAndThenHowManyCame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lines
		tally := NewTally(&log, "Refused.", "Refused %d more in the last %s.")
		for range 1000 {
			tally.Count()
		}
		assert.Equal(t, []string{"WARN Refused."}, log.from(0))
		time.Sleep(Reminder + time.Second)
		synctest.Wait()
		tally.Count()
		time.Sleep(Reminder)
		synctest.Wait()
		assert.Equal(t, []string{"WARN Refused.", "WARN Refused 999 more in the last 5m0s.", "WARN Refused 1 more in the last 5m0s."}, log.from(0))
		time.Sleep(3 * Reminder)
		synctest.Wait()
		assert.Len(t, log.from(0), 3, "an interval without one ends it")
		tally.Count()
		assert.Equal(t, "WARN Refused.", log.from(0)[3])
		tally.Count()
		tally.Stop()
		time.Sleep(2 * Reminder)
		tally.Count()
		assert.Len(t, log.from(0), 4)
		(*Tally)(nil).Count()
		(*Tally)(nil).Stop()
	})
}
