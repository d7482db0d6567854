package kafka

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/redpanda-data/benthos/v4/public/service"
)

// listens is the address of a server that answers each connection's first bytes with a
// text, and keeps it open. It tells when it was first asked something.
func listens(t *testing.T, answer string) (address string, asked <-chan struct{}) {
	t.Helper()
	first := make(chan struct{})
	tell := sync.OnceFunc(func() { close(first) })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				if _, err := conn.Read(make([]byte, 4)); err == nil {
					tell()
					_, _ = io.WriteString(conn, answer)
				}
				_, _ = io.Copy(io.Discard, conn) // until the client gives up
			}()
		}
	}()
	return l.Addr().String(), first
}

func TestASeedThatIsNotKafkaIsExplained(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ answer, says string }{
		"silent": {"", "accepts connections, but does not answer"},
		"HTTP":   {"HTTP/1.1 400 Bad Request\r\n\r\n", "answers, but not in Kafka's protocol"},
		"SSH":    {"SSH-2.0-OpenSSH_9.6\r\n", "answers, but not in Kafka's protocol"},
		"zeros":  {"\x00\x00\x00\x00\x00\x00\x00\x00", "answers, but not in Kafka's protocol"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address, _ := listens(t, c.answer)
			s := runInput(t, groupYAML+"request_timeout_overhead: 1s", address)
			s.says(t, fmt.Sprintf("%s, an address in `seed_brokers`, %s. Is this Kafka?", address, c.says))
			for _, riddle := range []string{"i/o timeout", "BrokerMaxReadBytes", ".."} {
				assert.Zero(t, s.logged(riddle), riddle)
			}
		})
	}
}

func TestABrokerThatHangsIsNotTakenForAWrongAddress(t *testing.T) {
	h := newHealth(service.MockResources().Logger())
	h.OnBrokerE2E(kgo.BrokerMetadata{NodeID: 3, Host: "kafka-3", Port: 9092}, kmsg.Fetch.Int16(), kgo.BrokerE2E{ReadErr: &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}})
	_, err := h.trouble()
	err = (&connection{}).explain(err)
	require.ErrorContains(t, err, "broker kafka-3:9092 accepts connections, but does not answer; check whether it hangs")
	assert.NotContains(t, err.Error(), "Is this Kafka")
}

func TestAShutdownDoesNotWaitForASilentBroker(t *testing.T) {
	t.Parallel()
	address, asked := listens(t, "")
	in := parseInput(t, groupYAML, address)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- in.Connect(ctx) }()
	<-asked // now the client waits for an answer
	shutdown := time.Now()
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	require.NoError(t, in.Close(t.Context()))
	assert.Less(t, time.Since(shutdown), 2*time.Second)
}

func TestAShutdownDoesNotWaitForABrokerThatFellSilent(t *testing.T) {
	t.Parallel()
	cluster := fakeKafka(t, "leads", 1)
	brokers := cluster.ListenAddrs()
	produce(t, brokers, leads("leads", 1, 3)...)
	m := newMember(t, strings.Replace(groupYAML, "50ms", "1h", 1), brokers[0])
	_, f := m.read(t)
	ack(t, f, nil)
	silence := make(chan struct{})
	t.Cleanup(func() { close(silence) })
	cluster.Control(func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		cluster.SleepControl(func() { <-silence })
		return nil, nil, false
	})
	shutdown := time.Now()
	m.close(t)
	assert.Less(t, time.Since(shutdown), 3*time.Second)
}
