package plugin_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/words"
)

// dialedInPipeline is a stream that calls leads mid-pipeline, with one thread and thus one
// brake. What comes out, failed or not, is handed to out.
func dialedInPipeline(t *testing.T, url string, out func(*service.Message), extra ...string) (*watchedStream, service.MessageBatchHandlerFunc) {
	t.Helper()
	var send service.MessageBatchHandlerFunc
	w := watch(t, service.NewEnvironment(), func(b *service.StreamBuilder) {
		var err error
		b.SetThreads(1)
		send, err = b.AddBatchProducerFunc()
		require.NoError(t, err)
		require.NoError(t, b.AddProcessorYAML("happyrobot_dial:\n  "+indent(2, dialYAML(url, extra...))))
		require.NoError(t, b.AddBatchConsumerFunc(func(_ context.Context, batch service.MessageBatch) error {
			for _, msg := range batch {
				out(msg)
			}
			return nil
		}))
	})
	t.Cleanup(w.stop)
	return w, send
}

func TestAnAPIThatRefusesEveryCallPausesThePipeline(t *testing.T) {
	t.Parallel()
	srv := startSim(t, callsim.Options{})
	refusal := srv.Sim.Inject(callsim.Fault{Kind: callsim.Refuse, Status: http.StatusGone})
	var mu sync.Mutex
	failed, called := 0, 0
	w, send := dialedInPipeline(t, srv.URL, func(msg *service.Message) {
		mu.Lock()
		defer mu.Unlock()
		if err := msg.GetError(); err != nil {
			failed++
			assert.ErrorContains(t, err, "rejected: refused: ")
			return
		}
		called++
	})
	var batches sync.WaitGroup
	for from := 0; from < 60; from += 20 {
		var batch service.MessageBatch
		for i := from; i < from+20; i++ {
			batch = append(batch, service.NewMessage([]byte(goodLead(i))))
		}
		batches.Go(func() { assert.NoError(t, send(soon(t), batch)) })
	}
	w.shows(t, words.CauseRefusals, 0, 1)
	before := srv.Sim.Faults()[0].Injected
	require.NoError(t, srv.Sim.AwaitStruck(soon(t), refusal, before+2))
	tries := srv.Sim.Faults()[0].Injected - before
	srv.Sim.ClearFaults()
	batches.Wait()
	w.shows(t, words.CauseRefusals, 0, 1, 0)

	assert.GreaterOrEqual(t, failed, 20)
	assert.LessOrEqual(t, failed, 20+tries+1, "those that put the brake on, and one a try")
	assert.Equal(t, 60-failed, called)
	calls := srv.Sim.CallsBy("metadata.lead_id")
	assert.Len(t, calls, called)
	for lead, n := range calls {
		assert.Equal(t, 1, n, lead)
	}
	assert.Contains(t, w.logs.String(), "Dialing paused (refusals): the API refused 20 different calls in a row with status 410")
	assert.Contains(t, w.logs.String(), "one is tried after each pause, and fails if it is refused again")
}

func TestMessagesThatAllMakeNoCallPauseThePipeline(t *testing.T) {
	t.Parallel()
	srv := startSim(t, callsim.Options{})
	failures := make(chan error, 100)
	w, send := dialedInPipeline(t, srv.URL, func(msg *service.Message) { failures <- msg.GetError() }, "max_rejects_in_a_row: 5")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var senders sync.WaitGroup
	for i := range 40 {
		message := service.NewMessage(fmt.Appendf(nil, `{"id":"%d","mobile":"+12025550101"}`, i))
		senders.Go(func() { _ = send(ctx, service.MessageBatch{message}) })
	}
	w.shows(t, words.CauseRefusals, 0, 1)
	for range 5 {
		require.ErrorContains(t, <-failures, "phone_number: is missing")
	}
	assert.LessOrEqual(t, len(failures), 1, "one a try")
	assert.Contains(t, w.logs.String(), "Dialing paused (refusals): 5 messages in a row made no valid call, which is max_rejects_in_a_row")
	assert.Empty(t, srv.Sim.Calls())
	cancel()
	senders.Wait()
}
