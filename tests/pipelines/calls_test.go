package pipelines

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/tests/program"
)

const finishedCalls = `
input:
  happyrobot_calls:
    api_key: test-key
    base_url: %s
    cache: cursor
    poll_interval: 50ms
pipeline:
  threads: 1
  processors:
    - sleep: { duration: 1ms }
output:
  file: { path: %s, codec: lines }
cache_resources:
  - label: cursor
    bbolt: { path: %s }
`

// delivered counts the lines of each call, and the lines that a kill has cut: the next
// process writes behind what is left of one.
func delivered(t *testing.T, file string) (counts map[string]int, cut int) {
	t.Helper()
	f, err := os.Open(file)
	if os.IsNotExist(err) {
		return nil, 0
	}
	require.NoError(t, err)
	defer f.Close()
	counts = map[string]int{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Bytes()
		for {
			var call struct {
				ID string `json:"id"`
			}
			if json.Unmarshal(line, &call) == nil && call.ID != "" {
				counts[call.ID]++
				break
			}
			cut++
			next := bytes.Index(line[min(1, len(line)):], []byte(`{"`))
			if next < 0 {
				break
			}
			line = line[next+1:]
		}
	}
	return counts, cut
}

func TestKilledPipelinesDeliverEveryFinishedCall(t *testing.T) {
	program.Long(t, "it kills and restarts a pipeline again and again")
	const calls, kills = 1500, 4
	sim := program.StartCallsim(t, "--speed", "60")
	for range calls / 100 {
		body := "[" + strings.TrimSuffix(strings.Repeat(`{"number_id":"64f0c0de00000000000000c1","phone_number":"+12025550101"},`, 100), ",") + "]"
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, sim.BaseURL()+"/dial/outbound-batched", strings.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer test-key")
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, http.StatusOK, res.StatusCode)
	}
	dir := t.TempDir()
	config, out := filepath.Join(dir, "calls.yaml"), filepath.Join(dir, "calls.jsonl")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, finishedCalls, sim.BaseURL(), out, filepath.Join(dir, "cursor.db")), 0o600))
	for life := range kills + 1 {
		pipeline := program.StartPipeline(t, program.Settings(t), config)
		enough := calls * (life + 1) / (kills + 1)
		if !assert.Eventually(t, func() bool { counts, _ := delivered(t, out); return len(counts) >= enough }, time.Minute, 5*time.Millisecond) {
			counts, cut := delivered(t, out)
			t.Fatalf("life %d: %d of %d calls, and %d lines that were cut", life, len(counts), enough, cut)
		}
		pipeline.Kill()
	}
	counts, _ := delivered(t, out)
	repeated := 0
	assert.Len(t, counts, calls)
	for _, n := range counts {
		repeated += n - 1
	}
	t.Logf("%d calls, killed %d times: %d repeated", calls, kills, repeated)
	assert.LessOrEqual(t, repeated, kills*1000, "no more than can be unacknowledged")
}
