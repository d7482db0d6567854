package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/redpanda-data/benthos/v4/public/utils/netutil"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
)

const ( // cn: connection
	cnFieldSeedBrokers     = "seed_brokers"
	cnFieldClientID        = "client_id"
	cnFieldTLS             = "tls"
	cnFieldMetadataMaxAge  = "metadata_max_age"
	cnFieldRequestOverhead = "request_timeout_overhead"
	cnFieldConnIdleTimeout = "conn_idle_timeout"
	cnFieldTCP             = "tcp"
)

// dialTimeout is how long one attempt to connect takes where `tcp` sets no other limit.
const dialTimeout = 10 * time.Second

// seedBrokersLint is a part of the lint rules of both components. It is none of the field's
// own, since Benthos does not run that of a list that is missing.
const seedBrokersLint = "if (this.seed_brokers | []).length() == 0 { \"`seed_brokers` must name at least one broker, such as localhost:9092; there is no top-level block `redpanda` here\" }"

// connectionFields are the fields that say how to reach a cluster.
func connectionFields() []*service.ConfigField {
	return []*service.ConfigField{
		service.NewStringListField(cnFieldSeedBrokers).
			Description("Addresses of brokers to connect to first, as `host:port`. The client learns the other brokers of the cluster from them, so two or three are enough for a cluster of any size. Without a port, 9092 is used. An item may hold several addresses, separated by commas.").
			Example([]string{"localhost:9092"}).
			Example([]string{"kafka-1:9092", "kafka-2:9092"}).
			Example([]string{"kafka-1:9092,kafka-2:9092"}),
		service.NewStringField(cnFieldClientID).
			Description("The name by which the brokers know this client, in their logs, metrics and quotas.").
			Default("redpanda-connect").
			Advanced(),
		service.NewTLSToggledField(cnFieldTLS),
		saslField(),
		service.NewDurationField(cnFieldMetadataMaxAge).
			Description("How old the client's knowledge of topics, partitions and leaders may become before it asks again, as a duration. It is also how long a new topic may stay unnoticed.").
			Default("1m").
			Advanced(),
		service.NewDurationField(cnFieldRequestOverhead).
			Description("How long to wait for the answer to a request, as a duration. A request that has a time limit of its own, such as a write with `timeout`, gets this much in addition.").
			Default("10s").
			Advanced(),
		service.NewDurationField(cnFieldConnIdleTimeout).
			Description("How long a connection to a broker may be idle before it is closed, as a duration. The client opens it again when it needs it.").
			Default("20s").
			Advanced(),
		netutil.DialerConfigSpec(),
	}
}

// connection is how to reach a cluster.
type connection struct {
	seeds           []string
	clientID        string
	tls             *tls.Config // nil: the connection is not encrypted
	sasl            []sasl.Mechanism
	metadataMaxAge  time.Duration
	requestOverhead time.Duration
	connIdleTimeout time.Duration
	dialer          net.Dialer
}

func connectionFromParsed(conf *service.ParsedConfig) (*connection, error) {
	c := &connection{dialer: net.Dialer{Timeout: dialTimeout}}
	brokers, err := conf.FieldStringList(cnFieldSeedBrokers)
	if err != nil {
		return nil, err
	}
	if c.seeds, err = seedBrokers(brokers); err != nil {
		return nil, fmt.Errorf("field %s: %w", cnFieldSeedBrokers, err)
	}
	if c.clientID, err = conf.FieldString(cnFieldClientID); err != nil {
		return nil, err
	}
	tlsConf, enabled, err := conf.FieldTLSToggled(cnFieldTLS)
	if err != nil {
		return nil, fmt.Errorf("field %s: %w", cnFieldTLS, err)
	}
	if enabled {
		c.tls = tlsConf
	}
	if c.sasl, err = saslFromParsed(conf); err != nil {
		return nil, err
	}
	for name, at := range map[string]*time.Duration{
		cnFieldMetadataMaxAge:  &c.metadataMaxAge,
		cnFieldRequestOverhead: &c.requestOverhead,
		cnFieldConnIdleTimeout: &c.connIdleTimeout,
	} {
		if *at, err = conf.FieldDuration(name); err != nil {
			return nil, err
		}
	}
	if conf.Contains(cnFieldTCP) {
		dialer, err := netutil.DialerConfigFromParsed(conf.Namespace(cnFieldTCP))
		if err == nil {
			err = netutil.DecorateDialer(&c.dialer, dialer)
		}
		if err != nil {
			return nil, fmt.Errorf("field %s: %w", cnFieldTCP, err)
		}
	}
	return c, nil
}

// seedBrokers takes the addresses out of items that may hold several each.
func seedBrokers(items []string) (brokers []string, err error) {
	for _, item := range items {
		for address := range strings.SplitSeq(item, ",") {
			if address = strings.TrimSpace(address); address != "" {
				brokers = append(brokers, address)
			}
		}
	}
	if len(brokers) == 0 {
		return nil, errors.New("must name at least one broker, such as localhost:9092")
	}
	return brokers, nil
}

// opts are the options of a client that connects as the config says. The health, which
// is the client's own, learns how its brokers fare.
func (c *connection) opts(h *health) []kgo.Opt {
	opts := []kgo.Opt{
		kgo.SeedBrokers(c.seeds...),
		kgo.ClientID(c.clientID),
		kgo.MetadataMaxAge(c.metadataMaxAge),
		// The library refuses a longest age below the shortest, which is 5s.
		kgo.MetadataMinAge(min(c.metadataMaxAge, 5*time.Second)),
		kgo.RequestTimeoutOverhead(c.requestOverhead),
		kgo.ConnIdleTimeout(c.connIdleTimeout),
		kgo.Dialer(c.dial),
		kgo.WithLogger(h),
		kgo.WithHooks(h),
	}
	if len(c.sasl) > 0 {
		opts = append(opts, kgo.SASL(c.sasl...))
	}
	return opts
}

// dial connects to a broker. It is the client's own so that an error says whether the
// broker could not be reached, or could and did not agree on TLS.
func (c *connection) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := c.dialer.DialContext(ctx, network, address)
	if err != nil || c.tls == nil {
		return conn, err
	}
	conf := c.tls.Clone()
	if conf.ServerName == "" {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			host = address
		}
		conf.ServerName = host
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	secure := tls.Client(conn, conf)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, &handshakeError{address: address, err: err}
	}
	return secure, nil
}
