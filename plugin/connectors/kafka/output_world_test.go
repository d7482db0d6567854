package kafka_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	_ "github.com/redpanda-data/benthos/v4/public/components/pure"

	_ "github.com/benthos-happyrobot/benthos-happyrobot/plugin/connectors/kafka"
)

// outLog collects log lines.
type outLog struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *outLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *outLog) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *outLog) count(part string) int { return strings.Count(l.text(), part) }

// outStream is the output as Benthos runs it, to which the test sends batches.
type outStream struct {
	send func(context.Context, service.MessageBatch) error
	stop func()
	log  *outLog
}

// outRun runs an output with fields that are indented by two.
func outRun(t *testing.T, fields string) *outStream {
	t.Helper()
	return outRunAny(t, "redpanda:\n"+fields)
}

// outRunAny runs any output.
func outRunAny(t *testing.T, conf string) *outStream {
	t.Helper()
	return outRunAt(t, slog.LevelInfo, conf)
}

// outRunAt is outRunAny with a log of some level.
func outRunAt(t *testing.T, level slog.Level, conf string) *outStream {
	t.Helper()
	s := &outStream{log: &outLog{}}
	b := service.NewResourceBuilder()
	b.SetLogger(slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: level})))
	require.NoError(t, b.AddOutputYAML("label: out\n"+conf))
	res, stop, err := b.Build()
	require.NoError(t, err)
	var out *service.ResourceOutput // outlives the access: a write may take longer than the stop waits
	require.NoError(t, res.AccessOutput(t.Context(), "out", func(o *service.ResourceOutput) { out = o }))
	s.send = out.WriteBatch
	s.stop = sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = stop(ctx)
	})
	t.Cleanup(s.stop)
	return s
}

// outBatch makes a batch of texts.
func outBatch(texts ...string) (batch service.MessageBatch) {
	for _, text := range texts {
		batch = append(batch, service.NewMessage([]byte(text)))
	}
	return batch
}

// outFake is a cluster in this process with topics of one partition.
func outFake(t testing.TB, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	cluster, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1), kfake.DefaultNumPartitions(1)}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	return cluster
}

func outBrokers(cluster *kfake.Cluster) string { return strings.Join(cluster.ListenAddrs(), ",") }

// outRead reads n records of a topic, in the order of its partitions, and fails if there
// are more of them.
func outRead(t testing.TB, brokers, topic string, n int, opts ...kgo.Opt) []*kgo.Record {
	t.Helper()
	opts = append([]kgo.Opt{
		kgo.SeedBrokers(strings.Split(brokers, ",")...),
		kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxWait(100 * time.Millisecond),
	}, opts...)
	client, err := kgo.NewClient(opts...)
	require.NoError(t, err)
	defer client.Close()
	var records []*kgo.Record
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for len(records) < n {
		records = append(records, client.PollFetches(ctx).Records()...)
		require.NoError(t, ctx.Err(), "%d records of %d", len(records), n)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	records = append(records, client.PollFetches(ctx).Records()...)
	require.Len(t, records, n)
	return records
}

func outValues(records []*kgo.Record) (values []string) {
	for _, r := range records {
		values = append(values, string(r.Value))
	}
	return values
}

// outFates are the errors that a write gave for each message of a batch.
func outFates(t *testing.T, s *outStream, batch service.MessageBatch) []error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	index := batch.Index()
	err := s.send(ctx, batch)
	fates := make([]error, len(batch))
	if err == nil || len(batch) == 1 { // of one message a plain error says the same
		fates[0] = err
		return fates
	}
	var each *service.BatchError
	require.ErrorAs(t, err, &each)
	each.WalkMessagesIndexedBy(index, func(i int, _ *service.Message, err error) bool {
		fates[i] = err
		return true
	})
	return fates
}

// outPort is an address on which nothing listens.
func outPort(t *testing.T) (address string, port int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String(), l.Addr().(*net.TCPAddr).Port
}

// outAsync sends a batch in the background.
func outAsync(t *testing.T, s *outStream, batch service.MessageBatch) <-chan error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- s.send(t.Context(), batch) }()
	return done
}

func outEventually(t *testing.T, s *outStream, part string) {
	t.Helper()
	if !outSees(s, part, 15*time.Second) {
		t.Fatalf("the log does not say %q:\n%s", part, s.log.text())
	}
}

func outSees(s *outStream, part string, within time.Duration) bool {
	for deadline := time.Now().Add(within); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if s.log.count(part) > 0 {
			return true
		}
	}
	return false
}

func outWritten(t *testing.T, done <-chan error) {
	t.Helper()
	select {
	case err := <-done:
		require.NoError(t, err)
	case <-time.After(40 * time.Second):
		t.Fatal("the batch was not written")
	}
}

// answerLoser is a listener that, once armed, closes a connection instead of sending the
// next answer to a request.
type answerLoser struct {
	net.Listener
	mu    sync.Mutex
	armed int
}

func (l *answerLoser) arm() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.armed++
}

func (l *answerLoser) loses() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.armed == 0 {
		return false
	}
	l.armed--
	return true
}

func (l *answerLoser) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &losingConn{Conn: conn, listener: l}, nil
}

type losingConn struct {
	net.Conn
	listener *answerLoser
}

func (c *losingConn) Write(p []byte) (int, error) {
	if c.listener.loses() {
		_ = c.Close()
		return 0, io.ErrClosedPipe
	}
	return c.Conn.Write(p)
}

func outFields(format string, args ...any) string {
	var out strings.Builder
	for line := range strings.SplitSeq(strings.TrimSpace(fmt.Sprintf(format, args...)), "\n") {
		out.WriteString("  " + line + "\n")
	}
	return out.String()
}
