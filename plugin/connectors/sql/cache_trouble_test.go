package sql_test

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
	"github.com/benthos-happyrobot/benthos-happyrobot/tests/services"
)

// role makes a role that may use the schema of a DSN, and answers its DSN.
func role(t testing.TB, dsn string) (name, own string) {
	t.Helper()
	name = "role_" + strings.ToLower(rand.Text())
	execute(t, dsn, "CREATE ROLE "+name+" LOGIN")
	execute(t, dsn, "GRANT USAGE ON SCHEMA "+ask[string](t, dsn, "SELECT current_schema()")+" TO "+name)
	t.Cleanup(func() { execute(withoutCancel{t}, dsn, "DROP OWNED BY "+name+"; DROP ROLE "+name) })
	return name, strings.Replace(dsn, "//test@", "//"+name+"@", 1)
}

// withoutCancel is a test whose cleanup may still ask the database.
type withoutCancel struct{ testing.TB }

func (withoutCancel) Context() context.Context { return context.Background() }

func TestATableThatIsUnfitIsRefusedWithWhatToRun(t *testing.T) {
	for name, c := range map[string]struct{ table, want string }{
		"no unique index":    {"CREATE TABLE ledger (key text, value text); CREATE INDEX ON ledger (key)", `run: CREATE UNIQUE INDEX ON "ledger" ("key")`},
		"a partial index":    {"CREATE TABLE ledger (key text, value text); CREATE UNIQUE INDEX ON ledger (key) WHERE value <> ''", "has no unique index"},
		"an index of two":    {"CREATE TABLE ledger (key text, value text, PRIMARY KEY (key, value))", "has no unique index"},
		"a late constraint":  {"CREATE TABLE ledger (key text UNIQUE DEFERRABLE, value text)", "has no unique index"},
		"no key":             {"CREATE TABLE ledger (id text PRIMARY KEY, value text)", "name its column of keys in field key_column"},
		"no value":           {"CREATE TABLE ledger (key text PRIMARY KEY, v text)", "name its column of values in field value_column"},
		"a key of numbers":   {"CREATE TABLE ledger (key int PRIMARY KEY, value text)", `run: ALTER TABLE "ledger" ALTER COLUMN "key" TYPE text`},
		"a value of numbers": {"CREATE TABLE ledger (key text PRIMARY KEY, value int)", `run: ALTER TABLE "ledger" ALTER COLUMN "value" TYPE text`},
		"an expiry of text":  {"CREATE TABLE ledger (key text PRIMARY KEY, value text, expires_at text)", "name another one in field expires_column"},
		"a view":             {"CREATE VIEW ledger AS SELECT ''::text AS key, ''::text AS value", "it is no table"},
	} {
		dsn := schema(t)
		execute(t, dsn, c.table)
		cache, _ := cacheAt(t, dsn)
		_, err := cache.get("k")
		require.ErrorContains(t, err, c.want, name)
	}
}

func TestMissingRightsAreNamedWithWhatToRun(t *testing.T) {
	dsn := schema(t)
	name, own := role(t, dsn)
	cache, _ := cacheAt(t, own)
	_, err := cache.get("k")
	require.ErrorContains(t, err, "permission denied")
	require.ErrorContains(t, err, `run: CREATE TABLE "ledger" ("key" text PRIMARY KEY, "value" bytea NOT NULL, "expires_at" timestamptz)`)

	execute(t, dsn, "CREATE TABLE ledger (key text PRIMARY KEY, value text)")
	execute(t, dsn, "GRANT SELECT, INSERT, UPDATE, DELETE ON ledger TO "+name)
	cache, _ = cacheAt(t, own)
	_, err = cache.get("k")
	require.ErrorContains(t, err, `run: ALTER TABLE "ledger" ADD COLUMN IF NOT EXISTS "expires_at" timestamptz`)

	execute(t, dsn, "ALTER TABLE ledger ADD COLUMN expires_at timestamptz")
	execute(t, dsn, "REVOKE DELETE, UPDATE ON ledger FROM "+name)
	cache, _ = cacheAt(t, own)
	_, err = cache.get("k")
	require.ErrorContains(t, err, `run: GRANT UPDATE, DELETE ON "ledger" TO "`+name+`"`)

	execute(t, dsn, "GRANT UPDATE, DELETE ON ledger TO "+name)
	cache, log := cacheAt(t, own)
	require.NoError(t, cache.add("k", "v", nil), "no right to change the table is needed")
	assert.Contains(t, log.all(), "An index for expired items is missing")
	assert.Contains(t, log.all(), "CREATE INDEX ON")
}

func TestEachCauseOfNoConnectionHasItsWords(t *testing.T) {
	dsn := schema(t)
	_, refusing := through(t, dsn)
	for cause, c := range map[string]struct{ dsn, want string }{
		"TLS":      {strings.Replace(dsn, "sslmode=disable", "connect_timeout=5", 1), "does not offer TLS"},
		"database": {strings.Replace(dsn, "/test?", "/nowhere?", 1), "check the database in `dsn`"},
		"user":     {strings.Replace(dsn, "//test@", "//nobody:sesame@", 1), "refused the login"},
		"port":     {"postgres://test:sesame@127.0.0.1:1/test?sslmode=disable", "cannot be reached at 127.0.0.1:1"},
		"host":     {"postgres://test:sesame@host.invalid/test?sslmode=disable", "host.invalid"},
		"standby":  {with(t, refusing, "default_transaction_read_only", "on"), "PostgreSQL is read-only"},
	} {
		t.Run(cause, func(t *testing.T) {
			t.Parallel()
			cache, log := cacheAt(t, c.dsn)
			_, err := cache.get(store.FactsKey)
			require.ErrorContains(t, err, c.want)
			require.NotErrorIs(t, err, service.ErrKeyNotFound, "whoever asks must wait")
			require.NotContains(t, err.Error(), "sesame")
			require.NotContains(t, err.Error(), "\n")
			assert.NotContains(t, log.all(), "sesame")
		})
	}
}

func TestACacheWaitsForPostgreSQL(t *testing.T) {
	dsn := schema(t)
	p, proxied := through(t, dsn)
	p.refuse.Store(true)
	cache, log := cacheAt(t, proxied)
	_, err := cache.get(store.FactsKey)
	require.Error(t, err)
	require.NotErrorIs(t, err, service.ErrKeyNotFound)
	assert.Contains(t, log.all(), "does not answer the cache")
	p.refuse.Store(false)
	require.NoError(t, cache.add("k", "v", nil), "an operation waits a while by itself")
	require.NotEmpty(t, cache.facts().Data)

	p.cut()
	p.refuse.Store(true)
	require.Error(t, cache.add("later", "v", nil))
	require.NotEmpty(t, cache.facts().Data, "what is known needs no connection")
	p.refuse.Store(false)
	require.NoError(t, cache.add("later", "v", nil))
}

func TestACacheBearsARestart(t *testing.T) {
	dsn := schema(t)
	cache, _ := cacheAt(t, dsn)
	ctx, stop := context.WithCancel(t.Context())
	var mu sync.Mutex
	added := map[string]bool{}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for ctx.Err() == nil {
				key := rand.Text()
				for {
					err := cache.add(key, "token-"+key, nil)
					if err == nil {
						break
					}
					if errors.Is(err, service.ErrKeyAlreadyExists) {
						assert.Fail(t, "nobody else adds this key")
						return
					}
				}
				mu.Lock()
				added[key] = true
				mu.Unlock()
			}
		})
	}
	count := func() int { mu.Lock(); defer mu.Unlock(); return len(added) }
	for range 2 {
		before := count()
		require.Eventually(t, func() bool { return count() > before+50 }, time.Minute, 5*time.Millisecond)
		services.Restart(t, "postgres")
	}
	before := count()
	require.Eventually(t, func() bool { return count() > before+50 }, time.Minute, 5*time.Millisecond)
	stop()
	wg.Wait()
	assert.Equal(t, len(added), ask[int](t, dsn, "SELECT count(*) FROM ledger WHERE key <> 'happyrobot_cache_data'"))
}
