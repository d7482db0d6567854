package sql

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// run executes a statement and returns its rows. Arguments go as text and their types
// are the server's to find, as with lib/pq: any value fits that PostgreSQL can read as
// the placeholder's type. Without arguments the text may hold several statements; the
// rows are the first one's.
func run(ctx context.Context, conn *pgx.Conn, statement string, args []any) ([]any, error) {
	rows, err := runOn(ctx, conn, statement, args)
	return rows, located(err, statement)
}

func runOn(ctx context.Context, conn *pgx.Conn, statement string, args []any) ([]any, error) {
	pg := conn.PgConn()
	if len(args) == 0 {
		return runSimple(ctx, pg, statement)
	}
	var result *pgconn.ResultReader
	if wantsTypes(args) {
		description, err := pg.Prepare(ctx, "", statement, nil)
		if err != nil {
			return nil, notRunUnlessLost(pg, err)
		}
		values, err := encodeArgs(args, description.ParamOIDs, conn.TypeMap())
		if err != nil {
			return nil, err
		}
		result = pg.ExecPrepared(ctx, "", values, nil, nil)
	} else {
		values, err := encodeArgs(args, nil, conn.TypeMap())
		if err != nil {
			return nil, err
		}
		result = pg.ExecParams(ctx, statement, values, nil, nil, nil)
	}
	rows := readRows(result)
	_, err := result.Close()
	return rows, err
}

// notRunUnlessLost marks the error of a statement that was only to be described.
func notRunUnlessLost(pg *pgconn.PgConn, err error) error {
	if pg.IsClosed() {
		return err
	}
	return notRun(err)
}

func runSimple(ctx context.Context, pg *pgconn.PgConn, statement string) ([]any, error) {
	results := pg.Exec(ctx, statement)
	rows := []any{}
	for first := true; results.NextResult(); first = false {
		result := results.ResultReader()
		if read := readRows(result); first {
			rows = read
		}
		if _, err := result.Close(); err != nil {
			break // Close reports it
		}
	}
	return rows, results.Close()
}

func readRows(result *pgconn.ResultReader) []any {
	rows := []any{}
	for result.NextRow() {
		fields, values := result.FieldDescriptions(), result.Values()
		row := make(map[string]any, len(fields))
		for i, field := range fields {
			row[field.Name] = decode(values[i], field.DataTypeOID)
		}
		rows = append(rows, row)
	}
	return rows
}

// locatedError is an error whose place in a statement is known.
type locatedError struct {
	error
	line, column int
}

func (e *locatedError) Unwrap() error { return e.error }

// located finds the place that the server names in the text of a statement. The text
// itself may hold values, and is not quoted.
func located(err error, statement string) error {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || pg.Position < 1 {
		return err
	}
	place := &locatedError{error: err, line: 1, column: 1}
	left := pg.Position - 1 // in characters
	for _, r := range statement {
		if left--; left < 0 {
			break
		}
		place.column++
		if r == '\n' {
			place.line, place.column = place.line+1, 1
		}
	}
	return place
}

// whereIn are words that follow what the server says of a statement.
func whereIn(err error) string {
	if place := (*locatedError)(nil); errors.As(err, &place) {
		return fmt.Sprintf(" in line %d of the query, at character %d", place.line, place.column)
	}
	return ""
}
