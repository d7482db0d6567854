package sql

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestADSNMeansWhatItMeantBefore(t *testing.T) {
	for _, name := range []string{"PGHOST", "PGPORT", "PGSSLMODE", "PGSERVICE", "PGSSLROOTCERT", "PGUSER", "PGDATABASE"} {
		t.Setenv(name, "")
	}
	for dsn, want := range map[string]struct {
		host string
		tls  bool
	}{
		"postgres://u:p@db/x":                           {"db", true},
		"postgresql://u:p@db:5433/x?sslmode=disable":    {"db", false},
		"postgres://u:p@/x":                             {"localhost", true},
		"postgres:///x?host=/tmp&sslmode=disable":       {"/tmp", false},
		"postgres://u:p@db/x?sslmode=require":           {"db", true},
		"host=db user=u":                                {"db", true},
		"user=u dbname=x sslmode=disable":               {"localhost", false},
		"user=u password='a sslmode=disable b' host=db": {"db", true},
		"postgres://u:p@one:1,two:2/x":                  {"one", true},
		"postgres://u:p@one:1,two:2/x?sslmode=disable":  {"one", false},
	} {
		conf, err := parseDSN(dsn)
		require.NoError(t, err, dsn)
		assert.Equal(t, want.host, conf.Host, dsn)
		assert.Equal(t, want.tls, conf.TLSConfig != nil, dsn)
		for _, fallback := range conf.Fallbacks {
			assert.Equal(t, want.tls, fallback.TLSConfig != nil, "%s: never without TLS where it was asked for", dsn)
		}
		assert.Equal(t, connectTimeout, conf.ConnectTimeout)
	}
	t.Setenv("PGSSLMODE", "disable")
	conf, err := parseDSN("postgres://u@db/x")
	require.NoError(t, err)
	assert.Nil(t, conf.TLSConfig)
}

func TestSettingsOfADSNReachTheSession(t *testing.T) {
	conf, err := parseDSN("postgres://u:p@db/x?sslmode=disable&application_name=my+leads&search_path=a,b&connect_timeout=3&binary_parameters=yes&fallback_application_name=f&tz=UTC&datestyle=German&options=-c%20geqo%3Doff")
	require.NoError(t, err)
	assert.Equal(t, 3*time.Second, conf.ConnectTimeout)
	assert.Equal(t, map[string]string{"application_name": "my leads", "search_path": "a,b", "timezone": "UTC", "datestyle": "ISO, MDY", "client_encoding": "UTF8", "options": "-c geqo=off"}, conf.RuntimeParams)
}

func TestADSNThatCannotBeReadIsNotQuoted(t *testing.T) {
	for dsn, want := range map[string]string{
		"":                                     "it is empty",
		"sesame":                               "no DSN",
		"postgres://u:sesame@db:port/x":        "no DSN",
		"postgres://u:sesame@db/x?sslmode=odd": "sslmode is invalid",
		"postgres://u:ses%ame@db/x":            "no DSN",
		"host=db password='sesame":             "no DSN",
		"postgres://u:sesame@db/x?hostaddr=1":  "its setting hostaddr is not supported",
		"postgres://u:sesame@db/x?client_encoding=latin1": "only UTF8",
	} {
		_, err := parseDSN(dsn)
		require.ErrorContains(t, err, want, dsn)
		assert.NotContains(t, err.Error(), "sesame")
	}
}

func TestANameIsReadAsSQLReadsIt(t *testing.T) {
	for text, want := range map[string]string{
		"Calls": `"calls"`, `"Calls"`: `"Calls"`, "a.B": `"a"."b"`, `"A"."b.c"`: `"A"."b.c"`, `"a""b"`: `"a""b"`,
		"call-ledger": `"call-ledger"`, `x"y`: `"x""y"`, "\tt\n": `"t"`, "É": `"É"`,
	} {
		name, err := parseIdentifier(text, true)
		require.NoError(t, err, text)
		assert.Equal(t, want, name.String(), text)
	}
	for _, text := range []string{"", `""`, `"a`, `"a"b`, "a.", ".a", "a.b.c", `"a".`} {
		_, err := parseIdentifier(text, true)
		require.Error(t, err, text)
	}
	column, err := parseIdentifier("a.b", false)
	require.NoError(t, err)
	assert.Equal(t, `"a.b"`, column.String())
}

func TestAnErrorDoesNotQuoteValues(t *testing.T) {
	for message, want := range map[string]string{
		`invalid input syntax for type integer: "hun"ter"`: `invalid input syntax for type integer: "…"`,
		`value "999" is out of range for type integer`:     `value "…" is out of range for type integer`,
		`division by zero`: `division by zero`,
	} {
		assert.Equal(t, want, withoutValues(pgError("22P02", message)))
	}
	assert.Equal(t, `relation "t" does not exist`, withoutValues(pgError("42P01", `relation "t" does not exist`)))
	assert.NotContains(t, withoutValues(pgError("P0001", "no hunter2")), "hunter2")
}
