package sql

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
)

// AddAll implements store.Batcher with one statement.
//
// A statement whose answer was lost may have written. It is run again; a key that is
// then there with the very value that was to be written counts as written by us. So
// values of different writers must differ, as those of a ledger do by their token.
// Values that are equal, such as a constant, leave a hole: after a lost answer the key
// of another writer may be taken for ours.
func (c *pgCache) AddAll(ctx context.Context, items []store.Item) []error {
	errs := make([]error, len(items))
	positions := make(map[string]int, len(items)) // in unique, of a key
	unique := make([]store.Item, 0, len(items))
	for i, item := range items {
		if _, known := positions[item.Key]; known {
			errs[i] = store.ErrExists
			continue
		}
		positions[item.Key] = len(unique)
		unique = append(unique, item)
	}
	outcomes := c.add(ctx, unique)
	for i, item := range items {
		outcome := outcomes[positions[item.Key]]
		if errs[i] == nil || outcome != nil && !errors.Is(outcome, store.ErrExists) {
			errs[i] = outcome
		}
	}
	return errs
}

// add adds items of different keys, and says for each nil, store.ErrExists or why it
// could not be added.
func (c *pgCache) add(ctx context.Context, items []store.Item) []error {
	outcomes := make([]error, len(items))
	wrote := false
	err := c.try(ctx, func(t *openedTable, again bool) error {
		again = again || wrote
		args, err := c.arguments(t, items)
		if err != nil {
			return err
		}
		return c.pool.use(ctx, func(conn *pgx.Conn) error {
			written, wanted, err := c.write(ctx, conn, t, t.add, args)
			if err != nil {
				return err
			}
			wrote = true
			var found map[string][]byte
			look := len(written) < wanted || again && len(written) < len(items)
			if look {
				if found, err = keysAndValues(ctx, conn, t.getAll, args[0]); err != nil {
					return err
				}
			}
			for i, item := range items {
				value, there := found[item.Key]
				switch {
				case written[item.Key], again && there && bytes.Equal(value, item.Value):
					outcomes[i] = nil
				case look && !there: // neither ours nor another's
					outcomes[i] = c.explain(errNotStored)
				default:
					outcomes[i] = store.ErrExists
				}
			}
			return nil
		})
	})
	if err != nil {
		return slices.Repeat([]error{err}, len(items))
	}
	return outcomes
}

// SetAll implements store.Batcher with one statement. Of several items with the same
// key the last one is written.
func (c *pgCache) SetAll(ctx context.Context, items []store.Item) error {
	positions := make(map[string]int, len(items))
	unique := make([]store.Item, 0, len(items))
	for _, item := range items {
		if at, known := positions[item.Key]; known {
			unique[at] = item
			continue
		}
		positions[item.Key] = len(unique)
		unique = append(unique, item)
	}
	return c.try(ctx, func(t *openedTable, _ bool) error {
		args, err := c.arguments(t, unique)
		if err != nil {
			return err
		}
		return c.pool.use(ctx, func(conn *pgx.Conn) error {
			written, wanted, err := c.write(ctx, conn, t, t.set, args)
			if err == nil && len(written) < wanted {
				err = errNotStored
			}
			return err
		})
	})
}

// arguments are items as arrays of keys, values and lifetimes in microseconds.
func (c *pgCache) arguments(t *openedTable, items []store.Item) ([]any, error) {
	keys, lifetimes := make([]string, len(items)), make([]*int64, len(items))
	values, texts := make([][]byte, len(items)), make([]string, len(items))
	for i, item := range items {
		ttl := item.TTL
		if ttl == nil {
			ttl = c.conf.defaultTTL
		}
		if ttl != nil && *ttl < 0 {
			return nil, fmt.Errorf("storing an item: its ttl is negative (%s)", *ttl)
		}
		if ttl != nil && *ttl > 0 { // zero keeps it
			microseconds := int64((*ttl-1)/time.Microsecond) + 1
			lifetimes[i] = &microseconds
		}
		keys[i], texts[i] = item.Key, string(item.Value)
		values[i] = item.Value
		if item.Value == nil {
			values[i] = []byte{} // nil is NULL
		}
	}
	if t.bytea {
		return []any{keys, values, lifetimes}, nil
	}
	return []any{keys, texts, lifetimes}, nil
}

// errNotStored is the error of what PostgreSQL took and did not keep, without an error.
var errNotStored = errors.New("PostgreSQL reported no error and did not store the item, as with a trigger that returns NULL")

// write runs the statement add or set, and returns the keys that were written, and how
// many it had to write. It writes nothing into other contents than those of the opening.
func (c *pgCache) write(ctx context.Context, conn *pgx.Conn, t *openedTable, statement string, args []any) (written map[string]bool, wanted int, err error) {
	rows, err := conn.Query(ctx, statement, append(args, dataKey, []byte(t.contents))...)
	if err != nil {
		return nil, 0, err
	}
	var key *string
	var n int
	same := false
	written = map[string]bool{}
	_, err = pgx.ForEachRow(rows, []any{&key, &n}, func() error {
		if key == nil {
			same, wanted = true, n
		} else {
			written[*key] = true
		}
		return nil
	})
	if err == nil && !same {
		err = c.replaced(t)
	}
	return written, wanted, err
}

func keysAndValues(ctx context.Context, conn *pgx.Conn, statement string, args ...any) (map[string][]byte, error) {
	rows, err := conn.Query(ctx, statement, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := map[string][]byte{}
	for rows.Next() {
		var key string
		var value []byte
		if err := rows.Scan(&key, &value); err != nil {
			return nil, err
		}
		found[key] = value
	}
	return found, rows.Err()
}
