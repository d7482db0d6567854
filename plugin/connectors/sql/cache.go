package sql

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
)

const ( // cp: cache postgres
	cpFieldTable      = "table"
	cpFieldKey        = "key_column"
	cpFieldValue      = "value_column"
	cpFieldExpires    = "expires_column"
	cpFieldDefaultTTL = "default_ttl"
	cpFieldSweep      = "sweep_interval"
)

//go:embed cache_postgres.md
var cacheProse string

func init() {
	service.MustRegisterCache("postgres", cacheSpec(), newCacheFromParsed)
}

func cacheSpec() *service.ConfigSpec {
	column := func(name, what, byDefault string) *service.ConfigField {
		return service.NewStringField(name).
			Description("The column that holds " + what + ". Written as in SQL: a name with capitals needs double quotes inside the text.").
			Default(byDefault).
			LintRule("root = if this.trim() == \"\" { [ \"`" + name + "` must name a column\" ] }")
	}
	return service.NewConfigSpec().
		Stable().
		Summary("Stores items in a table of PostgreSQL, for any number of processes.").
		Description(cacheProse).
		Fields(
			dsnField(),
			service.NewStringField(cpFieldTable).
				Description("The table to store items in, with its schema if that is not on the search path. It is created when it does not exist. Written as in SQL: a name with capitals needs double quotes inside the text.").
				Example("call_ledger").
				Example("calls.ledger").
				LintRule("root = if this.trim() == \"\" { [ \"`table` must name a table\" ] }"),
			column(cpFieldKey, "keys, of type text or varchar, with a unique index", "key"),
			column(cpFieldValue, "values, of type bytea, text, varchar, json or jsonb", "value"),
			column(cpFieldExpires, "the time at which an item expires, of type timestamptz. It is added when the table has no such column", "expires_at"),
			service.NewDurationField(cpFieldDefaultTTL).
				Description("How long an item is kept when it is written without a TTL of its own, as a duration such as `168h`. Empty keeps it until it is deleted. A TTL of zero on a single item keeps that item until it is deleted.").
				Default("").
				Example("168h").
				LintRule(`root = match {
  this == "" => []
  !this.re_match("^([0-9.]+(ns|us|µs|ms|s|m|h))+$") && !this.re_match("^[-+]?[0.]+$") && !this.has_prefix("-") => [ "`+"`default_ttl`"+` must be a duration such as 168h" ]
  this.has_prefix("-") || !this.re_match("[1-9]") => [ "`+"`default_ttl`"+` must be longer than zero; leave it empty to keep items until they are deleted" ]
}`),
			service.NewDurationField(cpFieldSweep).
				Description("How often expired items are deleted from the table, as a duration. They are not read once they have expired; this only frees their space.").
				Default("1m").
				Advanced(),
			service.NewIntField(srFieldMaxOpen).
				Description("How many connections may be open at a time. Idle connections are kept.").
				Default(10).
				Advanced().
				LintRule("root = if this < 1 { [ \"`conn_max_open` must be at least 1\" ] }"),
		).
		Example("A ledger for many instances",
			"Every lead is called once, whichever instance gets it.",
			`
output:
  happyrobot_dial:
    api_key: ${HAPPYROBOT_API_KEY}
    ledger: ledger
    dedupe_key: ${! this.id }
    max_rejects_in_a_row: 100
    number_id: "${HAPPYROBOT_NUMBER_ID}"
    call_mapping: root.phone_number = this.phone
    failures:
      file: { path: ./failed.jsonl }

cache_resources:
  - label: ledger
    postgres:
      dsn: ${POSTGRES_DSN}
      table: call_ledger
`)
}

type cacheConfig struct {
	conn       *pgx.ConnConfig
	table      cacheTable
	defaultTTL *time.Duration // nil keeps items until they are deleted
	sweep      time.Duration
	maxOpen    int
}

func cacheConfigFromParsed(parsed *service.ParsedConfig) (conf cacheConfig, err error) {
	if conf.conn, err = dsnFromParsed(parsed); err != nil {
		return conf, err
	}
	for name, at := range map[string]*identifier{cpFieldTable: &conf.table.name, cpFieldKey: &conf.table.key, cpFieldValue: &conf.table.value, cpFieldExpires: &conf.table.expires} {
		text, err := parsed.FieldString(name)
		if err != nil {
			return conf, err
		}
		if *at, err = parseIdentifier(text, name == cpFieldTable); err != nil {
			return conf, fmt.Errorf("field %s: %w", name, err)
		}
	}
	ttl, err := parsed.FieldString(cpFieldDefaultTTL)
	if err != nil {
		return conf, err
	}
	if ttl != "" {
		d, err := time.ParseDuration(ttl)
		if err != nil {
			return conf, fmt.Errorf("field %s: %w", cpFieldDefaultTTL, err)
		}
		if d <= 0 {
			return conf, fmt.Errorf("field %s: must be longer than zero, got %s; leave it empty to keep items until they are deleted", cpFieldDefaultTTL, ttl)
		}
		conf.defaultTTL = &d
	}
	if conf.sweep, err = parsed.FieldDuration(cpFieldSweep); err != nil {
		return conf, err
	}
	if conf.sweep <= 0 {
		return conf, fmt.Errorf("field %s: must be longer than zero, got %s", cpFieldSweep, conf.sweep)
	}
	if conf.maxOpen, err = parsed.FieldInt(srFieldMaxOpen); err != nil {
		return conf, err
	}
	if conf.maxOpen < 1 {
		return conf, fmt.Errorf("field %s: must be at least 1, got %d", srFieldMaxOpen, conf.maxOpen)
	}
	return conf, nil
}

func newCacheFromParsed(parsed *service.ParsedConfig, mgr *service.Resources) (service.Cache, error) {
	conf, err := cacheConfigFromParsed(parsed)
	if err != nil {
		return nil, err
	}
	return newCache(conf, mgr.Logger())
}

// pgCache is a table as a Benthos cache.
type pgCache struct {
	conf cacheConfig
	log  *service.Logger
	pool *pool

	opened  atomic.Pointer[openedTable] // nil until the table was found or made
	opening chan struct{}               // taken by whoever opens
	failed  openFailure                 // under opening

	sweeping chan struct{} // closed when the sweeper has ended
	stop     context.CancelFunc
}

// openedTable is the table as it was found.
type openedTable struct {
	tableSQL
	contents  string // as the marker names them
	statement *store.Statement
}

// openFailure keeps those who wait from asking one after the other.
type openFailure struct {
	err error
	at  time.Time
}

// openingPause is how long a failure to open counts for all who ask.
const openingPause = 500 * time.Millisecond

func newCache(conf cacheConfig, log *service.Logger) (*pgCache, error) {
	c := &pgCache{conf: conf, log: log, opening: make(chan struct{}, 1), sweeping: make(chan struct{})}
	c.pool = openPool(conf.conn, poolLimits{maxOpen: conf.maxOpen, maxIdle: conf.maxOpen}, c.connected)
	ctx, cancel := context.WithTimeout(context.Background(), conf.conn.ConnectTimeout)
	defer cancel()
	if _, err := c.open(ctx); err != nil {
		if errors.As(err, new(*tableError)) {
			_ = c.pool.close()
			return nil, err
		}
		happened := "PostgreSQL does not answer the cache"
		if isRefusal(err) {
			happened = "PostgreSQL answers, and refuses what the cache stores"
		}
		log.Warnf("%s; it is tried again with each operation: %v", happened, err)
	}
	var life context.Context
	life, c.stop = context.WithCancel(context.Background())
	go c.sweep(life)
	return c, nil
}

// durable makes a session wait until what it writes is on disk: a claim that a crash of
// the server takes back is a call placed twice. remote_apply is more, and stays.
func durable(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, `SELECT set_config('synchronous_commit',
  CASE current_setting('synchronous_commit') WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, false),
  set_config('default_transaction_isolation', 'read committed', false)`, pgx.QueryExecModeSimpleProtocol)
	return err
}

var errReplaced = errors.New("the contents of this table are others than before: it was emptied, altered or made anew, or this is another PostgreSQL")

// connected sees each new connection. A server that comes back without the contents, or
// another one that took its place, is noticed before anything is asked of it or written.
func (c *pgCache) connected(ctx context.Context, conn *pgx.Conn) error {
	if err := durable(ctx, conn); err != nil {
		return err
	}
	opened := c.opened.Load()
	if opened == nil {
		return nil
	}
	var name []byte
	switch err := conn.QueryRow(ctx, opened.get, dataKey).Scan(&name); {
	case err == nil && string(name) == opened.contents:
		return nil
	case err != nil && !errors.Is(err, pgx.ErrNoRows) && codeOf(err) != codeNoTable:
		return err
	}
	return c.replaced(opened)
}

// replaced forgets the table: what it holds now is to be asked for anew.
func (c *pgCache) replaced(opened *openedTable) error {
	if c.opened.CompareAndSwap(opened, nil) {
		opened.statement.Withdraw()
	}
	return errReplaced
}

// open finds or makes the table, once it can.
func (c *pgCache) open(ctx context.Context) (*openedTable, error) {
	if opened := c.opened.Load(); opened != nil {
		return opened, nil
	}
	select {
	case c.opening <- struct{}{}:
		defer func() { <-c.opening }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if opened := c.opened.Load(); opened != nil {
		return opened, nil
	}
	if c.failed.err != nil && time.Since(c.failed.at) < openingPause {
		return nil, c.failed.err
	}
	opened, err := c.openTable(ctx)
	if err != nil {
		err = fmt.Errorf("opening table %s: %w", c.conf.table.name, c.explain(err))
		if ctx.Err() == nil {
			c.failed = openFailure{err: err, at: time.Now()}
		}
		return nil, err
	}
	c.opened.Store(opened)
	return opened, nil
}

// patience is how long an operation is tried again while PostgreSQL does not take it.
const patience = 5 * time.Second

// try does something with the table until it works, for a while. again says that an
// earlier try may have taken effect.
func (c *pgCache) try(ctx context.Context, do func(t *openedTable, again bool) error) error {
	began, wait, again := time.Now(), pause.NewGrowing(20*time.Millisecond, time.Second), false
	for {
		t, err := c.open(ctx)
		if err != nil && errors.As(err, new(*tableError)) {
			return err
		}
		if err == nil {
			if err = do(t, again); err == nil {
				return nil
			}
			if isAltered(err) {
				err = c.replaced(t)
			}
			again = again || !certainlyNotRun(err)
		}
		if errors.Is(err, errReplaced) || !ofServer(err) && !ofConcurrency(err) || time.Since(began) > patience || pause.Sleep(ctx, wait.Next()) != nil {
			return c.explain(err)
		}
	}
}

// Get returns the value of a key. Under store.FactsKey it says what the cache is.
func (c *pgCache) Get(ctx context.Context, key string) (value []byte, err error) {
	if key == store.FactsKey {
		t, err := c.stating(ctx)
		if err != nil {
			return nil, err
		}
		return t.statement.Answer(), nil
	}
	found := false
	err = c.try(ctx, func(t *openedTable, _ bool) error {
		return c.pool.use(ctx, func(conn *pgx.Conn) error {
			err := conn.QueryRow(ctx, t.get, key).Scan(&value)
			found = err == nil
			if errors.Is(err, pgx.ErrNoRows) {
				return nil
			}
			return err
		})
	})
	if err == nil && !found {
		err = service.ErrKeyNotFound
	}
	return value, err
}

// stating is open for who asks what the cache is: a cache that is closed says nothing.
func (c *pgCache) stating(ctx context.Context) (*openedTable, error) {
	if c.pool.closed.Load() {
		return nil, errClosed
	}
	return c.open(ctx)
}

// Set stores a value.
func (c *pgCache) Set(ctx context.Context, key string, value []byte, ttl *time.Duration) error {
	return c.SetAll(ctx, []store.Item{{Key: key, Value: value, TTL: ttl}})
}

// SetMulti stores all items with one statement.
func (c *pgCache) SetMulti(ctx context.Context, items ...service.CacheItem) error {
	all := make([]store.Item, len(items))
	for i, item := range items {
		all[i] = store.Item(item)
	}
	return c.SetAll(ctx, all)
}

// Add stores a value unless the key is present.
func (c *pgCache) Add(ctx context.Context, key string, value []byte, ttl *time.Duration) error {
	if key == store.FactsKey {
		if _, err := c.stating(ctx); err != nil {
			return err
		}
		return service.ErrKeyAlreadyExists
	}
	err := c.AddAll(ctx, []store.Item{{Key: key, Value: value, TTL: ttl}})[0]
	if errors.Is(err, store.ErrExists) {
		return service.ErrKeyAlreadyExists
	}
	return err
}

// Delete removes a key; that it was absent is no error. After a lost answer it is not
// repeated: the key may be deleted, and another writer may have added it since, whose item
// must stay. Whoever asked for it knows whether to look at the item before trying again.
func (c *pgCache) Delete(ctx context.Context, key string) error {
	var inDoubt error
	err := c.try(ctx, func(t *openedTable, _ bool) error {
		err := c.pool.use(ctx, func(conn *pgx.Conn) error {
			_, err := conn.Exec(ctx, t.del, key)
			return err
		})
		if err != nil && !certainlyNotRun(err) {
			inDoubt = c.explain(err)
			return nil
		}
		return err
	})
	if inDoubt != nil {
		return inDoubt
	}
	return err
}

// Close ends the sweeper and gives up the connections.
func (c *pgCache) Close(ctx context.Context) error {
	c.stop()
	select {
	case <-c.sweeping:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	err := c.pool.close()
	if opened := c.opened.Load(); opened != nil {
		opened.statement.Withdraw()
	}
	return err
}
