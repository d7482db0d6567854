package redis

import (
	"context"
	_ "embed"
	"fmt"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redpanda-data/benthos/v4/public/service"
)

const ( // rr: rate limit redis
	rrFieldCount    = "count"
	rrFieldInterval = "interval"
	rrFieldKey      = "key"
)

//go:embed rate_limit_redis.md
var rateLimitProse string

func init() { service.MustRegisterRateLimit("redis", rateLimitSpec(), newRateLimitFromParsed) }

func rateLimitSpec() *service.ConfigSpec {
	return service.NewConfigSpec().
		Stable().
		Summary("Limits how often something happens in all processes that share a Redis.").
		Description(rateLimitProse).
		Fields(clientFields()...).
		Fields(
			service.NewIntField(rrFieldCount).
				Description("How many requests are let through in each interval, by all processes together. At least 1.").
				Default(1000).
				LintRule(`root = if this < 1 { [ "`+"`count`"+` must be at least 1" ] }`),
			service.NewDurationField(rrFieldInterval).
				Description("How long an interval is, as a duration such as `1s`. At least a millisecond. It begins with the first request after the one before ended.").
				Default("1s"),
			service.NewStringField(rrFieldKey).
				Description("The key in Redis that counts the requests. Whoever uses the same key shares the limit, and must have the same `count` and `interval`."),
		).
		LintRule(clientLint)
}

type rateLimitConfig struct {
	client   clientConfig
	count    int
	interval time.Duration
	key      string
}

func rateLimitConfigFromParsed(parsed *service.ParsedConfig) (conf rateLimitConfig, err error) {
	if conf.client, err = clientConfigFromParsed(parsed); err != nil {
		return conf, err
	}
	if conf.count, err = parsed.FieldInt(rrFieldCount); err != nil {
		return conf, err
	}
	if conf.count < 1 {
		return conf, fmt.Errorf("field %s: must be at least 1, got %d", rrFieldCount, conf.count)
	}
	if conf.interval, err = parsed.FieldDuration(rrFieldInterval); err != nil {
		return conf, err
	}
	if conf.interval < time.Millisecond {
		return conf, fmt.Errorf("field %s: must be at least 1ms, got %v", rrFieldInterval, conf.interval)
	}
	conf.key, err = parsed.FieldString(rrFieldKey)
	return conf, err
}

func newRateLimitFromParsed(parsed *service.ParsedConfig, _ *service.Resources) (service.RateLimit, error) {
	conf, err := rateLimitConfigFromParsed(parsed)
	if err != nil {
		return nil, err
	}
	return newRateLimit(conf), nil
}

type rateLimit struct {
	conf   rateLimitConfig
	client *client
}

func newRateLimit(conf rateLimitConfig) *rateLimit {
	return &rateLimit{conf: conf, client: newClient(conf.client, nil)}
}

// take counts a request and answers 0, or answers how many milliseconds are left of a
// full interval. The key holds a plain number that expires with its interval: Connect's
// rate limit of the same name counts in the same way, so both can share a key while
// replicas are replaced. A number that does not expire would close the limit for ever.
var take = goredis.NewScript(`
local taken = tonumber(redis.call("GET", KEYS[1]) or "0")
local left = redis.call("PTTL", KEYS[1])
if taken >= tonumber(ARGV[1]) and left > 0 then
  return left
end
if left > 0 then
  redis.call("INCR", KEYS[1])
else
  redis.call("SET", KEYS[1], 1, "PX", ARGV[2])
end
return 0
`)

// Access asks for one request: it may be made now, or after what is answered it is asked
// for again. An answer that is lost costs a request of the limit.
func (r *rateLimit) Access(ctx context.Context) (time.Duration, error) {
	left, err := exchange(ctx, r.client, func(ctx context.Context) (int64, error) {
		return take.Run(ctx, r.client, []string{r.conf.key}, r.conf.count, r.conf.interval.Milliseconds()).Int64()
	})
	if err != nil {
		return 0, fmt.Errorf("asking the rate limit in Redis: %w", err)
	}
	return time.Duration(left) * time.Millisecond, nil
}

// Close cuts the connections. It works twice.
func (r *rateLimit) Close(ctx context.Context) error { return r.client.close(ctx) }
