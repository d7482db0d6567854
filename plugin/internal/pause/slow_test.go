package pause

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestLongWaitsThatEndTogetherAreOneTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lines
		n := NewNotice(&log, Wording{Begins: "Waits: %v.", Lasts: "Still, since %s: %v.", Ends: "Over after %v."}, nil)
		s := NewSlow(n, errors.New("no permit"))
		first, second := s.Begin(), s.Begin()
		time.Sleep(Long + time.Second)
		synctest.Wait()
		assert.Equal(t, []string{"WARN Waits: no permit."}, log.from(0))

		first.End(true)
		second.End(true)
		n.mu.Lock()
		left := n.waiters
		n.mu.Unlock()
		assert.Equal(t, 1, left, "who ends a wait has ended it on return; one lingers")
		time.Sleep(lingers / 2)
		s.Begin().End(true) // takes it on, and is short
		assert.Equal(t, []string{"INFO Over after 1m6s."}, log.from(1))
		time.Sleep(lingers)
		synctest.Wait()
		assert.Len(t, log.from(0), 2)
	})
}
