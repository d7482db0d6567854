package sql_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/redpanda-data/benthos/v4/public/service/integration"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
)

// cacheAt is a cache postgres on a table "ledger", with more of its fields. Its errors
// at the start are those of each operation.
func cacheAt(t testing.TB, dsn string, more ...string) (*cacheUnderTest, *said) {
	t.Helper()
	fields := strings.Join(append([]string{"dsn: " + fmt.Sprintf("%q", dsn)}, more...), "\n      ")
	if !strings.Contains(fields, "table:") {
		fields += "\n      table: ledger"
	}
	res, log := build(t, "cache_resources:\n  - label: c\n    postgres:\n      "+fields+"\n")
	return &cacheUnderTest{t: t, res: res}, log
}

type cacheUnderTest struct {
	t   testing.TB
	res *service.Resources
}

func (c *cacheUnderTest) do(fn func(service.Cache) error) (err error) {
	if accessErr := c.res.AccessCache(context.Background(), "c", func(cache service.Cache) { err = fn(cache) }); accessErr != nil {
		return accessErr
	}
	return err
}

func (c *cacheUnderTest) add(key, value string, ttl *time.Duration) error {
	return c.do(func(cache service.Cache) error { return cache.Add(context.Background(), key, []byte(value), ttl) })
}

func (c *cacheUnderTest) set(key, value string, ttl *time.Duration) error {
	return c.do(func(cache service.Cache) error { return cache.Set(context.Background(), key, []byte(value), ttl) })
}

func (c *cacheUnderTest) get(key string) (value string, err error) {
	err = c.do(func(cache service.Cache) error {
		b, err := cache.Get(context.Background(), key)
		value = string(b)
		return err
	})
	return value, err
}

func (c *cacheUnderTest) facts() store.Facts {
	c.t.Helper()
	answer, err := c.get(store.FactsKey)
	require.NoError(c.t, err)
	stated, ok := store.FactsIn([]byte(answer))
	require.True(c.t, ok)
	return stated.Facts
}

func TestTheCachePassesBenthosOwnTests(t *testing.T) {
	dsn := schema(t)
	template := `
cache_resources:
  - label: testcache
    postgres:
      dsn: "` + dsn + `"
      table: '"cache-$ID"'
`
	integration.CacheTests(
		integration.CacheTestOpenClose(),
		integration.CacheTestMissingKey(),
		integration.CacheTestDoubleAdd(),
		integration.CacheTestDelete(),
		integration.CacheTestGetAndSet(50),
	).Run(t, template)
}

func TestTheTableIsCreatedOnceByManyProcesses(t *testing.T) {
	dsn := schema(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			c, _ := cacheAt(t, dsn)
			_, err := c.get("none")
			assert.ErrorIs(t, err, service.ErrKeyNotFound)
		})
	}
	wg.Wait()
	assert.Equal(t, "key text NOT NULL,value bytea NOT NULL,expires_at timestamp with time zone NULL", ask[string](t, dsn,
		`SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod) || CASE WHEN attnotnull THEN ' NOT NULL' ELSE ' NULL' END, ',' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'ledger'::regclass AND attnum > 0`))
	assert.Equal(t, 2, ask[int](t, dsn, "SELECT count(*) FROM pg_index WHERE indrelid = 'ledger'::regclass"), "the key, and the expiry")
}

func TestNamesAreWhatSQLTakesThemFor(t *testing.T) {
	dsn := schema(t)
	own := ask[string](t, dsn, "SELECT current_schema()")
	for table, actual := range map[string]string{
		"Calls":                    `calls`,
		`"Calls"`:                  `"Calls"`,
		own + ".other":             `other`,
		`call-ledger`:              `"call-ledger"`,
		`x"; DROP TABLE calls; --`: `"x""; DROP TABLE calls; --"`,
		`"` + own + `"."a.b""c"`:   `"a.b""c"`,
		"known":                    "known",
		"items":                    "items",
	} {
		c, _ := cacheAt(t, dsn, fmt.Sprintf("table: %q", table), "key_column: Select", `value_column: '"V"'`, "expires_column: order")
		require.NoError(t, c.add("k", "v", nil), table)
		assert.Equal(t, "k=v", ask[string](t, dsn, `SELECT "select" || '=' || convert_from("V", 'UTF8') FROM `+actual+` WHERE "select" = 'k' AND "order" IS NULL`), table)
	}
}

func TestAddIsAtomic(t *testing.T) {
	dsn := schema(t)
	first, _ := cacheAt(t, dsn)
	second, _ := cacheAt(t, dsn)
	require.NoError(t, first.add("expired", "old", new(time.Millisecond)))
	require.Eventually(t, func() bool { _, err := second.get("expired"); return err != nil }, 10*time.Second, time.Millisecond)
	for _, key := range []string{"new", "expired"} {
		var wg sync.WaitGroup
		var added atomic.Int64
		for i := range 40 {
			c := first
			if i%2 == 1 {
				c = second
			}
			wg.Go(func() {
				switch err := c.add(key, fmt.Sprint(i), new(time.Hour)); err {
				case nil:
					added.Add(1)
				default:
					assert.ErrorIs(t, err, service.ErrKeyAlreadyExists)
				}
			})
		}
		wg.Wait()
		assert.EqualValues(t, 1, added.Load(), key)
	}
}

func TestItemsAreKeptForTheirTTLByTheDatabasesClock(t *testing.T) {
	dsn := schema(t)
	c, _ := cacheAt(t, dsn, "default_ttl: 1h")
	require.NoError(t, c.add("default", "v", nil))
	require.NoError(t, c.add("own", "v", new(90*time.Minute)))
	require.NoError(t, c.add("kept", "v", new(time.Duration(0))))
	left := func(key string) float64 {
		return ask[float64](t, dsn, "SELECT coalesce(extract(epoch FROM expires_at - clock_timestamp())::float8, -1) FROM ledger WHERE key = $1", key)
	}
	assert.InDelta(t, 3600, left("default"), 30)
	assert.InDelta(t, 5400, left("own"), 30)
	assert.InDelta(t, -1, left("kept"), 0)
	require.ErrorContains(t, c.add("x", "v", new(-time.Second)), "ttl is negative")

	execute(t, dsn, "UPDATE ledger SET expires_at = clock_timestamp() WHERE key = 'own'")
	_, err := c.get("own")
	require.ErrorIs(t, err, service.ErrKeyNotFound)
	require.NoError(t, c.add("own", "again", nil), "what has expired is not there")
	require.NoError(t, c.set("default", "w", new(time.Duration(0))))
	assert.InDelta(t, -1, left("default"), 0)
}

func TestOnlyExpiredItemsAreSwept(t *testing.T) {
	dsn := schema(t)
	c, _ := cacheAt(t, dsn, "sweep_interval: 10ms")
	require.NoError(t, c.add("kept", "v", nil))
	require.NoError(t, c.add("later", "v", new(time.Hour)))
	execute(t, dsn, "INSERT INTO ledger SELECT 'old-' || n, '', now() - interval '1 second' FROM generate_series(1, 3500) n")
	require.Eventually(t, func() bool {
		return ask[int](t, dsn, "SELECT count(*) FROM ledger WHERE key LIKE 'old-%'") == 0
	}, 30*time.Second, 20*time.Millisecond)
	assert.Equal(t, 2, ask[int](t, dsn, "SELECT count(*) FROM ledger WHERE key IN ('kept', 'later')"))
}

func TestABatchIsOneStatement(t *testing.T) {
	dsn := schema(t)
	c, _ := cacheAt(t, dsn)
	require.NoError(t, c.add("b", "before", nil))
	batcher := c.facts().Batcher
	errs := batcher.AddAll(t.Context(), []store.Item{{Key: "d", Value: []byte("1")}, {Key: "b", Value: []byte("2")}, {Key: "a", Value: []byte("3")}, {Key: "d", Value: []byte("4")}, {Key: "e"}})
	assert.Equal(t, []error{nil, store.ErrExists, nil, store.ErrExists, nil}, errs)
	assert.Equal(t, "a=3,b=before,d=1,e=", ask[string](t, dsn, "SELECT string_agg(key || '=' || convert_from(value, 'UTF8'), ',' ORDER BY key) FROM ledger WHERE length(key) = 1"))
	assert.Equal(t, 1, ask[int](t, dsn, "SELECT count(DISTINCT xmin::text) FROM ledger WHERE key IN ('a', 'd', 'e')"))

	require.NoError(t, batcher.SetAll(t.Context(), []store.Item{{Key: "d", Value: []byte("5")}, {Key: "b", Value: []byte("6")}, {Key: "d", Value: []byte("7")}}))
	assert.Equal(t, "b=6,d=7", ask[string](t, dsn, "SELECT string_agg(key || '=' || convert_from(value, 'UTF8'), ',' ORDER BY key) FROM ledger WHERE key IN ('b', 'd')"))
}

func TestBatchesThatCrossDoNotBlockEachOther(t *testing.T) {
	dsn := schema(t)
	first, _ := cacheAt(t, dsn)
	second, _ := cacheAt(t, dsn)
	var items []store.Item
	for i := range 200 {
		items = append(items, store.Item{Key: fmt.Sprintf("k%03d", i), Value: []byte("x")})
	}
	reversed := slices.Clone(items)
	slices.Reverse(reversed)
	var wg sync.WaitGroup
	for _, writer := range []struct {
		batcher store.Batcher
		items   []store.Item
	}{{first.facts().Batcher, items}, {second.facts().Batcher, reversed}} {
		wg.Go(func() {
			for range 20 {
				writer.batcher.AddAll(context.Background(), writer.items)
				assert.NoError(t, writer.batcher.SetAll(context.Background(), writer.items))
			}
		})
	}
	wg.Wait()
}

func TestALostAnswerDoesNotMakeAddLie(t *testing.T) {
	dsn := schema(t)
	p, proxied := through(t, dsn)
	c, _ := cacheAt(t, proxied, "conn_max_open: 1")
	other, _ := cacheAt(t, dsn)
	batcher := c.facts().Batcher
	require.NoError(t, c.add("warm", "x", nil)) // the statement is prepared now

	p.swallow.Store(true)
	require.NoError(t, c.add("mine", "token-1", nil), "it was written, and its answer lost")
	require.EqualValues(t, 1, p.swallows.Load())
	require.ErrorIs(t, c.add("mine", "token-2", nil), service.ErrKeyAlreadyExists)

	require.NoError(t, other.add("theirs", "token-3", nil))
	p.swallow.Store(true)
	require.ErrorIs(t, c.add("theirs", "token-4", nil), service.ErrKeyAlreadyExists)

	require.NoError(t, c.add("warm again", "x", nil))
	p.swallow.Store(true)
	errs := batcher.AddAll(t.Context(), []store.Item{{Key: "theirs", Value: []byte("token-5")}, {Key: "batch", Value: []byte("token-5")}})
	assert.Equal(t, []error{store.ErrExists, nil}, errs)
	assert.EqualValues(t, 3, p.swallows.Load())
}

// A ledger that gives a claim up must not take away the claim that another process took
// after it.
func TestADeleteWhoseAnswerIsLostIsNotRepeated(t *testing.T) {
	dsn := schema(t)
	p, proxied := through(t, dsn)
	c, _ := cacheAt(t, proxied, "conn_max_open: 1")
	remove := func() error {
		return c.do(func(cache service.Cache) error { return cache.Delete(context.Background(), "key") })
	}
	require.NoError(t, remove()) // the statement is prepared now
	require.NoError(t, c.add("key", "mine", nil))
	execute(t, dsn, `CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO ledger VALUES (OLD.key, 'another''s'); RETURN NULL; END $$;
CREATE TRIGGER again AFTER DELETE ON ledger FOR EACH ROW WHEN (OLD.value = 'mine') EXECUTE FUNCTION again()`)

	p.swallow.Store(true)
	require.ErrorContains(t, remove(), "the connection to PostgreSQL was lost")
	require.EqualValues(t, 1, p.swallows.Load())
	value, err := c.get("key")
	require.NoError(t, err)
	assert.Equal(t, "another's", value)
	require.NoError(t, remove())
	_, err = c.get("key")
	assert.ErrorIs(t, err, service.ErrKeyNotFound)
}

func TestTheCacheStatesWhatItIs(t *testing.T) {
	dsn := schema(t)
	c, _ := cacheAt(t, dsn)
	require.ErrorIs(t, c.add(store.FactsKey, "asked", nil), service.ErrKeyAlreadyExists)
	assert.Zero(t, ask[int](t, dsn, "SELECT count(*) FROM ledger WHERE key = $1", store.FactsKey), "nothing is stored")
	facts := c.facts()
	assert.True(t, facts.KeepsTTL)
	assert.False(t, facts.Exclusive)
	assert.Empty(t, facts.MayEvict)
	assert.NotEmpty(t, facts.Data)
	again, _ := cacheAt(t, dsn)
	assert.Equal(t, facts.Data, again.facts().Data, "the same table has the same contents")
	execute(t, dsn, "TRUNCATE ledger")
	emptied, _ := cacheAt(t, dsn)
	assert.NotEqual(t, facts.Data, emptied.facts().Data)

	execute(t, dsn, "CREATE UNLOGGED TABLE fast (key text PRIMARY KEY, value text)")
	unlogged, _ := cacheAt(t, dsn, "table: fast")
	assert.Contains(t, unlogged.facts().MayEvict, "UNLOGGED")
}

func TestATableThatComesBackEmptyIsNoticedBeforeItIsUsed(t *testing.T) {
	for name, emptied := range map[string]string{"emptied": "TRUNCATE ledger", "dropped": "DROP TABLE ledger", "restored": "UPDATE ledger SET value = '\"another\"'"} {
		t.Run(name, func(t *testing.T) {
			dsn := schema(t)
			p, proxied := through(t, dsn)
			c, _ := cacheAt(t, proxied, "conn_max_open: 1")
			before := c.stated()
			p.cut()
			require.NoError(t, c.set("key", "called", nil))
			assert.Equal(t, before.Instance, c.stated().Instance, "of a connection that was lost and nothing else")

			execute(t, dsn, emptied)
			p.cut()
			require.ErrorContains(t, c.add("new", "mine", nil), "the contents of this table are others than before")
			assert.False(t, before.Stands())
			assert.NotEqual(t, before.Data, c.stated().Data)
			assert.Zero(t, ask[int](t, dsn, "SELECT count(*) FROM ledger WHERE key = 'new'"))
			assert.NoError(t, c.add("new", "mine", nil))
		})
	}
}

func TestClaimsAreOnDiskWhenTheyAreAcknowledged(t *testing.T) {
	for mode, want := range map[string]string{"off": "on", "local": "on", "remote_write": "on", "on": "on", "remote_apply": "remote_apply"} {
		dsn := schema(t)
		execute(t, dsn, `CREATE TABLE seen (mode text);
CREATE TABLE ledger (key text PRIMARY KEY, value text);
CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO seen VALUES (current_setting('synchronous_commit')); RETURN NEW; END $$;
CREATE TRIGGER look BEFORE INSERT ON ledger FOR EACH ROW EXECUTE FUNCTION look()`)
		c, _ := cacheAt(t, with(t, with(t, dsn, "synchronous_commit", mode), "options", "-c synchronous_commit="+mode))
		require.NoError(t, c.add("k", "v", nil))
		assert.Equal(t, want, ask[string](t, dsn, "SELECT DISTINCT mode FROM seen"), mode)
	}
}

// A table that the cache `sql` of Connect wrote has values of any type, and no expiry.
func TestALedgerOfTheSQLCacheIsReadAsItIs(t *testing.T) {
	for _, kind := range []string{"text", "varchar(1000)", "bytea", "json", "jsonb"} {
		dsn := schema(t)
		execute(t, dsn, "CREATE TABLE ledger (key varchar(200) PRIMARY KEY, value "+kind+" NOT NULL)")
		execute(t, dsn, `INSERT INTO ledger VALUES ('old', '{"v": 1}')`)
		c, _ := cacheAt(t, dsn, "default_ttl: 1h")
		value, err := c.get("old")
		require.NoError(t, err, kind)
		assert.Equal(t, `{"v": 1}`, value)
		require.ErrorIs(t, c.add("old", `{"v": 2}`, nil), service.ErrKeyAlreadyExists)
		require.NoError(t, c.add("new", `{"v": 3}`, nil), kind)
		value, err = c.get("new")
		require.NoError(t, err)
		assert.Equal(t, `{"v": 3}`, value)
		assert.True(t, ask[bool](t, dsn, "SELECT expires_at IS NULL FROM ledger WHERE key = 'old'"), "it stays for ever, as before")
		assert.False(t, ask[bool](t, dsn, "SELECT expires_at IS NULL FROM ledger WHERE key = 'new'"))
	}
}

func TestALedgerThatTheProgramBeforeWroteIsKnown(t *testing.T) {
	statements, err := os.ReadFile("testdata/sql_cache_ledger.sql")
	require.NoError(t, err)
	dsn := schema(t)
	execute(t, dsn, string(statements))
	c, _ := cacheAt(t, dsn, "table: dial_ledger", "key_column: k", "value_column: v")
	rows, err := connect(t, dsn).Query(t.Context(), "SELECT k, v FROM dial_ledger WHERE k <> 'happyrobot_cache_data'")
	require.NoError(t, err)
	known := 0
	for rows.Next() {
		var key, written string
		require.NoError(t, rows.Scan(&key, &written))
		value, err := c.get(key)
		require.NoError(t, err)
		assert.Equal(t, written, value)
		require.ErrorIs(t, c.add(key, "another", nil), service.ErrKeyAlreadyExists)
		known++
	}
	require.NoError(t, rows.Err())
	assert.Equal(t, 3, known)
}
