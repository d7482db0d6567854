package plugin_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
)

func TestAStreamWithReceiptsStopsBeforeTheFirst(t *testing.T) {
	t.Parallel()
	srv := startSim(t, callsim.Options{})
	b := service.NewStreamBuilder()
	send, err := b.AddBatchProducerFunc()
	require.NoError(t, err)
	require.NoError(t, b.AddOutputYAML(fmt.Sprintf(`
fallback:
  - happyrobot_dial:
      %s
      batching: {count: 1}
      receipts: {drop: {}}
  - drop: {}
`, indent(6, dialYAML(srv.URL)))))
	built, err := b.Build()
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- built.Run(context.WithoutCancel(t.Context())) }()

	require.NoError(t, send(t.Context(), service.MessageBatch{service.NewMessage([]byte(lead("bad", "no number")))}))

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.NoError(t, built.Stop(ctx))
	require.NoError(t, <-ended)
}

// A first base_url is wrong: the same answer to all. With the right one every lead is called.
func TestLeadsOfAWrongBaseURLAreCalledOnceItIsRight(t *testing.T) {
	t.Parallel()
	for name, astray := range map[string]func(http.ResponseWriter){
		"JSON": func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`{"error":"no such path"}`))
		},
		"HTML": func(w http.ResponseWriter) { http.Error(w, "<html>Not Found</html>", http.StatusNotFound) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int32
			nothing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				asked.Add(1)
				astray(w)
			}))
			t.Cleanup(nothing.Close)
			srv, path := startSim(t, callsim.Options{}), filepath.Join(t.TempDir(), "ledger.db")
			leads, want := []string{}, map[string]int{}
			for n := range 20 {
				id := fmt.Sprintf("lead%d", n)
				leads, want[id] = append(leads, lead(id, fmt.Sprintf("+120255501%02d", n))), 1
			}
			deliver := func(t *testing.T, url string) (*stream, chan error) {
				p := dialParts(url, "ledger: kept")
				p.resources = fmt.Sprintf("cache_resources:\n  - label: kept\n    bbolt: {path: %q}\n", path)
				s, done := run(t, p), make(chan error, 1)
				go func() { done <- s.deliver(leads...) }()
				return s, done
			}
			t.Run("wrong", func(t *testing.T) { // which ends with a stop
				s, _ := deliver(t, nothing.URL)
				awaitLog(t, s, "Dialing paused (setup)")
				require.Eventually(t, func() bool { return asked.Load() > 5 }, time.Minute, time.Millisecond)
			})
			s, done := deliver(t, srv.URL)
			require.NoError(t, <-done)
			assert.Equal(t, want, srv.Sim.CallsBy("metadata.lead_id"))
			assert.Empty(t, s.out.all(), "none is held")
		})
	}
}
