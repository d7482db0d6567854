package plugin_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
)

// source is a stream under test that begins with an input, and what it delivered.
type source struct {
	t    *testing.T
	logs *logs
	stop func()

	mu    sync.Mutex
	msgs  []*service.Message
	judge func(id string) error // nil delivers
}

func callsYAML(url string, extra ...string) string {
	return fmt.Sprintf(`
happyrobot_calls:
  api_key: test-key
  base_url: %s
  cache: cursor
  poll_interval: 20ms
  retry: {initial_interval: 5ms, max_interval: 50ms}
  %s`, url, strings.Join(extra, "\n  "))
}

const memoryCursor = "label: cursor\nmemory: {}"

// read runs a stream from an input. stop ends it as a signal does, with enough patience
// for a busy machine to record what was acknowledged.
func read(t *testing.T, input, cache string, judge func(id string) error) *source {
	t.Helper()
	s := &source{t: t, logs: &logs{}, judge: judge}
	b := service.NewStreamBuilder()
	b.SetLogger(slog.New(slog.NewTextHandler(s.logs, &slog.HandlerOptions{Level: slog.LevelInfo})))
	require.NoError(t, b.AddCacheYAML(cache))
	require.NoError(t, b.AddInputYAML(input))
	require.NoError(t, b.AddConsumerFunc(s.consume))
	built, err := b.Build()
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- built.Run(context.Background()) }()
	var once sync.Once
	s.stop = func() {
		once.Do(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
			defer cancel()
			_ = built.Stop(ctx)
			select {
			case <-ended:
			case <-time.After(time.Minute):
				t.Error("the stream did not stop")
			}
		})
	}
	t.Cleanup(func() {
		s.stop()
		if t.Failed() {
			t.Log(s.logs.String())
		}
	})
	return s
}

func (s *source) consume(_ context.Context, msg *service.Message) error {
	id, _ := msg.MetaGet("happyrobot_call_id")
	if s.judge != nil {
		if err := s.judge(id); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.msgs = append(s.msgs, msg.DeepCopy())
	return nil
}

func (s *source) delivered() []*service.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*service.Message(nil), s.msgs...)
}

// await waits for n messages, and tells them by call id; each must be another one.
func (s *source) await(n int) map[string]map[string]any {
	s.t.Helper()
	require.Eventually(s.t, func() bool { return len(s.delivered()) >= n }, time.Minute, 5*time.Millisecond, "%d messages", n)
	calls := map[string]map[string]any{}
	for _, msg := range s.delivered() {
		v, err := msg.AsStructured()
		require.NoError(s.t, err)
		id, _ := msg.MetaGet("happyrobot_call_id")
		assert.NotContains(s.t, calls, id, "a call was delivered twice")
		calls[id] = v.(map[string]any)
	}
	require.Len(s.t, calls, n)
	return calls
}

func bboltCursor(t *testing.T) string {
	return fmt.Sprintf("label: cursor\nbbolt: {path: %q}", t.TempDir()+"/cursor.db")
}

func TestFinishedCallsAreStreamedWithWhatWasSaid(t *testing.T) {
	t.Parallel()
	srv := startSim(t, callsim.Options{Speed: 600})
	ids, _ := placed(t, srv, 60)
	s := read(t, callsYAML(srv.URL, "include: [transcript, recording, logs]"), memoryCursor, nil)
	calls := s.await(60)
	truth := map[string]callsim.CallRecord{}
	for _, c := range srv.Sim.Calls() {
		truth[c.ID] = c
	}
	talks := 0
	for _, id := range ids {
		require.Contains(t, calls, id)
		assert.Equal(t, truth[id].Status, calls[id]["status"])
		assert.Contains(t, calls[id], "logs")
		if calls[id]["status"] != "Completed" {
			continue
		}
		talks++
		assert.Equal(t, "assistant: Hello, this is about your delivery.\nuser: Yes, ten o'clock suits me.\nassistant: Booked. Goodbye.",
			calls[id]["transcript"].(map[string]any)["text"])
		assert.Contains(t, calls[id]["recording_url"], "https://recordings.example.com/")
		assert.Contains(t, calls[id], "extraction")
	}
	assert.Positive(t, talks)
	for _, msg := range s.delivered() {
		body, err := msg.AsBytes()
		require.NoError(t, err)
		assert.NotContains(t, string(body), callsim.HookSecret)
		outcome, _ := msg.MetaGet("happyrobot_outcome")
		status, _ := msg.MetaGet("happyrobot_call_status")
		ref, _ := msg.MetaGet("happyrobot_dial_ref")
		assert.Equal(t, "complete", outcome)
		assert.NotEmpty(t, status)
		assert.NotEmpty(t, ref, "the reference of happyrobot_dial")
		_, changed := msg.MetaGet("happyrobot_previous_status")
		assert.False(t, changed)
	}
	for _, level := range []string{"level=WARN", "level=ERROR"} {
		assert.NotContains(t, s.logs.String(), level, "silence when all is well")
	}
}

// Calls arrive, end and show up in any order, and the stream is stopped again and
// again with messages that nobody acknowledged: none is lost, and what was
// delivered never comes again.
func TestRestartsLoseNothingAndRepeatOnlyWhatWasNotAcknowledged(t *testing.T) {
	t.Parallel()
	for seed := range uint64(sized(3, 1)) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(seed, 0))
			srv := startSim(t, callsim.Options{Seed: seed + 1, Speed: 200})
			cache := bboltCursor(t)
			size := []int{1, 3, 100}[seed]
			delivered := map[string]int{}
			life := func(enough int) {
				var mu sync.Mutex
				left := enough
				s := read(t, callsYAML(srv.URL, fmt.Sprintf("page_size: %d", size), "include: [transcript]"), cache, func(string) error {
					mu.Lock()
					defer mu.Unlock()
					if left--; left < 0 {
						return errors.New("the output is gone")
					}
					return nil
				})
				require.Eventually(t, func() bool { return len(s.delivered()) >= enough }, time.Minute, 5*time.Millisecond)
				s.stop()
				for _, msg := range s.delivered() {
					id, _ := msg.MetaGet("happyrobot_call_id")
					delivered[id]++
				}
			}
			total := 0
			for range 4 {
				srv.Sim.Inject(callsim.Fault{Kind: callsim.Hide, Delay: callsim.Duration(rng.Int64N(int64(2 * time.Second))), Probability: 0.5})
				n := 10 + rng.IntN(60)
				dialBatch(t, srv, n)
				total += n
				life(1 + rng.IntN(n))
			}
			left := total
			for _, n := range delivered {
				left -= n
			}
			life(left)
			for _, c := range srv.Sim.Calls() {
				assert.Equal(t, 1, delivered[c.ID], c.ID)
			}
		})
	}
}

// dialBatch places n calls without a stream.
func dialBatch(t *testing.T, srv *callsim.Server, n int) {
	t.Helper()
	body := "[" + strings.TrimSuffix(strings.Repeat(`{"number_id":"64f0c0de00000000000000c1","phone_number":"+12025550101"},`, n), ",") + "]"
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL+"/dial/outbound-batched", strings.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer test-key")
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	require.Equal(t, http.StatusOK, res.StatusCode)
}

func TestTroubleOfTheAPIHoldsTheStreamAndLosesNothing(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]callsim.Fault{
		"HTML instead of JSON": {Kind: callsim.WrongType, Operation: "listCalls", Times: 6},
		"a refused key":        {Kind: callsim.Refuse, Operation: "*", Status: http.StatusUnauthorized, Times: 5},
		"an unknown path":      {Kind: callsim.Refuse, Operation: "listCalls", Status: http.StatusNotFound, Times: 3},
		"cut connections":      {Kind: callsim.CutBefore, Operation: "*", Probability: 0.3, Times: 20},
		"errors on everything": {Kind: callsim.ErrorBefore, Operation: "*", Probability: 0.3, Times: 20},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := startSim(t, callsim.Options{Speed: 600})
			dialBatch(t, srv, 30)
			srv.Sim.Inject(fault)
			s := read(t, callsYAML(srv.URL, "include: [transcript]", "page_size: 7"), memoryCursor, nil)
			s.await(30)
			assert.LessOrEqual(t, strings.Count(s.logs.String(), "Listing calls failed"), 1, "reported once")
		})
	}
}

// odd is a list of calls as no documentation promises them.
const odd = `{"calls":[
	{"id":"64f0c0de0000000000000001","status":"Completed","metadata":null,"created":null,"use_case":null},
	{"id":"64f0c0de0000000000000002","status":"Completed","created":"2026-03-10 15:00"},
	{"id":"64f0c0de0000000000000003","status":{"word":"Completed"},"created":"%[1]s"},
	{"id":"64f0c0de0000000000000004","status":"Left a message","created":"%[1]s"},
	"no object", null, 7, {},
	{"id":"64f0c0de0000000000000005","status":"No answer","metadata":{"custom":"text"},"created":"%[1]s"}]}`

func TestOddCallsAreWarnedAboutOnceAndHinderNoOthers(t *testing.T) {
	t.Parallel()
	list := fmt.Sprintf(odd, time.Now().UTC().Format(time.RFC3339))
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch {
		case req.URL.Path != "/calls":
			w.WriteHeader(http.StatusNotFound)
		case req.URL.Query().Get("skip") != "":
			_, _ = io.WriteString(w, `{"calls":[{"id":"64f0c0de0000000000000005"}]}`)
		default:
			_, _ = io.WriteString(w, list)
		}
	}))
	defer api.Close()
	s := read(t, callsYAML(api.URL, "start_from: 1h"), memoryCursor, nil)
	calls := s.await(3)
	for _, n := range []string{"1", "2", "5"} {
		assert.Contains(t, calls, "64f0c0de000000000000000"+n)
	}
	for _, warning := range []string{"without a date", `\"Left a message\"`, "without a status", "without an id"} {
		assert.Equal(t, 1, strings.Count(s.logs.String(), warning), warning)
	}
	assert.NotContains(t, s.logs.String(), "level=ERROR")
}

func TestACursorOfANewerVersionIsRefused(t *testing.T) {
	t.Parallel()
	srv := startSim(t, callsim.Options{Speed: 600})
	dialBatch(t, srv, 3)
	newer := "label: cursor\nmemory: {init_values: {happyrobot_calls/default: '{\"version\":9}'}}"
	s := read(t, callsYAML(srv.URL), newer, nil)
	require.Eventually(t, func() bool {
		return strings.Contains(s.logs.String(), "written by a newer version of this program")
	}, time.Minute, 5*time.Millisecond)
	assert.Empty(t, s.delivered())
	assert.Zero(t, srv.Sim.RequestsOf("listCalls"))
}

func TestInputsThatShareACacheNeedALabelEach(t *testing.T) {
	t.Parallel()
	srv := startSim(t, callsim.Options{Speed: 600})
	dialBatch(t, srv, 5)
	both := func(label string) string {
		one := fmt.Sprintf("- %s\n    %s", label, strings.TrimSpace(strings.ReplaceAll(callsYAML(srv.URL), "\n", "\n    ")))
		return "broker:\n  inputs:\n  " + one + "\n  " + strings.Replace(one, ": a", ": b", 1)
	}
	t.Run("with", func(t *testing.T) {
		s := read(t, both("label: a"), memoryCursor, nil)
		require.Eventually(t, func() bool { return len(s.delivered()) == 10 }, time.Minute, 5*time.Millisecond)
		assert.NotContains(t, s.logs.String(), "level=ERROR")
	})
	t.Run("without", func(t *testing.T) {
		s := read(t, both(`label: ""`), memoryCursor, nil)
		// The first may have told all before the second came, and notices it when more is to tell.
		require.Eventually(t, func() bool {
			_, err := srv.Sim.Arrive(callsim.Arrival{})
			return err == nil && strings.Contains(s.logs.String(), "has taken over this cursor")
		}, time.Minute, 50*time.Millisecond)
	})
}

func TestARejectedMessageComesAgain(t *testing.T) {
	t.Parallel()
	for _, replay := range []bool{true, false} {
		t.Run(fmt.Sprintf("auto_replay_nacks %v", replay), func(t *testing.T) {
			srv := startSim(t, callsim.Options{Speed: 600})
			dialBatch(t, srv, 10)
			srv.Sim.Advance(time.Hour)
			var mu sync.Mutex
			refused := map[string]int{}
			s := read(t, callsYAML(srv.URL, "include: [transcript]", fmt.Sprint("auto_replay_nacks: ", replay)), memoryCursor, func(id string) error {
				mu.Lock()
				defer mu.Unlock()
				if refused[id]++; refused[id] <= 3 {
					return errors.New("not the first times")
				}
				return nil
			})
			s.await(10)
			transcripts := srv.Sim.RequestsOf("getTranscript")
			if replay {
				assert.Equal(t, 10, transcripts, "as it was")
			} else {
				assert.Equal(t, 40, transcripts, "as the API reports it by then")
			}
		})
	}
}

func TestChangesAreStreamedWithTheStatusBefore(t *testing.T) {
	t.Parallel()
	const calls = 10
	srv := startSim(t, callsim.Options{Speed: 0.001}) // the clock stands, but for its leaps
	dialBatch(t, srv, calls)
	// The linter of Benthos does not heed the case of such words.
	s := read(t, callsYAML(srv.URL, "emit: Changes", "type: outbound"), memoryCursor, nil)
	meta := func(msg *service.Message, name string) string {
		value, _ := msg.MetaGet(name)
		return value
	}
	order := []string{"Queued", "Initiated", "Ringing", "In progress"}
	leaps := []time.Duration{2 * time.Second, 2 * time.Second, 11 * time.Second, time.Hour}
	changes := 0 // a call that nobody answers is over when another is in progress
	for _, leap := range leaps {
		for _, c := range srv.Sim.Calls() {
			if !c.Final {
				changes++
			}
		}
		require.Eventually(t, func() bool {
			open := 0
			for _, msg := range s.delivered() {
				if meta(msg, "happyrobot_outcome") == "not_ready" {
					open++
				}
			}
			return open == changes
		}, time.Minute, 5*time.Millisecond)
		srv.Sim.Advance(leap)
	}
	require.Eventually(t, func() bool { return len(s.delivered()) == changes+calls }, time.Minute, 5*time.Millisecond)

	before := map[string]string{}
	for _, msg := range s.delivered() {
		id, status := meta(msg, "happyrobot_call_id"), meta(msg, "happyrobot_call_status")
		assert.Equal(t, before[id], meta(msg, "happyrobot_previous_status"))
		if at := slices.Index(order, status); at >= 0 {
			assert.Greater(t, at, slices.Index(order, before[id]))
			assert.Equal(t, "not_ready", meta(msg, "happyrobot_outcome"))
		}
		before[id] = status
	}
	assert.Greater(t, changes, 3*calls, "some were answered")
	for _, c := range srv.Sim.Calls() {
		assert.Equal(t, c.Status, before[c.ID], "the last word is the end")
	}
}
