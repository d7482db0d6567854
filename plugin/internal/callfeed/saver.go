package callfeed

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
)

// saver writes the state, one write after the other; each covers all that was
// acknowledged before it began. Between two it rests ten times as long as the last
// state took to encode, unless many wait: a large state or a slow store costs
// latency, not one write an acknowledgement.
type saver struct {
	store Store
	book  *book
	owner string
	retry time.Duration
	lost  func(error) // called when the state belongs to somebody else

	failing *pause.Notice // only run's

	wake  chan struct{}
	crowd chan struct{} // many wait

	encoding time.Duration // of the last state; only run's, and then last's

	mu      sync.Mutex
	waiting int
	saved   uint64        // changes that are saved
	news    chan struct{} // closed when saved or failed moves
	err     error         // no more is saved
}

func newSaver(store Store, b *book, retry time.Duration, log Logger, lost func(error)) *saver {
	return &saver{
		store: store, book: b, owner: rand.Text(), retry: retry, lost: lost,
		failing: pause.NewNotice(log, pause.Wording{
			Begins: "Saving the cursor failed; retrying. Messages are acknowledged once it succeeds: %v",
			Lasts:  "Saving the cursor still fails, since %s; retrying. Messages are acknowledged once it succeeds: %v",
			Ends:   "The cursor is saved again, after %v.",
		}, nil),
		wake: make(chan struct{}, 1), crowd: make(chan struct{}, 1), news: make(chan struct{}),
	}
}

const (
	restFactor = 10
	longRest   = time.Second
	manyWait   = MaxPending / 2
)

// nudge asks for a write.
func (s *saver) nudge() { signal(s.wake) }

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// wait returns when so many changes are saved.
func (s *saver) wait(ctx context.Context, changes uint64) error {
	s.mu.Lock()
	if s.waiting++; s.waiting == manyWait {
		signal(s.crowd)
	}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.waiting--
		s.mu.Unlock()
	}()
	for {
		s.mu.Lock()
		saved, news, err := s.saved, s.news, s.err
		s.mu.Unlock()
		switch {
		case saved >= changes:
			return nil
		case err != nil:
			return err
		}
		s.nudge()
		select {
		case <-news:
		case <-ctx.Done():
			return fmt.Errorf("saving the cursor: %w", ctx.Err())
		}
	}
}

func (s *saver) note(saved uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.saved, s.err = max(s.saved, saved), err
	close(s.news)
	s.news = make(chan struct{})
}

// run writes until the context ends; what is left is for last.
func (s *saver) run(ctx context.Context) {
	defer s.failing.Stop()
	for {
		select {
		case <-s.wake:
		case <-ctx.Done():
			return
		}
		err := s.save(ctx)
		wait, crowd := min(restFactor*s.encoding, longRest), s.crowd
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, ErrTakenOver), errors.Is(err, ErrNewerState), errors.Is(err, ErrUnreadableState):
			s.note(0, err)
			s.lost(err)
			return
		case err != nil:
			s.failing.Trouble(err)
			s.nudge()
			wait, crowd = s.retry, nil // hurry would not help
		default:
			s.failing.Recovered()
		}
		if !rest(ctx, wait, crowd) {
			return
		}
	}
}

// rest waits, but not while many wait for its end, and answers false when the context
// ends.
func rest(ctx context.Context, d time.Duration, crowd <-chan struct{}) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-crowd:
	case <-ctx.Done():
		return false
	}
	return true
}

// last writes what run has not, and ends all waiting.
func (s *saver) last(ctx context.Context) error {
	s.mu.Lock()
	err := s.err
	s.mu.Unlock()
	if err == nil {
		err = s.save(ctx)
	}
	s.note(0, errors.Join(errClosed, err))
	return err
}

// save writes the state, unless there is nothing new, or somebody else writes it,
// too: two that take turns would each forget what the other has open.
func (s *saver) save(ctx context.Context) error {
	s.mu.Lock()
	saved := s.saved
	s.mu.Unlock()
	if s.book.changed() <= saved {
		return nil
	}
	if saved > 0 {
		if err := s.stillOurs(ctx); err != nil {
			return err
		}
	}
	began := time.Now()
	raw, changes := s.book.snapshot(s.owner)
	s.encoding = time.Since(began)
	if err := s.store.Save(ctx, raw); err != nil {
		return err
	}
	s.note(changes, nil)
	return nil
}

func (s *saver) stillOurs(ctx context.Context) error {
	raw, found, err := s.store.Load(ctx)
	if err != nil || !found {
		return err
	}
	// What was written here begins so; decoding all of it each time would cost as
	// much as writing it.
	if bytes.HasPrefix(raw, fmt.Appendf(nil, `{"version":%d,"owner":%q,`, stateVersion, s.owner)) {
		return nil
	}
	if _, err := decodeState(raw); err != nil {
		return err
	}
	return ErrTakenOver
}
