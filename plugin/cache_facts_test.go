package plugin_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
)

// statedCache is a cache that states what it is, as the connectors' do. What is behind its
// label can be swapped, as Benthos does it: the old cache is closed before.
type statedCache struct {
	*awayCache

	lock    sync.Mutex
	facts   *store.Statement // nil: a foreign cache
	batches int
}

func (c *statedCache) swap(facts *store.Facts) {
	c.lock.Lock()
	defer c.lock.Unlock()
	if c.facts != nil {
		c.facts.Withdraw()
	}
	c.facts = nil
	if facts != nil {
		c.facts = store.State(*facts)
	}
}

func (c *statedCache) Get(ctx context.Context, key string) ([]byte, error) {
	c.lock.Lock()
	facts := c.facts
	c.lock.Unlock()
	if key == store.FactsKey && facts != nil && !c.away.Load() {
		return facts.Answer(), nil
	}
	return c.awayCache.Get(ctx, key)
}

func (c *statedCache) Add(ctx context.Context, key string, value []byte, ttl *time.Duration) error {
	if key == store.FactsKey {
		return service.ErrKeyAlreadyExists
	}
	return c.awayCache.Add(ctx, key, value, ttl)
}

func (c *statedCache) AddAll(ctx context.Context, items []store.Item) []error {
	c.lock.Lock()
	c.batches++
	c.lock.Unlock()
	errs := make([]error, len(items))
	for i, item := range items {
		if errs[i] = c.Add(ctx, item.Key, item.Value, item.TTL); errs[i] != nil {
			errs[i] = store.ErrExists
		}
	}
	return errs
}

func (c *statedCache) SetAll(ctx context.Context, items []store.Item) error {
	c.lock.Lock()
	c.batches++
	c.lock.Unlock()
	for _, item := range items {
		_ = c.Set(ctx, item.Key, item.Value, item.TTL)
	}
	return nil
}

func (c *statedCache) batched() int {
	c.lock.Lock()
	defer c.lock.Unlock()
	return c.batches
}

// begin starts a stream whose config may use the cache, as `stated: {}`.
func (c *statedCache) begin(t *testing.T, build func(*service.StreamBuilder)) (log *logs, ended <-chan error) {
	t.Helper()
	env := service.NewEnvironment()
	require.NoError(t, env.RegisterCache("stated", service.NewConfigSpec(),
		func(*service.ParsedConfig, *service.Resources) (service.Cache, error) { return c, nil }))
	b := env.NewStreamBuilder()
	log = &logs{}
	b.SetLogger(slog.New(slog.NewTextHandler(log, nil)))
	build(b)
	stream, err := b.Build()
	require.NoError(t, err)
	end := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan struct{})
	go func() {
		defer close(over)
		end <- stream.Run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-over })
	return log, end
}

const statedLedger = "label: ledger\nstated: {}"

// leadsInto dials n leads in one batch.
func leadsInto(t *testing.T, url, cache string, n int) func(*service.StreamBuilder) {
	return func(b *service.StreamBuilder) {
		require.NoError(t, b.AddCacheYAML(cache))
		require.NoError(t, b.AddInputYAML(fmt.Sprintf(
			`generate: {count: %d, interval: "", batch_size: %[1]d, mapping: 'root = {"id": counter(), "phone":"+12025550101"}'}`, n)))
		require.NoError(t, b.AddOutputYAML("happyrobot_dial:\n  "+indent(2, dialYAML(url, "ledger: ledger", "failures: {drop: {}}"))))
	}
}

func newStatedCache(facts *store.Facts) *statedCache {
	c := &statedCache{awayCache: &awayCache{items: map[string][]byte{}}}
	c.swap(facts)
	return c
}

func TestALedgerIsWrittenInBatchesByACacheThatProcessesShare(t *testing.T) {
	t.Parallel()
	srv, c := startSim(t, callsim.Options{}), newStatedCache(nil)
	c.swap(&store.Facts{Data: "one", KeepsTTL: true, Batcher: c})
	_, ended := c.begin(t, leadsInto(t, srv.URL, statedLedger, 8))
	require.NoError(t, <-ended)
	assert.Equal(t, 8, srv.Sim.CallsTo("+12025550101"))
	assert.Equal(t, 2, c.batched(), "claims, and completions")
}

// Whoever writes to it directly would write past the cache in front.
func TestACacheBehindAnotherIsNotBelieved(t *testing.T) {
	t.Parallel()
	for _, levels := range []string{"[front, back]", "[back, front]"} {
		srv, c := startSim(t, callsim.Options{}), newStatedCache(nil)
		c.swap(&store.Facts{Data: "one", KeepsTTL: true, Exclusive: true, Batcher: c})
		_, ended := c.begin(t, func(b *service.StreamBuilder) {
			require.NoError(t, b.AddCacheYAML("label: front\nmemory: {}"))
			require.NoError(t, b.AddCacheYAML("label: back\nstated: {}"))
			leadsInto(t, srv.URL, "label: ledger\nmultilevel: "+levels, 8)(b)
		})
		require.NoError(t, <-ended)
		assert.Equal(t, 8, srv.Sim.CallsTo("+12025550101"), levels)
		assert.Zero(t, c.batched(), levels)
	}
}

func TestALedgerThatMayForgetIsRefusedAtStart(t *testing.T) {
	t.Parallel()
	for want, facts := range map[string]store.Facts{
		`ledger: cache "ledger" may forget records before their time, because maxmemory-policy is allkeys-lru: leads could be called twice. `: {KeepsTTL: true, MayEvict: "maxmemory-policy is allkeys-lru"},
		`ledger: cache "ledger" does not keep a record for as long as`:                                                                        {},
	} {
		srv, c := startSim(t, callsim.Options{}), newStatedCache(&facts)
		_, ended := c.begin(t, leadsInto(t, srv.URL, statedLedger, 1))
		err := <-ended
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, "se a cache that")
		assert.Empty(t, srv.Sim.Calls())
	}
}

func TestALedgerThatTurnsOutToForgetPausesDialing(t *testing.T) {
	t.Parallel()
	srv, c := startSim(t, callsim.Options{}), newStatedCache(&store.Facts{Data: "one", KeepsTTL: true, MayEvict: "it is small"})
	c.away.Store(true)
	log, ended := c.begin(t, leadsInto(t, srv.URL, statedLedger, 1))
	saw := func(text string) {
		t.Helper()
		require.Eventually(t, func() bool { return strings.Contains(log.String(), text) }, time.Minute, time.Millisecond, "%s\n%s", text, log)
	}
	saw("Dialing paused (ledger): ")
	c.away.Store(false)
	for range 100 { // longer than a try takes
		require.Empty(t, srv.Sim.Calls())
		time.Sleep(time.Millisecond)
	}
	c.swap(&store.Facts{Data: "two", KeepsTTL: true})
	require.NoError(t, <-ended)
	assert.Equal(t, 1, srv.Sim.CallsTo("+12025550101"))
	saw(`Ledger replaced: cache \"ledger\" has other contents now.`)
	saw("Dialing resumed (ledger) after ")
}

func TestALedgerThatIsSwappedForOneThatMayForgetPlacesNoCalls(t *testing.T) {
	t.Parallel()
	srv, c := startSim(t, callsim.Options{}), newStatedCache(&store.Facts{Data: "one", KeepsTTL: true})
	leads := make(chan struct{})
	log, ended := c.begin(t, func(b *service.StreamBuilder) {
		require.NoError(t, b.AddCacheYAML(statedLedger))
		send, err := b.AddProducerFunc()
		require.NoError(t, err)
		require.NoError(t, b.AddOutputYAML("happyrobot_dial:\n  "+indent(2, dialYAML(srv.URL, "ledger: ledger", "batching: {count: 1}", "failures: {drop: {}}"))))
		go func() {
			defer close(leads)
			assert.NoError(t, send(t.Context(), service.NewMessage([]byte(lead("a", "+12025550101")))))
			c.swap(&store.Facts{Data: "one", KeepsTTL: true, MayEvict: "it is small"})
			assert.NoError(t, send(t.Context(), service.NewMessage([]byte(lead("b", "+12025550102")))))
		}()
	})
	require.Eventually(t, func() bool {
		return strings.Contains(log.String(), `Dialing paused (ledger): `) && strings.Contains(log.String(), "because it is small")
	}, time.Minute, time.Millisecond)
	assert.Len(t, srv.Sim.Calls(), 1)
	c.swap(&store.Facts{Data: "one", KeepsTTL: true})
	<-leads
	assert.Len(t, srv.Sim.Calls(), 2)
	assert.NotContains(t, log.String(), "replaced", "the contents were the same throughout")
	select {
	case err := <-ended:
		assert.NoError(t, err)
	default:
	}
}

func TestACursorIsNotKeptWhereItMayBeForgotten(t *testing.T) {
	t.Parallel()
	srv, c := startSim(t, callsim.Options{}), newStatedCache(&store.Facts{MayEvict: "it is small"})
	_, ended := c.begin(t, func(b *service.StreamBuilder) {
		require.NoError(t, b.AddCacheYAML("label: cursor\nstated: {}"))
		require.NoError(t, b.AddInputYAML(callsYAML(srv.URL)))
		require.NoError(t, b.AddOutputYAML("drop: {}"))
	})
	assert.ErrorContains(t, <-ended, `cache: cache "cursor" may forget the cursor, because it is small: `)
}

func TestACursorContinuesInACacheThatTookThePlaceOfAnother(t *testing.T) {
	t.Parallel()
	srv, c := startSim(t, callsim.Options{Speed: 600}), newStatedCache(&store.Facts{Data: "one"})
	arrived := make(chan string, 10)
	log, _ := c.begin(t, func(b *service.StreamBuilder) {
		require.NoError(t, b.AddCacheYAML("label: cursor\nstated: {}"))
		require.NoError(t, b.AddInputYAML(callsYAML(srv.URL, "start_from: 1h")))
		require.NoError(t, b.AddConsumerFunc(func(_ context.Context, msg *service.Message) error {
			id, _ := msg.MetaGet("happyrobot_call_id")
			arrived <- id
			return nil
		}))
	})
	first, err := srv.Sim.Arrive(callsim.Arrival{})
	require.NoError(t, err)
	assert.Equal(t, first[0], <-arrived)
	require.Eventually(t, func() bool { return c.size() == 1 }, time.Minute, time.Millisecond, "it is saved")

	c.empty()
	c.swap(&store.Facts{Data: "two"})
	second, err := srv.Sim.Arrive(callsim.Arrival{})
	require.NoError(t, err)
	assert.Equal(t, second[0], <-arrived, "the first is not emitted again")
	require.Eventually(t, func() bool { return c.size() == 1 }, time.Minute, time.Millisecond, "it is saved there")
	assert.Contains(t, log.String(), `Cursor replaced: cache \"cursor\" has other contents now.`)
}

// noMark is what is said of a cache that states nothing, when another takes its place.
const noMark = `cache \"%s\" has lost its mark: it now has other contents, or it dropped some early.`

func TestACursorInACacheOfAnothersIsWatchedToo(t *testing.T) {
	t.Parallel()
	srv, c := startSim(t, callsim.Options{Speed: 600}), newStatedCache(nil)
	arrived := make(chan string, 10)
	log, _ := c.begin(t, func(b *service.StreamBuilder) {
		require.NoError(t, b.AddCacheYAML("label: cursor\nstated: {}"))
		require.NoError(t, b.AddInputYAML(callsYAML(srv.URL, "start_from: 1h")))
		require.NoError(t, b.AddConsumerFunc(func(_ context.Context, msg *service.Message) error {
			id, _ := msg.MetaGet("happyrobot_call_id")
			arrived <- id
			return nil
		}))
	})
	saved := func() bool {
		_, err := c.awayCache.Get(t.Context(), "happyrobot_calls/default")
		return err == nil
	}
	told := func() bool { return strings.Contains(log.String(), "Cursor replaced: "+fmt.Sprintf(noMark, "cursor")) }
	first, err := srv.Sim.Arrive(callsim.Arrival{})
	require.NoError(t, err)
	assert.Equal(t, first[0], <-arrived)
	require.Eventually(t, saved, time.Minute, time.Millisecond)
	assert.False(t, told())

	c.empty()
	for !told() { // a mark is looked at once a second
		calls, err := srv.Sim.Arrive(callsim.Arrival{})
		require.NoError(t, err)
		select {
		case id := <-arrived:
			assert.Equal(t, calls[0], id, "nothing is emitted again")
		case <-soon(t).Done():
			t.Fatal(log)
		}
	}
	require.Eventually(t, saved, time.Minute, time.Millisecond, "it is saved there")
}

func TestEventsInACacheOfAnothersAreWatchedToo(t *testing.T) {
	t.Parallel()
	c := newStatedCache(nil)
	var arrived atomic.Int32
	log, _ := c.begin(t, func(b *service.StreamBuilder) {
		require.NoError(t, b.AddCacheYAML("label: events\nstated: {}"))
		require.NoError(t, b.AddInputYAML("happyrobot_webhook: {address: 127.0.0.1:0, secret: s, cache: events}"))
		require.NoError(t, b.AddConsumerFunc(func(context.Context, *service.Message) error {
			arrived.Add(1)
			return nil
		}))
	})
	url := listensAt(t, log)
	told := func() bool {
		return strings.Contains(log.String(), "Event-id cache replaced: "+fmt.Sprintf(noMark, "events"))
	}
	postEvent(t, url, "a")
	postEvent(t, url, "a")
	require.EqualValues(t, 1, arrived.Load())
	require.False(t, told())

	c.empty()
	for n := 0; !told(); n++ {
		postEvent(t, url, fmt.Sprint("b", n))
		require.NoError(t, soon(t).Err())
	}
	before := arrived.Load()
	postEvent(t, url, "a")
	assert.Equal(t, before+1, arrived.Load(), "as the warning says")
}

// listensAt waits until a webhook listens.
func listensAt(t *testing.T, log *logs) (url string) {
	t.Helper()
	require.Eventually(t, func() bool {
		found := listening.FindStringSubmatch(log.String())
		if found != nil {
			url = found[1]
		}
		return found != nil
	}, time.Minute, time.Millisecond)
	return url
}

// postEvent sends the end of a call to a webhook with the secret s.
func postEvent(t *testing.T, url, call string) {
	t.Helper()
	body := fmt.Sprintf(`{"type":"end","call":{"id":%q}}`, call)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("x-hook-secret", "s")
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	assert.Equal(t, http.StatusOK, res.StatusCode)
}

func (c *awayCache) size() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.items)
}

func (c *awayCache) empty() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.items)
}

func TestAWebhookWarnsOfACacheThatMayForgetEvents(t *testing.T) {
	t.Parallel()
	c := newStatedCache(&store.Facts{MayEvict: "it is small"})
	log, _ := c.begin(t, func(b *service.StreamBuilder) {
		require.NoError(t, b.AddCacheYAML("label: events\nstated: {}"))
		require.NoError(t, b.AddInputYAML("happyrobot_webhook: {address: 127.0.0.1:0, secret: s, cache: events}"))
		require.NoError(t, b.AddOutputYAML("drop: {}"))
	})
	require.Eventually(t, func() bool { return strings.Contains(log.String(), "Listening for events") }, time.Minute, time.Millisecond)
	assert.Equal(t, 1, strings.Count(log.String(), `cache \"events\" may forget events before their time, because it is small`))
}
