package pipelines

import (
	"bufio"
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

// delivered counts the lines of each call.
func delivered(t *testing.T, file string) map[string]int {
	t.Helper()
	f, err := os.Open(file)
	if os.IsNotExist(err) {
		return nil
	}
	require.NoError(t, err)
	defer f.Close()
	counts := map[string]int{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var call struct {
			ID string `json:"id"`
		}
		if json.Unmarshal(lines.Bytes(), &call) == nil && call.ID != "" { // the last line may be cut
			counts[call.ID]++
		}
	}
	return counts
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
		require.Eventually(t, func() bool { return len(delivered(t, out)) >= enough }, time.Minute, 5*time.Millisecond)
		pipeline.Kill()
	}
	counts, repeated := delivered(t, out), 0
	assert.Len(t, counts, calls)
	for _, n := range counts {
		repeated += n - 1
	}
	t.Logf("%d calls, killed %d times: %d repeated", calls, kills, repeated)
	assert.LessOrEqual(t, repeated, kills*1000, "no more than can be unacknowledged")
}
