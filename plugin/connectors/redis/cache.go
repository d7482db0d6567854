package redis

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
)

const ( // cr: cache redis
	crFieldPrefix     = "prefix"
	crFieldDefaultTTL = "default_ttl"
	crFieldRetries    = "retries"
)

//go:embed cache_redis.md
var cacheProse string

func init() { service.MustRegisterCache("redis", cacheSpec(), newCacheFromParsed) }

func cacheSpec() *service.ConfigSpec {
	return service.NewConfigSpec().
		Stable().
		Summary("Stores items in Redis, where many processes share them.").
		Description(cacheProse).
		Fields(clientFields()...).
		Fields(
			service.NewStringField(crFieldPrefix).
				Description("What the name of each key in Redis begins with, so that programs that share a Redis do not share keys.").
				Example("leads:").
				Optional(),
			service.NewStringField(crFieldDefaultTTL).
				Description("How long an item is kept that is written without a TTL of its own, as a duration such as `168h`. Without it, or with `0s`, such an item is kept until it is deleted. A TTL of zero on a single item keeps that item until it is deleted.").
				Example("168h").
				Optional().
				Advanced(),
			service.NewBackOffField(crFieldRetries, true, &backoff.ExponentialBackOff{
				InitialInterval: 500 * time.Millisecond, MaxInterval: time.Second, MaxElapsedTime: 5 * time.Second,
			}).
				Description("How an operation is tried again while Redis cannot be reached, or cannot take it just now. A ledger or a cursor keeps trying after this.").
				Advanced(),
		).
		LintRule(clientLint).
		Example("A ledger for many replicas",
			"Every replica sees what the others have called. Redis must keep its data over restarts and must not evict: `appendonly yes`, `maxmemory-policy noeviction`.",
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
    redis:
      url: redis://localhost:6379
      prefix: "leads:"
`)
}

type cacheConfig struct {
	client       clientConfig
	prefix       string
	defaultTTL   time.Duration // 0 keeps items until they are deleted
	first, limit time.Duration // pauses between tries
	patience     time.Duration // 0 tries until the context ends
}

func cacheConfigFromParsed(parsed *service.ParsedConfig) (conf cacheConfig, err error) {
	if conf.client, err = clientConfigFromParsed(parsed); err != nil {
		return conf, err
	}
	if parsed.Contains(crFieldPrefix) {
		if conf.prefix, err = parsed.FieldString(crFieldPrefix); err != nil {
			return conf, err
		}
	}
	if parsed.Contains(crFieldDefaultTTL) {
		ttl, err := parsed.FieldString(crFieldDefaultTTL)
		if err != nil {
			return conf, err
		}
		if ttl != "" {
			if conf.defaultTTL, err = time.ParseDuration(ttl); err != nil {
				return conf, fmt.Errorf("field %s: %w", crFieldDefaultTTL, err)
			}
		}
		if conf.defaultTTL < 0 {
			return conf, fmt.Errorf("field %s: must not be negative, got %s", crFieldDefaultTTL, ttl)
		}
	}
	retries, err := parsed.FieldBackOff(crFieldRetries)
	if err != nil {
		return conf, fmt.Errorf("field %s: %w", crFieldRetries, err)
	}
	conf.first, conf.limit, conf.patience = retries.InitialInterval, retries.MaxInterval, retries.MaxElapsedTime
	if conf.first <= 0 || conf.limit <= 0 {
		return conf, fmt.Errorf("field %s: initial_interval and max_interval must be longer than zero", crFieldRetries)
	}
	return conf, nil
}

func newCacheFromParsed(parsed *service.ParsedConfig, mgr *service.Resources) (service.Cache, error) {
	conf, err := cacheConfigFromParsed(parsed)
	if err != nil {
		return nil, err
	}
	return newCache(conf, mgr.Logger()), nil
}

// cache keeps items in Redis as plain strings, under the prefix and the key.
type cache struct {
	conf   cacheConfig
	client *client
	log    pause.Logger

	asking chan struct{} // holds a value while somebody makes the statement

	mu        sync.Mutex
	closed    bool
	statement *store.Statement // nil until Redis was asked
	facts     store.Facts      // of the statement
	unwatch   func()           // ends the watching of what was stated

	watching sync.WaitGroup
}

func newCache(conf cacheConfig, log pause.Logger) *cache {
	c := &cache{conf: conf, log: log, asking: make(chan struct{}, 1)}
	c.client = newClient(conf.client, c.connected)
	return c
}

// Get returns the value of a key.
func (c *cache) Get(ctx context.Context, key string) ([]byte, error) {
	if key == store.FactsKey {
		return c.answerFacts(ctx)
	}
	value, err := c.get(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return nil, service.ErrKeyNotFound
	}
	return value, err
}

// Set stores a value.
func (c *cache) Set(ctx context.Context, key string, value []byte, ttl *time.Duration) error {
	return c.SetAll(ctx, []store.Item{{Key: key, Value: value, TTL: ttl}})
}

// SetMulti stores all items in one round trip.
func (c *cache) SetMulti(ctx context.Context, items ...service.CacheItem) error {
	all := make([]store.Item, len(items))
	for i, item := range items {
		all[i] = store.Item(item)
	}
	return c.SetAll(ctx, all)
}

// Add stores a value unless the key is present.
func (c *cache) Add(ctx context.Context, key string, value []byte, ttl *time.Duration) error {
	if key == store.FactsKey {
		return service.ErrKeyAlreadyExists
	}
	err := c.AddAll(ctx, []store.Item{{Key: key, Value: value, TTL: ttl}})[0]
	if errors.Is(err, store.ErrExists) {
		return service.ErrKeyAlreadyExists
	}
	return err
}

// Delete removes a key; that it was absent is no error.
func (c *cache) Delete(ctx context.Context, key string) error { return c.remove(ctx, key) }

// Close cuts the connections. It works twice.
func (c *cache) Close(ctx context.Context) error {
	c.withdraw()
	err := c.client.close(ctx)
	c.watching.Wait() // it watches a context that has ended
	return err
}
