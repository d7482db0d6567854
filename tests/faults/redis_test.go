package faults

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
	_ "github.com/benthos-happyrobot/benthos-happyrobot/plugin/connectors/redis"
)

// redisLedger is a Redis with a policy, which may refuse writes.
type redisLedger struct {
	*miniredis.Miniredis
	policy  string
	evicts  atomic.Bool            // whatever policy says
	refuses atomic.Pointer[string] // nil: it does not
}

func (r *redisLedger) answerAs() {
	r.Server().SetPreHook(func(peer *server.Peer, cmd string, _ ...string) bool {
		refusal := r.refuses.Load()
		switch {
		case cmd == "INFO" && r.evicts.Load():
			peer.WriteBulk("maxmemory_policy:allkeys-lru\r\n")
		case cmd == "INFO":
			peer.WriteBulk("maxmemory_policy:" + r.policy + "\r\n")
		case refusal != nil && (cmd == "SET" || cmd == "SETNX"):
			peer.WriteError(*refusal)
		default:
			return false
		}
		return true
	})
}

func startRedisLedger(t *testing.T, policy string) *redisLedger {
	t.Helper()
	r := &redisLedger{Miniredis: miniredis.RunT(t), policy: policy}
	r.answerAs()
	return r
}

// restart starts a Redis that was closed.
func (r *redisLedger) restart(t *testing.T) {
	t.Helper()
	require.NoError(t, r.Restart())
	r.answerAs()
}

func dialOnRedis(t *testing.T, redis string, log io.Writer) (*stream, *callsim.Server) {
	t.Helper()
	api, err := callsim.Listen("127.0.0.1:0", callsim.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { api.Close() })
	s, err := start(config{
		caches: []string{fmt.Sprintf("label: ledger\nredis: {url: redis://%s, retries: {initial_interval: 10ms, max_interval: 50ms, max_elapsed_time: 200ms}}", redis)},
		output: dialConfig(api.URL, "hold", "ledger: ledger", quickRetry),
		log:    log,
	})
	require.NoError(t, err)
	return s, api
}

// Redis away, at start and later, and a Redis that refuses: no call is placed without a
// ledger, no lead fails for it, and the stream resumes.
func TestWithoutRedisTheStreamWaits(t *testing.T) {
	t.Parallel()
	redis := startRedisLedger(t, "noeviction")
	address := redis.Addr()
	redis.Close()
	s, api := dialOnRedis(t, address, io.Discard)
	defer func() { require.NoError(t, s.stop()) }()
	called := func() int { return len(api.Sim.CallsBy("metadata.lead_id")) }
	delivered := make(chan error, 1)
	wait := func(leads ...string) {
		go func() { delivered <- s.deliver(t.Context(), leads) }()
		assert.Never(t, func() bool { return len(delivered) > 0 }, 100*time.Millisecond, 10*time.Millisecond, "%v", leads)
	}

	wait("lead-1", "lead-2")
	assert.Zero(t, called())
	redis.restart(t)
	require.NoError(t, <-delivered)
	assert.Equal(t, 2, called())

	redis.Close()
	wait("lead-3", "lead-4")
	assert.Equal(t, 2, called())
	redis.restart(t)
	require.NoError(t, <-delivered)
	assert.Equal(t, 4, called())

	for i, refusal := range []string{"READONLY You can't write against a read only replica.", "OOM command not allowed when used memory > 'maxmemory'.", "LOADING Redis is loading the dataset in memory", "MOVED 3999 127.0.0.1:6381"} {
		redis.refuses.Store(&refusal)
		wait(fmt.Sprint("lead-1", i))
		assert.Equal(t, 4+i, called())
		redis.refuses.Store(nil)
		require.NoError(t, <-delivered)
		assert.Equal(t, 5+i, called())
	}
	require.NoError(t, s.deliver(t.Context(), []string{"lead-1", "lead-2", "lead-3", "lead-4"}))
	assert.Equal(t, 8, called(), "all of them are known")
	assert.Zero(t, s.out.failed())
}

// The stream does not start, or, where Redis takes long to say what it is, it waits and
// says why.
func TestALedgerInAnEvictingRedisIsRefused(t *testing.T) {
	t.Parallel()
	redis := startRedisLedger(t, "allkeys-lru")
	api, err := callsim.Listen("127.0.0.1:0", callsim.Options{})
	require.NoError(t, err)
	defer api.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	told := &awaited{text: "maxmemory-policy allkeys-lru", came: cancel}
	b := service.NewStreamBuilder()
	require.NoError(t, b.AddCacheYAML("label: ledger\nredis: {url: redis://"+redis.Addr()+"}"))
	require.NoError(t, b.AddInputYAML(`generate: {mapping: 'root = {"phone_number": "+12125550100", "metadata": {"lead_id": "1"}}'}`))
	require.NoError(t, b.AddOutputYAML(fmt.Sprintf("happyrobot_dial: {api_key: k, base_url: %s, ledger: ledger, number_id: 64f0c0de00000000000000c1}", api.URL)))
	b.SetLogger(slog.New(slog.NewTextHandler(told, nil)))
	built, err := b.Build()
	require.NoError(t, err)
	if err := built.Run(ctx); err == nil || !strings.Contains(err.Error(), told.text) {
		assert.True(t, told.seen.Load(), "%v", err)
		_ = built.StopWithin(time.Second) // the lead waits for its ledger
	}
	assert.Empty(t, api.Sim.CallsBy("metadata.lead_id"))
}

// A changed redis.conf and a restart: calls stop before one of them could be forgotten, and
// go on by themselves once Redis does not evict.
func TestALedgerWhoseRedisBeginsToEvictWaits(t *testing.T) {
	t.Parallel()
	redis := startRedisLedger(t, "noeviction")
	paused := make(chan struct{})
	s, api := dialOnRedis(t, redis.Addr(), &awaited{text: "Dialing paused (ledger): ", came: func() { close(paused) }})
	defer func() { require.NoError(t, s.stop()) }()
	called := func() int { return len(api.Sim.CallsBy("metadata.lead_id")) }
	require.NoError(t, s.deliver(t.Context(), []string{"lead-1"}))

	redis.Close()
	redis.evicts.Store(true)
	redis.restart(t)
	delivered := make(chan error, 1)
	go func() { delivered <- s.deliver(t.Context(), []string{"lead-2", "lead-1"}) }()
	select {
	case <-paused:
	case <-time.After(time.Minute):
		t.Fatal("it is not noticed")
	}
	assert.Never(t, func() bool { return len(delivered) > 0 }, 100*time.Millisecond, 10*time.Millisecond)
	assert.Equal(t, 1, called())

	redis.evicts.Store(false)
	require.NoError(t, <-delivered)
	assert.Equal(t, 2, called())
	assert.Zero(t, s.out.failed())
}

// awaited is a log in which a text is awaited.
type awaited struct {
	text string
	came func()
	seen atomic.Bool
}

func (a *awaited) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte(a.text)) && !a.seen.Swap(true) {
		a.came()
	}
	return len(line), nil
}
