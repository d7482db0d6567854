package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
)

const (
	// pingTimeout is how long a broker has to answer at all.
	pingTimeout = 30 * time.Second
	// Between two tries to connect.
	firstConnectPause, longestConnectPause = 500 * time.Millisecond, 10 * time.Second
)

// connector connects a client the way Benthos wants it: Connect fails, Benthos logs the
// error, and calls it again. It is used by one goroutine at a time.
type connector struct {
	conn   *connection
	health *health
	log    *service.Logger

	failing string // the error that Benthos has logged; empty while it works
	since   time.Time
}

// connect returns once a broker answers.
//
// The first failure is returned at once, so that the log and /ready have the reason. Since
// Benthos logs each failure, the next ones with the same reason are kept from it and
// retried here; one is returned every five minutes. A new reason is returned at once.
func (c *connector) connect(ctx context.Context, client *kgo.Client) error {
	between := pause.NewGrowing(firstConnectPause, longestConnectPause)
	for began := time.Now(); ; {
		err := c.conn.ping(ctx, client, c.health)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil:
			if c.failing != "" {
				c.log.Infof("Kafka answers again, after %v.", time.Since(c.since).Round(time.Second))
			}
			c.failing = ""
			return nil
		case c.failing == "":
			c.since = time.Now()
		}
		if text := err.Error(); text != c.failing || time.Since(began) >= pause.Reminder {
			c.failing = text
			return err
		}
		if err := pause.Sleep(ctx, between.Next()); err != nil {
			return err
		}
	}
}

// ping asks the brokers, one after the other, until one answers.
func (c *connection) ping(ctx context.Context, client *kgo.Client, h *health) error {
	inTime, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	// The client opens connections regardless of this context, and may wait for a broker that
	// does not answer for as long as a request may take. It gives up when it is closed.
	answer := make(chan error, 1)
	go func() { answer <- client.Ping(inTime) }()
	var err error
	select {
	case err = <-answer:
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err = c.explain(err); err == nil {
		return nil
	}
	// That time is up, or that a connection ended, says less than what the hooks saw.
	if _, known := errors.AsType[*trouble](err); !known {
		if _, why := h.trouble(); why != nil {
			err = c.explain(why)
		}
	}
	return err
}

// test is the connection test of a component: with a client of its own, since the
// component need not run.
func (c *connection) test(ctx context.Context, log *service.Logger) service.ConnectionTestResults {
	h := newHealth(log)
	client, err := kgo.NewClient(c.opts(h)...)
	if err != nil {
		return service.ConnectionTestFailed(fmt.Errorf("making the client: %w", err)).AsList()
	}
	defer client.Close()
	if err := c.ping(ctx, client, h); err != nil {
		return service.ConnectionTestFailed(err).AsList()
	}
	return service.ConnectionTestSucceeded().AsList()
}
