package sql

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
)

// dataKey is the key of the row that names the contents of a table: it is there as long
// as the table keeps what was written.
const dataKey = store.ContentsKey

// leastKey and leastValue are how long the row of dataKey is: a column that does not take
// it is of no use.
const (
	leastKey   = len(dataKey)
	leastValue = 28 // rand.Text in quotes
)

// identifier is a name in SQL, of one part or, for a table, with its schema before it.
type identifier []string

// String is the name in quotes, as a statement has it.
func (n identifier) String() string { return pgx.Identifier(n).Sanitize() }

var plainName = regexp.MustCompile(`^[\pL_][\pL\pN_$]*$`)

// parseIdentifier reads a name as SQL does: what is not in double quotes is in lower
// case. A name that SQL would not take, such as call-ledger, is taken as it is.
func parseIdentifier(text string, qualified bool) (identifier, error) {
	text = strings.TrimSpace(text)
	var parts identifier
	for rest := text; ; {
		var part string
		if strings.HasPrefix(rest, `"`) {
			end := 1
			for ; end < len(rest); end++ {
				if rest[end] != '"' {
					continue
				}
				if end+1 == len(rest) || rest[end+1] != '"' {
					break
				}
				end++
			}
			if end >= len(rest) {
				return nil, errors.New("a double quote is not closed")
			}
			part, rest = strings.ReplaceAll(rest[1:end], `""`, `"`), rest[end+1:]
			if rest != "" && (!qualified || rest[0] != '.') {
				return nil, errors.New("something follows the name in double quotes")
			}
			rest = strings.TrimPrefix(rest, ".")
			if part != "" && rest == "" && strings.HasSuffix(text, ".") {
				return nil, errors.New("it ends with a dot")
			}
		} else {
			var dotted bool
			part, rest, dotted = cutName(rest, qualified)
			if dotted && rest == "" {
				return nil, errors.New("it ends with a dot")
			}
			if plainName.MatchString(part) {
				part = lower(part)
			}
		}
		if part == "" || strings.ContainsRune(part, 0) {
			return nil, errors.New("it has an empty name")
		}
		parts = append(parts, part)
		if rest == "" {
			break
		}
	}
	if len(parts) > 2 {
		return nil, errors.New("it has more than a schema and a table")
	}
	return parts, nil
}

func cutName(text string, qualified bool) (name, rest string, dotted bool) {
	if !qualified {
		return text, "", false
	}
	return strings.Cut(text, ".")
}

// lower folds as PostgreSQL does in UTF-8: ASCII only.
func lower(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, name)
}

// cacheTable is the table of a config.
type cacheTable struct{ name, key, value, expires identifier }

// tableError is what only somebody who may change the table can put right.
type tableError struct{ error }

func (e *tableError) Unwrap() error { return e.error }

// tableSQL are the statements for a table as it was found.
type tableSQL struct {
	bytea                                   bool // the type of the values; otherwise they are text
	get, getAll, name, add, set, del, sweep string
}

func (t cacheTable) statements(valueType string) tableSQL {
	values, cast := "text", ""
	switch valueType {
	case "bytea":
		values = "bytea"
	case "json", "jsonb":
		cast = "::" + valueType
	}
	// The expiry is by the clock of the server at the moment, not at the start of the
	// statement, which may have waited for another.
	read := "convert_to({v}::text, 'UTF8')"
	if valueType == "bytea" {
		read = "{v}"
	}
	fresh := "({e} IS NULL OR {e} > clock_timestamp())"
	// Nothing is written unless the contents are those that the marker named at opening.
	// If they are, a row without a key says so, and how many keys were to be written.
	guarded := "WITH \"cache:marker\" AS MATERIALIZED (SELECT FROM {t} WHERE {k} = $4 AND " + read + " = $5::bytea AND " + fresh + "),\n" +
		"\"cache:wanted\" AS MATERIALIZED (SELECT items.k, items.v" + cast + " AS v, items.ttl\n" +
		"FROM unnest($1::text[], $2::" + values + "[], $3::bigint[]) AS items(k, v, ttl)\n" +
		"WHERE EXISTS (SELECT FROM \"cache:marker\")"
	written := "),\n\"cache:written\" AS (INSERT INTO {t} AS known ({k}, {v}, {e})\n" +
		"SELECT wanted.k, wanted.v, clock_timestamp() + wanted.ttl * interval '1 microsecond' FROM \"cache:wanted\" AS wanted\n" +
		"ORDER BY wanted.k\nON CONFLICT ({k}) DO UPDATE SET {v} = excluded.{v}, {e} = excluded.{e}\n"
	answer := "RETURNING known.{k} AS k)\nSELECT k::text, 0 FROM \"cache:written\" UNION ALL SELECT NULL, (SELECT count(*) FROM \"cache:wanted\") FROM \"cache:marker\""
	fill := strings.NewReplacer("{t}", t.name.String(), "{k}", t.key.String(), "{v}", t.value.String(), "{e}", t.expires.String()).Replace
	return tableSQL{
		bytea:  valueType == "bytea",
		get:    fill("SELECT " + read + " FROM {t} WHERE {k} = $1 AND " + fresh),
		getAll: fill("SELECT {k}, " + read + " FROM {t} WHERE {k} = ANY($1::text[]) AND " + fresh),
		name: fill("INSERT INTO {t} AS known ({k}, {v}, {e}) VALUES ($1, $2::" + values + cast + ", NULL)\n" +
			"ON CONFLICT ({k}) DO UPDATE SET {v} = excluded.{v}, {e} = NULL WHERE known.{e} <= clock_timestamp()"),
		// Keys that are there are left out first, so that known ones cost no write. The
		// order keeps two processes from waiting for each other.
		add: fill(guarded + " AND NOT EXISTS (SELECT FROM {t} AS other WHERE other.{k} = items.k AND " + fresh + ")" + written +
			"WHERE known.{e} <= clock_timestamp() " + answer),
		set:   fill(guarded + written + answer),
		del:   fill("DELETE FROM {t} WHERE {k} = $1"),
		sweep: fill("DELETE FROM {t} WHERE ctid = ANY(ARRAY(SELECT ctid FROM {t} WHERE {e} <= now() ORDER BY {e} LIMIT $1 FOR UPDATE SKIP LOCKED)) AND {e} <= now()"),
	}
}

// foundTable is what the server's catalog says of the table.
type foundTable struct {
	exists            bool
	kind, persistence string
	types             map[string]string // of its columns
	lengths           map[string]int    // of columns that are bounded, in characters
	required          []string          // columns that take no NULL and have no default
	rules             []string
	unique, indexed   bool // the key; the expiry
	missingRights     []string
	readOnly          bool
	fsync             bool
	user              string
}

func (c *pgCache) openTable(ctx context.Context) (*openedTable, error) {
	t := c.conf.table
	var found foundTable
	err := c.pool.use(ctx, func(conn *pgx.Conn) (err error) {
		found, err = t.find(ctx, conn)
		return err
	})
	if err != nil {
		return nil, err
	}
	if found.readOnly {
		return nil, notRun(&explained{text: "PostgreSQL is read-only, as a standby is; let `dsn` lead to the primary, or add target_session_attrs=read-write"})
	}
	if !found.exists || found.types[t.expires[0]] == "" || !found.indexed {
		if found, err = c.makeTable(ctx, found); err != nil {
			return nil, err
		}
	}
	if err := t.check(found); err != nil {
		return nil, err
	}
	opened := &openedTable{tableSQL: t.statements(found.types[t.value[0]])}
	if opened.contents, err = c.marker(ctx, opened); err != nil {
		return nil, err
	}
	facts := store.Facts{Data: opened.contents, KeepsTTL: true, Batcher: c}
	switch {
	case found.persistence == "u":
		facts.MayEvict = "its table is UNLOGGED, so a crash of PostgreSQL empties it"
	case !found.fsync:
		facts.MayEvict = "PostgreSQL runs with fsync=off, so a crash of its machine can take back what was written"
	}
	opened.statement = store.State(facts)
	return opened, nil
}

func (t cacheTable) find(ctx context.Context, conn *pgx.Conn) (found foundTable, err error) {
	err = conn.QueryRow(ctx, "SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::bool, current_setting('fsync')::bool, current_user").
		Scan(&found.readOnly, &found.fsync, &found.user)
	if err != nil {
		return found, err
	}
	var oid uint32
	err = conn.QueryRow(ctx, "SELECT oid, relkind::text, relpersistence::text FROM pg_class WHERE oid = to_regclass($1)", t.name.String()).
		Scan(&oid, &found.kind, &found.persistence)
	if errors.Is(err, pgx.ErrNoRows) {
		return found, nil
	}
	if err != nil {
		return found, err
	}
	found.exists, found.types, found.lengths = true, map[string]string{}, map[string]int{}
	rows, err := conn.Query(ctx, "SELECT a.attname::text, t.typname::text, CASE WHEN t.typname = 'varchar' AND a.atttypmod > 4 THEN a.atttypmod - 4 ELSE 0 END, "+
		"(a.attnotnull OR t.typnotnull) AND NOT a.atthasdef AND a.attidentity = '' AND t.typdefault IS NULL FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped", oid)
	if err != nil {
		return found, err
	}
	var name, kind string
	var length int
	var required bool
	_, err = pgx.ForEachRow(rows, []any{&name, &kind, &length, &required}, func() error {
		found.types[name] = kind
		if length > 0 {
			found.lengths[name] = length
		}
		if required {
			found.required = append(found.required, name)
		}
		return nil
	})
	if err != nil {
		return found, err
	}
	const index = "EXISTS (SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0] WHERE i.indrelid = $1 AND i.indisvalid AND a.attname = "
	err = conn.QueryRow(ctx, "SELECT "+index+"$2 AND i.indisunique AND i.indimmediate AND i.indnkeyatts = 1 AND i.indpred IS NULL), "+index+"$3)", oid, t.key[0], t.expires[0]).
		Scan(&found.unique, &found.indexed)
	if err != nil {
		return found, err
	}
	err = conn.QueryRow(ctx, "SELECT ARRAY(SELECT r FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS r WHERE NOT has_table_privilege($1::oid, r)), "+
		"ARRAY(SELECT rulename::text FROM pg_rewrite WHERE ev_class = $1::oid AND ev_type <> '1' AND ev_enabled <> 'D' ORDER BY 1)", oid).
		Scan(&found.missingRights, &found.rules)
	return found, err
}

// makeTable makes what is missing of the table, one process at a time.
func (c *pgCache) makeTable(ctx context.Context, found foundTable) (foundTable, error) {
	t := c.conf.table
	create := fmt.Sprintf("CREATE TABLE %s (%s text PRIMARY KEY, %s bytea NOT NULL, %s timestamptz)", t.name, t.key, t.value, t.expires)
	column := fmt.Sprintf("ALTER TABLE %s ADD COLUMN IF NOT EXISTS %s timestamptz", t.name, t.expires)
	index := fmt.Sprintf("CREATE INDEX ON %s (%s)", t.name, t.expires)
	step := func(missing bool, statement string) error {
		if !missing {
			return nil
		}
		err := c.pool.inTransaction(ctx, func(conn *pgx.Conn) error {
			if _, err := conn.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtext($1))", "happyrobot cache "+t.name.String()); err != nil {
				return err
			}
			var err error
			if found, err = t.find(ctx, conn); err != nil {
				return err
			}
			switch {
			case statement == create && found.exists, statement == column && found.types[t.expires[0]] != "", statement == index && found.indexed:
				return nil
			}
			_, err = conn.Exec(ctx, statement)
			return err
		})
		if err != nil && !ofServer(err) && !ofConcurrency(err) && ctx.Err() == nil {
			return &tableError{fmt.Errorf("%w; run: %s", explain(err), statement)}
		}
		return err
	}
	if err := step(!found.exists, create); err != nil {
		return found, err
	}
	if found.exists { // it was there, with whatever columns
		if err := t.check(found); err != nil {
			return found, err
		}
		if err := step(found.types[t.expires[0]] == "", column); err != nil {
			return found, err
		}
	}
	if err := step(!found.indexed, index); err != nil {
		if !errors.As(err, new(*tableError)) {
			return found, err
		}
		c.log.Warnf("An index for expired items is missing, so deleting them reads the whole table each time: %v", err)
	}
	err := c.pool.use(ctx, func(conn *pgx.Conn) (err error) {
		found, err = t.find(ctx, conn)
		return err
	})
	return found, err
}

// check says what about a table that exists makes it unfit.
func (t cacheTable) check(found foundTable) error {
	unfit := func(format string, args ...any) error { return &tableError{fmt.Errorf(format, args...)} }
	key, value, expires := found.types[t.key[0]], found.types[t.value[0]], found.types[t.expires[0]]
	required := slices.IndexFunc(found.required, func(name string) bool { return name != t.key[0] && name != t.value[0] })
	short := func(column identifier, least int) bool {
		length, bounded := found.lengths[column[0]]
		return bounded && length < least
	}
	switch {
	case found.kind != "r" && found.kind != "p":
		return unfit("it is no table; name another one in field %s", cpFieldTable)
	case found.persistence == "t":
		return unfit("it is a temporary table, which ends with its connection; name another one in field %s", cpFieldTable)
	case key == "":
		return unfit("it has no column %s; name its column of keys in field %s", t.key, cpFieldKey)
	case value == "":
		return unfit("it has no column %s; name its column of values in field %s", t.value, cpFieldValue)
	case key != "text" && key != "varchar":
		return unfit("column %s is of type %s; keys need text; run: ALTER TABLE %s ALTER COLUMN %s TYPE text", t.key, key, t.name, t.key)
	case value != "bytea" && value != "text" && value != "varchar" && value != "json" && value != "jsonb":
		return unfit("column %s is of type %s; values need bytea or text; run: ALTER TABLE %s ALTER COLUMN %s TYPE text", t.value, value, t.name, t.value)
	case expires != "" && expires != "timestamptz":
		return unfit("column %s is of type %s, and not timestamptz; name another one in field %s, which is then added", t.expires, expires, cpFieldExpires)
	case short(t.key, leastKey):
		return unfit("column %s takes %d characters, which is too short for keys; run: ALTER TABLE %s ALTER COLUMN %s TYPE text", t.key, found.lengths[t.key[0]], t.name, t.key)
	case short(t.value, leastValue):
		return unfit("column %s takes %d characters, which is too short for values; run: ALTER TABLE %s ALTER COLUMN %s TYPE text", t.value, found.lengths[t.value[0]], t.name, t.value)
	case required >= 0 && found.required[required] == t.expires[0]:
		return unfit("column %s is NOT NULL, and is NULL for an item that does not expire; run: ALTER TABLE %s ALTER COLUMN %s DROP NOT NULL", t.expires, t.name, t.expires)
	case required >= 0:
		column := identifier{found.required[required]}
		return unfit("column %s is NOT NULL without a default, and the cache does not fill it; give it a default, or run: ALTER TABLE %s ALTER COLUMN %s DROP NOT NULL", column, t.name, column)
	case len(found.rules) > 0:
		rule := identifier{found.rules[0]}
		return unfit("it has the rule %s, which changes what is written; name another table in field %s, or run: DROP RULE %s ON %s", rule, cpFieldTable, rule, t.name)
	case !found.unique:
		return unfit("column %s has no unique index, so one key could be added twice; run: CREATE UNIQUE INDEX ON %s (%s)", t.key, t.name, t.key)
	case len(found.missingRights) > 0:
		return unfit("user %s lacks rights; run: GRANT %s ON %s TO %s", pgx.Identifier{found.user}.Sanitize(), strings.Join(found.missingRights, ", "), t.name, pgx.Identifier{found.user}.Sanitize())
	}
	return nil
}

// marker reads the name of the contents, and gives one to a table that has none.
func (c *pgCache) marker(ctx context.Context, t *openedTable) (string, error) {
	var name []byte
	err := c.pool.use(ctx, func(conn *pgx.Conn) error {
		err := conn.QueryRow(ctx, t.get, dataKey).Scan(&name)
		if !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		// In quotes it is a value of any type, json too.
		quoted := strconv.Quote(rand.Text())
		var value any = quoted
		if t.bytea {
			value = []byte(quoted)
		}
		if _, err := conn.Exec(ctx, t.name, dataKey, value); err != nil {
			return err
		}
		err = conn.QueryRow(ctx, t.get, dataKey).Scan(&name)
		if errors.Is(err, pgx.ErrNoRows) {
			return errNotStored
		}
		return err
	})
	return string(name), err
}
