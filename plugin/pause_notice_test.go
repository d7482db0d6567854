package plugin

import (
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
)

// lockedText is a log that is read while it is written.
type lockedText struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lockedText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lockedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func count(log *lockedText, what string) int { return strings.Count(log.String(), what) }

func TestAPauseIsReportedOnceForAllThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &lockedText{}
		said := func(what string) int { synctest.Wait(); return count(log, what) }
		notice := &pauseNotice{log: service.NewLoggerFromSlog(slog.New(slog.NewTextHandler(log, nil))), cause: "failures"}

		quick := notice.watch(10 * time.Second)
		time.Sleep(9 * time.Second)
		quick.done()
		time.Sleep(time.Hour)
		assert.Empty(t, log.String(), "silence when all is well")

		silent, failing := notice.watch(10*time.Second), notice.watch(10*time.Second)
		time.Sleep(11 * time.Second)
		assert.Equal(t, 1, said("Dialing paused (failures): the output has taken nothing yet; if it has a `batching` of its own, that needs a `period`. "))
		failing.because(errors.New("no route"))
		failing.because(errors.New("no route"))
		assert.Equal(t, 1, said("Dialing paused"))
		time.Sleep(11 * time.Minute)
		assert.Equal(t, 2, said("Dialing still paused (failures), since 2000-01-01T01:00:09Z: no route"))

		failing.done()
		assert.Zero(t, said("resumed"), "one still waits")
		silent.done()
		assert.Equal(t, 1, said("Dialing resumed (failures) after 11m11s"))
		time.Sleep(time.Hour)
		assert.Equal(t, 2, said("still paused"))

		stopped := notice.watch(10 * time.Second)
		stopped.because(errors.New("no route"))
		stopped.giveUp()
		stopped.because(errors.New("too late"))
		assert.Equal(t, 2, said("Dialing paused"))
		assert.Equal(t, 1, said("resumed"), "a stop is no recovery")
	})
}

// An output that refused a batch, and then takes nothing, is not just slow.
func TestAnErrorIsNotForgottenForSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &lockedText{}
		notice := &pauseNotice{log: service.NewLoggerFromSlog(slog.New(slog.NewTextHandler(log, nil))), cause: "failures"}
		refused, silent := notice.watch(10*time.Second), notice.watch(11*time.Second)
		refused.because(errors.New("no route"))
		time.Sleep(6 * time.Minute)
		synctest.Wait()
		assert.Equal(t, 1, count(log, "Dialing still paused (failures), since 2000-01-01T00:00:00Z: no route"))
		assert.NotContains(t, log.String(), errTakesNothing.Error())
		refused.done()
		silent.done()
	})
}
