package webhook

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
)

// KeyPrefix begins the keys of events that were taken.
const KeyPrefix = "happyrobot_webhook/1/"

// Delivery is one event on its way through the pipeline. It lives until the pipeline
// says what became of it, even if nobody waits for the answer any more.
type Delivery struct {
	Event happyrobot.Event

	key     string
	decided chan struct{}
	verdict Result // once decided
}

// Deliveries lets each event enter the pipeline once. Its methods are safe for
// concurrent use.
type Deliveries struct {
	taken   store.Store // the ids of events that were taken; nil for none
	scope   string
	timeout time.Duration
	trouble *pause.Notice // with taken

	queue    chan *Delivery
	stopping chan struct{} // no event is taken any more
	gone     chan struct{} // no verdict comes any more
	stopOnce sync.Once
	goneOnce sync.Once

	mu      sync.Mutex
	running map[string]*Delivery
}

var cacheTrouble = pause.Wording{
	Begins: "Event-id cache unavailable; events are answered with 503, and some may be delivered twice: %v",
	Lasts:  "Event-id cache still unavailable, since %s; events are answered with 503, and some may be delivered twice: %v",
	Ends:   "Event-id cache available again after %v.",
}

// NewDeliveries makes a queue of events. Events of another scope are other events.
// Where taken is not nil it remembers events that were taken, for as long as its own
// expiry says; timeout bounds each write to it. Whoever makes one calls Abandon at the end.
func NewDeliveries(scope string, taken store.Store, timeout time.Duration, log pause.Logger) *Deliveries {
	return &Deliveries{
		taken: taken, scope: scope, timeout: timeout, trouble: pause.NewNotice(log, cacheTrouble, nil),
		queue: make(chan *Delivery), running: map[string]*Delivery{},
		stopping: make(chan struct{}), gone: make(chan struct{}),
	}
}

// Queue has the events that enter the pipeline. Each that is received must be settled.
func (s *Deliveries) Queue() <-chan *Delivery { return s.queue }

// Take brings an event into the pipeline and returns what became of it, or Late once
// ctx has ended.
func (s *Deliveries) Take(ctx context.Context, event happyrobot.Event) Result {
	d, first := s.join(event)
	if first {
		s.enter(ctx, d)
	}
	select {
	case <-d.decided:
	case <-ctx.Done():
	case <-s.gone:
	}
	select {
	case <-d.decided: // counts, whatever else happened at the same time
		if d.verdict == Taken && !first {
			return Known
		}
		return d.verdict
	default:
	}
	if ctx.Err() != nil {
		return Late
	}
	return Stopping
}

// join finds the delivery of the same event, or begins one.
func (s *Deliveries) join(event happyrobot.Event) (d *Delivery, first bool) {
	sum := sha256.Sum256([]byte(strings.Join([]string{s.scope, string(event.Kind), event.Source, event.ID}, "\x00")))
	key := KeyPrefix + hex.EncodeToString(sum[:16])
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.running[key]; d != nil {
		return d, false
	}
	d = &Delivery{Event: event, key: key, decided: make(chan struct{})}
	s.running[key] = d
	return d, true
}

// enter puts an event that was not taken before into the pipeline.
func (s *Deliveries) enter(ctx context.Context, d *Delivery) {
	known, err := s.known(ctx, d.key)
	switch {
	case ctx.Err() != nil:
		s.decide(d, Late)
	case err != nil:
		s.decide(d, CacheFailed)
	case known:
		s.decide(d, Known)
	default:
		select {
		case s.queue <- d:
		case <-ctx.Done():
			s.decide(d, Late)
		case <-s.stopping:
			s.decide(d, Stopping)
		}
	}
}

// Settle takes the pipeline's verdict; only the first on a delivery counts. An event is
// remembered only when it was taken: one that failed has to be good for another try.
func (s *Deliveries) Settle(ctx context.Context, d *Delivery, err error) {
	if err != nil {
		s.decide(d, Failed)
		return
	}
	s.remember(ctx, d.key)
	s.decide(d, Taken)
}

func (s *Deliveries) decide(d *Delivery, verdict Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running[d.key] != d {
		return // an acknowledgement may come twice
	}
	delete(s.running, d.key)
	d.verdict = verdict
	close(d.decided)
}

// Stop refuses events from now on. What is in the pipeline can still be settled.
func (s *Deliveries) Stop() { s.stopOnce.Do(func() { close(s.stopping) }) }

// Stopped reports whether events are refused.
func (s *Deliveries) Stopped() bool {
	select {
	case <-s.stopping:
		return true
	default:
		return false
	}
}

// Abandon refuses events, also those whose verdict is not in.
func (s *Deliveries) Abandon() {
	s.Stop()
	s.goneOnce.Do(func() { close(s.gone) })
	s.trouble.Stop()
}

func (s *Deliveries) known(ctx context.Context, key string) (bool, error) {
	if s.taken == nil {
		return false, nil
	}
	_, err := s.taken.Get(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		s.note(ctx, nil)
		return false, nil
	}
	s.note(ctx, err)
	return err == nil, err
}

func (s *Deliveries) remember(ctx context.Context, key string) {
	if s.taken == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	s.note(ctx, s.taken.Set(ctx, key, []byte(time.Now().UTC().Format(time.RFC3339)), nil))
}

// note reports whether the cache of ids can be used.
func (s *Deliveries) note(ctx context.Context, err error) {
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return // the sender left or the pipeline stops
	case err == nil:
		s.trouble.Recovered()
	default:
		s.trouble.Trouble(err)
	}
	select {
	case <-s.gone: // trouble that is met while Abandon runs must not outlive it
		s.trouble.Stop()
	default:
	}
}
