package doors

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/tests/program"
)

// startStopping starts a stream that has a minute to stop.
func startStopping(t *testing.T, streams bool, resources, stream string) *program.Process {
	t.Helper()
	args := []string{"-s", "http.enabled=false", "-s", "shutdown_timeout=60s", "-r", resources, stream}
	if streams {
		return program.Start(t, os.Environ(), append([]string{"streams", "--no-api"}, args...)...)
	}
	return program.Start(t, os.Environ(), append([]string{"run"}, args...)...)
}

// Around an output that is not the stream's own, messages that are given back may be filed
// or dropped: there it waits as long as Benthos lets it.
func TestAStopWhileWaitingLosesNothing(t *testing.T) {
	program.Long(t, "it starts a process for each construct")
	for name, construct := range map[string]struct{ output, resources string }{
		"fallback":                  {output: "fallback: [ { %s }, { file: { path: %q } } ]"},
		"drop_on":                   {output: "drop_on: { error: true, output: { %s } }"},
		"fallback to a resource":    {output: "fallback: [ { resource: dial }, { file: { path: %q } } ]", resources: "output_resources: [ { label: dial, %s } ]"},
		"a resource within drop_on": {output: "drop_on: { error: true, output: { resource: dial } }", resources: "output_resources: [ { label: dial, %s } ]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim := program.StartCallsim(t)
			target, err := url.Parse(sim.Host)
			require.NoError(t, err)
			var works atomic.Bool
			proxy := httputil.NewSingleHostReverseProxy(target)
			api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if !works.Load() {
					http.Error(w, "{}", http.StatusUnauthorized)
					return
				}
				proxy.ServeHTTP(w, r)
			}))
			t.Cleanup(api.Close)
			filed := filepath.Join(t.TempDir(), "filed")
			dial := fmt.Sprintf(`happyrobot_dial: { api_key: k, base_url: %q, retry: { max_interval: 200ms }, ledger: ledger, dedupe_key: '${! json("id") }', number_id: 64f0c0de00000000000000c1, default_region: US, call_mapping: 'root = {"phone_number": this.phone, "metadata": {"lead_id": this.id.string()}}', failures: { file: { path: %q } } }`, api.URL+"/api/v1", filed)
			fill := func(text string) string {
				return strings.NewReplacer("%s", dial, "%q", strconv.Quote(filed)).Replace(text)
			}
			stream := write(t, "stream.yaml", `
input:
  generate: {count: 3, batch_size: 3, interval: "", mapping: 'root = {"id": counter(), "phone": "+1202555010%v".format(counter())}'}
output: { `+fill(construct.output)+` }
`)
			resources := write(t, "resources.yaml", "cache_resources: [ { label: ledger, memory: {} } ]\n"+fill(construct.resources)+"\n")
			process := startStopping(t, false, resources, stream)
			require.Eventually(t, func() bool { return strings.Contains(process.Log(), "Dialing paused (setup)") }, patience, 10*time.Millisecond)
			process.Terminate()
			select {
			case <-process.Ended():
				t.Error("it stopped although leads were not called: " + process.Log())
			case <-time.After(3 * time.Second): // of 45
			}
			works.Store(true)
			process.Stop(t)
			assert.Len(t, sim.CallsByLead(t), 3)
			assert.NoFileExists(t, filed)
		})
	}
}
