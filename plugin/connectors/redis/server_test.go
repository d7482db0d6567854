package redis_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redpanda-data/benthos/v4/public/service/integration"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
	"github.com/benthos-happyrobot/benthos-happyrobot/tests/services"
)

// process is a real redis-server of a test.
type process struct {
	port    int
	args    []string
	dir     string
	running *exec.Cmd
	client  *goredis.Client
}

// startServer starts a redis-server with settings, in the lane of tests that have real
// services.
func startServer(t *testing.T, settings ...string) *process {
	t.Helper()
	services.Redis(t)
	p := &process{port: freePort(t), dir: t.TempDir()}
	p.args = append([]string{"--port", strconv.Itoa(p.port), "--bind", "127.0.0.1", "--save", "", "--dir", p.dir}, settings...)
	p.client = goredis.NewClient(&goredis.Options{Addr: p.address()})
	t.Cleanup(func() { _ = p.client.Close() })
	t.Cleanup(p.kill)
	p.start(t)
	return p
}

func (p *process) start(t *testing.T) {
	t.Helper()
	p.running = exec.CommandContext(context.Background(), "redis-server", p.args...)
	require.NoError(t, p.running.Start())
	require.Eventually(t, func() bool {
		err := p.client.Ping(t.Context()).Err()
		return err == nil || strings.HasPrefix(err.Error(), "NOAUTH")
	}, 20*time.Second, 10*time.Millisecond)
}

func (p *process) kill() {
	_ = p.running.Process.Kill()
	_ = p.running.Wait()
}

func (p *process) address() string { return fmt.Sprintf("127.0.0.1:%d", p.port) }

// freePort is a port that is free, and so is the one 10000 above, which a cluster uses.
func freePort(t *testing.T) int {
	t.Helper()
	for range 50 {
		first, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		port := first.Addr().(*net.TCPAddr).Port
		second, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+10000))
		_ = first.Close()
		if err == nil {
			_ = second.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

func TestRealServersRefuse(t *testing.T) {
	t.Parallel()
	primary := startServer(t)
	full := startServer(t, "--maxmemory", "1")
	replica := startServer(t, "--replicaof", "127.0.0.1 "+strconv.Itoa(primary.port))
	member := startServer(t, "--cluster-enabled", "yes")
	locked := startServer(t, "--requirepass", "geheim")
	require.NoError(t, primary.client.Do(t.Context(), "ACL", "SETUSER", "reader", "on", ">geheim", "~*", "+@read").Err())
	hour := time.Hour
	for name, test := range map[string]struct{ url, want string }{
		"replica":      {"redis://" + replica.address(), "name the primary"},
		"full":         {"redis://" + full.address(), "no memory left"},
		"cluster":      {"redis://" + member.address(), "cluster"},
		"no password":  {"redis://" + locked.address(), "wants a password"},
		"wrong":        {"redis://:falsch@" + locked.address(), "refused the user or the password"},
		"wrong user":   {"redis://nobody:geheim@" + locked.address(), "refused the user or the password"},
		"no right":     {"redis://reader:geheim@" + primary.address(), "extend its ACL"},
		"no database":  {"redis://" + primary.address() + "/99", "does not have the database"},
		"TLS to plain": {"rediss://" + primary.address(), "if it does not speak TLS on this port"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := openCache(t, "url: "+test.url, "retries: {initial_interval: 10ms, max_elapsed_time: 50ms}")
			err := c.Add(t.Context(), "key", []byte("value"), &hour)
			require.ErrorContains(t, err, test.want)
			assert.NotContains(t, err.Error(), "geheim")
			_, err = c.Get(t.Context(), store.FactsKey)
			require.ErrorContains(t, err, test.want)
		})
	}
}

func TestARealServerShowsItsPolicy(t *testing.T) {
	t.Parallel()
	p := startServer(t, "--maxmemory", "100mb", "--maxmemory-policy", "volatile-lru")
	assert.Equal(t, "its Redis has `maxmemory-policy volatile-lru`", openCache(t, urlOf(p.address())).facts(t).MayEvict)
	require.NoError(t, p.client.ConfigSet(t.Context(), "maxmemory-policy", "noeviction").Err())
	assert.Empty(t, openCache(t, urlOf(p.address())).facts(t).MayEvict)

	require.NoError(t, p.client.Do(t.Context(), "ACL", "SETUSER", "app", "on", ">geheim", "~*", "+@read", "+@write", "+@connection").Err())
	managed := openCache(t, "url: redis://app:geheim@"+p.address())
	assert.Empty(t, managed.facts(t).MayEvict)
	assert.Contains(t, managed.log.String(), "Eviction policy of Redis unknown")
}

// CONFIG SET, on connections that stay.
func TestAPolicyThatIsChangedWhileRedisRunsIsNoticed(t *testing.T) {
	t.Parallel()
	p := startServer(t)
	c := openCache(t, urlOf(p.address()))
	before := c.facts(t)
	require.Empty(t, before.MayEvict)
	require.NoError(t, p.client.ConfigSet(t.Context(), "maxmemory-policy", "allkeys-lfu").Err())
	require.Eventually(t, func() bool { return !before.Stands() }, 20*time.Second, 10*time.Millisecond)
	assert.Equal(t, "its Redis has `maxmemory-policy allkeys-lfu`", c.facts(t).MayEvict)
}

// The commands that the pages name are enough, and each of them is needed.
func TestTheDocumentedCommandsAreEnough(t *testing.T) {
	t.Parallel()
	p := startServer(t)
	cache := []string{"+get", "+set", "+setnx", "+del", "+pttl", "+multi", "+exec"}
	limit := []string{"+evalsha", "+eval", "+get", "+set", "+incr", "+pttl"}
	user := func(name string, commands ...string) string {
		t.Helper()
		args := []any{"ACL", "SETUSER", name, "reset", "on", ">geheim", "~mine:*"}
		for _, command := range commands {
			args = append(args, command)
		}
		require.NoError(t, p.client.Do(t.Context(), args...).Err())
		return name + ":geheim@"
	}
	useCache := func(t *testing.T, user string) error {
		t.Helper()
		w := startWire(t, p.address())
		c := openCache(t, "url: redis://"+user+w.address, "prefix: 'mine:'", "client_name: this-one", impatient)
		if _, err := c.Get(t.Context(), store.FactsKey); err != nil {
			return err
		}
		key, hour := t.Name()+user, time.Hour
		answerLost(w) // so that it is looked at
		if err := c.Add(t.Context(), key, []byte("value"), &hour); err != nil {
			return err
		}
		if err := c.Add(t.Context(), key+" for ever", []byte("value"), nil); err != nil {
			return err
		}
		clients, err := p.client.ClientList(t.Context()).Result()
		require.NoError(t, err)
		assert.Contains(t, clients, "name=this-one")
		return c.Delete(t.Context(), key)
	}
	useLimit := func(t *testing.T, user string) error {
		t.Helper()
		r := openRateLimit(t, "url: redis://"+user+p.address(), "key: 'mine:"+t.Name()+"'", "count: 2")
		for range 3 {
			if _, err := r.Access(t.Context()); err != nil {
				return err
			}
		}
		return nil
	}
	require.NoError(t, useCache(t, user("cache", append(cache, "+info")...)))
	require.NoError(t, useCache(t, user("hidden", cache...)), "without INFO")
	require.NoError(t, useLimit(t, user("limit", limit...)))
	for what, all := range map[string][]string{"cache": cache, "limit": limit} {
		use := map[string]func(*testing.T, string) error{"cache": useCache, "limit": useLimit}[what]
		for i, command := range all {
			t.Run(what+command, func(t *testing.T) {
				_ = p.client.ScriptFlush(t.Context())
				less := append(append([]string{}, all[:i]...), all[i+1:]...)
				require.Error(t, use(t, user("less", less...)))
			})
		}
	}
	refused, err := p.client.Do(t.Context(), "ACL", "LOG").Slice()
	require.NoError(t, err)
	assert.NotContains(t, fmt.Sprint(refused), "client|setname", "what need not be allowed is not asked for")
}

// What Add reports stays true through kills: an item that was added is there, and none
// that is new exists.
func TestAddIsExactThroughKills(t *testing.T) {
	t.Parallel()
	p := startServer(t, "--appendonly", "yes", "--appendfsync", "always")
	c := openCache(t, urlOf(p.address()), "retries: {initial_interval: 20ms, max_interval: 100ms, max_elapsed_time: 0s}")
	batch := c.facts(t).Batcher
	ctx, stop := context.WithCancel(t.Context())
	var added [8]int
	var writers sync.WaitGroup
	hour := time.Hour
	for w := range added {
		writers.Go(func() {
			for ; ctx.Err() == nil; added[w]++ {
				name := fmt.Sprintf("%d-%d", w, added[w])
				if w%2 == 0 {
					if err := c.Add(t.Context(), name, []byte(name), &hour); err != nil {
						t.Errorf("adding %s: %v", name, err)
						return
					}
					continue
				}
				answers := batch.AddAll(t.Context(), []store.Item{{Key: name, Value: []byte(name), TTL: &hour}, {Key: name + "b", Value: []byte(name)}})
				if !assert.Equal(t, []error{nil, nil}, answers, name) {
					return
				}
			}
		})
	}
	for range 5 {
		before, err := p.client.DBSize(t.Context()).Result()
		require.NoError(t, err)
		require.Eventually(t, func() bool {
			now, err := p.client.DBSize(t.Context()).Result()
			return err == nil && now > before+50
		}, 20*time.Second, time.Millisecond)
		p.kill()
		p.start(t)
	}
	stop()
	writers.Wait()
	for w, n := range added {
		for i := range n {
			name := fmt.Sprintf("%d-%d", w, i)
			value, err := c.Get(t.Context(), name)
			require.NoError(t, err, name)
			assert.Equal(t, name, string(value))
		}
	}
}

// startCluster starts a cluster of primaries. Clients reach them through the wires.
func startCluster(t *testing.T, nodes int, settings ...string) ([]*process, []*wire) {
	t.Helper()
	all, wires := make([]*process, nodes), make([]*wire, nodes)
	for i := range all {
		all[i] = startServer(t, append([]string{"--cluster-enabled", "yes"}, settings...)...)
		wires[i] = startWire(t, all[i].address())
		_, port, err := net.SplitHostPort(wires[i].address)
		require.NoError(t, err)
		require.NoError(t, all[i].client.ConfigSet(t.Context(), "cluster-announce-port", port).Err())
		require.NoError(t, all[i].client.ConfigSet(t.Context(), "cluster-announce-ip", "127.0.0.1").Err())
		require.NoError(t, all[i].client.ConfigSet(t.Context(), "cluster-announce-bus-port", strconv.Itoa(all[i].port+10000)).Err())
	}
	for i, p := range all {
		require.NoError(t, p.client.Do(t.Context(), "CLUSTER", "ADDSLOTSRANGE", 16384*i/nodes, 16384*(i+1)/nodes-1).Err())
		require.NoError(t, p.client.Do(t.Context(), "CLUSTER", "SET-CONFIG-EPOCH", i+1).Err())
		if i > 0 {
			require.NoError(t, all[0].client.Do(t.Context(), "CLUSTER", "MEET", "127.0.0.1", p.port, p.port+10000).Err())
		}
	}
	for _, p := range all {
		require.Eventually(t, func() bool {
			info, err := p.client.ClusterInfo(t.Context()).Result()
			return err == nil && strings.Contains(info, "cluster_state:ok") && strings.Contains(info, fmt.Sprint("cluster_known_nodes:", nodes))
		}, 30*time.Second, 20*time.Millisecond)
	}
	return all, wires
}

func TestACluster(t *testing.T) {
	t.Parallel()
	nodes, wires := startCluster(t, 3)
	hour := time.Hour

	suite().Run(t, "cache_resources: [ { label: testcache, redis: { url: $URL, prefix: $ID, kind: cluster } } ]",
		integration.CacheTestOptVarSet("URL", "redis://"+wires[0].address))

	c := openCache(t, urlOf(wires[0].address), "kind: cluster", "retries: {initial_interval: 10ms}")
	facts := c.facts(t)
	assert.Empty(t, facts.MayEvict)
	assert.Equal(t, facts.Data, openCache(t, urlOf(wires[1].address), "kind: cluster").facts(t).Data)
	all := items(60)
	require.NoError(t, c.Set(t.Context(), "key-7", []byte("another's"), nil))
	for i, err := range facts.Batcher.AddAll(t.Context(), all) {
		if i == 7 {
			assert.Equal(t, store.ErrExists, err)
			continue
		}
		require.NoError(t, err)
	}
	require.NoError(t, facts.Batcher.SetAll(t.Context(), all))
	for _, item := range all {
		value, err := c.Get(t.Context(), item.Key)
		require.NoError(t, err)
		assert.Equal(t, string(item.Value), string(value))
	}

	// The cluster client repeats a command by itself whose answer was lost.
	for i, w := range wires {
		key := keyOf(t, nodes[i])
		w.loseAnswer.Store(true)
		require.NoError(t, c.Add(t.Context(), key, []byte("mine"), &hour))
		assert.False(t, w.loseAnswer.Load())
		w.loseAnswer.Store(true)
		require.NoError(t, facts.Batcher.AddAll(t.Context(), []store.Item{{Key: key + "b{" + key + "}", Value: []byte("mine"), TTL: &hour}})[0])
	}
	// And an equal value is another's where nothing was lost.
	require.NoError(t, c.Add(t.Context(), "seen", []byte("t"), nil))
	require.Error(t, c.Add(t.Context(), "seen", []byte("t"), nil))

	require.NoError(t, nodes[2].client.ConfigSet(t.Context(), "maxmemory-policy", "allkeys-lru").Err())
	assert.Contains(t, openCache(t, urlOf(wires[0].address), "kind: cluster").facts(t).MayEvict, "allkeys-lru")
	limit := openRateLimit(t, urlOf(wires[0].address), "kind: cluster", "key: limit", "count: 1", "interval: 1h")
	wait, err := limit.Access(t.Context())
	require.NoError(t, err)
	assert.Zero(t, wait)
	wait, err = limit.Access(t.Context())
	require.NoError(t, err)
	assert.Positive(t, wait)

	// One command more than a single server needs is enough.
	for _, node := range nodes {
		require.NoError(t, node.client.Do(t.Context(), "ACL", "SETUSER", "app", "on", ">geheim", "~*", "+get", "+set", "+setnx", "+evalsha", "+eval", "+incr", "+pttl", "+cluster|slots").Err())
	}
	few := openCache(t, "url: redis://app:geheim@"+wires[0].address, "kind: cluster", impatient)
	assert.Equal(t, facts.Data, few.facts(t).Data)
	for _, item := range items(10) {
		require.NoError(t, few.Add(t.Context(), "few-"+item.Key, item.Value, nil))
	}
	limit = openRateLimit(t, "url: redis://app:geheim@"+wires[0].address, "kind: cluster", "key: few", "count: 1")
	wait, err = limit.Access(t.Context())
	require.NoError(t, err)
	assert.Zero(t, wait)
}

// keyOf is a new key that a node of the cluster has.
func keyOf(t *testing.T, node *process) string {
	t.Helper()
	for i := range 1000 {
		key := fmt.Sprintf("of-%d-%d", node.port, i)
		if err := node.client.Get(t.Context(), key).Err(); err == goredis.Nil { //nolint:errorlint // as it is
			return key
		}
	}
	t.Fatal("the node has no keys")
	return ""
}

func TestFailover(t *testing.T) {
	t.Parallel()
	primary := startServer(t)
	replica := startServer(t, "--replicaof", "127.0.0.1 "+strconv.Itoa(primary.port))
	require.Eventually(t, func() bool {
		info, err := replica.client.Info(t.Context(), "replication").Result()
		return err == nil && strings.Contains(info, "master_link_status:up")
	}, 20*time.Second, 10*time.Millisecond)
	conf := filepath.Join(t.TempDir(), "sentinel.conf")
	require.NoError(t, os.WriteFile(conf, fmt.Appendf(nil, "sentinel monitor mine 127.0.0.1 %d 1\nsentinel down-after-milliseconds mine 300\nsentinel failover-timeout mine 3000\n", primary.port), 0o600))
	sentinel := &process{port: freePort(t)}
	sentinel.args = []string{conf, "--sentinel", "--port", strconv.Itoa(sentinel.port), "--bind", "127.0.0.1"}
	sentinel.client = goredis.NewClient(&goredis.Options{Addr: sentinel.address()})
	t.Cleanup(func() { _ = sentinel.client.Close() })
	t.Cleanup(sentinel.kill)
	sentinel.start(t)
	require.Eventually(t, func() bool {
		info, err := sentinel.client.Info(t.Context(), "sentinel").Result()
		return err == nil && strings.Contains(info, "slaves=1")
	}, 30*time.Second, 20*time.Millisecond)

	suite().Run(t, "cache_resources: [ { label: testcache, redis: { url: $URL, prefix: $ID, kind: failover, master: mine } } ]",
		integration.CacheTestOptVarSet("URL", "redis://"+sentinel.address()))
	c := openCache(t, urlOf(sentinel.address()), "kind: failover", "master: mine", "retries: {max_elapsed_time: 60s}")
	before := c.facts(t)
	hour := time.Hour
	require.NoError(t, c.Add(t.Context(), "before", []byte("mine"), &hour))
	sentinel.kill()
	sentinel.start(t) // a sentinel does not have the contents
	require.Eventually(t, func() bool { return replica.client.Get(t.Context(), "before").Err() == nil }, 20*time.Second, time.Millisecond)
	primary.kill()
	require.NoError(t, c.Add(t.Context(), "after", []byte("mine"), &hour), "by the replica, once it is the primary")
	require.Error(t, c.Add(t.Context(), "before", []byte("mine"), &hour))
	assert.Equal(t, before.Instance, c.facts(t).Instance, "the replica has the contents")
	value, err := replica.client.Get(t.Context(), "after").Result()
	require.NoError(t, err)
	assert.Equal(t, "mine", value)
}
