package plugin

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/redpanda-data/benthos/v4/public/components/pure"
	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/boltfile"
)

func TestBboltLintAndParserNameTheField(t *testing.T) {
	cases := []struct {
		name, fields string
		lint, parse  string // "" = accepted
	}{
		{"defaults", `path: a.db`, "", ""},
		{"everything", `{path: a.db, bucket: leads, default_ttl: 168h, file_mode: "0640"}`, "", ""},
		{"a mode without quotes", `{path: a.db, file_mode: 0600}`, "", ""},
		{"a mode without the leading zero", `{path: a.db, file_mode: 640}`, "", ""},
		{"a ttl in parts", `{path: a.db, default_ttl: 1h30m}`, "", ""},
		{"a fraction as ttl", `{path: a.db, default_ttl: 0.5s}`, "", ""},
		{"no ttl", `{path: a.db, default_ttl: ""}`, "", ""},
		{"no path", `{bucket: leads}`, "field path is required", "path"},
		{"an empty path", `path: ""`, "`path` must name a file", "field path: "},
		{"a blank path", `path: " "`, "`path` must name a file", "field path: "},
		{"an empty bucket", `{path: a.db, bucket: ""}`, "`bucket` must not be empty", "field bucket: "},
		{"a negative ttl", `{path: a.db, default_ttl: -1h}`, "`default_ttl` must be longer than zero", "field default_ttl: "},
		{"a ttl of zero", `{path: a.db, default_ttl: 0s}`, "`default_ttl` must be longer than zero", "field default_ttl: "},
		{"a bare zero as ttl", `{path: a.db, default_ttl: 0}`, "`default_ttl` must be longer than zero", "field default_ttl: "},
		{"a ttl that is none", `{path: a.db, default_ttl: soon}`, "`default_ttl` must be a duration", "field default_ttl: "},
		{"a mode that is none", `{path: a.db, file_mode: rw}`, "`file_mode` must be", "field file_mode: "},
		{"a mode that is not octal", `{path: a.db, file_mode: "0680"}`, "`file_mode` must be", "field file_mode: "},
		{"a mode without write", `{path: a.db, file_mode: "0444"}`, "`file_mode` must be", "field file_mode: "},
		{"a mode with too many digits", `{path: a.db, file_mode: "10600"}`, "`file_mode` must be", "field file_mode: "},
		{"a file that must exist", `{path: a.db, must_exist: true}`, "", "`must_exist` is set"},
		{"a backup", `{path: a.db, backup: {path: copy/a.db, interval: 1h}}`, "", ""},
		{"a backup without a path", `{path: a.db, backup: {interval: 1h}}`, "`backup` needs `path`", "field backup: needs both"},
		{"a backup without an interval", `{path: a.db, backup: {path: b.db}}`, "`backup` needs `interval`", "field backup: needs both"},
		{"a backup never", `{path: a.db, backup: {path: b.db, interval: 0s}}`, "`backup.interval` must be a duration longer than zero", "field backup.interval: "},
		{"a backup at a time that is none", `{path: a.db, backup: {path: b.db, interval: daily}}`, "`backup.interval` must be a duration longer than zero", "field backup.interval: "},
		{"a backup over the file", `{path: a.db, backup: {path: a.db, interval: 1h}}`, "`backup.path` must be another file than `path`", "is the file itself"},
		{"a backup over the file, written otherwise", `{path: a.db, backup: {path: ./a.db, interval: 1h}}`, "", "is the file itself"},
		{"an unknown field", `{path: a.db, ttl: 1h}`, "field ttl not recognised", ""},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			lints, err := service.GlobalEnvironment().NewComponentConfigLinter().LintCacheYAML([]byte("bbolt: " + bboltYAML(tc.fields)))
			require.NoError(t, err)
			if tc.lint == "" {
				assert.Empty(t, lints)
			} else if assert.Len(t, lints, 1) {
				assert.Contains(t, lints[0].What, tc.lint)
			}

			resources := service.NewResourceBuilder()
			resources.DisableLinting()
			require.NoError(t, resources.AddCacheYAML("label: ledger\nbbolt: "+bboltYAML(tc.fields)))
			built, closeAll, err := resources.Build()
			require.NoError(t, err)
			err = built.AccessCache(t.Context(), "ledger", func(service.Cache) {}) // Benthos makes a cache when it is first used
			if tc.parse == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, tc.parse)
			}
			require.NoError(t, closeAll(t.Context()))
		})
	}
}

func bboltYAML(fields string) string {
	if strings.HasPrefix(fields, "{") {
		return fields
	}
	return "{" + fields + "}"
}

func TestBboltDefaultTTLAndBucketApplyThroughYAML(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger.db")
	resources := service.NewResourceBuilder()
	require.NoError(t, resources.AddCacheYAML(fmt.Sprintf("label: brief\nbbolt: {path: %q, default_ttl: 1ms}", path)))
	require.NoError(t, resources.AddCacheYAML(fmt.Sprintf("label: kept\nbbolt: {path: %q, bucket: kept}", path)))
	built, closeAll, err := resources.Build()
	require.NoError(t, err)

	for _, label := range []string{"brief", "kept"} {
		require.NoError(t, built.AccessCache(t.Context(), label, func(cache service.Cache) {
			require.NoError(t, cache.Add(t.Context(), "a", []byte(label), nil))
		}))
	}
	require.NoError(t, built.AccessCache(t.Context(), "brief", func(cache service.Cache) {
		assert.Eventually(t, func() bool {
			return cache.Add(t.Context(), "a", []byte("again"), nil) == nil
		}, time.Minute, time.Millisecond, "an expired key can be added again")
	}))
	require.NoError(t, built.AccessCache(t.Context(), "kept", func(cache service.Cache) {
		value, err := cache.Get(t.Context(), "a")
		require.NoError(t, err)
		assert.Equal(t, "kept", string(value))
		assert.ErrorIs(t, cache.Add(t.Context(), "a", nil, nil), service.ErrKeyAlreadyExists)
	}))
	require.NoError(t, closeAll(t.Context()))
}

// What a bucket answers is what Benthos and its components know a cache by.
func TestBboltAnswersAsACacheDoes(t *testing.T) {
	t.Parallel()
	conf := bboltConfig{path: filepath.Join(t.TempDir(), "ledger.db"), bucket: "cache", fileMode: 0o600}
	cache, err := newBboltCache(conf, unheard{})
	require.NoError(t, err)
	_, err = cache.Get(t.Context(), "a")
	assert.Equal(t, service.ErrKeyNotFound, err)
	require.NoError(t, cache.Delete(t.Context(), "a"), "an absent key is no error")
	require.NoError(t, cache.Add(t.Context(), "a", []byte("1"), nil))
	assert.Equal(t, service.ErrKeyAlreadyExists, cache.Add(t.Context(), "a", nil, nil))
	ttl := time.Hour
	require.NoError(t, cache.SetMulti(t.Context(), service.CacheItem{Key: "a", Value: []byte("2"), TTL: &ttl}, service.CacheItem{Key: "b"}))
	value, err := cache.Get(t.Context(), "a")
	require.NoError(t, err)
	assert.Equal(t, "2", string(value))
	require.NoError(t, cache.Set(t.Context(), "b", []byte("3"), nil))
	require.NoError(t, cache.Close(t.Context()))
	require.NoError(t, cache.Close(t.Context()), "closes twice")
	assert.ErrorIs(t, cache.Set(t.Context(), "a", nil, nil), boltfile.ErrClosed)
}

// unheard is a log that nobody reads.
type unheard struct{}

func (unheard) Warnf(string, ...any) {}
func (unheard) Infof(string, ...any) {}

func TestBboltNamesTheFieldItCannotUse(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	foreign := filepath.Join(folder, "foreign.db")
	db, err := bbolt.Open(foreign, 0o600, nil)
	require.NoError(t, err)
	require.NoError(t, db.Update(func(tx *bbolt.Tx) error {
		top, err := tx.CreateBucket([]byte("cache"))
		if err != nil {
			return err
		}
		return top.Put([]byte("records"), []byte("of something else"))
	}))
	require.NoError(t, db.Close())
	for field, path := range map[string]string{"path": folder, "bucket": foreign} {
		_, err := newBboltCache(bboltConfig{path: path, bucket: "cache", fileMode: 0o600}, unheard{})
		require.ErrorContains(t, err, "field "+field+": ")
		assert.ErrorContains(t, err, path)
	}
}

func TestBboltMustExist(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	conf := bboltConfig{path: filepath.Join(folder, "ledger.db"), bucket: "cache", fileMode: 0o600, mustExist: true}
	start := func(conf bboltConfig) error {
		cache, err := newBboltCache(conf, unheard{})
		if err == nil {
			require.NoError(t, cache.Close(t.Context()))
		}
		return err
	}
	require.ErrorContains(t, start(conf), "does not exist, and `must_exist` is set")
	require.NoFileExists(t, conf.path)
	first := conf
	first.mustExist = false
	require.NoError(t, start(first))
	require.NoError(t, start(conf))
	conf.bucket = "leads"
	require.ErrorContains(t, start(conf), "it has no such bucket, and `must_exist` is set")
	require.ErrorContains(t, start(conf), "field bucket: ", "nor was it made")

	foreign, empty := filepath.Join(folder, "foreign.db"), filepath.Join(folder, "empty.db")
	db, err := bbolt.Open(foreign, 0o600, nil)
	require.NoError(t, err)
	require.NoError(t, db.Close())
	conf.path = foreign
	require.ErrorContains(t, start(conf), "it has no such bucket, and `must_exist` is set")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	for _, mustExist := range []bool{false, true} {
		conf.path, conf.mustExist = empty, mustExist
		require.ErrorContains(t, start(conf), "is empty (0 bytes)")
	}
}

func TestBboltDeduplicatesAcrossStreamsAndRestarts(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger.db")
	run := func(ids ...string) []string {
		var mu sync.Mutex
		var passed []string
		stream := service.NewStreamBuilder()
		require.NoError(t, stream.SetLoggerYAML(`level: "off"`))
		require.NoError(t, stream.AddCacheYAML(fmt.Sprintf("label: seen\nbbolt: {path: %q}", path)))
		require.NoError(t, stream.AddProcessorYAML(`dedupe: {cache: seen, key: '${! content() }', drop_on_err: false}`))
		send, err := stream.AddProducerFunc()
		require.NoError(t, err)
		require.NoError(t, stream.AddConsumerFunc(func(_ context.Context, msg *service.Message) error {
			body, err := msg.AsBytes()
			mu.Lock()
			defer mu.Unlock()
			passed = append(passed, string(bytes.Clone(body)))
			return err
		}))
		built, err := stream.Build()
		require.NoError(t, err)
		ended := make(chan error, 1)
		go func() { ended <- built.Run(context.WithoutCancel(t.Context())) }()
		for _, id := range ids {
			require.NoError(t, send(t.Context(), service.NewMessage([]byte(id))))
		}
		require.NoError(t, built.Stop(t.Context()))
		require.NoError(t, <-ended)
		return passed
	}
	assert.Equal(t, []string{"anna", "ben"}, run("anna", "ben", "anna"))
	assert.Equal(t, []string{"carl"}, run("ben", "carl", "anna"))
}
