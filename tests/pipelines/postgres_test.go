package pipelines

import (
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/tests/program"
	"github.com/benthos-happyrobot/benthos-happyrobot/tests/services"
)

// database is a schema of the test's own, with the tables of resources/sql, and
// the DSN that leads to it.
func database(t *testing.T) (db *sql.DB, dsn string) {
	t.Helper()
	dsn = services.Postgres(t)
	schema := "test_" + strings.ToLower(rand.Text())
	u, err := url.Parse(dsn)
	require.NoError(t, err)
	query := u.Query()
	query.Set("search_path", schema)
	u.RawQuery = query.Encode()
	db, err = sql.Open("pgx", u.String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	execute(t, db, "CREATE SCHEMA "+schema)
	t.Cleanup(func() { _, _ = db.Exec("DROP SCHEMA " + schema + " CASCADE") }) // the test's context is over by then

	files, err := filepath.Glob(filepath.Join(program.Root, "resources/sql/*.sql"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for range 2 { // they may be run again
		for _, file := range files {
			statements, err := os.ReadFile(file)
			require.NoError(t, err)
			execute(t, db, string(statements))
		}
	}
	return db, u.String()
}

func execute(t *testing.T, db *sql.DB, statement string, args ...any) {
	t.Helper()
	_, err := db.ExecContext(t.Context(), statement, args...)
	require.NoError(t, err)
}

// row is one of a table, as JSON says it, and when it was last written.
type row struct {
	values  map[string]any
	written string // the writing transaction
}

// table reads a table by its key. While PostgreSQL restarts it seems empty.
func table(t *testing.T, db *sql.DB, name, key string) map[string]row {
	t.Helper()
	found, err := db.QueryContext(t.Context(), "SELECT t."+key+"::text, t.xmin::text, to_jsonb(t)::text FROM "+name+" t")
	if err != nil {
		return nil
	}
	defer found.Close()
	rows := map[string]row{}
	for found.Next() {
		var id, written, values string
		require.NoError(t, found.Scan(&id, &written, &values))
		r := row{written: written}
		require.NoError(t, json.Unmarshal([]byte(values), &r.values))
		rows[id] = r
	}
	if found.Err() != nil {
		return nil
	}
	return rows
}
