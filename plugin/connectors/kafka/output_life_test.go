package kafka

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestAnOutputClosesTwiceAndBeforeItConnects(t *testing.T) {
	t.Parallel()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "t"))
	require.NoError(t, err)
	defer cluster.Close()
	conf, err := outputSpec().ParseYAML("topic: t\nseed_brokers: [ '"+cluster.ListenAddrs()[0]+"' ]", nil)
	require.NoError(t, err)
	batch := service.MessageBatch{service.NewMessage([]byte("a"))}

	o, err := newOutput(conf, service.MockResources())
	require.NoError(t, err)
	require.ErrorIs(t, o.WriteBatch(t.Context(), batch), service.ErrNotConnected)
	require.NoError(t, o.Close(t.Context()))
	require.Error(t, o.Connect(t.Context()))

	o, err = newOutput(conf, service.MockResources())
	require.NoError(t, err)
	assert.NoError(t, o.ConnectionTest(t.Context())[0].Err)
	require.NoError(t, o.Connect(t.Context()))
	require.NoError(t, o.WriteBatch(t.Context(), batch))
	require.NoError(t, o.Close(t.Context()))
	require.NoError(t, o.Close(t.Context()))
	require.ErrorIs(t, o.WriteBatch(t.Context(), batch), service.ErrNotConnected)
}

// outLogger collects what is logged at WARN and above, and at INFO.
func outLogger(t *testing.T) (*service.Logger, *strings.Builder) {
	t.Helper()
	lines := &strings.Builder{}
	return service.NewLoggerFromSlog(slog.New(slog.NewTextHandler(lines, nil))), lines
}

func TestTheClientsLogIsNotAFlood(t *testing.T) {
	t.Parallel()
	log, lines := outLogger(t)
	h := newHealth(log)
	for range 100 {
		h.Log(kgo.LogLevelWarn, "something is odd", "topic", "t", "record", "secret", "err", errors.New("why"))
		h.Log(kgo.LogLevelError, "unable to initialize sasl", "err", errors.New("told by the component"))
		h.Log(kgo.LogLevelInfo, "all is well")
	}
	assert.Equal(t, 1, strings.Count(lines.String(), "msg="), lines)
	assert.Contains(t, lines.String(), "Kafka client: something is odd; topic: t; err: why")
	assert.NotContains(t, lines.String(), "secret")
}

func TestHealthKeepsTheClearerReason(t *testing.T) {
	t.Parallel()
	log, _ := outLogger(t)
	h := newHealth(log)
	broker := kgo.BrokerMetadata{NodeID: 1, Host: "h", Port: 1}

	h.OnBrokerE2E(broker, kmsg.Produce.Int16(), kgo.BrokerE2E{ReadErr: io.EOF})
	_, err := h.trouble()
	require.NoError(t, err, "a connection ended, perhaps an idle one")

	h.OnBrokerE2E(broker, kmsg.SASLAuthenticate.Int16(), kgo.BrokerE2E{ReadErr: io.EOF})
	h.OnBrokerConnect(broker, 0, nil, io.EOF)
	_, err = h.trouble()
	require.ErrorContains(t, (&connection{}).explain(err), "check `sasl.username`")

	h.OnBrokerConnect(broker, 0, nil, &net.OpError{Op: "dial", Err: errors.New("connection refused")})
	_, err = h.trouble()
	require.ErrorContains(t, (&connection{}).explain(err), "no broker can be reached")

	h.OnBrokerConnect(broker, 0, nil, nil)
	_, err = h.trouble()
	require.NoError(t, err)
}

func TestAnAddressThatIsAdvertisedWronglyIsNamed(t *testing.T) {
	t.Parallel()
	c := &connection{seeds: []string{"127.0.0.1:9092"}}
	dial := func(ip string) error {
		return &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.ParseIP(ip), Port: 9092}, Err: errors.New("no route")}
	}
	require.ErrorContains(t, c.explain(dial("127.0.0.1")), "no broker can be reached (`seed_brokers`: 127.0.0.1:9092)")
	require.ErrorContains(t, c.explain(dial("10.0.0.1")), "broker 10.0.0.1:9092 cannot be reached")
}
