package sql

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
)

// connectTimeout is how long a connection may take to be made, unless the DSN says so.
const connectTimeout = 10 * time.Second

// parseDSN reads a DSN as the driver lib/pq does, on which pipelines were written: no
// sslmode means require, no host means localhost, and dates have one style.
func parseDSN(dsn string) (*pgx.ConnConfig, error) {
	if strings.TrimSpace(dsn) == "" {
		return nil, errors.New("it is empty; it names a database, such as postgres://user:password@host:5432/database")
	}
	full, err := withDefaults(dsn)
	if err != nil {
		return nil, err
	}
	conf, err := pgx.ParseConfig(full)
	if err != nil {
		return nil, unreadable(err)
	}
	if conf.ConnectTimeout == 0 {
		conf.ConnectTimeout = connectTimeout
	}
	if err := runtimeParams(conf.RuntimeParams); err != nil {
		return nil, err
	}
	// A statement whose context ends is cancelled in the server too.
	conf.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: conn, DeadlineDelay: time.Second}
	}
	return conf, nil
}

// unreadable says why a DSN cannot be read. The parser's own text quotes it.
func unreadable(err error) error {
	reason := "it is no DSN of PostgreSQL; write postgres://user:password@host:5432/database?sslmode=require"
	for _, known := range []string{"sslmode is invalid", "invalid port", "unable to read CA file", "unable to add CA to cert pool", "unable to load cert", "service file", "unknown target_session_attrs"} {
		if strings.Contains(err.Error(), known) {
			return errors.New(known + "; " + reason)
		}
	}
	return errors.New(reason)
}

// withDefaults adds to a DSN what lib/pq assumes and pgx does not. What the DSN, the
// environment or a service file says wins.
func withDefaults(dsn string) (string, error) {
	address := strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://")
	var u *url.URL
	if address {
		var err error
		if u, err = url.Parse(dsn); err != nil {
			return several(dsn), nil // several hosts; or what the parser refuses in its own words
		}
	}
	if os.Getenv("PGSERVICE") != "" || strings.Contains(dsn, "service=") {
		return dsn, nil
	}
	mode := os.Getenv("PGSSLMODE")
	if mode == "" {
		mode = "require"
		if os.Getenv("PGSSLROOTCERT") == "system" || strings.Contains(dsn, "sslrootcert=system") {
			mode = "verify-full"
		}
	}
	host := os.Getenv("PGHOST")
	if host == "" {
		host = "localhost"
	}
	if !address { // of two settings the later one counts
		if !strings.Contains(dsn, "=") {
			return "", unreadable(errors.New("no setting"))
		}
		return "sslmode=" + mode + " host='" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(host) + "' " + dsn, nil
	}
	query := u.Query()
	if !query.Has("sslmode") {
		query.Set("sslmode", mode)
	}
	if u.Host == "" && !query.Has("host") {
		query.Set("host", host)
	}
	u.RawQuery = strings.ReplaceAll(query.Encode(), "+", "%20") // lib/pq takes a plus for a space
	return u.String(), nil
}

// several adds the sslmode to an address that net/url cannot read, such as one with a
// port for each of several hosts.
func several(dsn string) string {
	if strings.Contains(dsn, "sslmode=") || os.Getenv("PGSSLMODE") != "" || strings.Contains(dsn, "service=") {
		return dsn
	}
	if strings.Contains(dsn, "?") {
		return dsn + "&sslmode=require"
	}
	return dsn + "?sslmode=require"
}

// runtimeParams makes of what the parser does not know settings of the session, which
// the server has the last word on. What lib/pq keeps to itself does not get there.
func runtimeParams(params map[string]string) error {
	for _, name := range []string{"hostaddr", "sslinline", "ssl_min_protocol_version", "ssl_max_protocol_version"} {
		if _, ok := params[name]; ok {
			return fmt.Errorf("its setting %s is not supported; remove it", name)
		}
	}
	if encoding := params["client_encoding"]; encoding != "" && !strings.EqualFold(strings.ReplaceAll(encoding, "-", ""), "utf8") {
		return fmt.Errorf("its client_encoding is %q; only UTF8 is supported", encoding)
	}
	if name := params["fallback_application_name"]; name != "" && params["application_name"] == "" {
		params["application_name"] = name
	}
	if zone := params["tz"]; zone != "" {
		params["timezone"] = zone
	}
	for _, name := range []string{"fallback_application_name", "tz", "binary_parameters", "disable_prepared_binary_result", "load_balance_hosts"} {
		delete(params, name)
	}
	for name := range params {
		if strings.EqualFold(name, "client_encoding") || strings.EqualFold(name, "datestyle") || strings.EqualFold(name, "extra_float_digits") {
			delete(params, name)
		}
	}
	// Results are read as text.
	params["client_encoding"] = "UTF8"
	params["datestyle"] = "ISO, MDY"
	return nil
}
