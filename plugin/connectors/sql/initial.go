package sql

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/redpanda-data/benthos/v4/public/service"
)

// initial are the statements of init_files and init_statement. They run with the first
// connection that can be made: before that, nothing is done and nothing forgotten.
type initial struct {
	log        *service.Logger
	statements []initialStatement
	turn       chan struct{} // taken by whoever runs them
	ran        int           // of statements; under turn
	done       atomic.Bool   // all ran
}

type initialStatement struct{ field, text string }

func initialFromParsed(parsed *service.ParsedConfig, mgr *service.Resources) (*initial, error) {
	in := &initial{log: mgr.Logger(), turn: make(chan struct{}, 1)}
	if parsed.Contains(srFieldInitFiles) {
		patterns, err := parsed.FieldStringList(srFieldInitFiles)
		if err != nil {
			return nil, err
		}
		files, err := service.Globs(mgr.FS(), patterns...)
		if err != nil {
			return nil, fmt.Errorf("field %s: %w", srFieldInitFiles, err)
		}
		for _, file := range files {
			text, err := service.ReadFile(mgr.FS(), file)
			if err != nil {
				return nil, fmt.Errorf("field %s: %w", srFieldInitFiles, err)
			}
			in.statements = append(in.statements, initialStatement{field: srFieldInitFiles + " " + file, text: string(text)})
		}
	}
	if parsed.Contains(srFieldInit) {
		text, err := parsed.FieldString(srFieldInit)
		if err != nil {
			return nil, err
		}
		in.statements = append(in.statements, initialStatement{field: srFieldInit, text: text})
	}
	return in, nil
}

// run runs the statements unless that is done. It fails only where the server cannot be
// asked; what the server refuses is logged.
func (in *initial) run(ctx context.Context, p *pool) error {
	if len(in.statements) == 0 || in.done.Load() {
		return nil
	}
	select {
	case in.turn <- struct{}{}:
		defer func() { <-in.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	for ; in.ran < len(in.statements); in.ran++ {
		next := in.statements[in.ran]
		err := p.use(ctx, func(conn *pgx.Conn) error {
			_, err := run(ctx, conn, next.text, nil)
			return err
		})
		if err != nil && (ofServer(err) || ctx.Err() != nil) {
			return err
		}
		if err != nil {
			in.log.Warnf("Statement of %s failed; continuing without it: %v", next.field, explain(err))
		}
	}
	in.done.Store(true)
	return nil
}
