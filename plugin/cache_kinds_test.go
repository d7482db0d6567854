package plugin_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
)

// What Benthos' own caches are to whoever does not see their config. lru, ttlru and a
// multilevel of memories do all that a trial asks for: the program refuses them by their
// config.
var kinds = map[string]struct{ cache, unfit string }{
	"memory":     {"memory: {}", ""},
	"lru":        {"lru: {}", ""},
	"ttlru":      {"ttlru: {}", ""},
	"multilevel": {"multilevel: [one, two]", ""},
	"file":       {"file: {directory: %q}", ""},
	"noop":       {"noop: {}", "it adds a key that it has already"},
}

func kindYAML(t *testing.T, label, cache string) func(*service.StreamBuilder) {
	if strings.Contains(cache, "%q") {
		cache = fmt.Sprintf(cache, t.TempDir())
	}
	return func(b *service.StreamBuilder) {
		require.NoError(t, b.AddCacheYAML("label: one\nmemory: {}"))
		require.NoError(t, b.AddCacheYAML("label: two\nmemory: {}"))
		require.NoError(t, b.AddCacheYAML("label: "+label+"\n"+cache))
	}
}

func TestEachCacheOfBenthosIsALedgerOrIsRefused(t *testing.T) {
	t.Parallel()
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := startSim(t, callsim.Options{})
			_, ended := newStatedCache(nil).begin(t, func(b *service.StreamBuilder) {
				kindYAML(t, "ledger", kind.cache)(b)
				require.NoError(t, b.AddInputYAML(`generate: {count: 8, interval: "", batch_size: 4, mapping: 'root = {"id": counter() % 4, "phone":"+12025550101"}'}`))
				require.NoError(t, b.AddOutputYAML("happyrobot_dial:\n  "+indent(2, dialYAML(srv.URL, "ledger: ledger", "failures: {drop: {}}"))))
			})
			if err := <-ended; kind.unfit != "" {
				require.ErrorContains(t, err, `ledger: cache "ledger" cannot hold a ledger, because `+kind.unfit+
					": leads could be called twice. Use a cache that can: `bbolt`, `postgres`, or `redis`")
				assert.Empty(t, srv.Sim.Calls())
				return
			} else {
				require.NoError(t, err)
			}
			assert.Equal(t, 4, srv.Sim.CallsTo("+12025550101"), "each once")
		})
	}
}

func TestEachCacheOfBenthosKeepsACursorOrIsRefused(t *testing.T) {
	t.Parallel()
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv, arrived := startSim(t, callsim.Options{Speed: 600}), make(chan string, 10)
			log, ended := newStatedCache(nil).begin(t, func(b *service.StreamBuilder) {
				kindYAML(t, "cursor", kind.cache)(b)
				require.NoError(t, b.AddInputYAML(callsYAML(srv.URL, "start_from: 1h")))
				require.NoError(t, b.AddConsumerFunc(func(_ context.Context, msg *service.Message) error {
					id, _ := msg.MetaGet("happyrobot_call_id")
					arrived <- id
					return nil
				}))
			})
			if kind.unfit != "" {
				assert.ErrorContains(t, <-ended, `cache: cache "cursor" cannot hold a cursor, because it does not give back what was written, as consistent reads do: after a restart `)
				return
			}
			ids, err := srv.Sim.Arrive(callsim.Arrival{})
			require.NoError(t, err)
			select {
			case id := <-arrived:
				assert.Equal(t, ids[0], id)
			case <-soon(t).Done():
				t.Fatal("nothing arrived", log)
			}
			assert.NotContains(t, log.String(), "Saving the cursor failed")
		})
	}
}

func TestEachCacheOfBenthosKnowsEventsOrIsRefused(t *testing.T) {
	t.Parallel()
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var events atomic.Int32
			log, ended := newStatedCache(nil).begin(t, func(b *service.StreamBuilder) {
				kindYAML(t, "events", kind.cache)(b)
				require.NoError(t, b.AddInputYAML("happyrobot_webhook: {address: 127.0.0.1:0, secret: s, cache: events}"))
				require.NoError(t, b.AddConsumerFunc(func(context.Context, *service.Message) error {
					events.Add(1)
					return nil
				}))
			})
			if kind.unfit != "" {
				assert.ErrorContains(t, <-ended, `cache: cache "events" cannot remember events, because it does not give back what was written, as consistent reads do: an event `)
				return
			}
			url := listensAt(t, log)
			for range 2 {
				postEvent(t, url, "64f0c0de00000000000000c1")
			}
			assert.EqualValues(t, 1, events.Load(), "it is sent twice, and delivered once")
			assert.NotContains(t, log.String(), "Event-id cache unavailable")
		})
	}
}

var isRecord = regexp.MustCompile(`^[0-9a-f]{32}$`)

// A cache of files takes no key with a slash, such as that of a second attempt.
func TestAFolderOfFilesHoldsALedgerWithSeveralAttempts(t *testing.T) {
	t.Parallel()
	folder, srv := t.TempDir(), startSim(t, callsim.Options{})
	dial := func() {
		t.Helper()
		log, ended := newStatedCache(nil).begin(t, leadsInto(t, srv.URL, fmt.Sprintf("label: ledger\nfile: {directory: %q}", folder), 1))
		select {
		case err := <-ended:
			require.NoError(t, err)
		case <-soon(t).Done():
			t.Fatal("the lead waits:\n", log)
		}
	}
	dial()
	require.Equal(t, 1, srv.Sim.CallsTo("+12025550101"))
	records := func() (names []string) {
		files, err := os.ReadDir(folder)
		require.NoError(t, err)
		for _, f := range files {
			if isRecord.MatchString(strings.TrimSuffix(f.Name(), ".2")) {
				names = append(names, f.Name())
			}
		}
		return names
	}
	first := records()
	require.Len(t, first, 1)

	// Its request was not answered long ago, and the call was never found.
	require.NoError(t, os.WriteFile(filepath.Join(folder, first[0]), fmt.Appendf(nil,
		`{"v":1,"state":"held","owner":"GONE-1","at":%q}`, time.Now().Add(-48*time.Hour).Format(time.RFC3339)), 0o600))
	srv = startSim(t, callsim.Options{})
	redial := func() {
		t.Helper()
		dialed := dialYAML(srv.URL, "ledger: ledger", "failures: {drop: {}}", "on_unknown: redial_absent")
		log, ended := newStatedCache(nil).begin(t, func(b *service.StreamBuilder) {
			require.NoError(t, b.AddCacheYAML(fmt.Sprintf("label: ledger\nfile: {directory: %q}", folder)))
			require.NoError(t, b.AddInputYAML(`generate: {count: 1, interval: "", mapping: 'root = {"id": 1, "phone":"+12025550101"}'}`))
			require.NoError(t, b.AddOutputYAML("happyrobot_dial:\n  "+indent(2, dialed)))
		})
		select {
		case err := <-ended:
			require.NoError(t, err)
		case <-soon(t).Done():
			t.Fatal("the lead waits:\n", log)
		}
	}
	redial()
	assert.Equal(t, 1, srv.Sim.CallsTo("+12025550101"))
	assert.Equal(t, []string{first[0], first[0] + ".2"}, records())
	redial()
	assert.Equal(t, 1, srv.Sim.CallsTo("+12025550101"), "the second attempt is known")
}
