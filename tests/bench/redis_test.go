package bench

import (
	"context"
	"fmt"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/require"

	_ "github.com/benthos-happyrobot/benthos-happyrobot/plugin/connectors/redis"
	"github.com/benthos-happyrobot/benthos-happyrobot/tests/services"
)

// BenchmarkDialOnRedis places the same calls with what one would write otherwise, the
// stock http_client output behind a dedupe processor, and with happyrobot_dial, whose
// ledger is on the same Redis.
func BenchmarkDialOnRedis(b *testing.B) {
	redis := services.Redis(b)
	n := leadCount(b)
	sides := []*side{
		{name: "dedupe, http_client", configure: onRedis(redis, configureDedupe)},
		{name: "happyrobot_dial", configure: onRedis(redis, func(b *testing.B, s *service.StreamBuilder, url string) error {
			return s.AddOutputYAML(dialYAML(url, "ledger"))
		})},
	}
	leads, warmUp := makeLeads("lead", n), makeLeads("warm-up", warmUpLeads)
	rounds := 0
	for b.Loop() {
		for _, s := range sides {
			s.used = s.used.plus(s.dial(b, leads, warmUp))
		}
		rounds++
	}
	total := n * rounds
	stock, dial := sides[0].used.rate(total), sides[1].used.rate(total)
	b.ReportMetric(stock, "dedupe-leads/s")
	b.ReportMetric(dial, "happyrobot_dial-leads/s")
	b.ReportMetric(dial/stock, "happyrobot_dial/dedupe")
	b.Log("\n" + dialTable(sides, n, total) + verdict("happyrobot_dial / dedupe, http_client, on one Redis", dial/stock, 1))
}

// onRedis adds the cache `ledger`, with keys of its own that are deleted in the end.
func onRedis(redis string, configure func(*testing.B, *service.StreamBuilder, string) error) func(*testing.B, *service.StreamBuilder, string) error {
	return func(b *testing.B, s *service.StreamBuilder, url string) error {
		prefix := fmt.Sprintf("bench-%d:", time.Now().UnixNano())
		b.Cleanup(func() { deleteKeys(b, redis, prefix) })
		if err := s.AddCacheYAML(fmt.Sprintf("label: ledger\nredis: {url: %q, prefix: %q, default_ttl: 168h}", redis, prefix)); err != nil {
			return err
		}
		return configure(b, s, url)
	}
}

func configureDedupe(b *testing.B, s *service.StreamBuilder, url string) error {
	s.SetThreads(maxInFlight)
	if err := s.AddProcessorYAML(`dedupe: {cache: ledger, key: '${! json("id") }'}`); err != nil {
		return err
	}
	return configureHTTPClient(b, s, url)
}

func deleteKeys(b *testing.B, redis, prefix string) {
	b.Helper()
	o, err := goredis.ParseURL(redis)
	require.NoError(b, err)
	client := goredis.NewClient(o)
	defer client.Close()
	ctx := context.Background()
	for cursor := uint64(0); ; {
		keys, next, err := client.Scan(ctx, cursor, prefix+"*", 10_000).Result()
		require.NoError(b, err)
		if len(keys) > 0 {
			require.NoError(b, client.Unlink(ctx, keys...).Err())
		}
		if cursor = next; cursor == 0 {
			return
		}
	}
}
