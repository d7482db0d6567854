package sql

import (
	"context"
	_ "embed"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
)

//go:embed processor_sql_raw.md
var processorProse string

func init() {
	service.MustRegisterBatchProcessor("sql_raw", processorSpec(), newProcessorFromParsed)
}

func processorSpec() *service.ConfigSpec {
	execOnly := service.NewBoolField(srFieldExecOnly).
		Description("Whether to discard the rows and leave the message as it is. If not set, it is true for all queries but the last.").
		Optional()
	return service.NewConfigSpec().
		Stable().
		Categories("Integration").
		Summary("Runs SQL statements in PostgreSQL for each message, and can replace the message by the rows that they return.").
		Description(processorProse).
		Fields(
			driverField(),
			dsnField(),
			queryField().Example("SELECT * FROM leads WHERE id = $1").Optional(),
			dynamicField(),
			argsField(),
			execOnly,
			service.NewObjectListField(srFieldQueries, queryField(), argsField(), execOnly).
				Description("Statements to run after `query`, or in its place. If there are several in all, they run in one transaction for each message.").
				Optional(),
		).
		Fields(connectionFields()...).
		LintRule(queryOrQueries).
		Example("Look a lead up", "The rows are put into the message; a lead without rows gets an empty array.", `
pipeline:
  processors:
    - branch:
        processors:
          - sql_raw:
              driver: postgres
              dsn: postgres://user:password@localhost:5432/crm
              query: SELECT phone, name FROM leads WHERE id = $1
              args_mapping: root = [ this.lead_id ]
        result_map: root.lead = this.index(0).catch(null)
`)
}

type rawProcessor struct {
	pool    *pool
	initial *initial
	queries []query
	log     *service.Logger
}

func newProcessorFromParsed(parsed *service.ParsedConfig, mgr *service.Resources) (service.BatchProcessor, error) {
	if err := driverFromParsed(parsed); err != nil {
		return nil, err
	}
	conf, err := dsnFromParsed(parsed)
	if err != nil {
		return nil, err
	}
	limits, err := limitsFromParsed(parsed)
	if err != nil {
		return nil, err
	}
	p := &rawProcessor{log: mgr.Logger()}
	if p.queries, err = queriesFromParsed(parsed); err != nil {
		return nil, err
	}
	if p.initial, err = initialFromParsed(parsed, mgr); err != nil {
		return nil, err
	}
	p.pool = openPool(conf, limits, nil)

	// Tables should be there before the first message: others may use them.
	ctx, cancel := context.WithTimeout(context.Background(), conf.ConnectTimeout)
	defer cancel()
	if err := p.initial.run(ctx, p.pool); err != nil {
		p.log.Warnf("Statements of %s and %s wait for the first message: %v", srFieldInitFiles, srFieldInit, explain(err))
	}
	return p, nil
}

// ProcessBatch runs the queries for each message. What fails is the error of its message.
func (p *rawProcessor) ProcessBatch(ctx context.Context, batch service.MessageBatch) ([]service.MessageBatch, error) {
	results := batch.Copy()
	for i, msg := range results {
		rows, err := p.process(ctx, batch, i)
		if err != nil {
			p.log.Debugf("Statement failed for a message: %v", err)
			msg.SetError(err)
			continue
		}
		if rows != nil {
			msg.SetStructuredMut(rows)
		}
	}
	return []service.MessageBatch{results}, nil
}

// process runs the queries for one message, and returns the rows that replace it, or nil.
func (p *rawProcessor) process(ctx context.Context, batch service.MessageBatch, i int) (rows []any, err error) {
	err = repeated(ctx, func() error {
		rows = nil
		if err := p.initial.run(ctx, p.pool); err != nil {
			return err
		}
		if len(p.queries) == 1 {
			return p.pool.use(ctx, func(conn *pgx.Conn) error { return p.runAll(ctx, conn, batch, i, &rows) })
		}
		return p.pool.inTransaction(ctx, func(conn *pgx.Conn) error { return p.runAll(ctx, conn, batch, i, &rows) })
	})
	return rows, err
}

func (p *rawProcessor) runAll(ctx context.Context, conn *pgx.Conn, batch service.MessageBatch, i int, rows *[]any) error {
	for j := range p.queries {
		q := &p.queries[j]
		text, args, err := q.statement(batch, i)
		if err != nil {
			return err
		}
		found, err := run(ctx, conn, text, args)
		if err != nil {
			return err
		}
		if q.execOnly {
			continue
		}
		// The next query's arguments come of these rows.
		*rows = found
		if j < len(p.queries)-1 {
			batch = batch.Copy()
			batch[i].SetStructured(found)
		}
	}
	return nil
}

// Close gives up the connections.
func (p *rawProcessor) Close(context.Context) error { return p.pool.close() }

// repeats is how often a statement, or a transaction, is run that meets another one.
const repeats = 10

// repeated runs something again that PostgreSQL rolled back because of another
// transaction, and explains what fails.
func repeated(ctx context.Context, do func() error) error {
	wait := pause.NewGrowing(10*time.Millisecond, time.Second)
	for try := 1; ; try++ {
		err := do()
		if err == nil {
			return nil
		}
		if !ofConcurrency(err) || try == repeats || pause.Sleep(ctx, wait.Next()) != nil {
			return fmt.Errorf("running the query: %w", explain(err))
		}
	}
}
