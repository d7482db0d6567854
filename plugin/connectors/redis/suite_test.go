package redis_test

import (
	"net/url"
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service/integration"
	"github.com/stretchr/testify/require"

	_ "github.com/benthos-happyrobot/benthos-happyrobot/plugin/connectors/redis"
	"github.com/benthos-happyrobot/benthos-happyrobot/tests/services"
)

// TestBenthosCacheSuite is Benthos' own suite, on a real Redis.
func TestBenthosCacheSuite(t *testing.T) {
	u, err := url.Parse(services.Redis(t))
	require.NoError(t, err)
	suite().Run(t, `
cache_resources:
  - label: testcache
    redis:
      url: $URL
      prefix: $ID
`, integration.CacheTestOptVarSet("URL", u.String()))
}

func suite() integration.CacheTestList {
	return integration.CacheTests(
		integration.CacheTestOpenClose(),
		integration.CacheTestMissingKey(),
		integration.CacheTestDoubleAdd(),
		integration.CacheTestDelete(),
		integration.CacheTestGetAndSet(50),
	)
}
