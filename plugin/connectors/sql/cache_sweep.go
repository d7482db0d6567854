package sql

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
)

const (
	sweepRows    = 1000 // are deleted at a time
	sweepTimeout = 30 * time.Second
)

// sweep deletes expired items now and then, until the cache is closed. Each delete is
// small, and leaves rows alone that somebody else has locked.
func (c *pgCache) sweep(ctx context.Context) {
	defer close(c.sweeping)
	trouble := pause.NewNotice(c.log, pause.Wording{
		Begins: "Deleting expired items failed; they are not read, but stay in the table: %v",
		Lasts:  "Deleting expired items has been failing since %s; they are not read, but stay in the table: %v",
		Ends:   "Deleting expired items works again after %v.",
	}, nil)
	defer trouble.Stop()
	for pause.Sleep(ctx, c.conf.sweep) == nil {
		t := c.opened.Load()
		if t == nil {
			continue
		}
		for deleted := int64(sweepRows); deleted == sweepRows; {
			var err error
			if deleted, err = c.sweepOnce(ctx, t); err == nil {
				trouble.Recovered()
			} else if ctx.Err() == nil && !ofConcurrency(err) && !errors.Is(err, errReplaced) {
				trouble.Trouble(c.explain(err))
			}
		}
	}
}

func (c *pgCache) sweepOnce(ctx context.Context, t *openedTable) (deleted int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, sweepTimeout)
	defer cancel()
	err = c.pool.use(ctx, func(conn *pgx.Conn) error {
		tag, err := conn.Exec(ctx, t.sweep, sweepRows)
		deleted = tag.RowsAffected()
		return err
	})
	return deleted, err
}
