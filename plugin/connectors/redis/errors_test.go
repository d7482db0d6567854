package redis_test

import (
	"crypto/tls"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEachRefusalSaysWhatToDo(t *testing.T) {
	t.Parallel()
	for reply, want := range map[string]string{
		"READONLY You can't write against a read only replica.":    "read-only replica; name the primary",
		"MOVED 3999 127.0.0.1:6381":                                "set `kind: cluster`",
		"OOM command not allowed when used memory > 'maxmemory'.":  "no memory left for writes",
		"NOAUTH Authentication required.":                          "wants a password",
		"WRONGPASS invalid username-password pair":                 "refused the user or the password",
		"ERR invalid password":                                     "refused the user or the password",
		"NOPERM this user has no permissions":                      "extend its ACL",
		"LOADING Redis is loading the dataset in memory":           "still loading",
		"CLUSTERDOWN The cluster is down":                          "cluster is down",
		"MASTERDOWN Link with MASTER is down":                      "lost its primary",
		"MISCONF Errors writing to the AOF file: No space left":    "cannot write its data to disk",
		"NOREPLICAS Not enough good replicas to write.":            "fewer replicas",
		"ERR max number of clients reached":                        "maxclients",
		"ERR DB index is out of range":                             "does not have the database",
		"WRONGTYPE Operation against a key holding the wrong kind": "used by another program",
		"ERR something new":                                        "Redis refused the command",
	} {
		t.Run(reply, func(t *testing.T) {
			t.Parallel()
			m := startRedis(t)
			c := openCache(t, "url: redis://:geheim@"+m.Addr(), impatient)
			m.RequireAuth("geheim")
			answer(m, "SET", "-"+reply)
			hour := time.Hour
			for name, err := range map[string]error{
				"add": c.Add(t.Context(), "key", []byte("secret lead"), &hour),
				"set": c.Set(t.Context(), "key", []byte("secret lead"), &hour),
			} {
				require.ErrorContains(t, err, want, name)
				require.ErrorContains(t, err, strings.TrimSuffix(reply, "."), "as Redis said it")
				assert.False(t, strings.HasSuffix(err.Error(), "."), "it ends a sentence: %v", err)
				assert.NotContains(t, err.Error(), "geheim")
				assert.NotContains(t, err.Error(), "secret lead")
				assert.NotErrorIs(t, err, service.ErrKeyAlreadyExists)
			}
		})
	}
}

func TestTroubleThatPassesIsWaitedFor(t *testing.T) {
	t.Parallel()
	m := startRedis(t)
	w := startWire(t, m.Addr())
	c := openCache(t, urlOf(w.address), "retries: {initial_interval: 10ms, max_interval: 10ms, max_elapsed_time: 0s}")
	answer(m, "SET", "-READONLY You can't write against a read only replica.")
	added := make(chan error, 1)
	hour := time.Hour
	go func() { added <- c.Add(t.Context(), "key", nil, &hour) }()
	require.Eventually(t, func() bool { return w.requests.Load() > 5 }, 5*time.Second, time.Millisecond)
	answer(m, "", "")
	assert.NoError(t, <-added, "it became the primary")
}

func TestTroubleThatLastsIsReportedAtOnce(t *testing.T) {
	t.Parallel()
	m := startRedis(t)
	m.RequireAuth("geheim")
	c := openCache(t, "url: redis://:falsch@"+m.Addr(), "retries: {max_elapsed_time: 0s}")
	_, err := c.Get(t.Context(), "key")
	require.ErrorContains(t, err, "refused the user or the password")
	assert.NotContains(t, err.Error(), "falsch")
	require.ErrorContains(t, c.Add(t.Context(), "key", nil, nil), "refused the user or the password")
	require.ErrorContains(t, c.Set(t.Context(), "key", nil, nil), "refused the user or the password")
	_, err = openCache(t, urlOf(m.Addr())).Get(t.Context(), "key")
	require.ErrorContains(t, err, "wants a password")
}

func TestTroubleWithConnecting(t *testing.T) {
	t.Parallel()
	web := httptest.NewUnstartedServer(nil)
	web.StartTLS()
	defer web.Close()
	secure := miniredis.NewMiniRedis()
	require.NoError(t, secure.StartTLS(&tls.Config{Certificates: web.TLS.Certificates}))
	defer secure.Close()
	plain := startRedis(t)
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, dead.Close())

	for name, test := range map[string]struct{ url, tls, want string }{
		"nobody listens":        {"redis://" + dead.Addr().String(), "false", "no Redis listens at this address"},
		"TLS to a plain port":   {"rediss://" + plain.Addr(), "false", "if it does not speak TLS on this port"},
		"the same, by field":    {"redis://" + plain.Addr(), "true", "if it does not speak TLS on this port"},
		"plain to a TLS port":   {"redis://" + secure.Addr(), "false", "if this is its TLS port, set `tls.enabled: true`"},
		"unknown authority":     {"rediss://" + secure.Addr(), "false", "is not trusted; set `tls.root_cas_file`"},
		"a host that is no one": {"redis://redis.invalid:6379", "false", "the host in `url` is not known"},
	} {
		t.Run(name, func(t *testing.T) {
			c := openCache(t, "url: "+test.url, "tls: {enabled: "+test.tls+"}", impatient)
			_, err := c.Get(t.Context(), "key")
			require.ErrorContains(t, err, test.want)
		})
	}
	c := openCache(t, "url: rediss://"+secure.Addr(), "tls: {enabled: true, skip_cert_verify: true}")
	assert.NoError(t, c.Set(t.Context(), "key", nil, nil))
}

func TestAWrongURLIsRefusedWithoutItsPassword(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"localhost:6379":                `scheme "localhost"`,
		"http://u:geheim@localhost":     `scheme "http" is not one of redis, rediss, unix`,
		"redis://u:geheim@host:port":    "this is no URL",
		"redis://u:geheim@host:6379/a":  "number of a database",
		"redis://u:geheim@h:1?nosuch=1": "number of a database",
		"redis://u:ge%zzheim@host":      "this is no URL",
	} {
		t.Run(url, func(t *testing.T) {
			builder := service.NewResourceBuilder()
			require.NoError(t, builder.AddCacheYAML("label: c\nredis: {url: \""+url+"\"}"))
			res, stop, err := builder.Build()
			require.NoError(t, err)
			defer func() { _ = stop(t.Context()) }()
			err = res.AccessCache(t.Context(), "c", func(service.Cache) {})
			require.ErrorContains(t, err, want)
			require.ErrorContains(t, err, "field url")
			assert.NotContains(t, err.Error(), "heim")
		})
	}
}
