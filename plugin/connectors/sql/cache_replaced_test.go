package sql_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
)

func (c *cacheUnderTest) stated() store.Stated {
	c.t.Helper()
	answer, err := c.get(store.FactsKey)
	require.NoError(c.t, err)
	stated, ok := store.FactsIn([]byte(answer))
	require.True(c.t, ok)
	return stated
}

// made makes a table as the cache does, with other contents than before.
const made = "CREATE TABLE %s (key text PRIMARY KEY, value bytea NOT NULL, expires_at timestamptz)"

// The connections stay open, and nothing but the statement that writes can notice.
func TestNothingIsWrittenIntoOtherContentsThanThoseOfTheOpening(t *testing.T) {
	writes := map[string]func(*cacheUnderTest, store.Batcher) error{
		"add": func(c *cacheUnderTest, _ store.Batcher) error { return c.add("lead", "second", nil) },
		"set": func(c *cacheUnderTest, _ store.Batcher) error { return c.set("lead", "second", nil) },
		"add all": func(c *cacheUnderTest, b store.Batcher) error {
			errs := b.AddAll(c.t.Context(), []store.Item{{Key: "lead", Value: []byte("second")}, {Key: "more", Value: []byte("second")}})
			assert.Equal(c.t, errs[0], errs[1])
			return errs[0]
		},
		"set all": func(c *cacheUnderTest, b store.Batcher) error {
			return b.SetAll(c.t.Context(), []store.Item{{Key: "lead", Value: []byte("second")}})
		},
	}
	for emptied, statement := range map[string]string{
		"truncated":     "TRUNCATE ledger",
		"deleted":       "DELETE FROM ledger",
		"dropped":       "DROP TABLE ledger",
		"made anew":     "DROP TABLE ledger; " + fmt.Sprintf(made, "ledger"),
		"made by hand":  "DROP TABLE ledger; CREATE TABLE ledger (key varchar(99) PRIMARY KEY, value jsonb)",
		"altered":       "ALTER TABLE ledger ALTER COLUMN value TYPE text USING ''; CREATE INDEX ON ledger (value)",
		"replaced":      fmt.Sprintf(made, "other") + "; INSERT INTO other SELECT key, '\"another\"' FROM ledger WHERE key <> 'lead'; DROP TABLE ledger; ALTER TABLE other RENAME TO ledger",
		"named anew":    "UPDATE ledger SET value = '\"another\"' WHERE key <> 'lead'; DELETE FROM ledger WHERE key = 'lead'",
		"marker is off": "DELETE FROM ledger WHERE key = 'happyrobot_cache_data'",
	} {
		for name, write := range writes {
			t.Run(emptied+", "+name, func(t *testing.T) {
				dsn := schema(t)
				c, _ := cacheAt(t, dsn)
				require.NoError(t, c.add("lead", `"first"`, nil))
				before := c.stated()
				for range 7 { // the statements are prepared now, and their plans kept
					require.Error(t, c.add("lead", `"again"`, nil))
					require.NoError(t, c.set("warm", `"again"`, nil))
				}

				execute(t, dsn, statement)
				require.ErrorContains(t, write(c, before.Batcher), "the contents of this table are others than before")
				assert.False(t, before.Stands(), "a ledger asks again")
				if emptied != "dropped" {
					assert.Zero(t, ask[int](t, dsn, "SELECT count(*) FROM ledger WHERE value::text LIKE '%second%' OR value::text = 'second'::bytea::text"))
				}
				after := c.stated()
				assert.NotEqual(t, before.Data, after.Data)
				require.NoError(t, c.set("lead", `"third"`, nil), "the new contents are written to")
				assert.True(t, after.Stands())
			})
		}
	}
}

// Another process sees the same contents, and gives them no name of its own.
func TestTwoProcessesAgreeOnTheNewContents(t *testing.T) {
	dsn := schema(t)
	first, _ := cacheAt(t, dsn)
	second, _ := cacheAt(t, dsn)
	assert.Equal(t, first.stated().Data, second.stated().Data)
	execute(t, dsn, "TRUNCATE ledger")
	for _, c := range []*cacheUnderTest{first, second} {
		require.ErrorContains(t, c.add("lead", "mine", nil), "others than before")
	}
	assert.Equal(t, first.stated().Data, second.stated().Data)
	require.NoError(t, first.add("lead", "mine", nil))
	require.Error(t, second.add("lead", "mine too", nil))
}
