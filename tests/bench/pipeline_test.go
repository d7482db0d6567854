package bench

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/require"

	_ "github.com/redpanda-data/benthos/v4/public/components/io"
	_ "github.com/redpanda-data/benthos/v4/public/components/pure"

	_ "github.com/benthos-happyrobot/benthos-happyrobot/plugin"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
)

// listen starts a pretend API of the benchmark's own, so that no side finds the
// calls of another one in memory.
func listen(b *testing.B, latency time.Duration) *callsim.Server {
	b.Helper()
	srv, err := callsim.Listen("127.0.0.1:0", callsim.Options{MaxBatch: -1, Latency: latency})
	require.NoError(b, err)
	return srv
}

// stream is a pipeline under measurement.
type stream struct {
	send service.MessageBatchHandlerFunc
	stop func()
}

// start builds and runs a pipeline; configure adds all but its input.
func start(b *testing.B, configure func(*service.StreamBuilder) error) stream {
	b.Helper()
	builder := service.NewStreamBuilder()
	builder.SetLogger(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})))
	require.NoError(b, builder.SetMetricsYAML("none: {}"))
	require.NoError(b, configure(builder))
	send, err := builder.AddBatchProducerFunc()
	require.NoError(b, err)
	built, err := builder.Build()
	require.NoError(b, err)
	ended := make(chan error, 1)
	go func() { ended <- built.Run(context.Background()) }()
	return stream{send: send, stop: func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		require.NoError(b, built.Stop(ctx))
		require.NoError(b, <-ended)
	}}
}

// feed sends all batches from this many producers at once, and returns when every
// batch is acknowledged.
func (s stream) feed(b *testing.B, producers int, batches [][][]byte) {
	b.Helper()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range producers {
		wg.Go(func() {
			for i := next.Add(1) - 1; int(i) < len(batches); i = next.Add(1) - 1 {
				batch := make(service.MessageBatch, len(batches[i]))
				for j, body := range batches[i] {
					batch[j] = service.NewMessage(body)
				}
				if err := s.send(context.Background(), batch); err != nil {
					b.Errorf("batch %d was not delivered: %v", i, err)
					return
				}
			}
		})
	}
	wg.Wait()
	if b.Failed() {
		b.FailNow()
	}
}

// usage is what a side took.
type usage struct {
	elapsed  time.Duration
	cpu      time.Duration // 0 where it cannot be told
	bytes    uint64        // allocated
	mallocs  uint64
	peakHeap uint64
}

func (u usage) rate(n int) float64 { return float64(n) / u.elapsed.Seconds() }

// plus adds another round of the same side.
func (u usage) plus(v usage) usage {
	return usage{u.elapsed + v.elapsed, u.cpu + v.cpu, u.bytes + v.bytes, u.mallocs + v.mallocs, max(u.peakHeap, v.peakHeap)}
}

// measure runs work on a heap that was swept before.
func measure(work func()) (u usage) {
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	done, peak := make(chan struct{}), make(chan uint64)
	go func() { peak <- watchHeap(done) }()
	began, cpu := time.Now(), cpuTime()
	work()
	u.elapsed, u.cpu = time.Since(began), cpuTime()-cpu
	close(done)
	u.peakHeap = <-peak
	runtime.ReadMemStats(&after)
	u.bytes, u.mallocs = after.TotalAlloc-before.TotalAlloc, after.Mallocs-before.Mallocs
	return u
}

// watchHeap samples the heap without stopping the world, as MemStats would.
func watchHeap(done <-chan struct{}) (peak uint64) {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		metrics.Read(sample)
		peak = max(peak, sample[0].Value.Uint64())
		select {
		case <-tick.C:
		case <-done:
			return peak
		}
	}
}

// verdict compares a ratio with its goal. Missing it fails nothing: a busy
// machine is no regression.
func verdict(what string, ratio, goal float64) string {
	word := "reached"
	if ratio < goal {
		word = "MISSED"
	}
	return fmt.Sprintf("%s: %.2f (goal %.2f %s)", what, ratio, goal, word)
}
