package rig

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// Delivery says how events reach those who are told.
type Delivery struct {
	Header   string        // of the secret
	Secret   string        // "" sends none
	Attempts int           // until an event that is not answered 2xx is given up
	Pause    time.Duration // before the second attempt, twice as long before each further one; default 100ms
	Twice    float64       // probability that an event is sent again although it was taken
	Lost     float64       // probability that an event is never sent
	Late     float64       // probability that an event is sent only after LateBy, behind later ones
	LateBy   time.Duration // default 200ms
}

// NoticeStats are the events so far. When Taken, GivenUp and Lost make up all Events,
// none is under way.
type NoticeStats struct {
	Events   int `json:"events"`
	Taken    int `json:"taken"`
	GivenUp  int `json:"given_up"`
	Lost     int `json:"lost,omitempty"` // on purpose
	Requests int `json:"requests"`
}

// Notice is one event.
type Notice struct {
	URL, MediaType string
	Body           []byte

	again bool
	due   time.Time
}

const (
	tellers = 8 // deliver at the same time

	// LookEvery is how often what goes on by itself is looked at.
	LookEvery = 10 * time.Millisecond

	maxAnswer = 1 << 20 // is read of a receiver's answer
)

// Teller looks for changes and reports them, until stopped.
type Teller struct {
	opts    Delivery
	client  *http.Client
	rng     *rand.Rand
	changes func() []Notice
	held    []Notice // that are late
	stop    func()   // ends the goroutines and waits for them

	mu    sync.Mutex
	stats NoticeStats
}

// Tell starts to tell what changes. One goroutine asks for changes, and draws from rng.
func Tell(opts Delivery, rng *rand.Rand, changes func() []Notice) *Teller {
	opts.Pause = cmp.Or(opts.Pause, 100*time.Millisecond)
	opts.LateBy = cmp.Or(opts.LateBy, 200*time.Millisecond)
	transport := &http.Transport{MaxIdleConnsPerHost: tellers}
	t := &Teller{opts: opts, client: &http.Client{Transport: transport, Timeout: 10 * time.Second}, rng: rng, changes: changes}
	ctx, cancel := context.WithCancel(context.Background())
	notices := make(chan Notice)
	var running sync.WaitGroup
	running.Go(func() { t.look(ctx, notices) })
	for range tellers {
		running.Go(func() {
			for n := range notices {
				t.tell(ctx, n)
			}
		})
	}
	t.stop = func() {
		cancel()
		running.Wait()
		transport.CloseIdleConnections()
	}
	return t
}

// Stop returns when the last event has ended. It may be called twice.
func (t *Teller) Stop() { t.stop() }

// Stats returns the events so far.
func (t *Teller) Stats() NoticeStats {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.stats
}

// look sends what changed to those who tell it. Changes that come while all of
// them are busy are seen later, and those in between are missed, as by any
// receiver that was away.
func (t *Teller) look(ctx context.Context, notices chan<- Notice) {
	defer close(notices)
	tick := time.NewTicker(LookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, n := range t.due() {
			select {
			case notices <- n:
			case <-ctx.Done():
				return
			}
		}
	}
}

// due are the events to send now: what changed, and what was held back for long enough.
func (t *Teller) due() (now []Notice) {
	changed := t.changes()
	lost := 0
	for _, n := range changed {
		n.again = t.rng.Float64() < t.opts.Twice
		switch {
		case t.opts.Lost > 0 && t.rng.Float64() < t.opts.Lost:
			lost++
		case t.opts.Late > 0 && t.rng.Float64() < t.opts.Late:
			n.due = time.Now().Add(t.opts.LateBy)
			t.held = append(t.held, n)
		default:
			now = append(now, n)
		}
	}
	t.held = slices.DeleteFunc(t.held, func(n Notice) bool {
		if time.Now().Before(n.due) {
			return false
		}
		now = append(now, n)
		return true
	})
	t.mu.Lock()
	t.stats.Events += len(changed)
	t.stats.Lost += lost
	t.mu.Unlock()
	return now
}

// tell delivers an event, or gives it up.
func (t *Teller) tell(ctx context.Context, n Notice) {
	pause := backoff.NewExponentialBackOff(backoff.WithInitialInterval(t.opts.Pause), backoff.WithMultiplier(2), backoff.WithMaxElapsedTime(0))
	err := backoff.Retry(func() error { return t.post(ctx, n) }, backoff.WithContext(backoff.WithMaxRetries(pause, uint64(t.opts.Attempts-1)), ctx))
	if err == nil && n.again {
		_ = t.post(ctx, n) // it was taken already
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil {
		t.stats.Taken++
	} else {
		t.stats.GivenUp++
	}
}

func (t *Teller) post(ctx context.Context, n Notice) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, n.URL, bytes.NewReader(n.Body))
	if err != nil {
		return backoff.Permanent(err)
	}
	req.Header.Set("Content-Type", n.MediaType)
	if t.opts.Secret != "" {
		req.Header.Set(t.opts.Header, t.opts.Secret)
	}
	t.mu.Lock()
	t.stats.Requests++
	t.mu.Unlock()
	res, err := t.client.Do(req)
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, maxAnswer))
	_ = res.Body.Close()
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return fmt.Errorf("answered with status %d", res.StatusCode)
	}
	return nil
}
