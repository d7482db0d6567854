package plugin_test

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
)

// times is how often each call is asked for.
const times = 5

// enrichMany asks for every call several times, in batches of 100 that several
// producers send at once. Four fifths of a batch are in the next one, too.
func enrichMany(t *testing.T, s *stream, ids []string) {
	t.Helper()
	var next atomic.Int64
	var producers sync.WaitGroup
	for range 8 {
		producers.Go(func() {
			for n := next.Add(1) - 1; int(n) < len(ids)/20; n = next.Add(1) - 1 {
				batch := make([]string, 20*times)
				for i := range batch {
					batch[i] = ask(ids[(int(n)*20+i)%len(ids)])
				}
				assert.NoError(t, s.deliver(batch...))
			}
		})
	}
	producers.Wait()
	out := s.out.all()
	require.Len(t, out, len(ids)*times)
	for _, m := range out {
		object := m["json"].(map[string]any)
		require.Equal(t, object["call_id"], object["call"].(map[string]any)["id"])
		require.Equal(t, "complete", m["@happyrobot_outcome"])
	}
}

func TestManyEnrichmentsReadEachFinishedCallAndPartOnce(t *testing.T) {
	t.Parallel()
	calls := sized(2000, 200)
	srv := startSim(t, callsim.Options{MaxBatch: -1})
	dialBatch(t, srv, calls)
	srv.Sim.Advance(time.Hour)
	s := run(t, parts{
		processors: []string{callYAML(srv.URL, "wait: transcript", "include: [transcript, logs]", "cache: calls")},
		resources:  "cache_resources:\n  - label: calls\n    memory: {}\n",
	})
	enrichMany(t, s, callIDs(srv))
	for _, op := range []string{"getCall", "getTranscript", "getCallLogs"} {
		assert.Equal(t, calls, srv.Sim.RequestsOf(op), op)
	}
}

// While calls are waited for, each is asked about once every poll_interval, however
// many messages wait for it.
func TestWaitingForManyCallsIsBoundedByTheirNumber(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("the fast lane leaves this out: calls live for seconds")
	}
	const (
		calls = 500
		poll  = 500 * time.Millisecond
		speed = 60
		life  = 135 * time.Second // of a call, from its creation to its transcript, at most
		looks = int(life/speed/poll) + 2
	)
	srv := startSim(t, callsim.Options{MaxBatch: -1, Speed: speed, TranscriptDelay: time.Minute})
	dialBatch(t, srv, calls)
	s := run(t, parts{
		processors: []string{strings.Replace(callYAML(srv.URL, "wait: transcript", "cache: calls", "parallelism: 64"), "poll_interval: 10ms", "poll_interval: "+poll.String(), 1)},
		resources:  "cache_resources:\n  - label: calls\n    memory: {}\n",
	})
	enrichMany(t, s, callIDs(srv))
	for _, op := range []string{"getCall", "getTranscript"} {
		assert.LessOrEqual(t, srv.Sim.RequestsOf(op), calls*looks, op)
	}
	assert.Greater(t, srv.Sim.RequestsOf("getCall"), calls, "nothing was waited for")
}

func callIDs(srv *callsim.Server) (ids []string) {
	for _, c := range srv.Sim.Calls() {
		ids = append(ids, c.ID)
	}
	return ids
}
