package redis_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// field is a field of Connect v4.105.0. The tables were written by hand from its
// documentation. None is left out.
type field struct{ path, kind, preset string }

var clientFields = []field{
	{"url", "string", ""},
	{"kind", "string", `"simple"`},
	{"master", "string", `""`},
	{"client_name", "string", `"redpanda-connect"`},
	{"tls", "object", ""},
	{"tls.enabled", "bool", "false"},
	{"tls.skip_cert_verify", "bool", "false"},
	{"tls.enable_renegotiation", "bool", "false"},
	{"tls.root_cas", "string", `""`},
	{"tls.root_cas_file", "string", `""`},
	{"tls.client_certs", "array", "[]"},
	{"tls.client_certs[].cert", "string", `""`},
	{"tls.client_certs[].key", "string", `""`},
	{"tls.client_certs[].cert_file", "string", `""`},
	{"tls.client_certs[].key_file", "string", `""`},
	{"tls.client_certs[].password", "string", `""`},
}

var cacheFields = append(clientFields[:len(clientFields):len(clientFields)], []field{
	{"prefix", "string", ""},
	{"default_ttl", "string", ""},
	{"retries", "object", ""},
	{"retries.initial_interval", "string", `"500ms"`},
	{"retries.max_interval", "string", `"1s"`},
	{"retries.max_elapsed_time", "string", `"5s"`},
}...)

var rateLimitFields = append(clientFields[:len(clientFields):len(clientFields)], []field{
	{"count", "int", "1000"},
	{"interval", "string", `"1s"`},
	{"key", "string", ""},
}...)

func TestFieldsAreThoseOfConnect(t *testing.T) {
	t.Parallel()
	cache, ok := service.GlobalEnvironment().GetCacheConfig("redis")
	require.True(t, ok)
	limit, ok := service.GlobalEnvironment().GetRateLimitConfig("redis")
	require.True(t, ok)
	assert.Equal(t, cacheFields, fieldsOf(t, cache))
	assert.Equal(t, rateLimitFields, fieldsOf(t, limit))
}

func fieldsOf(t *testing.T, view *service.ConfigView) (fields []field) {
	t.Helper()
	data, err := view.TemplateData()
	require.NoError(t, err)
	for _, f := range data.Fields {
		fields = append(fields, field{f.FullName, f.Type, f.DefaultMarshalled})
		assert.NotContains(t, f.Description, "missing documentation", f.FullName)
	}
	return fields
}

func TestLints(t *testing.T) {
	t.Parallel()
	lint := service.GlobalEnvironment().NewComponentConfigLinter()
	for conf, want := range map[string]string{
		"redis: {url: redis://localhost}":                               "",
		"redis: {url: redis://localhost, default_ttl: 1h, prefix: a}":   "",
		"redis: {url: redis://localhost, kind: failover, master: mine}": "",
		"redis: {url: redis://localhost, kind: failover}":               "`master` must be set with `kind: failover`",
		"redis: {url: redis://localhost, kind: sentinel}":               "value sentinel is not a valid option",
		"redis: {url: redis://localhost, pool_size: 3}":                 "field pool_size not recognised",
	} {
		lints, err := lint.LintCacheYAML([]byte(conf))
		require.NoError(t, err)
		expectLint(t, conf, want, lints)
	}
	for conf, want := range map[string]string{
		"redis: {url: redis://localhost, key: a}":                               "",
		"redis: {url: redis://localhost, key: a, count: 0}":                     "`count` must be at least 1",
		"redis: {url: redis://localhost}":                                       "field key is required",
		"redis: {url: redis://localhost, key: a, kind: failover}":               "`master` must be set with `kind: failover`",
		"redis: {url: redis://localhost, key: a, kind: failover, master: mine}": "",
	} {
		lints, err := lint.LintRateLimitYAML([]byte(conf))
		require.NoError(t, err)
		expectLint(t, conf, want, lints)
	}
}

func expectLint(t *testing.T, conf, want string, lints []service.Lint) {
	t.Helper()
	if want == "" {
		assert.Empty(t, lints, conf)
		return
	}
	require.Len(t, lints, 1, conf)
	assert.Contains(t, lints[0].Error(), want, conf)
}

func TestValuesThatCannotBeAreRefusedAtStart(t *testing.T) {
	t.Parallel()
	for conf, want := range map[string]string{
		"default_ttl: soon":                         "field default_ttl",
		"default_ttl: -1s":                          "field default_ttl: must not be negative",
		"retries: {initial_interval: 0s}":           "field retries",
		"retries: {max_interval: often}":            "field retries",
		"kind: failover":                            "field master",
		"tls: {enabled: true, root_cas_file: none}": "field tls",
	} {
		t.Run(conf, func(t *testing.T) {
			builder := service.NewResourceBuilder()
			builder.DisableLinting()
			require.NoError(t, builder.AddCacheYAML("label: c\nredis:\n  url: redis://localhost\n  "+conf))
			res, stop, err := builder.Build()
			require.NoError(t, err)
			defer func() { _ = stop(t.Context()) }()
			assert.ErrorContains(t, res.AccessCache(t.Context(), "c", func(service.Cache) {}), want)
		})
	}
	for _, conf := range []string{"default_ttl: ''", "default_ttl: 0s", "retries: {max_elapsed_time: 0s}"} {
		openCache(t, "url: redis://localhost", conf)
	}
}

// Every error that can be read in the table is one that the code has.
func TestTheProseHasTheErrors(t *testing.T) {
	t.Parallel()
	code, err := os.ReadFile("errors.go")
	require.NoError(t, err)
	replaced, err := os.ReadFile("facts.go")
	require.NoError(t, err)
	prose, err := os.ReadFile("cache_redis.md")
	require.NoError(t, err)
	all := strings.ReplaceAll(string(code)+string(replaced), "`", "")
	rows := regexp.MustCompile("(?m)^\\| `([^`]+)`").FindAllStringSubmatch(string(prose), -1)
	require.NotEmpty(t, rows)
	for _, row := range rows {
		assert.Contains(t, all, row[1])
	}
}

func TestNoURLIsShown(t *testing.T) {
	t.Parallel()
	view, ok := service.GlobalEnvironment().GetCacheConfig("redis")
	require.True(t, ok)
	data, err := view.TemplateData()
	require.NoError(t, err)
	require.Equal(t, "url", data.Fields[0].FullName)
	assert.True(t, data.Fields[0].IsSecret)
}
