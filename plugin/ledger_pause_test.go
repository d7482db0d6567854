package plugin_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
)

// awayCache is a cache whose server is away, or not.
type awayCache struct {
	away  atomic.Bool
	asked atomic.Int64

	mu    sync.Mutex
	items map[string][]byte
}

var errAway = errors.New("the server is away")

func (c *awayCache) Get(_ context.Context, key string) ([]byte, error) {
	c.asked.Add(1)
	if c.away.Load() {
		return nil, errAway
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	item, ok := c.items[key]
	if !ok {
		return nil, service.ErrKeyNotFound
	}
	return item, nil
}

func (c *awayCache) put(key string, value []byte, add bool) error {
	if c.away.Load() {
		return errAway
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.items[key]; ok && add {
		return service.ErrKeyAlreadyExists
	}
	c.items[key] = value
	return nil
}

func (c *awayCache) Set(_ context.Context, key string, value []byte, _ *time.Duration) error {
	return c.put(key, value, false)
}

func (c *awayCache) Add(_ context.Context, key string, value []byte, _ *time.Duration) error {
	return c.put(key, value, true)
}

func (c *awayCache) Delete(context.Context, string) error { return nil }

func (c *awayCache) Close(context.Context) error { return nil }

// A ledger that is down is one trouble, however many messages wait for it, whether it
// refuses or hangs.
func TestAPauseForTheLedgerIsOneLineWhateverTheBatch(t *testing.T) {
	t.Parallel()
	srv, cache, log := startSim(t, callsim.Options{}), &awayCache{items: map[string][]byte{}}, &logs{}
	cache.away.Store(true)
	env := service.NewEnvironment()
	require.NoError(t, env.RegisterCache("away", service.NewConfigSpec(), func(*service.ParsedConfig, *service.Resources) (service.Cache, error) { return cache, nil }))
	b := env.NewStreamBuilder()
	b.SetLogger(slog.New(slog.NewTextHandler(log, nil)))
	require.NoError(t, b.AddCacheYAML("label: ledger\naway: {}"))
	require.NoError(t, b.AddInputYAML(`generate: {count: 20, batch_size: 20, interval: "", mapping: 'root = {"id":counter(),"phone":"+12025550%03d".format(100 + counter())}'}`))
	require.NoError(t, b.AddOutputYAML("happyrobot_dial:\n  "+indent(2, dialYAML(srv.URL, "ledger: ledger", "failures: {drop: {}}"))))
	stream, err := b.Build()
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- stream.Run(t.Context()) }()

	require.Eventually(t, func() bool { return cache.asked.Load() > 1000 }, time.Minute, time.Millisecond)
	cache.away.Store(false)
	require.NoError(t, <-ended)
	assert.Equal(t, 1, strings.Count(log.String(), "level=WARN msg=\"Dialing paused (ledger): "), log.String())
	assert.Contains(t, log.String(), `the server is away (cache \"ledger\"); 20 messages wait, none of them fails.`)
	assert.Equal(t, 1, strings.Count(log.String(), "Dialing resumed (ledger) after "))
	assert.Len(t, srv.Sim.Calls(), 20)
}

func TestWithoutItsLedgerDialingIsPausedAndTheLogSaysSo(t *testing.T) {
	t.Parallel()
	srv, cache, log := startSim(t, callsim.Options{}), &awayCache{items: map[string][]byte{}}, &logs{}
	cache.away.Store(true)
	env := service.NewEnvironment()
	require.NoError(t, env.RegisterCache("away", service.NewConfigSpec(), func(*service.ParsedConfig, *service.Resources) (service.Cache, error) { return cache, nil }))
	b := env.NewStreamBuilder()
	b.SetLogger(slog.New(slog.NewTextHandler(log, nil)))
	require.NoError(t, b.AddCacheYAML("label: ledger\naway: {}"))
	require.NoError(t, b.AddInputYAML(`generate: {count: 1, interval: "", mapping: 'root = {"id":"a","phone":"+12025550101"}'}`))
	require.NoError(t, b.AddOutputYAML("happyrobot_dial:\n  "+indent(2, dialYAML(srv.URL, "ledger: ledger", "failures: {drop: {}}"))))
	stream, err := b.Build()
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- stream.Run(t.Context()) }()

	require.Eventually(t, func() bool { return strings.Contains(log.String(), "Dialing paused (ledger): ") }, time.Minute, time.Millisecond)
	assert.Empty(t, srv.Sim.Calls())
	cache.away.Store(false)
	require.NoError(t, <-ended)
	assert.Equal(t, 1, srv.Sim.CallsTo("+12025550101"))
	assert.Equal(t, 1, strings.Count(log.String(), "Dialing paused"))
	assert.Equal(t, 1, strings.Count(log.String(), "Dialing resumed (ledger) after "))
}
