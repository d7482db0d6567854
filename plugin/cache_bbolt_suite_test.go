package plugin_test

import (
	"path/filepath"
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service/integration"
)

// TestBboltPassesBenthosCacheSuite is Benthos' own suite. Its tests share the file, each
// with a bucket of its own.
func TestBboltPassesBenthosCacheSuite(t *testing.T) {
	t.Parallel()
	integration.CacheTests(
		integration.CacheTestOpenClose(),
		integration.CacheTestMissingKey(),
		integration.CacheTestDoubleAdd(),
		integration.CacheTestDelete(),
		integration.CacheTestGetAndSet(50),
	).Run(t, "cache_resources: [ { label: testcache, bbolt: { path: $FILE, bucket: $ID } } ]",
		integration.CacheTestOptVarSet("FILE", filepath.Join(t.TempDir(), "cache.db")))
}
