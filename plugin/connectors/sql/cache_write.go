package sql

import (
	"bytes"
	"context"
	"fmt"
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
	added, err := c.add(ctx, unique)
	for i, item := range items {
		switch {
		case errs[i] != nil && err == nil:
		case err != nil:
			errs[i] = err
		case !added[positions[item.Key]]:
			errs[i] = store.ErrExists
		}
	}
	return errs
}

// add adds items of different keys, and says for each whether it was added.
func (c *pgCache) add(ctx context.Context, items []store.Item) (added []bool, err error) {
	err = c.try(ctx, func(t *openedTable, again bool) error {
		args, err := c.arguments(t, items)
		if err != nil {
			return err
		}
		return c.pool.use(ctx, func(conn *pgx.Conn) error {
			written, err := keysAndValues(ctx, conn, t.add, args...)
			if err != nil {
				return err
			}
			if again && len(written) < len(items) {
				found, err := keysAndValues(ctx, conn, t.getAll, args[0])
				if err != nil {
					return err
				}
				for _, item := range items {
					if value, ok := found[item.Key]; ok && bytes.Equal(value, item.Value) {
						written[item.Key] = value
					}
				}
			}
			added = make([]bool, len(items))
			for i, item := range items {
				_, added[i] = written[item.Key]
			}
			return nil
		})
	})
	return added, err
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
			_, err := conn.Exec(ctx, t.set, args...)
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
