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
		p := newPauses(service.MockResources(service.MockResourcesOptUseLogger(service.NewLoggerFromSlog(slog.New(slog.NewTextHandler(log, nil))))), "happyrobot_dial", ofCalls)
		assert.Empty(t, log.String(), "silence when all is well")
		shared := p.notice("failures")
		assert.Same(t, shared, p.notice("failures"), "all who wait share one")

		p.notice("failures").Trouble(errors.New("no route"))
		assert.Equal(t, 1, said("Dialing paused (failures): no route. Messages wait, none of them fails."))
		time.Sleep(2*pause.Reminder + time.Second)
		assert.Equal(t, 2, said("Dialing still paused (failures), since 2000-01-01T00:00:00Z: no route"))
		p.notice("failures").Recovered()
		assert.Equal(t, 1, said("Dialing resumed (failures) after 10m1s."))

		p.countRecords("failures", func() int { return 20 })
		p.waitFor("https://api.example", "setup")
		p.count(func(string) int { return 1 })
		p.notice("failures").TroubleSince(time.Now().Add(-10*time.Second), errors.New("no route"))
		assert.Equal(t, 1, said("Dialing paused (failures): no route; 20 messages wait, for 10s now, none of them fails."))
		p.notice("failures").Recovered()
		p.notice("setup").Trouble(errors.New("status 401"))
		assert.Equal(t, 1, said("Dialing paused (setup): status 401 (https://api.example); 1 message waits, none of them fails."))
		time.Sleep(pause.Reminder)
		assert.Equal(t, 1, said("Dialing still paused (setup), since 2000-01-01T00:10:01Z: status 401 (https://api.example); 1 message waits, for 5m0s now, none of them fails."))
		p.notice("setup").Recovered()

		p.notice("ledger").Trouble(errors.New("no file"))
		p.close()
		time.Sleep(2 * pause.Reminder)
		assert.Equal(t, 1, said("(ledger)"), "a component that stops waits for nothing")
	})
}

func TestComponentsWithTheSameSeriesShowAPauseTogether(t *testing.T) {
	t.Parallel()
	seen := map[string]int64{}
	res := service.MockResources()
	one, other := newPauses(res, "happyrobot_dial", ofCalls), newPauses(res, "happyrobot_dial", ofCalls)
	shown := func() int64 { return seen["ledger"] }
	look := func() {
		one.gauge.series.mu.Lock()
		seen["ledger"] = int64(one.gauge.series.waiting["ledger"])
		one.gauge.series.mu.Unlock()
	}
	one.notice("ledger").Trouble(errors.New("away"))
	other.notice("ledger").Trouble(errors.New("away"))
	one.notice("ledger").Recovered()
	look()
	assert.EqualValues(t, 1, shown(), "the other waits still")
	third := newPauses(res, "happyrobot_dial", ofCalls)
	look()
	assert.EqualValues(t, 1, shown(), "one that starts hides nothing")
	other.close()
	third.close()
	look()
	assert.Zero(t, shown())
}
