package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/twmb/franz-go/pkg/kgo"
)

// farewellPatience is how long a member that stops tries to commit what is done, and to say
// that it leaves. With a broker that hangs, a stop must not take long: what is not committed
// is delivered again.
const farewellPatience = 1250 * time.Millisecond

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
		in.stopped.Go(func() { atIntervals(run, in.conf.commitPeriod, func(ctx context.Context) { _ = in.commit(ctx) }) })
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
	whole, abandon := context.WithCancel(context.Background())
	client, err := kgo.NewClient(append(opts, kgo.WithContext(whole))...)
	if err != nil {
		abandon()
		return nil, fmt.Errorf("making the client: %w", err)
	}
	in.client, in.abandon = client, abandon
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
	client, stop, abandon := in.client, in.stop, in.abandon
	in.mu.Unlock()
	signal(in.work)
	if client == nil {
		return nil
	}
	if stop != nil {
		stop()
		in.stopped.Wait()
	}
	defer abandon()
	if stop == nil || !in.farewell(ctx, client) {
		abandon() // else the client waits for answers that do not come
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

// farewell commits what is done and leaves the group. It reports whether the brokers
// answered. A member that cannot say that it leaves is missed after session_timeout.
func (in *input) farewell(ctx context.Context, client *kgo.Client) bool {
	if in.conf.group == "" {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, farewellPatience)
	defer cancel()
	if err := in.commit(ctx); errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return false
	}
	client.AllowRebalance()
	return client.LeaveGroupContext(ctx) == nil
}
