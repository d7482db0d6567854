package redis_test

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func openRateLimit(t testing.TB, fields ...string) service.RateLimit {
	t.Helper()
	builder := service.NewResourceBuilder()
	require.NoError(t, builder.AddRateLimitYAML("label: r\nredis:\n  "+strings.Join(fields, "\n  ")))
	res, stop, err := builder.Build()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, stop(t.Context())) })
	var limit service.RateLimit
	require.NoError(t, res.AccessRateLimit(t.Context(), "r", func(r service.RateLimit) { limit = r }))
	return limit
}

func TestARateLimitIsSharedByAllWhoUseItsKey(t *testing.T) {
	t.Parallel()
	m := startRedis(t)
	mine := openRateLimit(t, urlOf(m.Addr()), "count: 3", "interval: 10s", "key: limit")
	others := openRateLimit(t, urlOf(m.Addr()), "count: 3", "interval: 10s", "key: limit")
	access := func(r service.RateLimit) time.Duration {
		wait, err := r.Access(t.Context())
		require.NoError(t, err)
		return wait
	}
	assert.Zero(t, access(mine))
	assert.Zero(t, access(others))
	m.FastForward(4 * time.Second)
	assert.Zero(t, access(mine))
	assert.Equal(t, 6*time.Second, access(others))
	assert.Equal(t, 6*time.Second, access(mine), "to ask costs nothing")
	assert.Zero(t, access(openRateLimit(t, urlOf(m.Addr()), "count: 3", "interval: 10s", "key: other")))
	m.FastForward(6 * time.Second)
	for range 3 {
		assert.Zero(t, access(others))
	}
	assert.Equal(t, 10*time.Second, access(mine))
}

func TestARateLimitIsExactUnderConcurrency(t *testing.T) {
	t.Parallel()
	m := startRedis(t)
	var let atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		limit := openRateLimit(t, urlOf(m.Addr()), "count: 100", "interval: 1h", "key: limit")
		for range 8 {
			wg.Go(func() {
				for range 20 {
					if wait, err := limit.Access(t.Context()); err == nil && wait == 0 {
						let.Add(1)
					}
				}
			})
		}
	}
	wg.Wait()
	assert.Equal(t, int64(100), let.Load())
}

// Connect's rate limit counts on beyond the limit, and replicas of both share a key while
// one program replaces the other.
func TestARateLimitUnderstandsConnects(t *testing.T) {
	t.Parallel()
	m := startRedis(t)
	limit := openRateLimit(t, urlOf(m.Addr()), "count: 2", "interval: 10s", "key: limit")
	require.NoError(t, m.Set("limit", "7"))
	m.SetTTL("limit", 5*time.Second)
	wait, err := limit.Access(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 5*time.Second, wait)

	m.SetTTL("limit", 0)
	wait, err = limit.Access(t.Context())
	require.NoError(t, err)
	assert.Zero(t, wait, "a count that never expires would close it for ever")
	assert.Equal(t, 10*time.Second, m.TTL("limit"))
}

func TestARateLimitWithoutRedisFailsAndResumes(t *testing.T) {
	t.Parallel()
	m := startRedis(t)
	limit := openRateLimit(t, urlOf(m.Addr()), "count: 1", "key: limit")
	m.Close()
	_, err := limit.Access(t.Context())
	require.ErrorContains(t, err, "no Redis listens at this address")
	restart(t, m)
	wait, err := limit.Access(t.Context())
	require.NoError(t, err)
	assert.Zero(t, wait)
	answer(m, "EVALSHA", "-READONLY You can't write against a read only replica.")
	_, err = limit.Access(t.Context())
	require.ErrorContains(t, err, "name the primary")
}
