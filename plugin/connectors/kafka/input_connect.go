package kafka

import (
	"context"
	"fmt"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/twmb/franz-go/pkg/kgo"
)

// leavePatience is how long a member that stops tries to say so.
const leavePatience = 5 * time.Second

// ConnectionTest reports whether a broker answers.
func (in *input) ConnectionTest(ctx context.Context) service.ConnectionTestResults {
	return in.conf.connection.test(ctx, in.log)
}

// Connect starts the client, and returns once a broker answers.
func (in *input) Connect(ctx context.Context) error {
	client, err := in.start()
	if client == nil || err != nil {
		return err
	}
	if err := in.connector.connect(ctx, client); err != nil {
		return err
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.closing {
		return service.ErrEndOfInput
	}
	if in.connected {
		return nil
	}
	in.connected = true
	run, stop := context.WithCancel(context.Background())
	in.stop = stop
	in.stopped.Go(func() { in.poll(run, client) })
	in.stopped.Go(func() { in.watch(run) })
	if in.conf.group != "" {
		in.stopped.Go(func() { atIntervals(run, in.conf.commitPeriod, in.commit) })
	}
	in.stopped.Go(func() { atIntervals(run, in.conf.lagPeriod, in.measureLag) })
	return nil
}

// start makes the client, if there is none yet. Without an error, no client means that
// there is nothing left to do.
func (in *input) start() (*kgo.Client, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	switch {
	case in.closing:
		return nil, service.ErrEndOfInput
	case in.connected:
		return nil, nil
	case in.client != nil:
		return in.client, nil
	}
	opts := in.conf.opts(in.health)
	if in.conf.group != "" {
		opts = append(opts, in.conf.groupOpts()...)
		opts = append(opts, kgo.OnPartitionsAssigned(in.assigned), kgo.OnPartitionsRevoked(in.revoked), kgo.OnPartitionsLost(in.lost), kgo.AdjustFetchOffsetsFn(in.starting))
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("making the client: %w", err)
	}
	in.client = client
	return client, nil
}

// atIntervals calls something at intervals.
func atIntervals(ctx context.Context, interval time.Duration, do func(context.Context)) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			do(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// Close commits what is done, and leaves the group. Benthos calls it when all batches are
// settled, or when it no longer waits for them.
func (in *input) Close(ctx context.Context) error {
	in.mu.Lock()
	if in.closing {
		in.mu.Unlock()
		return nil
	}
	in.closing = true
	close(in.closed)
	client, stop := in.client, in.stop
	in.mu.Unlock()
	signal(in.work)
	if client == nil {
		return nil
	}
	if stop != nil {
		stop()
		in.stopped.Wait()
	}
	if in.conf.group != "" {
		in.commit(ctx)
		client.AllowRebalance()
		leave, cancel := context.WithTimeout(ctx, leavePatience)
		_ = client.LeaveGroupContext(leave) // a member that cannot say so is missed after session_timeout
		cancel()
	}
	client.Close()
	in.notice.Stop()
	in.policy.Stop()
	in.mu.Lock()
	for _, t := range append([]*tenure(nil), in.order...) {
		in.finish(t)
	}
	in.mu.Unlock()
	in.closeRetired(ctx)
	return nil
}
