package redis_test

import (
	"strings"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
)

func TestTheCacheStatesWhatItIs(t *testing.T) {
	t.Parallel()
	m := startRedis(t)
	c := openCache(t, urlOf(m.Addr()), "prefix: 'p:'")
	first := c.facts(t)
	assert.True(t, first.KeepsTTL)
	assert.False(t, first.Exclusive)
	assert.Empty(t, first.MayEvict)
	assert.NotNil(t, first.Batcher)
	marker, err := m.Get("p:happyrobot_cache_data")
	require.NoError(t, err)
	assert.Equal(t, marker, first.Data)
	assert.Zero(t, m.TTL("p:happyrobot_cache_data"), "kept for ever")

	before := m.CommandCount()
	again := c.facts(t)
	assert.Equal(t, before, m.CommandCount(), "answered from memory")
	assert.Equal(t, first.Answer+1, again.Answer)
	require.ErrorIs(t, c.Add(t.Context(), store.FactsKey, nil, nil), service.ErrKeyAlreadyExists)
	assert.Equal(t, before, m.CommandCount())

	same := openCache(t, urlOf(m.Addr()), "prefix: 'p:'").facts(t)
	assert.Equal(t, first.Data, same.Data)
	assert.NotEqual(t, first.Instance, same.Instance)
	assert.NotEqual(t, first.Data, openCache(t, urlOf(m.Addr())).facts(t).Data, "another prefix has other contents")
	assert.Empty(t, c.log.String())

	c.close()
	assert.False(t, first.Stands())
	_, err = c.Get(t.Context(), store.FactsKey)
	assert.ErrorContains(t, err, "closed")
}

func TestTheCacheStatesThatRedisEvicts(t *testing.T) {
	t.Parallel()
	for policy, evicts := range map[string]bool{"noeviction": false, "allkeys-lru": true, "volatile-ttl": true, "volatile-lru": true, "allkeys-random": true} {
		m := startRedis(t)
		answer(m, "INFO", "# Memory\r\nmaxmemory:0\r\nmaxmemory_policy:"+policy+"\r\n")
		why := openCache(t, urlOf(m.Addr())).facts(t).MayEvict
		if evicts {
			assert.Equal(t, "its Redis has `maxmemory-policy "+policy+"`", why)
			continue
		}
		assert.Empty(t, why)
	}
}

func TestAPolicyThatIsNotShownIsReportedOnce(t *testing.T) {
	t.Parallel()
	for name, reply := range map[string]string{
		"forbidden": "-NOPERM this user has no permissions to run the 'info' command",
		"unknown":   "-ERR unknown command 'INFO'",
		"left out":  "# Memory\r\nused_memory:1\r\n", // and CONFIG is unknown to this Redis
	} {
		t.Run(name, func(t *testing.T) {
			m := startRedis(t)
			answer(m, "INFO", reply)
			c := openCache(t, urlOf(m.Addr()))
			assert.Empty(t, c.facts(t).MayEvict)
			c.facts(t)
			assert.Equal(t, 1, strings.Count(c.log.String(), "Eviction policy of Redis unknown"))
			assert.Contains(t, c.log.String(), "noeviction")
		})
	}
}

// Nothing is known of a Redis that is away, and whoever asks must wait.
func TestWhileRedisIsAwayNothingIsStated(t *testing.T) {
	t.Parallel()
	m := startRedis(t)
	url := urlOf(m.Addr())
	m.Close()
	c := openCache(t, url, impatient) // opening does not fail
	_, err := c.Get(t.Context(), store.FactsKey)
	require.ErrorContains(t, err, "no Redis listens at this address")
	require.NotErrorIs(t, err, service.ErrKeyNotFound)

	restart(t, m)
	answer(m, "INFO", "-LOADING Redis is loading the dataset in memory")
	_, err = c.Get(t.Context(), store.FactsKey)
	require.ErrorContains(t, err, "loading")
	assert.Empty(t, c.log.String())

	answer(m, "INFO", "maxmemory_policy:allkeys-lfu\r\n")
	assert.NotEmpty(t, c.facts(t).MayEvict)
}

func TestARedisThatComesBackEmptyIsNoticedBeforeItIsUsed(t *testing.T) {
	t.Parallel()
	m := startRedis(t)
	c := openCache(t, urlOf(m.Addr()), impatient)
	before := c.facts(t)
	require.NoError(t, c.Set(t.Context(), "key", []byte("called"), nil))

	m.Close()
	restart(t, m)
	startedAgain := c.facts(t)
	require.NoError(t, c.Set(t.Context(), "key", []byte("called"), nil))
	assert.Equal(t, before.Instance, startedAgain.Instance, "with its data")
	assert.True(t, before.Stands())

	m.Close()
	m.FlushAll()
	restart(t, m)
	hour := time.Hour
	require.ErrorContains(t, c.Add(t.Context(), "key", []byte("mine"), &hour), "the contents of this Redis are others than before")
	assert.False(t, m.Exists("key"))
	assert.False(t, before.Stands())
	after := c.facts(t)
	assert.NotEqual(t, before.Data, after.Data)
	require.NoError(t, c.Add(t.Context(), "key", []byte("mine"), &hour))
}

func evicting(policy string) string { return "# Memory\r\nmaxmemory_policy:" + policy + "\r\n" }

// A redis.conf that was changed, and a restart.
func TestARedisThatComesBackEvictingIsNoticedBeforeItIsUsed(t *testing.T) {
	t.Parallel()
	m := startRedis(t)
	c := openCache(t, urlOf(m.Addr()), impatient)
	before := c.facts(t)
	m.Close()
	restart(t, m)
	answer(m, "INFO", evicting("allkeys-lru"))

	hour := time.Hour
	err := c.Add(t.Context(), "key", []byte("mine"), &hour)
	require.ErrorContains(t, err, "it has `maxmemory-policy allkeys-lru`; set it to noeviction")
	assert.False(t, m.Exists("key"))
	assert.False(t, before.Stands())
	now := c.facts(t)
	assert.Equal(t, "its Redis has `maxmemory-policy allkeys-lru`", now.MayEvict)
	assert.Equal(t, before.Data, now.Data)

	// Whoever was told that sends nothing more, so it is the cache that notices its end.
	answer(m, "INFO", noeviction)
	require.Eventually(t, func() bool { return !now.Stands() }, 20*time.Second, 10*time.Millisecond)
	assert.Empty(t, c.facts(t).MayEvict)
	require.NoError(t, c.Add(t.Context(), "key", []byte("mine"), &hour))
}

func TestAPolicyThatIsHiddenLaterChangesNothing(t *testing.T) {
	t.Parallel()
	m := startRedis(t)
	c := openCache(t, urlOf(m.Addr()), impatient)
	before := c.facts(t)
	m.Close()
	restart(t, m)
	answer(m, "INFO", "-NOPERM this user has no permissions to run the 'info' command")
	require.NoError(t, c.Set(t.Context(), "key", []byte("value"), nil))
	assert.True(t, before.Stands())
}
