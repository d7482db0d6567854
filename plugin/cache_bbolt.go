package plugin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"go.etcd.io/bbolt"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
)

const ( // cb: cache bbolt
	cbFieldPath       = "path"
	cbFieldBucket     = "bucket"
	cbFieldDefaultTTL = "default_ttl"
	cbFieldFileMode   = "file_mode"
)

func init() {
	service.MustRegisterCache("bbolt", bboltSpec(), newBboltFromParsed)
}

func bboltSpec() *service.ConfigSpec {
	return service.NewConfigSpec().
		Stable().
		Summary("Stores items in one local file that survives crashes and restarts, with nothing else to install or run.").
		Description(description("cache_bbolt")).
		Fields(
			service.NewStringField(cbFieldPath).
				Description("The file to store items in, absolute or relative to the working directory. The file and its folder are created when they do not exist.").
				Example("./state/ledger.db").
				Example("/var/lib/benthos/ledger.db").
				LintRule("root = if this.trim() == \"\" { [ \"`path` must name a file\" ] }"),
			service.NewStringField(cbFieldBucket).
				Description("The part of the file to use. Caches with different buckets share a file without seeing each other's items.").
				Default("cache").
				LintRule("root = if this == \"\" { [ \"`bucket` must not be empty\" ] }"),
			service.NewDurationField(cbFieldDefaultTTL).
				Description("How long an item is kept when it is written without a TTL of its own, as a duration such as `168h`. Empty keeps it until it is deleted. A TTL of zero on a single item keeps that item until it is deleted.").
				Default("").
				Example("168h").
				LintRule(`root = match {
  this == "" => []
  !this.re_match("^([0-9.]+(ns|us|µs|ms|s|m|h))+$") && !this.re_match("^[-+]?[0.]+$") && !this.has_prefix("-") => [ "`+"`default_ttl`"+` must be a duration such as 168h" ]
  this.has_prefix("-") || !this.re_match("[1-9]") => [ "`+"`default_ttl`"+` must be longer than zero; leave it empty to keep items until they are deleted" ]
}`),
			service.NewStringField(cbFieldFileMode).
				Description("Permissions of the file when it is created, in octal and before the umask. The owner must be able to read and write. A folder that is created is open to the same users as the file.").
				Default("0600").
				Example("0640").
				LintRule("root = if !this.re_match(\"^0?[67][0-7]{2}$\") { [ \"`file_mode` must be an octal string that lets the owner read and write, such as \\\"0600\\\"\" ] }").
				Advanced(),
		).
		Example("A ledger for a single instance",
			"Every lead is called once, also across crashes and restarts. The ledger decides how long a record is kept, `default_ttl` covers anything else that uses the cache.",
			`
output:
  happyrobot_dial:
    api_key: ${HAPPYROBOT_API_KEY}
    ledger: ledger
    dedupe_key: ${! this.id }
    number_id: "${HAPPYROBOT_NUMBER_ID}"
    call_mapping: root.phone_number = this.phone
    failures:
      file: { path: ./failed.jsonl }

cache_resources:
  - label: ledger
    bbolt:
      path: ./state/ledger.db
      default_ttl: 720h
`)
}

type bboltConfig struct {
	path       string
	bucket     string
	defaultTTL time.Duration // 0 keeps items until they are deleted
	fileMode   fs.FileMode
}

func bboltConfigFromParsed(parsed *service.ParsedConfig) (conf bboltConfig, err error) {
	if conf.path, err = parsed.FieldString(cbFieldPath); err != nil {
		return conf, err
	}
	if strings.TrimSpace(conf.path) == "" {
		return conf, fmt.Errorf("field %s: must name a file", cbFieldPath)
	}
	if conf.bucket, err = parsed.FieldString(cbFieldBucket); err != nil {
		return conf, err
	}
	if conf.bucket == "" {
		return conf, fmt.Errorf("field %s: must not be empty", cbFieldBucket)
	}
	ttl, err := parsed.FieldString(cbFieldDefaultTTL)
	if err != nil {
		return conf, err
	}
	if ttl != "" {
		if conf.defaultTTL, err = time.ParseDuration(ttl); err != nil {
			return conf, fmt.Errorf("field %s: %w", cbFieldDefaultTTL, err)
		}
		if conf.defaultTTL <= 0 {
			return conf, fmt.Errorf("field %s: must be longer than zero, got %s; leave it empty to keep items until they are deleted", cbFieldDefaultTTL, ttl)
		}
	}
	mode, err := parsed.FieldString(cbFieldFileMode)
	if err != nil {
		return conf, err
	}
	bits, err := strconv.ParseUint(mode, 8, 32)
	if err != nil || bits > 0o777 || bits&0o600 != 0o600 {
		return conf, fmt.Errorf("field %s: %q is not an octal mode that lets the owner read and write, such as \"0600\"", cbFieldFileMode, mode)
	}
	conf.fileMode = fs.FileMode(bits)
	return conf, nil
}

func newBboltFromParsed(parsed *service.ParsedConfig, mgr *service.Resources) (service.Cache, error) {
	conf, err := bboltConfigFromParsed(parsed)
	if err != nil {
		return nil, err
	}
	cache, err := newBboltCache(conf, mgr.Logger())
	if err != nil {
		return nil, err
	}
	mgr.SetGeneric(singleProcessCache(mgr.Label()), store.Batcher(cache))
	return cache, nil
}

var errBboltClosed = errors.New("the bbolt cache is closed")

// bboltCache is one bucket of a file that other caches of this process may share.
type bboltCache struct {
	file       *boltFile
	bucket     boltBucket
	defaultTTL time.Duration

	closed    atomic.Bool
	closeOnce sync.Once
	released  <-chan struct{}
}

func newBboltCache(conf bboltConfig, log *service.Logger) (*bboltCache, error) {
	file, err := openBoltFiles.acquire(conf.path, conf.fileMode, log)
	if err != nil {
		return nil, fmt.Errorf("field %s: %w", cbFieldPath, err)
	}
	c := &bboltCache{file: file, bucket: boltBucket(conf.bucket), defaultTTL: conf.defaultTTL}
	err = file.write(context.Background(), func(tx *bbolt.Tx) error {
		if err := c.bucket.create(tx); err != nil {
			return err
		}
		file.swept[c.bucket] = struct{}{}
		return nil
	})
	if err != nil {
		_ = c.Close(context.Background())
		return nil, fmt.Errorf("creating bucket %q (field %s) in %q: %w", conf.bucket, cbFieldBucket, file.path, err)
	}
	return c, nil
}

// Get returns the value of a key. A record that did not come from this cache is returned as it is found.
func (c *bboltCache) Get(ctx context.Context, key string) ([]byte, error) {
	if err := c.usable(ctx); err != nil {
		return nil, err
	}
	var value []byte
	err := c.file.read(func(tx *bbolt.Tx) error {
		found, ok := c.bucket.get(tx, key, time.Now())
		if !ok {
			return service.ErrKeyNotFound
		}
		value = append([]byte{}, found...) // the file's memory is only valid inside the transaction
		return nil
	})
	return value, err
}

// Set stores a value. When ctx ends first its error is returned and the write may still happen.
func (c *bboltCache) Set(ctx context.Context, key string, value []byte, ttl *time.Duration) error {
	return c.SetMulti(ctx, service.CacheItem{Key: key, Value: value, TTL: ttl})
}

// SetMulti stores all items in one transaction: after a crash either all of them are there or none.
func (c *bboltCache) SetMulti(ctx context.Context, items ...service.CacheItem) error {
	if err := c.usable(ctx); err != nil {
		return err
	}
	if len(items) == 0 {
		return nil
	}
	records := make([]boltRecord, len(items))
	for i, item := range items {
		var err error
		if records[i], err = c.record(item.Key, item.Value, item.TTL); err != nil {
			return err
		}
	}
	return c.file.write(ctx, func(tx *bbolt.Tx) error {
		for _, record := range records {
			if err := c.bucket.put(tx, record); err != nil {
				return err
			}
		}
		return nil
	})
}

// Add stores a value unless the key is present. When ctx ends first its error is returned and the write may still happen.
func (c *bboltCache) Add(ctx context.Context, key string, value []byte, ttl *time.Duration) error {
	if err := c.usable(ctx); err != nil {
		return err
	}
	record, err := c.record(key, value, ttl)
	if err != nil {
		return err
	}
	return c.file.write(ctx, func(tx *bbolt.Tx) error {
		if _, ok := c.bucket.get(tx, key, time.Now()); ok {
			return service.ErrKeyAlreadyExists
		}
		return c.bucket.put(tx, record)
	})
}

// AddAll adds many items in one transaction, and answers for each as Add would.
func (c *bboltCache) AddAll(ctx context.Context, items []store.Item) []error {
	errs := make([]error, len(items))
	fail := func(err error) []error {
		for i := range errs {
			errs[i] = err
		}
		return errs
	}
	if err := c.usable(ctx); err != nil {
		return fail(err)
	}
	records := make([]boltRecord, len(items))
	for i, item := range items {
		records[i], errs[i] = c.record(item.Key, item.Value, item.TTL)
	}
	refused := slices.Clone(errs) // of the transaction, which may outlive this call
	err := c.file.write(ctx, func(tx *bbolt.Tx) error {
		now := time.Now()
		for i, item := range items {
			if refused[i] != nil {
				continue
			}
			if _, ok := c.bucket.get(tx, item.Key, now); ok {
				refused[i] = store.ErrExists
				continue
			}
			if err := c.bucket.put(tx, records[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fail(err)
	}
	return refused
}

// SetAll stores all items in one transaction.
func (c *bboltCache) SetAll(ctx context.Context, items []store.Item) error {
	cached := make([]service.CacheItem, len(items))
	for i, item := range items {
		cached[i] = service.CacheItem(item)
	}
	return c.SetMulti(ctx, cached...)
}

// Delete removes a key; that it was absent is no error. When ctx ends first its error is returned and the key may still go.
func (c *bboltCache) Delete(ctx context.Context, key string) error {
	if err := c.usable(ctx); err != nil {
		return err
	}
	return c.file.write(ctx, func(tx *bbolt.Tx) error { return c.bucket.delete(tx, key) })
}

// record prepares what is stored. The bytes are copied here, before a write is queued, because a caller whose context
// ends may use its buffer again while the write still waits.
func (c *bboltCache) record(key string, value []byte, ttl *time.Duration) (boltRecord, error) {
	lifetime := c.defaultTTL
	if ttl != nil {
		lifetime = *ttl
	}
	if lifetime < 0 {
		return boltRecord{}, fmt.Errorf("storing an item: its ttl is negative (%s)", lifetime)
	}
	return newBoltRecord(key, value, lifetime, time.Now())
}

func (c *bboltCache) usable(ctx context.Context) error {
	if c.closed.Load() {
		return errBboltClosed
	}
	return ctx.Err()
}

// Close lets writes that wait finish, then closes the file unless another cache still uses it.
func (c *bboltCache) Close(ctx context.Context) error {
	c.closeOnce.Do(func() {
		c.closed.Store(true)
		c.released = openBoltFiles.release(c.file)
	})
	select {
	case <-c.released:
		return c.file.closeError()
	case <-ctx.Done():
		return ctx.Err()
	}
}
