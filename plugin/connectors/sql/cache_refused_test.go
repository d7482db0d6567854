package sql_test

import (
	"strings"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
)

// trigger makes a trigger before each insert with this body.
func trigger(body string) string {
	return "CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN " + body + " END $$; CREATE TRIGGER look BEFORE INSERT ON ledger FOR EACH ROW EXECUTE FUNCTION look()"
}

const usual = "CREATE TABLE ledger (key text PRIMARY KEY, value text, expires_at timestamptz); "

// What the table refuses is said as such, at the start and later, and is no outage.
func TestWhatTheTableRefusesIsNamed(t *testing.T) {
	for name, c := range map[string]struct {
		table, change string
		want          []string
	}{
		"a short value":          {"CREATE TABLE ledger (key text PRIMARY KEY, value varchar(30))", "", []string{"SQLSTATE 22001: a column is too short for it"}},
		"a short key":            {"CREATE TABLE ledger (key varchar(22) PRIMARY KEY, value text)", "", []string{"SQLSTATE 22001"}},
		"a column":               {usual, "ALTER TABLE ledger ADD COLUMN tenant text NOT NULL DEFAULT ''; ALTER TABLE ledger ALTER COLUMN tenant DROP DEFAULT", []string{`"tenant"`, "SQLSTATE 23502: a column must not be NULL, and is not filled"}},
		"a check":                {usual, "ALTER TABLE ledger ADD CHECK (key NOT LIKE 'sesame%')", []string{"SQLSTATE 23514: a CHECK constraint does not allow it"}},
		"a trigger raises":       {usual, trigger("RAISE 'no %', NEW.key;"), []string{"a function or trigger raised an error (SQLSTATE P0001)"}},
		"a trigger raises codes": {usual, trigger("RAISE 'no %', NEW.key USING ERRCODE = '55000';"), []string{"a function or trigger raised an error (SQLSTATE 55000)"}},
		"a trigger drops":        {usual, trigger("RETURN NULL;"), []string{"did not store the item, as with a trigger that returns NULL"}},
		"a trigger is wrong":     {usual, trigger("PERFORM missing; RETURN NEW;"), []string{"SQLSTATE 42703"}},
		"a rule":                 {usual, "CREATE RULE r AS ON INSERT TO ledger DO INSTEAD NOTHING", []string{"SQLSTATE 0A000"}},
	} {
		t.Run(name, func(t *testing.T) {
			dsn := schema(t)
			execute(t, dsn, c.table)
			cache, _ := cacheAt(t, dsn)
			if c.change != "" {
				require.NoError(t, cache.add("before", "v", nil))
				execute(t, dsn, c.change)
			}
			began, before := time.Now(), cache.stated()
			for what, err := range map[string]error{
				"add": cache.add("sesame, which is a long key", "sesame, which is a much longer value", nil),
				"set": cache.set("sesame, which is a long key", "sesame, which is a much longer value", nil),
			} {
				require.Error(t, err, what)
				require.NotErrorIs(t, err, service.ErrKeyAlreadyExists, what)
				for _, want := range append(c.want, "PostgreSQL refused it: ", `check the columns, constraints and triggers of table "ledger"`) {
					require.ErrorContains(t, err, want, what)
				}
				assert.NotContains(t, err.Error(), "sesame", what)
			}
			assert.Less(t, time.Since(began), 4*time.Second, "what is refused is not tried again")
			assert.True(t, before.Stands(), "its contents are the same")
		})
	}
}

func TestARefusalAtTheStartIsNoOutage(t *testing.T) {
	for name, body := range map[string]string{"raises": "RAISE 'sesame';", "drops": "RETURN NULL;"} {
		t.Run(name, func(t *testing.T) {
			dsn := schema(t)
			execute(t, dsn, usual+trigger(body))
			cache, log := cacheAt(t, dsn)
			require.ErrorContains(t, cache.add("k", "v", nil), "PostgreSQL refused it: ")
			assert.Contains(t, log.all(), "PostgreSQL answers, and refuses what the cache stores")
			assert.NotContains(t, log.all(), "does not answer")
			assert.NotContains(t, log.all(), "sesame")
			execute(t, dsn, "DROP TRIGGER look ON ledger")
			require.Eventually(t, func() bool { return cache.add("k", "v", nil) == nil }, 10*time.Second, 50*time.Millisecond, "the ledger waits meanwhile")
		})
	}
}

func TestColumnsThatCannotBeFilledAreRefusedAtTheStart(t *testing.T) {
	for table, want := range map[string]string{
		"CREATE TABLE ledger (key varchar(5) PRIMARY KEY, value text)":                            `column "key" takes 5 characters, which is too short for keys; run: ALTER TABLE "ledger" ALTER COLUMN "key" TYPE text`,
		"CREATE TABLE ledger (key text PRIMARY KEY, value varchar(20))":                           `column "value" takes 20 characters, which is too short for values; run: ALTER TABLE "ledger" ALTER COLUMN "value" TYPE text`,
		"CREATE TABLE ledger (key text PRIMARY KEY, value text, tenant int NOT NULL)":             `column "tenant" is NOT NULL without a default, and the cache does not fill it; give it a default, or run: ALTER TABLE "ledger" ALTER COLUMN "tenant" DROP NOT NULL`,
		"CREATE TABLE ledger (key text PRIMARY KEY, value text, expires_at timestamptz NOT NULL)": `run: ALTER TABLE "ledger" ALTER COLUMN "expires_at" DROP NOT NULL`,
		usual + "CREATE RULE r AS ON INSERT TO ledger DO ALSO SELECT 1":                           `run: DROP RULE "r" ON "ledger"`,
	} {
		dsn := schema(t)
		execute(t, dsn, table)
		cache, _ := cacheAt(t, dsn)
		require.ErrorContains(t, cache.add("k", "v", nil), want, table)
		if _, statement, ok := strings.Cut(want, "run: "); ok {
			execute(t, dsn, statement)
			repaired, _ := cacheAt(t, dsn)
			require.NoError(t, repaired.add("k", "v", nil), table)
		}
	}
	dsn := schema(t)
	execute(t, dsn, "CREATE TABLE ledger (id bigint GENERATED ALWAYS AS IDENTITY, at timestamptz NOT NULL DEFAULT now(), note text, long int GENERATED ALWAYS AS (length(key)) STORED NOT NULL, key varchar(21) PRIMARY KEY, value varchar(28) NOT NULL)")
	cache, _ := cacheAt(t, dsn)
	require.NoError(t, cache.add("k", "v", nil), "what fills itself may be there")
}

// What a trigger drops is an error of its own, and what was added beside it is said to be.
func TestWhatATriggerDropsIsNoKeyThatExists(t *testing.T) {
	dsn := schema(t)
	execute(t, dsn, usual+trigger("IF NEW.key = 'dropped' THEN RETURN NULL; END IF; RETURN NEW;"))
	cache, _ := cacheAt(t, dsn)
	require.NoError(t, cache.add("there", "v", nil))
	batcher := cache.facts().Batcher
	errs := batcher.AddAll(t.Context(), []store.Item{{Key: "dropped"}, {Key: "there"}, {Key: "new"}, {Key: "dropped"}, {Key: "new"}})
	require.ErrorContains(t, errs[0], "did not store the item")
	assert.Equal(t, []error{store.ErrExists, nil, errs[0], store.ErrExists}, errs[1:])
}
