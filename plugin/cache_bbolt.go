package plugin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/boltfile"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
)

const ( // cb: cache bbolt
	cbFieldPath       = "path"
	cbFieldBucket     = "bucket"
	cbFieldDefaultTTL = "default_ttl"
	cbFieldFileMode   = "file_mode"
	cbFieldMustExist  = "must_exist"

	cbFieldBackup         = "backup"
	cbFieldBackupPath     = "path"
	cbFieldBackupInterval = "interval"
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
				Description("Permissions of the file when it is created, in octal, whatever the umask. The owner must be able to read and write. A folder that is created is open to the same users as the file.").
				Default("0600").
				Example("0640").
				LintRule("root = if !this.re_match(\"^0?[67][0-7]{2}$\") { [ \"`file_mode` must be an octal string that lets the owner read and write, such as \\\"0600\\\"\" ] }").
				Advanced(),
			service.NewBoolField(cbFieldMustExist).
				Description("Refuse to start when the file does not exist, or has no such bucket, instead of beginning with an empty one. Set it once a ledger is in use: a ledger that was removed, or a volume that is not mounted, then stops the start, and no lead is called a second time.").
				Default(false),
			service.NewObjectField(cbFieldBackup,
				service.NewStringField(cbFieldBackupPath).
					Description("Where the copy is written, absolute or relative to the working directory, best on another disk. It is readable by its owner only. Its folder must exist. Empty writes none.").
					Default("").
					Example("/backup/ledger.db"),
				service.NewDurationField(cbFieldBackupInterval).
					Description("The time between two copies, as a duration such as `1h`. The first is written this long after the start.").
					Default("").
					Example("1h"),
			).Description("Write a consistent copy of the file while it is in use, which no other process can do. A copy replaces the one before, and nothing else. A copy that fails is reported in the log, and stops nothing.").
				LintRule(`root = match {
  this.path.or("") == "" && this.interval.or("") == "" => []
  this.path.or("").trim() == "" => [ "`+"`backup` needs `path`: the file to write the copy to"+`" ]
  this.interval.or("") == "" => [ "`+"`backup` needs `interval`: the time between two copies, such as 1h"+`" ]
  !this.interval.string().re_match("^([0-9.]+(ns|us|µs|ms|s|m|h))+$") || !this.interval.string().re_match("[1-9]") => [ "`+"`backup.interval` must be a duration longer than zero, such as 1h"+`" ]
}`),
		).
		LintRule(`root = if this.path.or("") != "" && this.backup.path.or("") == this.path { [ "`+"`backup.path` must be another file than `path`"+`" ] }`).
		Example("A ledger for a single instance",
			"Every lead is called once, also across crashes and restarts. The ledger decides how long a record is kept, `default_ttl` covers anything else that uses the cache.",
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
    bbolt:
      path: ./state/ledger.db
      default_ttl: 720h
      backup: { path: ./backup/ledger.db, interval: 1h }
`)
}

type bboltConfig struct {
	path       string
	bucket     string
	defaultTTL time.Duration // 0 keeps items until they are deleted
	fileMode   fs.FileMode
	mustExist  bool
	backup     boltfile.Backup
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
	if conf.mustExist, err = parsed.FieldBool(cbFieldMustExist); err != nil {
		return conf, err
	}
	conf.backup, err = backupFromParsed(parsed.Namespace(cbFieldBackup))
	return conf, err
}

func backupFromParsed(parsed *service.ParsedConfig) (b boltfile.Backup, err error) {
	if b.Path, err = parsed.FieldString(cbFieldBackupPath); err != nil {
		return b, err
	}
	interval, err := parsed.FieldString(cbFieldBackupInterval)
	if err != nil || b.Path == "" && interval == "" {
		return b, err
	}
	if strings.TrimSpace(b.Path) == "" || interval == "" {
		return b, fmt.Errorf("field %s: needs both %s and %s", cbFieldBackup, cbFieldBackupPath, cbFieldBackupInterval)
	}
	if b.Interval, err = time.ParseDuration(interval); err != nil || b.Interval <= 0 {
		return b, fmt.Errorf("field %s.%s: %q is not a duration longer than zero, such as 1h", cbFieldBackup, cbFieldBackupInterval, interval)
	}
	return b, nil
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
	return cache, nil
}

// bboltCache is a bucket of a file as a Benthos cache.
type bboltCache struct {
	file   *boltfile.File
	bucket *boltfile.Bucket
	facts  *store.Statement
}

func newBboltCache(conf bboltConfig, log pause.Logger) (*bboltCache, error) {
	file, err := boltfile.Open(boltfile.Options{Path: conf.path, Mode: conf.fileMode, MustExist: conf.mustExist, Backup: conf.backup, Log: log})
	if err != nil {
		return nil, fmt.Errorf("field %s: %w", cbFieldPath, err)
	}
	bucket, err := file.Bucket(conf.bucket, conf.defaultTTL)
	if err != nil {
		_ = file.Close(context.Background())
		return nil, fmt.Errorf("field %s: %w", cbFieldBucket, err)
	}
	facts := store.State(store.Facts{Data: bucket.ID(), Exclusive: true, KeepsTTL: true, Batcher: bucket})
	return &bboltCache{file: file, bucket: bucket, facts: facts}, nil
}

// Get returns the value of a key.
func (c *bboltCache) Get(ctx context.Context, key string) ([]byte, error) {
	value, err := c.bucket.Get(ctx, key)
	if key == store.FactsKey && (err == nil || errors.Is(err, store.ErrNotFound)) {
		return c.facts.Answer(), nil
	}
	return value, ofCache(err)
}

// Set stores a value.
func (c *bboltCache) Set(ctx context.Context, key string, value []byte, ttl *time.Duration) error {
	return c.bucket.Set(ctx, key, value, ttl)
}

// SetMulti stores all items in one transaction.
func (c *bboltCache) SetMulti(ctx context.Context, items ...service.CacheItem) error {
	all := make([]store.Item, len(items))
	for i, item := range items {
		all[i] = store.Item(item)
	}
	return c.bucket.SetAll(ctx, all)
}

// Add stores a value unless the key is present.
func (c *bboltCache) Add(ctx context.Context, key string, value []byte, ttl *time.Duration) error {
	if key == store.FactsKey {
		return service.ErrKeyAlreadyExists
	}
	return ofCache(c.bucket.Add(ctx, key, value, ttl))
}

// Delete removes a key; that it was absent is no error.
func (c *bboltCache) Delete(ctx context.Context, key string) error {
	return c.bucket.Delete(ctx, key)
}

// Close lets writes that wait finish, and gives up the file.
func (c *bboltCache) Close(ctx context.Context) error {
	defer c.facts.Withdraw()
	return c.file.Close(ctx)
}
