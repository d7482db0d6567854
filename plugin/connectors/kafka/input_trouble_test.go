package kafka

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/benthos-happyrobot/benthos-happyrobot/tests/services"
)

// inputStream is a whole stream that reads.
type inputStream struct {
	mu  sync.Mutex
	log bytes.Buffer
	got []string
}

func (s *inputStream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Write(p)
}

func (s *inputStream) logged(part string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Count(s.log.String(), part)
}

func (s *inputStream) texts() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.got...)
}

// runInput runs a stream with the input, whose fields are YAML.
func runInput(t *testing.T, yaml string, args ...any) *inputStream {
	t.Helper()
	s := &inputStream{}
	sb := service.NewStreamBuilder()
	sb.SetLogger(slog.New(slog.NewTextHandler(s, &slog.HandlerOptions{Level: slog.LevelInfo})))
	indented := strings.ReplaceAll("\n"+fmt.Sprintf(yaml, args...), "\n", "\n  ")
	require.NoError(t, sb.AddInputYAML("redpanda:"+indented))
	require.NoError(t, sb.AddBatchConsumerFunc(func(_ context.Context, batch service.MessageBatch) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, msg := range batch {
			b, err := msg.AsBytes()
			if err != nil {
				return err
			}
			s.got = append(s.got, string(b))
		}
		return nil
	}))
	stream, err := sb.Build()
	require.NoError(t, err)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = stream.Run(context.Background())
	}()
	t.Cleanup(func() {
		_ = stream.StopWithin(patience)
		<-ended
		if t.Failed() {
			s.mu.Lock()
			t.Log(s.log.String())
			s.mu.Unlock()
		}
	})
	return s
}

func (s *inputStream) says(t *testing.T, part string) {
	t.Helper()
	require.Eventually(t, func() bool { return s.logged(part) > 0 }, 30*time.Second, 20*time.Millisecond, "the log does not say: %s", part)
}

func (s *inputStream) gets(t *testing.T, want ...string) {
	t.Helper()
	require.Eventually(t, func() bool { return len(s.texts()) >= len(want) }, 40*time.Second, 20*time.Millisecond)
	assert.Equal(t, want, s.texts())
}

func TestABrokerThatIsAwayAtTheStartIsWaitedFor(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := l.Addr().String()
	require.NoError(t, l.Close())
	s := runInput(t, groupYAML, address)
	s.says(t, "no broker can be reached")
	cluster := fakeKafka(t, "leads", 1, kfake.Ports(l.Addr().(*net.TCPAddr).Port))
	produce(t, cluster.ListenAddrs(), leads("leads", 1, 1)...)
	s.gets(t, "0/0")
	assert.Equal(t, 1, s.logged("no broker can be reached"), "once, however many attempts")
}

func TestEachMistakeOfAConnectionIsExplainedOnce(t *testing.T) {
	t.Parallel()
	var greeted, accepted atomic.Int64
	secured := fakeKafka(t, "leads", 1, kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-256", "caller", "right"))
	secured.ControlKey(kmsg.SASLHandshake.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
		secured.KeepControl()
		greeted.Add(1)
		return nil, nil, false
	})
	for _, c := range []struct {
		name, address, yaml, says string
		attempts                  *atomic.Int64
	}{
		{"wrong password", secured.ListenAddrs()[0], "sasl: [ { mechanism: SCRAM-SHA-256, username: caller, password: wrong-secret } ]", "refuses the credentials", &greeted},
		{"TLS to a plain port", speaksPlainly(t, &accepted), "tls: { enabled: true }", "does not speak TLS on this port", &accepted},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := runInput(t, groupYAML+c.yaml, c.address)
			s.says(t, c.says)
			soFar := c.attempts.Load()
			require.Eventually(t, func() bool { return c.attempts.Load() >= soFar+3 }, patience, 20*time.Millisecond)
			assert.Equal(t, 1, s.logged(c.says))
			assert.Zero(t, s.logged("wrong-secret"))
		})
	}
}

// speaksPlainly is the address of a server that answers without TLS, whatever it is asked. It
// counts connections.
func speaksPlainly(t *testing.T, accepted *atomic.Int64) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			accepted.Add(1)
			_, _ = conn.Write(make([]byte, 16))
			_ = conn.Close()
		}
	}()
	return l.Addr().String()
}

func TestATopicThatDoesNotExistIsReportedAndWaitedFor(t *testing.T) {
	t.Parallel()
	for _, group := range []bool{true, false} {
		t.Run(fmt.Sprintf("group %v", group), func(t *testing.T) {
			t.Parallel()
			cluster := fakeKafka(t, "others", 1)
			yaml := groupYAML + "metadata_max_age: 1s"
			if !group {
				yaml = strings.ReplaceAll(yaml, "topics: [ leads ]\nconsumer_group: callers", "topics: [ 'leads:0' ]")
			}
			s := runInput(t, yaml, cluster.ListenAddrs()[0])
			s.says(t, `topic \"leads\" does not exist`)
			admin := kadm.NewClient(newClient(t, cluster.ListenAddrs()))
			_, err := admin.CreateTopic(t.Context(), 1, 1, nil, "leads")
			require.NoError(t, err)
			produce(t, cluster.ListenAddrs(), leads("leads", 1, 1)...)
			s.gets(t, "0/0")
			s.says(t, "resumed")
			assert.Equal(t, 1, s.logged("does not exist"))
		})
	}
}

func TestATopicThatIsDeletedAndMadeAgainIsReadFromItsStart(t *testing.T) {
	t.Parallel()
	cluster := fakeKafka(t, "leads", 1)
	brokers := cluster.ListenAddrs()
	produce(t, brokers, leads("leads", 1, 3)...)
	s := runInput(t, groupYAML+"metadata_max_age: 1s", brokers[0])
	s.gets(t, "0/0", "0/1", "0/2")
	admin := kadm.NewClient(newClient(t, brokers))
	_, err := admin.DeleteTopics(t.Context(), "leads")
	require.NoError(t, err)
	s.says(t, `topic \"leads\" does not exist`)
	_, err = admin.CreateTopic(t.Context(), 1, 1, nil, "leads")
	require.NoError(t, err)
	produce(t, brokers, &kgo.Record{Topic: "leads", Value: []byte("new")})
	s.gets(t, "0/0", "0/1", "0/2", "new")
}

func TestAnOffsetThatTheBrokerNoLongerHasIsReported(t *testing.T) {
	t.Parallel()
	cluster := fakeKafka(t, "leads", 1)
	brokers := cluster.ListenAddrs()
	produce(t, brokers, leads("leads", 1, 10)...)
	admin := kadm.NewClient(newClient(t, brokers))
	require.NoError(t, admin.CommitAllOffsets(t.Context(), "callers", kadm.OffsetsFromRecords(kgo.Record{Topic: "leads", Offset: 1})))
	_, err := admin.DeleteRecords(t.Context(), kadm.Offsets{"leads": {0: {Topic: "leads", At: 5}}})
	require.NoError(t, err)
	s := runInput(t, groupYAML, brokers[0])
	s.gets(t, "0/5", "0/6", "0/7", "0/8", "0/9")
	s.says(t, "retention deleted up to 3 records")
}

func TestAnOffsetPastTheEndIsReported(t *testing.T) {
	t.Parallel()
	cluster := fakeKafka(t, "leads", 1)
	brokers := cluster.ListenAddrs()
	produce(t, brokers, leads("leads", 1, 2)...)
	admin := kadm.NewClient(newClient(t, brokers))
	require.NoError(t, admin.CommitAllOffsets(t.Context(), "callers", kadm.OffsetsFromRecords(kgo.Record{Topic: "leads", Offset: 90})))
	s := runInput(t, groupYAML, brokers[0])
	s.says(t, "ends before offset 91")
	produce(t, brokers, &kgo.Record{Topic: "leads", Value: []byte("next")})
	s.gets(t, "next")
}

func TestABrokerThatIsKilledIsReportedAndReadOn(t *testing.T) {
	broker := services.Kafka(t)
	topic := newTopic(t, broker, 1)
	produce(t, []string{broker}, leads(topic, 1, 2)...)
	s := runInput(t, chaosYAML, broker, topic, topic)
	s.gets(t, "0/0", "0/1")
	services.Restart(t, "kafka")
	produce(t, []string{broker}, &kgo.Record{Topic: topic, Value: []byte("after")})
	require.Eventually(t, func() bool { return len(s.texts()) > 2 && s.texts()[len(s.texts())-1] == "after" }, time.Minute, 20*time.Millisecond)
	assert.LessOrEqual(t, s.logged("is interrupted"), 1)
	require.Eventually(t, func() bool { return s.logged("is interrupted") == s.logged("resumed after") }, patience, 20*time.Millisecond)
}
