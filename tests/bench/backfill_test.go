package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
)

const (
	defaultCalls = 50_000
	backfillPage = 100
)

// BenchmarkBackfill streams all finished calls of an organization, with a paging
// loop of stock components, which promises nothing, and with happyrobot_calls.
func BenchmarkBackfill(b *testing.B) {
	n := callCount(b)
	srv := listen(b, 0)
	defer srv.Close()
	placeBackfill(b, srv, n)
	stock := &backfillSide{name: "generate and http", configure: func(s *service.StreamBuilder) error { return stockPagingLoop(s, srv.URL, n) }}
	memory := &backfillSide{name: "happyrobot_calls, memory", configure: func(s *service.StreamBuilder) error { return callsInput(s, srv.URL, "memory: {}") }}
	file := &backfillSide{name: "happyrobot_calls, bbolt", configure: func(s *service.StreamBuilder) error {
		return callsInput(s, srv.URL, fmt.Sprintf("bbolt: {path: %q}", b.TempDir()+"/cursor.db"))
	}}
	rounds := 0
	for b.Loop() {
		for _, side := range []*backfillSide{stock, memory, file} {
			side.run(b, srv, n)
		}
		rounds++
	}
	total := n * rounds
	each := float64(memory.requests) / float64(total)
	b.ReportMetric(stock.used.rate(total), "generate_http-calls/s")
	b.ReportMetric(memory.used.rate(total), "memory-calls/s")
	b.ReportMetric(file.used.rate(total), "bbolt-calls/s")
	b.ReportMetric(each, "requests/call")
	var text strings.Builder
	fmt.Fprintf(&text, "\n%d finished calls, %d a page\n", n, backfillPage)
	for _, side := range []*backfillSide{stock, memory, file} {
		fmt.Fprintf(&text, "%8.0f calls/s  %6.1f CPU us/call  %.4f requests/call  %s\n", side.used.rate(total),
			float64(side.used.cpu.Microseconds())/float64(total), float64(side.requests)/float64(total), side.name)
	}
	word := "reached"
	if each > requestsGoal {
		word = "MISSED"
	}
	fmt.Fprintf(&text, "requests per emitted call: %.4f (goal at most %.4f %s)\n", each, requestsGoal, word)
	text.WriteString(verdict("happyrobot_calls / generate and http", memory.used.rate(total)/stock.used.rate(total), 0.5))
	b.Log(text.String())
}

func callCount(b *testing.B) int {
	text := os.Getenv("BENCH_CALLS")
	if text == "" {
		return defaultCalls
	}
	n, err := strconv.Atoi(text)
	require.NoError(b, err, "BENCH_CALLS")
	require.Positive(b, n, "BENCH_CALLS")
	return n
}

// placeBackfill makes calls that are over.
func placeBackfill(b *testing.B, srv *callsim.Server, n int) {
	b.Helper()
	for left := n; left > 0; left -= min(left, 1000) {
		calls := make([]map[string]string, min(left, 1000))
		for i := range calls {
			calls[i] = map[string]string{"number_id": "64f0c0de00000000000000c1", "phone_number": fmt.Sprintf("+1415%07d", 2000000+i)}
		}
		body, err := json.Marshal(calls)
		require.NoError(b, err)
		req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, srv.URL+"/dial/outbound-batched", bytes.NewReader(body))
		require.NoError(b, err)
		req.Header.Set("Authorization", "Bearer bench-key")
		res, err := http.DefaultClient.Do(req)
		require.NoError(b, err)
		require.NoError(b, res.Body.Close())
		require.Equal(b, http.StatusOK, res.StatusCode)
	}
	srv.Sim.Advance(time.Hour)
}

type backfillSide struct {
	name      string
	configure func(*service.StreamBuilder) error
	used      usage
	requests  int
}

// run measures one side and holds it to the truth: every call leaves once.
func (s *backfillSide) run(b *testing.B, srv *callsim.Server, n int) {
	b.Helper()
	builder := service.NewStreamBuilder()
	require.NoError(b, builder.SetLoggerYAML("level: ERROR"))
	require.NoError(b, builder.SetMetricsYAML("none: {}"))
	require.NoError(b, s.configure(builder))
	var mu sync.Mutex
	seen, all := make(map[string]int, n), make(chan struct{})
	require.NoError(b, builder.AddConsumerFunc(func(_ context.Context, msg *service.Message) error {
		body, err := msg.AsBytes()
		if err != nil {
			return err
		}
		var call struct {
			ID string `json:"id"`
		}
		if err := json.Unmarshal(body, &call); err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		if seen[call.ID]++; len(seen) == n && seen[call.ID] == 1 {
			close(all)
		}
		return nil
	}))
	built, err := builder.Build()
	require.NoError(b, err)
	before := readRequests(srv)
	ended := make(chan error, 1)
	s.used = s.used.plus(measure(func() {
		go func() { ended <- built.Run(context.Background()) }()
		<-all
	}))
	s.requests += readRequests(srv) - before
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	_ = built.Stop(ctx) // the stock loop has ended by itself
	<-ended
	for id, times := range seen {
		require.Equal(b, 1, times, "%s: messages of call %s", s.name, id)
	}
}

func readRequests(srv *callsim.Server) (n int) {
	for _, op := range []string{"listCalls", "getCall", "getTranscript"} {
		n += srv.Sim.RequestsOf(op)
	}
	return n
}

// stockPagingLoop is what one writes by hand: no cursor, no watch, no restart.
func stockPagingLoop(s *service.StreamBuilder, url string, n int) error {
	s.SetThreads(1)
	err := s.AddInputYAML(fmt.Sprintf(`
generate:
  count: %d
  interval: ""
  mapping: root.skip = (counter() - 1) * %d
`, (n+backfillPage-1)/backfillPage, backfillPage))
	if err != nil {
		return err
	}
	for _, processor := range []string{
		fmt.Sprintf(`
http:
  url: %s/calls?sort=asc&limit=%d&skip=${! json("skip") }
  verb: GET
  headers: {Authorization: Bearer bench-key}
`, url, backfillPage),
		`mapping: root = this.calls`,
		`unarchive: {format: json_array}`,
	} {
		if err := s.AddProcessorYAML(processor); err != nil {
			return err
		}
	}
	return nil
}

func callsInput(s *service.StreamBuilder, url, cache string) error {
	s.SetThreads(1)
	if err := s.AddCacheYAML("label: cursor\n" + cache); err != nil {
		return err
	}
	return s.AddInputYAML(fmt.Sprintf(`
happyrobot_calls:
  api_key: bench-key
  base_url: %s
  cache: cursor
  page_size: %d
`, url, backfillPage))
}
