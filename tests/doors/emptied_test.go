package doors

import (
	"crypto/rand"
	"database/sql"
	"fmt"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/tests/services"
)

// cache_postgres.md: what was emptied is noticed before anything is written into it, also
// on connections that stay open.
func TestALedgerTableThatIsEmptiedIsNoticed(t *testing.T) {
	dsn := services.Postgres(t)
	db, err := sql.Open("pgx", dsn)
	require.NoError(t, err)
	defer func() { _ = db.Close() }()
	for _, emptied := range []string{"TRUNCATE %s", "DELETE FROM %s", "DROP TABLE %s"} {
		t.Run(emptied, func(t *testing.T) {
			table := "emptied_" + strings.ToLower(rand.Text())
			defer func() { _, _ = db.ExecContext(t.Context(), "DROP TABLE IF EXISTS "+table) }()
			s := startSwapped(t, fmt.Sprintf("postgres: { dsn: %q, table: %s }", dsn, table))
			s.dialed("a")
			s.dialed("a")
			require.Equal(t, map[string]int{"a": 1}, s.sim.CallsByLead(t))
			assert.NotContains(t, s.Log(), "Ledger replaced")

			_, err = db.ExecContext(t.Context(), fmt.Sprintf(emptied, table))
			require.NoError(t, err)
			s.dialed("a")
			s.logs("Ledger replaced: cache ", 1)
			s.logs("the contents of this table are others than before", 1)
			assert.NotContains(t, s.Log(), "..\n")
		})
	}
}
