package upgrade

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/redpanda-data/benthos/v4/public/components/pure"
	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/require"

	_ "github.com/benthos-happyrobot/benthos-happyrobot/plugin"
	_ "github.com/benthos-happyrobot/benthos-happyrobot/plugin/connectors/redis"
)

// fate is what the stream said of a message.
type fate struct {
	outcome, reason, callID, ref string
	err                          error
}

// dialStream is a stream with one processor, which dials.
type dialStream struct {
	t    *testing.T
	send service.MessageBatchHandlerFunc
	stop func()

	mu    sync.Mutex
	fates map[int]fate // by the numbers of messages
}

// startStream runs a config of testdata on a bucket of a bbolt file.
func startStream(t *testing.T, p play, api *anyAPI, ledger string) *dialStream {
	t.Helper()
	return startStreamOn(t, p, api, fmt.Sprintf("bbolt: {path: %q, bucket: %q}", ledger, p.name))
}

// startStreamOn runs a config of testdata on a ledger.
func startStreamOn(t *testing.T, p play, api *anyAPI, ledger string) *dialStream {
	t.Helper()
	config, err := os.ReadFile("testdata/" + p.config() + ".yaml")
	require.NoError(t, err)
	s := &dialStream{t: t, fates: map[int]fate{}}
	b := service.NewStreamBuilder()
	b.SetEnvVarLookupFunc(func(name string) (string, bool) {
		if value, known := map[string]string{"API_URL": api.URL, "REGION": p.region()}[name]; known {
			return value, known
		}
		return os.LookupEnv(name)
	})
	require.NoError(t, b.AddResourcesYAML("cache_resources: [{label: ledger, "+ledger+"}]"))
	require.NoError(t, b.AddProcessorYAML(string(config)))
	require.NoError(t, b.AddBatchConsumerFunc(s.collect))
	s.send, err = b.AddBatchProducerFunc()
	require.NoError(t, err)
	var logs strings.Builder
	b.SetLogger(slog.New(slog.NewTextHandler(&logs, &slog.HandlerOptions{Level: slog.LevelWarn})))
	stream, err := b.Build()
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = stream.Run(context.Background())
	}()
	s.stop = sync.OnceFunc(func() {
		require.NoError(t, stream.StopWithin(30*time.Second))
		<-done
		if t.Failed() {
			t.Logf("%s:\n%s", p.name, logs.String())
		}
	})
	t.Cleanup(s.stop)
	return s
}

func (s *dialStream) collect(_ context.Context, batch service.MessageBatch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, msg := range batch {
		number, _ := msg.MetaGet("number")
		n, err := strconv.Atoi(number)
		if err != nil {
			return err
		}
		f := fate{err: msg.GetError()}
		f.outcome, _ = msg.MetaGet("happyrobot_outcome")
		f.reason, _ = msg.MetaGet("happyrobot_reason")
		f.callID, _ = msg.MetaGet("happyrobot_call_id")
		f.ref, _ = msg.MetaGet("happyrobot_dial_ref")
		s.fates[n] = f
	}
	return nil
}

// numbered is a message and a number to know it by.
type numbered struct {
	n    int
	text []byte
}

// deliver sends one batch and waits until the stream has dealt with it.
func (s *dialStream) deliver(messages ...numbered) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	batch := make(service.MessageBatch, len(messages))
	for i, m := range messages {
		batch[i] = service.NewMessage(m.text)
		batch[i].MetaSetMut("number", strconv.Itoa(m.n))
	}
	require.NoError(s.t, s.send(ctx, batch))
}
