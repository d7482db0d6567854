package callfeed_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/callfeed"
)

// inMemory is a transport to a handler in the same bubble of fake time, where a
// socket would keep the clock from moving.
type inMemory struct{ handler http.Handler }

func (m inMemory) RoundTrip(req *http.Request) (res *http.Response, err error) {
	defer func() {
		if r := recover(); r != nil {
			res, err = nil, errors.New("connection cut")
		}
	}()
	rec := httptest.NewRecorder()
	m.handler.ServeHTTP(rec, req)
	return rec.Result(), nil
}

func clientOf(t *testing.T, handler http.Handler) *happyrobot.Client {
	t.Helper()
	client, err := happyrobot.New(happyrobot.Options{
		APIKey: "k", BaseURL: "http://sim.example/api/v1", Transport: inMemory{handler},
		Retry: happyrobot.Retry{InitialInterval: 100 * time.Millisecond, MaxElapsedTime: 5 * time.Second},
	})
	require.NoError(t, err)
	return client
}

// dial places calls on a pretend API and tells their ids.
func dial(t *testing.T, sim *callsim.Sim, n int, scheduled time.Time) []string {
	t.Helper()
	request := `{"number_id":"64f0c0de00000000000000c1","phone_number":"+12025550101"`
	if !scheduled.IsZero() {
		request += `,"scheduled_for":"` + scheduled.UTC().Format(time.RFC3339) + `"`
	}
	body := "[" + strings.TrimSuffix(strings.Repeat(request+"},", n), ",") + "]"
	req := httptest.NewRequest(http.MethodPost, "/api/v1/dial/outbound-batched", strings.NewReader(body))
	req.Header.Set("Authorization", "Bearer k")
	rec := httptest.NewRecorder()
	sim.ServeHTTP(rec, req)
	require.Equal(t, http.StatusOK, rec.Code, rec.Body)
	var made []struct {
		ID string `json:"id"`
	}
	require.NoError(t, json.Unmarshal(rec.Body.Bytes(), &made))
	ids := make([]string, n)
	for i, c := range made {
		ids[i] = c.ID
	}
	return ids
}

func remove(t *testing.T, sim *callsim.Sim, id string) {
	t.Helper()
	rec := httptest.NewRecorder()
	sim.ServeHTTP(rec, removal(id))
	require.Equal(t, http.StatusOK, rec.Code)
}

func removal(id string) *http.Request {
	req := httptest.NewRequest(http.MethodDelete, "/api/v1/calls/"+id, http.NoBody)
	req.Header.Set("Authorization", "Bearer k")
	return req
}

// disk is a store whose process can be killed: what it wrote before stays.
type disk struct {
	mu     sync.Mutex
	state  []byte
	killed bool
	slow   time.Duration
	fails  int // so many writes fail
	writes int
}

func (d *disk) Load(context.Context) ([]byte, bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.state, d.state != nil, nil
}

func (d *disk) Save(ctx context.Context, state []byte) error {
	d.mu.Lock()
	slow := d.slow
	d.mu.Unlock()
	if slow > 0 {
		time.Sleep(slow) // of the bubble
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.killed {
		return errors.New("killed")
	}
	if d.fails > 0 {
		d.fails--
		return errors.New("the disk is full")
	}
	d.writes++
	d.state = append([]byte(nil), state...)
	return ctx.Err()
}

func (d *disk) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.writes
}

func (d *disk) size() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.state)
}

// kill makes all that follows come too late, as kill -9 does, and gives what the
// next process finds.
func (d *disk) kill() *disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.killed = true
	return &disk{state: d.state, slow: d.slow}
}

type logbook struct {
	mu    sync.Mutex
	lines []string
}

func (l *logbook) Infof(format string, args ...any) { l.Warnf(format, args...) }
func (l *logbook) Warnf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, fmt.Sprintf(format, args...))
}

func (l *logbook) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.lines...)
}

// options are the defaults of the input.
func options(api callfeed.CallsAPI, store callfeed.Store, log callfeed.Logger) callfeed.Options {
	return callfeed.Options{
		Unit: callfeed.CallUnit,
		API:  callfeed.Calls{API: api}, Store: store, Log: log, Start: time.Now().Add(-24 * time.Hour), PageSize: 100,
		Poll: 15 * time.Second, Lag: 5 * time.Minute, MaxAge: 168 * time.Hour, PartsTimeout: 30 * time.Minute,
		OnEmit: func(string) {}, OnDrop: func(string) {}, OnProgress: func(int, time.Duration) {},
	}
}
