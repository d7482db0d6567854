package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
)

const (
	// staleFailure is when a broker that is not tried any more no longer counts as failing:
	// it has left the cluster, or is not needed.
	staleFailure = 3 * time.Minute
	// maxHints bounds what is remembered of the client's log.
	maxHints = 100
)

// health knows how the brokers fare that one client talks to. The client retries nearly
// everything itself, in silence, so this is where a component learns what it waits for.
// It is also the client's logger. It does not start anything, so nothing ends it.
type health struct {
	log *service.Logger

	mu      sync.Mutex
	failing map[string]failure   // by address
	hinted  map[string]time.Time // when a text of the client's log was last passed on
}

// failure is a broker to which no request succeeds.
type failure struct {
	since, last time.Time
	err         error
}

func newHealth(log *service.Logger) *health {
	return &health{log: log, failing: map[string]failure{}, hinted: map[string]time.Time{}}
}

// trouble returns the latest error of a broker that fails at the moment, and since when
// brokers fail; nil if none does.
func (h *health) trouble() (since time.Time, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var last time.Time
	for address, f := range h.failing {
		if time.Since(f.last) > staleFailure {
			delete(h.failing, address)
			continue
		}
		if f.last.After(last) {
			last, err = f.last, f.err
		}
		if since.IsZero() || f.since.Before(since) {
			since = f.since
		}
	}
	return since, err
}

// OnBrokerConnect is called for each attempt to connect, authentication included.
func (h *health) OnBrokerConnect(broker kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	h.note(broker, err)
}

// OnBrokerE2E is called for each request.
func (h *health) OnBrokerE2E(broker kgo.BrokerMetadata, key int16, e2e kgo.BrokerE2E) {
	err := e2e.Err()
	switch {
	case !isHangup(err):
	case key == kmsg.SASLAuthenticate.Int16():
		err = &refusedError{err}
	default:
		// That a connection ended, an idle one perhaps, says little: the next attempt to
		// connect says why.
		return
	}
	h.note(broker, err)
}

func (h *health) note(broker kgo.BrokerMetadata, err error) {
	// The client stopped, or dropped an idle connection; that says nothing of the broker.
	if errors.Is(err, kgo.ErrClientClosed) || errors.Is(err, context.Canceled) || errors.Is(err, net.ErrClosed) {
		return
	}
	address := net.JoinHostPort(broker.Host, strconv.Itoa(int(broker.Port)))
	h.mu.Lock()
	defer h.mu.Unlock()
	if err == nil {
		delete(h.failing, address)
		return
	}
	if isSilence(err) || isNonsense(err) {
		err = &strangeError{address: address, seed: broker.NodeID < 0, err: err} // ids of seeds are below 0
	}
	now := time.Now()
	f, known := h.failing[address]
	if !known {
		f.since = now
	}
	if _, clearer := errors.AsType[*refusedError](f.err); !clearer || !isHangup(err) {
		f.err = err
	}
	f.last = now
	h.failing[address] = f
}

// Level keeps the client from composing what is never logged.
func (*health) Level() kgo.LogLevel { return kgo.LogLevelInfo }

// hintValues are the details of the client's log lines that are passed on. None of them
// is ever part of a message or a secret.
var hintValues = map[string]bool{
	"addr": true, "broker": true, "err": true, "group": true, "topic": true, "partition": true, "offset": true, "why": true,
}

// toldElsewhere are log lines about connections: the component reports those itself, once
// and in its own words.
var toldElsewhere = []string{
	"unable to open connection", "unable to request api versions", "unable to initialize sasl",
	"read from broker", "unable to load producer ID", "produce partition load error",
	"random error while producing",
}

// Log passes warnings of the client on, each text once in five minutes. What is normal, and
// what the component reports itself, is left to the log level DEBUG.
func (h *health) Log(level kgo.LogLevel, text string, values ...any) {
	var line strings.Builder
	line.WriteString("Kafka client: " + text)
	for i := 0; i+1 < len(values); i += 2 {
		if key, _ := values[i].(string); hintValues[key] {
			fmt.Fprintf(&line, "; %s: %v", key, values[i+1])
		}
	}
	if level > kgo.LogLevelWarn || !h.hint(text) {
		h.log.Debug(line.String())
		return
	}
	h.log.Warn(line.String())
}

// hint reports whether a warning is to be passed on now.
func (h *health) hint(text string) bool {
	for _, told := range toldElsewhere {
		if strings.HasPrefix(text, told) {
			return false
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	if last, known := h.hinted[text]; known && now.Sub(last) < pause.Reminder {
		return false
	}
	if len(h.hinted) >= maxHints {
		clear(h.hinted)
	}
	h.hinted[text] = now
	return true
}

var (
	_ kgo.Logger            = (*health)(nil)
	_ kgo.HookBrokerConnect = (*health)(nil)
	_ kgo.HookBrokerE2E     = (*health)(nil)
)
