// Package longrun calls a million leads as fast as the machine can, and watches
// what grows. It runs only when asked to: `make longrun`, or with the number of
// leads in LONGRUN_LEADS.
package longrun

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"

	_ "github.com/redpanda-data/benthos/v4/public/components/io"
	_ "github.com/redpanda-data/benthos/v4/public/components/pure"

	_ "github.com/benthos-happyrobot/benthos-happyrobot/plugin"
)

const (
	batchSize   = 20
	maxInFlight = 64
	// window is the shortest that the settings below allow: records expire while
	// the run goes on.
	window    = 65 * time.Second
	samples   = 20
	startWait = 10 * time.Second
)

func TestAMillionLeads(t *testing.T) {
	n, err := strconv.Atoi(os.Getenv("LONGRUN_LEADS"))
	if err != nil || n < samples*batchSize {
		t.Skipf("runs for minutes, when LONGRUN_LEADS says how many leads to call (at least %d)", samples*batchSize)
	}
	host := startCallsim(t)
	path := filepath.Join(t.TempDir(), "ledger.db")
	send, stop := startPipeline(t, host, path)

	began := time.Now()
	var taken []sample
	feed(t, send, 0, n, func(acked int) {
		s := look(t, acked, time.Since(began), path)
		taken = append(taken, s)
		t.Log(s)
	})
	took := time.Since(began)
	t.Logf("%d leads in %v: %.0f leads/s, %.1f MB/s written to the ledger's disk", n, took.Round(time.Millisecond),
		float64(n)/took.Seconds(), float64(written()-taken[0].written)/(took-taken[0].at).Seconds()/1e6)

	// After the first tenth, nothing may grow with the number of leads.
	tenth, most := taken[samples/10-1], sample{}
	for _, s := range taken[samples/10:] {
		most.heap = max(most.heap, s.heap)
	}
	assert.Less(t, most.heap, 2*tenth.heap+(32<<20), "live heap, after %d leads it was %d", tenth.leads, tenth.heap)

	// Every record expires, and a sweep removes it: then there is room for as many
	// leads as a window holds, without the file growing.
	perWindow := min(n, int(float64(n)*window.Seconds()/took.Seconds()))
	before := look(t, n, time.Since(began), path)
	require.Eventually(t, func() bool { return time.Since(began) > took+window+startWait }, 2*window, time.Second)
	feed(t, send, n, perWindow, func(int) {})
	after := look(t, n+perWindow, time.Since(began), path)
	t.Log(after)
	assert.LessOrEqual(t, float64(after.file), 1.2*float64(before.file), "the file grows for ever")

	require.NoError(t, stop())
	kept := records(t, path)
	t.Logf("%d records are left in the ledger, of %d leads", kept, n+perWindow)
	assert.LessOrEqual(t, kept, perWindow, "expired records are removed")
	assertOneCallEach(t, host, n+perWindow)
}

// sample is what may grow, at one moment.
type sample struct {
	leads   int
	at      time.Duration
	heap    uint64 // live
	rss     uint64
	file    int64
	written uint64 // by this process, since its start
}

func (s sample) String() string {
	return fmt.Sprintf("%8d leads  %6.1fs  heap %6.1f MB  rss %7.1f MB  ledger %7.1f MB  written %8.1f MB",
		s.leads, s.at.Seconds(), float64(s.heap)/1e6, float64(s.rss)/1e6, float64(s.file)/1e6, float64(s.written)/1e6)
}

func look(t *testing.T, leads int, at time.Duration, path string) sample {
	t.Helper()
	runtime.GC()
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	info, err := os.Stat(path)
	require.NoError(t, err)
	return sample{leads: leads, at: at, heap: live[0].Value.Uint64(), rss: procValue("/proc/self/status", "VmRSS:") * 1024, file: info.Size(), written: written()}
}

// written is 0 where the system does not tell.
func written() uint64 { return procValue("/proc/self/io", "write_bytes:") }

func procValue(file, name string) uint64 {
	b, _ := os.ReadFile(file)
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			v, _ := strconv.ParseUint(strings.Fields(rest)[0], 10, 64)
			return v
		}
	}
	return 0
}

// startCallsim runs the simulator as a process of its own: it remembers every
// call, and its memory must not be taken for the pipeline's.
func startCallsim(t *testing.T) (host string) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "callsim")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "../../cmd/callsim").CombinedOutput()
	require.NoError(t, err, string(out))
	cmd := exec.Command(program, "--address", "127.0.0.1:0", "--max-batch", "-1")
	pipe, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		assert.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
		assert.NoError(t, cmd.Wait())
	})
	line, err := bufio.NewReader(pipe).ReadString('\n')
	require.NoError(t, err)
	_, after, ok := strings.Cut(line, "http://")
	require.True(t, ok, line)
	host, _, _ = strings.Cut(after, "/")
	return "http://" + host
}

func startPipeline(t *testing.T, host, path string) (service.MessageBatchHandlerFunc, func() error) {
	t.Helper()
	b := service.NewStreamBuilder()
	b.SetLogger(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	require.NoError(t, b.SetMetricsYAML("none: {}"))
	require.NoError(t, b.AddCacheYAML(fmt.Sprintf("label: ledger\nbbolt: {path: %q}", path)))
	require.NoError(t, b.AddOutputYAML(fmt.Sprintf(`
happyrobot_dial:
  api_key: test-key
  base_url: %s/api/v1
  timeout: 3s
  settle: 1s
  dedupe_window: %s
  ledger: ledger
  dedupe_key: ${! json("id") }
  call_mapping: |
    root.number_id = "64f0c0de00000000000000c1"
    root.phone_number = this.phone
    root.metadata.lead_id = this.id
  max_in_flight: %d
  batching: {count: %d, period: 100ms}
`, host, window, maxInFlight, batchSize)))
	send, err := b.AddBatchProducerFunc()
	require.NoError(t, err)
	built, err := b.Build()
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- built.Run(context.Background()) }()
	return send, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := built.Stop(ctx); err != nil {
			return err // and it may never end
		}
		return <-ended
	}
}

// phoneOf gives each lead a number of its own. An area code has fewer than a million
// between its service codes, exchanges 211 and 311.
func phoneOf(lead int64) string {
	const perArea = 900_000
	return fmt.Sprintf("+1%d%07d", []int{415, 212, 213, 312, 202}[lead/perArea], 2_120_000+lead%perArea)
}

// feed delivers n leads from the first number on. It calls watch after each of
// the equal parts that samples are taken of, while nothing is in flight.
func feed(t *testing.T, send service.MessageBatchHandlerFunc, first, n int, watch func(acked int)) {
	t.Helper()
	for part := range samples {
		var next atomic.Int64
		next.Store(int64(first + part*n/samples))
		end := int64(first + (part+1)*n/samples)
		var wg sync.WaitGroup
		for range 2 * maxInFlight {
			wg.Go(func() {
				for at := next.Add(batchSize) - batchSize; at < end; at = next.Add(batchSize) - batchSize {
					batch := make(service.MessageBatch, 0, batchSize)
					for i := at; i < min(at+batchSize, end); i++ {
						batch = append(batch, service.NewMessage(fmt.Appendf(nil, `{"id":"lead-%d","phone":%q}`, i, phoneOf(i))))
					}
					if !assert.NoError(t, send(context.Background(), batch)) {
						return
					}
				}
			})
		}
		wg.Wait()
		require.False(t, t.Failed())
		watch(int(end) - first)
	}
}

// records counts what a closed ledger's file holds.
func records(t *testing.T, path string) (n int) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: time.Second})
	require.NoError(t, err)
	defer db.Close()
	require.NoError(t, db.View(func(tx *bbolt.Tx) error {
		n = tx.Bucket([]byte("cache")).Bucket([]byte("records")).Stats().KeyN
		return nil
	}))
	return n
}

func assertOneCallEach(t *testing.T, host string, leads int) {
	t.Helper()
	res, err := http.Get(host + "/_sim/calls?by=metadata.lead_id")
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	var truth struct {
		Total int            `json:"total"`
		By    map[string]int `json:"by"`
	}
	require.NoError(t, json.Unmarshal(body, &truth))
	assert.Equal(t, leads, truth.Total, "calls")
	assert.Len(t, truth.By, leads, "leads that were called")
}
