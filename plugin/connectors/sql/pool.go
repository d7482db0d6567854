package sql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// poolLimits bound a pool. Zero is no bound, except for maxIdle.
type poolLimits struct {
	maxOpen, maxIdle      int
	maxIdleTime, lifetime time.Duration
}

// pool is connections to one database. database/sql keeps them; statements run on the
// connection itself, so that arguments and results can be text, as with lib/pq.
type pool struct {
	db *sql.DB
	// losses counts connections that were lost while in use. What was idle meanwhile may
	// be dead as well, and is asked before it is used.
	losses atomic.Int64
	closed atomic.Bool
}

// errClosed is the error of whoever uses a pool after its component was closed.
var errClosed = errors.New("the component is closed")

// askedAt is the key of a connection under which it keeps the count of losses at which
// it was last known to live.
const askedAt = "happyrobot: asked"

func openPool(conf *pgx.ConnConfig, limits poolLimits, afterConnect func(context.Context, *pgx.Conn) error) *pool {
	p := &pool{}
	p.db = stdlib.OpenDB(*conf,
		stdlib.OptionAfterConnect(func(ctx context.Context, conn *pgx.Conn) error {
			conn.PgConn().CustomData()[askedAt] = p.losses.Load()
			if afterConnect == nil {
				return nil
			}
			return afterConnect(ctx, conn)
		}),
		stdlib.OptionShouldPing(func(_ context.Context, params stdlib.ShouldPingParams) bool {
			seen, losses := params.Conn.PgConn().CustomData(), p.losses.Load()
			if seen[askedAt] == losses {
				return params.IdleDuration > time.Second
			}
			seen[askedAt] = losses
			return true
		}),
	)
	p.db.SetMaxOpenConns(limits.maxOpen)
	p.db.SetMaxIdleConns(limits.maxIdle)
	p.db.SetConnMaxIdleTime(limits.maxIdleTime)
	p.db.SetConnMaxLifetime(limits.lifetime)
	return p
}

// use runs fn on a connection that nobody else has meanwhile.
func (p *pool) use(ctx context.Context, fn func(*pgx.Conn) error) error {
	conn, err := p.db.Conn(ctx)
	if err != nil && p.closed.Load() {
		return errClosed
	}
	if err != nil {
		return notRun(err)
	}
	defer func() { _ = conn.Close() }() // it goes back to the pool
	return conn.Raw(func(driverConn any) error {
		c := driverConn.(*stdlib.Conn).Conn()
		err := fn(c)
		if c.IsClosed() {
			p.losses.Add(1)
			if err != nil && codeOf(err) == "" {
				return lostError{err}
			}
		}
		return err
	})
}

// inTransaction runs fn between BEGIN and COMMIT.
func (p *pool) inTransaction(ctx context.Context, fn func(*pgx.Conn) error) error {
	return p.use(ctx, func(conn *pgx.Conn) error {
		if _, err := conn.PgConn().Exec(ctx, "BEGIN").ReadAll(); err != nil {
			return notRun(err)
		}
		if err := fn(conn); err != nil {
			// A context that is over has ended the connection, or soon will.
			if _, rollbackErr := conn.PgConn().Exec(ctx, "ROLLBACK").ReadAll(); rollbackErr != nil {
				_ = conn.PgConn().Close(ctx)
			}
			return err
		}
		if _, err := conn.PgConn().Exec(ctx, "COMMIT").ReadAll(); err != nil {
			return fmt.Errorf("committing the transaction: %w", err)
		}
		return nil
	})
}

func (p *pool) ping(ctx context.Context) error {
	return p.use(ctx, func(conn *pgx.Conn) error { return conn.PgConn().Ping(ctx) })
}

func (p *pool) close() error {
	p.closed.Store(true)
	return p.db.Close()
}

// lostError is an error that ended a connection.
type lostError struct{ error }

func (e lostError) Unwrap() error { return e.error }

// notRunError is an error before any statement reached the server.
type notRunError struct{ error }

func (e notRunError) Unwrap() error { return e.error }

func notRun(err error) error { return notRunError{err} }

// certainlyNotRun reports that a statement had no effect: it was not sent, or the server
// refused it. After any other error it may have taken effect and its answer been lost.
func certainlyNotRun(err error) bool {
	if err == nil || errors.As(err, new(notRunError)) || errors.As(err, new(*pgconn.ConnectError)) || pgconn.SafeToRetry(err) {
		return true
	}
	var refusal *pgconn.PgError
	return errors.As(err, &refusal) && refusal.Code[:2] != "08" && refusal.Code[:2] != "57"
}
