package callfeed_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/callfeed"
)

// archive lists calls that do not change, at no cost of its own: what a benchmark
// measures is the feed's.
type archive []happyrobot.Call

func (a archive) ListCallsPage(_ context.Context, q happyrobot.ListCallsQuery) ([]happyrobot.Call, error) {
	for len(a) > 0 && a[0].Created.Before(q.From) {
		a = a[1:]
	}
	a = a[min(q.Skip, len(a)):]
	return a[:min(q.Limit, len(a))], nil
}

func (a archive) GetCall(context.Context, string) (happyrobot.Call, error) {
	panic("no call is open")
}

// BenchmarkBackfill hands out and acknowledges some thousand calls that are over.
// Each acknowledgement waits until it is saved.
func BenchmarkBackfill(b *testing.B) {
	const calls = 10_000
	history, start := make(archive, calls), time.Now().Add(-calls*time.Minute)
	for n := range history {
		history[n] = decoded(made(n, start.Add(time.Duration(n)*time.Minute), "Completed"))
	}
	b.ReportAllocs()
	for b.Loop() {
		o := options(history, &disk{}, &logbook{})
		o.Start = start.Add(-time.Hour)
		feed, err := callfeed.Open(b.Context(), o)
		require.NoError(b, err)
		var acks sync.WaitGroup
		for range calls {
			e, err := feed.Next(b.Context())
			require.NoError(b, err)
			acks.Go(func() {
				if err := e.Ack(context.Background(), nil); err != nil {
					b.Error(err)
				}
			})
		}
		acks.Wait()
		require.NoError(b, feed.Close(b.Context()))
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/calls, "ns/call")
}
