package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
)

const (
	enrichMessages = 1000
	enrichBatch    = 100
	enrichLatency  = 20 * time.Millisecond
)

// BenchmarkEnrich attaches calls and their transcripts to messages, with the stock
// processors one request after the other, and with happyrobot_call.
func BenchmarkEnrich(b *testing.B) {
	srv := listen(b, enrichLatency)
	defer srv.Close()
	messages := makeEvents(talkedCalls(b, srv))
	var stock, ours usage
	rounds := 0
	for b.Loop() {
		stock = stock.plus(enrich(b, stockEnrichYAML(srv.URL), messages))
		ours = ours.plus(enrich(b, []string{fmt.Sprintf(`
happyrobot_call:
  api_key: bench-key
  base_url: %s
  call_id: ${! json("call_id") }
`, srv.URL)}, messages))
		rounds++
	}
	require.Equal(b, 2*enrichMessages*rounds, srv.Sim.RequestsOf("getCall"))
	require.Equal(b, 2*enrichMessages*rounds, srv.Sim.RequestsOf("getTranscript"))

	total := enrichMessages * rounds
	ratio := ours.rate(total) / stock.rate(total)
	b.ReportMetric(stock.rate(total), "branch_http-messages/s")
	b.ReportMetric(ours.rate(total), "happyrobot_call-messages/s")
	b.ReportMetric(ratio, "happyrobot_call/branch_http")
	b.Logf("\n%d messages in batches of %d, %v a request, one pipeline thread\n%8.0f messages/s  branch and http\n%8.0f messages/s  happyrobot_call\n%s",
		enrichMessages, enrichBatch, enrichLatency, stock.rate(total), ours.rate(total), verdict("happyrobot_call / branch and http", ratio, 10))
}

// stockEnrichYAML does the same with stock processors: two branches.
func stockEnrichYAML(url string) []string {
	branch := func(path, result string) string {
		return fmt.Sprintf(`
branch:
  request_map: |
    root = ""
    meta call_id = this.call_id
  processors:
    - http:
        url: %s/calls/${! meta("call_id") }%s
        verb: GET
        headers: {Authorization: Bearer bench-key}
  result_map: %s = this
`, url, path, result)
	}
	return []string{branch("", "root.call"), branch("/transcript", "root.call.transcript")}
}

// talkedCalls places calls until enough of them have a transcript.
func talkedCalls(b *testing.B, srv *callsim.Server) (ids []string) {
	b.Helper()
	for len(ids) < enrichMessages {
		placeCalls(b, srv)
		srv.Sim.Advance(time.Hour)
		ids = nil
		for _, c := range srv.Sim.Calls() {
			if c.Status == "Completed" || c.Status == "Transferred" {
				ids = append(ids, c.ID)
			}
		}
	}
	return ids[:enrichMessages]
}

func placeCalls(b *testing.B, srv *callsim.Server) {
	b.Helper()
	calls := make([]map[string]string, enrichMessages)
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
	defer res.Body.Close()
	require.Equal(b, http.StatusOK, res.StatusCode)
}

func makeEvents(ids []string) [][][]byte {
	events := make([][]byte, len(ids))
	for i, id := range ids {
		events[i] = fmt.Appendf(nil, `{"call_id":%q}`, id)
	}
	return slices.Collect(slices.Chunk(events, enrichBatch))
}

// enrich measures one side and holds it to the truth: every message leaves once,
// with its own call and what was said in it.
func enrich(b *testing.B, processors []string, messages [][][]byte) usage {
	b.Helper()
	var mu sync.Mutex
	seen := map[string]int{}
	var wrong string
	pipeline := start(b, func(s *service.StreamBuilder) error {
		s.SetThreads(1)
		for _, p := range processors {
			if err := s.AddProcessorYAML(p); err != nil {
				return err
			}
		}
		return s.AddConsumerFunc(func(_ context.Context, msg *service.Message) error {
			id, problem := checkEnriched(msg)
			mu.Lock()
			defer mu.Unlock()
			seen[id]++
			if problem != "" {
				wrong = problem
			}
			return nil
		})
	})
	used := measure(func() { pipeline.feed(b, 1, messages) })
	pipeline.stop()
	require.Empty(b, wrong)
	require.Len(b, seen, enrichMessages)
	for id, n := range seen {
		require.Equal(b, 1, n, "messages of call %s", id)
	}
	return used
}

func checkEnriched(msg *service.Message) (id, problem string) {
	if err := msg.GetError(); err != nil {
		return "", err.Error()
	}
	body, err := msg.AsBytes()
	if err != nil {
		return "", err.Error()
	}
	var m struct {
		CallID string `json:"call_id"`
		Call   struct {
			ID         string `json:"id"`
			Transcript struct {
				CallID   string            `json:"call_id"`
				Messages []json.RawMessage `json:"messages"`
			} `json:"transcript"`
		} `json:"call"`
	}
	if err := json.Unmarshal(body, &m); err != nil {
		return "", err.Error()
	}
	if m.Call.ID != m.CallID || m.Call.Transcript.CallID != m.CallID || len(m.Call.Transcript.Messages) == 0 {
		return m.CallID, "a message left without its call and transcript"
	}
	return m.CallID, ""
}
