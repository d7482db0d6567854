package plugin

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Jeffail/gabs/v2"
	"github.com/stretchr/testify/assert"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
)

// failingStore fails while down is set.
type failingStore struct {
	store.Store
	down error
}

func (s *failingStore) Get(context.Context, string) ([]byte, error) {
	if s.down != nil {
		return nil, s.down
	}
	return nil, store.ErrNotFound
}

func (s *failingStore) Set(context.Context, string, []byte, *time.Duration) error { return s.down }

// cacheLog is what a notice has logged since it was last read.
type cacheLog struct {
	mu    sync.Mutex
	lines []string
}

func (l *cacheLog) Warnf(format string, args ...any) { l.add("WARN " + fmt.Sprintf(format, args...)) }
func (l *cacheLog) Infof(format string, args ...any) { l.add("INFO " + fmt.Sprintf(format, args...)) }

func (l *cacheLog) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
}

func (l *cacheLog) next() []string {
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := l.lines
	l.lines = nil
	return lines
}

func TestTroubleWithTheCacheOfCallsIsReported(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log, cache := &cacheLog{}, &failingStore{}
		l := lookup{of: &callLookup{}, cache: cache, trouble: cacheTrouble(log, "call")}
		read := func(ctx context.Context) {
			_, kept := l.kept(ctx, "a")
			assert.False(t, kept)
			l.keep(ctx, "a", gabs.Wrap(map[string]any{"id": "a"}))
		}
		read(t.Context())
		assert.Empty(t, log.next(), "silence when all is well")

		cache.down = errors.New("no connection")
		stopped, stop := context.WithCancel(t.Context())
		stop()
		read(stopped)
		assert.Empty(t, log.next(), "a stop is no trouble")
		read(t.Context())
		read(t.Context())
		assert.Equal(t, []string{"WARN Finished-call cache unavailable; calls are read from the API: no connection"}, log.next(), "reported once")
		time.Sleep(pause.Reminder)
		assert.Equal(t, []string{"WARN Finished-call cache still unavailable, since 2000-01-01T00:00:00Z; calls are read from the API: no connection"}, log.next())

		cache.down = nil
		read(t.Context())
		assert.Equal(t, []string{"INFO Finished-call cache available again after 5m0s."}, log.next())

		cache.down = errors.New("no connection")
		read(t.Context())
		log.next()
		l.close()
		time.Sleep(3 * pause.Reminder)
		assert.Empty(t, log.next(), "a closed component logs nothing")
	})
}
