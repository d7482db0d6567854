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

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
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

func TestAPauseIsReportedWithItsCause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := &lockedText{}
		said := func(what string) int { synctest.Wait(); return count(log, what) }
		p := newPauses(service.MockResources(service.MockResourcesOptUseLogger(service.NewLoggerFromSlog(slog.New(slog.NewTextHandler(log, nil))))))
		assert.Empty(t, log.String(), "silence when all is well")
		shared := p.notice("failures")
		assert.Same(t, shared, p.notice("failures"), "all who wait share one")

		p.notice("failures").Trouble(errors.New("no route"))
		assert.Equal(t, 1, said("Dialing paused (failures): no route. Messages wait, none of them fails."))
		time.Sleep(2*pause.Reminder + time.Second)
		assert.Equal(t, 2, said("Dialing still paused (failures), since 2000-01-01T00:00:00Z: no route"))
		p.notice("failures").Recovered()
		assert.Equal(t, 1, said("Dialing resumed (failures) after 10m1s."))

		p.notice("ledger").Trouble(errors.New("no file"))
		p.close()
		time.Sleep(2 * pause.Reminder)
		assert.Equal(t, 1, said("(ledger)"), "a component that stops waits for nothing")
	})
}
