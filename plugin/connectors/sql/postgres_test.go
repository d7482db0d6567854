package sql_test

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/require"

	_ "github.com/redpanda-data/benthos/v4/public/components/pure"

	_ "github.com/benthos-happyrobot/benthos-happyrobot/plugin/connectors/sql"
	"github.com/benthos-happyrobot/benthos-happyrobot/tests/services"
)

// schema makes a schema of the test's own, and answers the DSN that leads there.
func schema(t testing.TB) string {
	t.Helper()
	name := "test_" + strings.ToLower(rand.Text())
	dsn := with(t, services.Postgres(t), "search_path", name)
	execute(t, dsn, "CREATE SCHEMA "+name)
	t.Cleanup(func() {
		conn, err := pgx.Connect(context.Background(), dsn)
		if err == nil {
			_, _ = conn.Exec(context.Background(), "DROP SCHEMA "+name+" CASCADE")
			_ = conn.Close(context.Background())
		}
	})
	return dsn
}

// with sets a parameter of a DSN.
func with(t testing.TB, dsn, name, value string) string {
	t.Helper()
	u, err := url.Parse(dsn)
	require.NoError(t, err)
	query := u.Query()
	query.Set(name, value)
	u.RawQuery = query.Encode()
	return u.String()
}

// connect waits for PostgreSQL: another test may be restarting it.
func connect(t testing.TB, dsn string) *pgx.Conn {
	t.Helper()
	var conn *pgx.Conn
	require.Eventually(t, func() (ok bool) {
		var err error
		conn, err = pgx.Connect(t.Context(), dsn)
		return err == nil
	}, time.Minute, 100*time.Millisecond)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func execute(t testing.TB, dsn, statement string) {
	t.Helper()
	_, err := connect(t, dsn).Exec(t.Context(), statement)
	require.NoError(t, err)
}

func ask[T any](t testing.TB, dsn, question string, args ...any) (answer T) {
	t.Helper()
	require.NoError(t, connect(t, dsn).QueryRow(t.Context(), question, args...).Scan(&answer))
	return answer
}

// said is the log of components.
type said struct {
	mu    sync.Mutex
	lines []string
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, string(p))
	return len(p), nil
}

func (s *said) all() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines, "")
}

// proxy stands between the components and PostgreSQL, and cuts connections.
type proxy struct {
	listener net.Listener
	target   string
	swallow  atomic.Bool // of the next answer, and cut its connection
	refuse   atomic.Bool // new connections
	swallows atomic.Int64

	mu    sync.Mutex
	conns map[net.Conn]bool
}

// through is a DSN that leads through a proxy.
func through(t testing.TB, dsn string) (*proxy, string) {
	t.Helper()
	u, err := url.Parse(dsn)
	require.NoError(t, err)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{listener: listener, target: u.Host, conns: map[net.Conn]bool{}}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { p.serve(client) })
		}
	})
	t.Cleanup(func() { _ = listener.Close(); p.cut(); wg.Wait() })
	u.Host = listener.Addr().String()
	return p, u.String()
}

func (p *proxy) serve(client net.Conn) {
	defer client.Close()
	if p.refuse.Load() {
		return
	}
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer server.Close()
	p.note(client, true)
	defer p.note(client, false)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer client.Close()
		buffer := make([]byte, 1<<16)
		for {
			n, err := server.Read(buffer)
			if err != nil {
				return
			}
			if p.swallow.CompareAndSwap(true, false) {
				p.swallows.Add(1)
				return
			}
			if _, err := client.Write(buffer[:n]); err != nil {
				return
			}
		}
	}()
	buffer := make([]byte, 1<<16)
	for {
		n, err := client.Read(buffer)
		if err != nil {
			break
		}
		if _, err := server.Write(buffer[:n]); err != nil {
			break
		}
	}
	_ = server.Close()
	<-done
}

func (p *proxy) note(conn net.Conn, is bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if is {
		p.conns[conn] = true
	} else {
		delete(p.conns, conn)
	}
}

// cut ends all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.conns {
		_ = conn.Close()
	}
}

// build builds the resources of a YAML, and answers them with what they log.
func build(t testing.TB, yaml string) (*service.Resources, *said) {
	t.Helper()
	log := &said{}
	builder := service.NewResourceBuilder()
	builder.SetLogger(slog.New(slog.NewTextHandler(log, nil)))
	require.NoError(t, builder.AddYAML(yaml))
	res, stop, err := builder.Build()
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		require.NoError(t, stop(ctx))
	})
	return res, log
}
