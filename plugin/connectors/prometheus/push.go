package prometheus

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/push"
	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
)

// pushTimeout bounds one push: a gateway that does not answer must not keep the program
// from ending.
const pushTimeout = 10 * time.Second

// pusher sends all metrics to a Pushgateway.
type pusher struct {
	gateway *push.Pusher
	trouble *pause.Notice
	stop    context.CancelFunc
	done    chan struct{} // closed when the loop has ended
}

// startPusher starts the pushes of push_interval, if there is one. last ends them.
func startPusher(c config, from prometheus.Gatherer, log *service.Logger) *pusher {
	p := &pusher{
		gateway: push.New(c.pushURL, c.pushJob).Gatherer(from).Client(&http.Client{Timeout: pushTimeout}),
		trouble: pause.NewNotice(log, pause.Wording{
			Begins: "Pushing metrics failed; retrying: %v",
			Lasts:  "Pushing metrics still fails, since %s: %v",
			Ends:   "Metrics are pushed again, after %v.",
		}, nil),
		done: make(chan struct{}),
	}
	if c.pushUser != "" {
		p.gateway.BasicAuth(c.pushUser, c.pushPassword)
	}
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	if c.pushEvery == 0 {
		close(p.done)
		return p
	}
	go func() {
		defer close(p.done)
		tick := time.NewTicker(c.pushEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			err := p.gateway.PushContext(ctx)
			switch {
			case ctx.Err() != nil:
				return
			case err != nil:
				p.trouble.Trouble(err)
			default:
				p.trouble.Recovered()
			}
		}
	}()
	return p
}

// last ends the pushes, and makes one more.
func (p *pusher) last(ctx context.Context) error {
	p.stop()
	<-p.done
	p.trouble.Stop()
	return p.gateway.PushContext(ctx)
}

// Close pushes all metrics and writes them to the file, as configured. One that fails
// does not keep the other from being tried.
func (e *exporter) Close(ctx context.Context) error {
	e.closing.Do(func() {
		var pushed, written error
		if e.pusher != nil {
			if err := e.pusher.last(ctx); err != nil {
				pushed = fmt.Errorf("pushing metrics for the last time: %w", err)
			}
		}
		if e.conf.file != "" {
			if err := prometheus.WriteToTextfile(e.conf.file, e.registry); err != nil {
				written = fmt.Errorf("writing metrics to %s: %w", mpFieldFileOutputPath, err)
			}
		}
		e.closed = errors.Join(pushed, written)
	})
	return e.closed
}
