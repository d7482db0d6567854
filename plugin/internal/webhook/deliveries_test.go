package webhook

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
)

// told is a log that a test reads.
type told struct {
	mu    sync.Mutex
	lines []string
}

func (l *told) add(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, fmt.Sprintf(format, args...))
}

func (l *told) Warnf(format string, args ...any) { l.add("WARN "+format, args...) }
func (l *told) Infof(format string, args ...any) { l.add("INFO "+format, args...) }

// next are the lines since the last call.
func (l *told) next() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := l.lines
	l.lines = nil
	return lines
}

// ids is a store that remembers, or fails with down.
type ids struct {
	mu   sync.Mutex
	down error
	keys map[string]bool
}

func (s *ids) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = err
}

func (s *ids) Get(_ context.Context, key string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down == nil && !s.keys[key] {
		return nil, store.ErrNotFound
	}
	return nil, s.down
}

func (s *ids) Set(ctx context.Context, key string, _ []byte, _ *time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down == nil && ctx.Err() == nil {
		s.keys[key] = true
	}
	return errors.Join(s.down, ctx.Err())
}

func (*ids) Add(context.Context, string, []byte, *time.Duration) error { panic("ids are set") }
func (*ids) Delete(context.Context, string) error                      { panic("ids are kept") }

func event(id string) happyrobot.Event {
	return happyrobot.Event{Kind: happyrobot.CloudEvent, ID: id}
}

// settleAll is the pipeline: each event that enters gets the verdict.
func settleAll(s *Deliveries, verdict error) {
	for {
		select {
		case d := <-s.Queue():
			s.Settle(context.Background(), d, verdict)
		case <-s.stopping:
			return
		}
	}
}

func TestAnEventIsTakenOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewDeliveries("/", &ids{keys: map[string]bool{}}, time.Second, &told{})
		go settleAll(s, nil)
		assert.Equal(t, Taken, s.Take(t.Context(), event("a")))
		assert.Equal(t, Known, s.Take(t.Context(), event("a")))
		assert.Equal(t, Taken, s.Take(t.Context(), event("b")))
		s.Stop()
		assert.True(t, s.Stopped())
		assert.Equal(t, Known, s.Take(t.Context(), event("a")), "the answer to what was taken stays")
		assert.Equal(t, Stopping, s.Take(t.Context(), event("c")))
		s.Abandon()
		s.Abandon()
	})
}

func TestAnEventThatFailedIsGoodForAnotherTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewDeliveries("/", &ids{keys: map[string]bool{}}, time.Second, &told{})
		results := make(chan Result, 1)
		for try, want := range []Result{Failed, Failed, Taken} {
			go func() { results <- s.Take(t.Context(), event("a")) }()
			var err error
			if try < 2 {
				err = errors.New("the output is down")
			}
			s.Settle(t.Context(), <-s.Queue(), err)
			assert.Equal(t, want, <-results)
		}
		s.Abandon()
	})
}

func TestWhoAsksForTheSameEventWaitsForItsVerdict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewDeliveries("/", nil, time.Second, &told{})
		results := make(chan Result, 3)
		for range cap(results) {
			go func() { results <- s.Take(t.Context(), event("a")) }()
		}
		d := <-s.Queue()
		synctest.Wait()
		assert.Empty(t, results)
		s.Settle(t.Context(), d, nil)
		s.Settle(t.Context(), d, errors.New("acknowledged twice"))
		assert.ElementsMatch(t, []Result{Taken, Known, Known}, []Result{<-results, <-results, <-results})

		go settleAll(s, errors.New("the output is down"))
		assert.Equal(t, Failed, s.Take(t.Context(), event("a")), "without a cache it is known only while it is in there")
		s.Abandon()
	})
}

func TestASenderThatHasNoTimeLeftIsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewDeliveries("/", nil, time.Second, &told{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		assert.Equal(t, Late, s.Take(ctx, event("a")), "nobody reads the queue")

		results := make(chan Result, 1)
		go func() { results <- s.Take(t.Context(), event("a")) }()
		d := <-s.Queue()
		s.Abandon()
		assert.Equal(t, Stopping, <-results, "no verdict comes any more")
		s.Settle(t.Context(), d, nil)
	})
}

func TestTroubleWithTheCacheIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, cache := &told{}, &ids{keys: map[string]bool{}}
		s := NewDeliveries("/", cache, time.Second, log)
		go settleAll(s, nil)
		require.Equal(t, Taken, s.Take(t.Context(), event("a")))
		assert.Empty(t, log.next(), "silence when all is well")

		down := errors.New("no connection")
		cache.fail(down)
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		assert.Equal(t, Late, s.Take(gone, event("b")))
		assert.Empty(t, log.next(), "a sender that went is no trouble")
		for range 3 {
			assert.Equal(t, CacheFailed, s.Take(t.Context(), event("b")))
		}
		assert.Equal(t, []string{"WARN Event-id cache unavailable; events are answered with 503, and some may be delivered twice: no connection"}, log.next())
		time.Sleep(pause.Reminder + time.Second)
		assert.Equal(t, []string{"WARN Event-id cache still unavailable, since 2000-01-01T00:00:00Z; events are answered with 503, and some may be delivered twice: no connection"}, log.next())

		cache.fail(nil)
		assert.Equal(t, Taken, s.Take(t.Context(), event("b")))
		assert.Equal(t, []string{"INFO Event-id cache available again after 5m1s."}, log.next())

		results := make(chan Result, 1)
		s.Stop()
		go func() { results <- s.Take(t.Context(), event("c")) }()
		require.Equal(t, Stopping, <-results)
		late := &Delivery{key: "late", decided: make(chan struct{})}
		s.Abandon()
		cache.fail(down)
		s.Settle(t.Context(), late, nil) // an acknowledgement after the end
		log.next()
		time.Sleep(3 * pause.Reminder)
		assert.Empty(t, log.next(), "trouble is not repeated after the end")
	})
}
