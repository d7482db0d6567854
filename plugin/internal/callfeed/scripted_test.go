package callfeed_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/callfeed"
)

// scripted is an API whose every whim a test decides.
type scripted struct {
	mu     sync.Mutex
	calls  []object // oldest first
	cap    int      // the largest page; 0 is as asked
	whim   func(q *happyrobot.ListCallsQuery)
	onPage func(n int) // after the n-th page was read, without the lock
	refuse map[string]int
	pages  int
	gets   map[string]int
}

// object is a call as the API tells it.
type object map[string]any

func callID(n int) string { return fmt.Sprintf("%024d", n) }

func made(n int, created time.Time, status string) object {
	return object{"id": callID(n), "created": created.UTC().Format(time.RFC3339Nano), "status": status}
}

func (o object) createdAt() time.Time {
	s, _ := o["created"].(string)
	at, _ := time.Parse(time.RFC3339, s)
	return at
}

func (s *scripted) ListCallsPage(_ context.Context, q happyrobot.ListCallsQuery) ([]happyrobot.Call, error) {
	s.mu.Lock()
	if s.whim != nil {
		s.whim(&q)
	}
	now := time.Now()
	var found []object
	for _, c := range s.calls {
		visible, hidden := c["visible"].(time.Time)
		if at := c.createdAt(); (at.IsZero() || !at.Before(q.From)) && (!hidden || !now.Before(visible)) {
			found = append(found, c)
		}
	}
	if q.Sort != "asc" {
		slices.Reverse(found)
	}
	limit := q.Limit
	if s.cap > 0 {
		limit = min(limit, s.cap)
	}
	found = found[min(q.Skip, len(found)):]
	found = found[:min(limit, len(found))]
	page := make([]happyrobot.Call, len(found))
	for i, c := range found {
		page[i] = decoded(c)
	}
	s.pages++
	n := s.pages
	s.mu.Unlock()
	if s.onPage != nil {
		s.onPage(n)
	}
	return page, nil
}

func decoded(c object) (call happyrobot.Call) {
	raw, _ := json.Marshal(c)
	if c["unreadable"] != nil {
		return happyrobot.Call{Raw: json.RawMessage(`"no object"`)}
	}
	_ = json.Unmarshal(raw, &call)
	return call
}

func (s *scripted) GetCall(_ context.Context, id string) (happyrobot.Call, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gets == nil {
		s.gets = map[string]int{}
	}
	s.gets[id]++
	if status := s.refuse[id]; status != 0 {
		return happyrobot.Call{}, &happyrobot.Error{Op: "getCall", Status: status}
	}
	for _, c := range s.calls {
		if c["id"] == id {
			return decoded(c), nil
		}
	}
	return happyrobot.Call{}, &happyrobot.Error{Op: "getCall", Status: http.StatusNotFound}
}

func (s *scripted) set(n int, status string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.calls {
		if c["id"] == callID(n) {
			c["status"] = status
		}
	}
}

func (s *scripted) add(c object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, c)
	slices.SortStableFunc(s.calls, func(x, y object) int { return x.createdAt().Compare(y.createdAt()) })
}

func (s *scripted) counts() (pages, gets int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.gets {
		gets += n
	}
	return s.pages, gets
}

// told is what a reader that acknowledges at once got.
type told struct {
	mu     sync.Mutex
	events []*callfeed.Event
}

func (o *told) all() []*callfeed.Event {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.events)
}

// ids tells them in order; one for each delivery.
func (o *told) ids() (ids []string) {
	for _, e := range o.all() {
		ids = append(ids, e.Item.ID)
	}
	return ids
}

func (o *told) statuses() (words []string) {
	for _, e := range o.all() {
		words = append(words, string(e.Item.Status))
	}
	return words
}

// follow opens a feed and acknowledges all that it tells, until the test ends or
// stop is called. As in a pipeline, the next call does not wait for the one before to be saved.
func follow(t *testing.T, o callfeed.Options) (got *told, stop func()) {
	t.Helper()
	feed, err := callfeed.Open(t.Context(), o)
	require.NoError(t, err)
	got = &told{}
	ctx, cancel := context.WithCancel(context.Background())
	var reader sync.WaitGroup
	reader.Go(func() {
		for {
			e, err := feed.Next(ctx)
			if err != nil {
				return
			}
			got.mu.Lock()
			got.events = append(got.events, e)
			got.mu.Unlock()
			reader.Go(func() { _ = e.Ack(ctx, nil) })
		}
	})
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			_ = feed.Close(context.Background())
			reader.Wait()
		})
	}
	t.Cleanup(stop)
	return got, stop
}

// hide keeps a call out of lists from now on.
func (s *scripted) hide(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.calls {
		if c["id"] == callID(n) {
			c["visible"] = time.Now().Add(10000 * time.Hour)
		}
	}
}

func unique(ids []string) []string {
	sorted := slices.Sorted(slices.Values(ids))
	return slices.Compact(sorted)
}
