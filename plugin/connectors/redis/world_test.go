package redis_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	_ "github.com/redpanda-data/benthos/v4/public/components/pure"
	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/require"

	_ "github.com/benthos-happyrobot/benthos-happyrobot/plugin/connectors/redis"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
)

// impatient makes a cache give up soon.
const impatient = "retries: {initial_interval: 10ms, max_interval: 50ms, max_elapsed_time: 300ms}"

// opened is a cache as Benthos opens it.
type opened struct {
	service.Cache
	log   *logged
	close func()
}

// logged is a log as text.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// openCache opens a cache with fields.
func openCache(t testing.TB, fields ...string) opened {
	t.Helper()
	log := &logged{}
	builder := service.NewResourceBuilder()
	builder.SetLogger(slog.New(slog.NewTextHandler(log, nil)))
	require.NoError(t, builder.AddCacheYAML("label: c\nredis:\n  "+strings.Join(fields, "\n  ")))
	res, stop, err := builder.Build()
	require.NoError(t, err)
	closeOnce := sync.OnceFunc(func() { require.NoError(t, stop(context.Background())) })
	t.Cleanup(closeOnce)
	var c service.Cache
	require.NoError(t, res.AccessCache(t.Context(), "c", func(cache service.Cache) { c = cache }))
	return opened{Cache: c, log: log, close: closeOnce}
}

// facts are what the cache states.
func (o opened) facts(t testing.TB) store.Stated {
	t.Helper()
	answer, err := o.Get(t.Context(), store.FactsKey)
	require.NoError(t, err)
	stated, ok := store.FactsIn(answer)
	require.True(t, ok)
	return stated
}

func urlOf(address string) string { return "url: redis://" + address }

// startRedis starts a Redis of this process, which has a policy.
func startRedis(t testing.TB) *miniredis.Miniredis {
	t.Helper()
	m := miniredis.RunT(t)
	answer(m, "INFO", noeviction)
	return m
}

const noeviction = "# Memory\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\n"

func restart(t testing.TB, m *miniredis.Miniredis) {
	t.Helper()
	require.NoError(t, m.Restart())
	answer(m, "INFO", noeviction)
}

// answer makes a Redis answer a command with a text; "-" begins an error. Without a
// command it answers as it does.
func answer(m *miniredis.Miniredis, command, text string) {
	m.Server().SetPreHook(func(peer *server.Peer, cmd string, _ ...string) bool {
		if command == "" || !strings.EqualFold(cmd, command) {
			return false
		}
		if failure, ok := strings.CutPrefix(text, "-"); ok {
			peer.WriteError(failure)
		} else {
			peer.WriteBulk(text)
		}
		return true
	})
}

// hold makes a Redis tell when a command comes in, and execute it when goesOn is closed.
func hold(m *miniredis.Miniredis, command string) (cameIn <-chan struct{}, goesOn chan<- struct{}) {
	came, goes := make(chan struct{}), make(chan struct{})
	first := sync.OnceFunc(func() { close(came) })
	m.Server().SetPreHook(func(_ *server.Peer, cmd string, _ ...string) bool {
		if strings.EqualFold(cmd, command) {
			first()
			<-goes
		}
		return false
	})
	return came, goes
}

// wire is a connection to Redis that loses things.
type wire struct {
	address     string
	upstream    string
	loseAnswer  atomic.Bool  // cut the next answer off, once its command was executed
	loseRequest atomic.Bool  // cut the next command off before Redis has it
	requests    atomic.Int64 // that were passed on; what is sent at once counts once
	lost        atomic.Int64
	onLost      func() // before the connection is cut; nil for nothing
}

func startWire(t testing.TB, upstream string) *wire {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	w := &wire{address: listener.Addr().String(), upstream: upstream}
	var all sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	all.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() { w.carry(ctx, conn) })
		}
	})
	t.Cleanup(func() {
		cancel()
		_ = listener.Close()
		all.Wait()
	})
	return w
}

func (w *wire) carry(ctx context.Context, client net.Conn) {
	redis, err := (&net.Dialer{}).DialContext(ctx, "tcp", w.upstream)
	if err != nil {
		_ = client.Close()
		return
	}
	cut := func() { _, _ = client.Close(), redis.Close() }
	defer context.AfterFunc(ctx, cut)()
	var both sync.WaitGroup
	both.Go(func() {
		defer cut()
		pass(redis, client, func() bool {
			w.requests.Add(1)
			return w.lose(&w.loseRequest)
		})
	})
	both.Go(func() {
		defer cut()
		pass(client, redis, func() bool { return w.lose(&w.loseAnswer) })
	})
	both.Wait()
}

func (w *wire) lose(what *atomic.Bool) bool {
	if what.CompareAndSwap(true, false) {
		w.lost.Add(1)
		if w.onLost != nil {
			w.onLost()
		}
		return true
	}
	return false
}

// pass copies until something is to be lost.
func pass(to io.Writer, from io.Reader, lose func() bool) {
	buffer := make([]byte, 1<<16)
	for {
		n, err := from.Read(buffer)
		if err != nil || lose() {
			return
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func items(n int) []store.Item {
	all := make([]store.Item, n)
	for i := range all {
		all[i] = store.Item{Key: fmt.Sprint("key-", i), Value: fmt.Appendf(nil, "value-%d", i)}
	}
	return all
}
