package sql

import (
	"cmp"
	"context"
	_ "embed"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
)

//go:embed output_sql_raw.md
var outputProse string

func init() {
	service.MustRegisterBatchOutput("sql_raw", outputSpec(), newOutputFromParsed)
}

func outputSpec() *service.ConfigSpec {
	return service.NewConfigSpec().
		Stable().
		Categories("Services").
		Summary("Runs SQL statements in PostgreSQL for each message.").
		Description(outputProse).
		Fields(
			driverField(),
			dsnField(),
			queryField().Example("INSERT INTO leads (id, phone) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING").Optional(),
			dynamicField(),
			argsField(),
			service.NewObjectListField(srFieldQueries,
				queryField(),
				argsField(),
				service.NewBloblangField(srFieldWhen).
					Description("A Bloblang mapping that says for each message whether this query is meant. Of several queries, the first one runs that is meant or has no condition, and no other.").
					Example(`root = meta("kafka_tombstone_message") == "true"`).
					Example(`root = this.operation == "delete"`).
					Optional(),
			).
				Description("Statements to run after `query`, or in its place. If there are several in all, a batch is one transaction. Without `when`, all of them run for each message.").
				Optional(),
			service.NewIntField("max_in_flight").
				Description("How many batches are written side by side.").
				Default(64),
		).
		Fields(connectionFields()...).
		Field(service.NewBatchPolicyField(srFieldBatching)).
		LintRule(`root = if !this.exists("query") && this.queries.or([]).length() == 0 { [ "either `+"`query` or `queries`"+` is required" ] } else if this.exists("queries") && this.queries.any(q -> q.exists("when")) && this.queries.slice(0, -1).any(q -> !q.exists("when")) { [ "a query without `+"`when`"+` is meant for every message, so it must be the last one" ] }`).
		Example("Upsert, and delete for tombstones", "A batch is one transaction.", `
output:
  sql_raw:
    driver: postgres
    dsn: postgres://user:password@localhost:5432/crm
    queries:
      - when: root = meta("kafka_tombstone_message") == "true"
        query: DELETE FROM leads WHERE id = $1
        args_mapping: root = [ meta("kafka_key") ]
      - query: |
          INSERT INTO leads (id, phone) VALUES ($1, $2)
          ON CONFLICT (id) DO UPDATE SET phone = excluded.phone
        args_mapping: root = [ this.id, this.phone ]
    batching:
      count: 50
      period: 100ms
`)
}

type rawOutput struct {
	conf    *pgx.ConnConfig
	limits  poolLimits
	pool    *pool
	initial *initial
	queries []query
	anyWhen bool
	waiting *pause.Notice
	failing bool // Connect has failed since it last worked
}

func newOutputFromParsed(parsed *service.ParsedConfig, mgr *service.Resources) (service.BatchOutput, service.BatchPolicy, int, error) {
	fail := func(err error) (service.BatchOutput, service.BatchPolicy, int, error) {
		return nil, service.BatchPolicy{}, 0, err
	}
	if err := driverFromParsed(parsed); err != nil {
		return fail(err)
	}
	o := &rawOutput{waiting: pause.NewNotice(mgr.Logger(), pause.Wording{
		Begins: "Writing paused (PostgreSQL): messages wait, none of them is lost: %v",
		Lasts:  "Writing is still paused (PostgreSQL) since %s; messages wait: %v",
		Ends:   "Writing resumed (PostgreSQL) after %v.",
	}, nil)}
	var err error
	if o.conf, err = dsnFromParsed(parsed); err != nil {
		return fail(err)
	}
	if o.limits, err = limitsFromParsed(parsed); err != nil {
		return fail(err)
	}
	if o.queries, err = queriesFromParsed(parsed); err != nil {
		return fail(err)
	}
	o.anyWhen = slices.ContainsFunc(o.queries, func(q query) bool { return q.when != nil })
	if o.initial, err = initialFromParsed(parsed, mgr); err != nil {
		return fail(err)
	}
	policy, err := parsed.FieldBatchPolicy(srFieldBatching)
	if err != nil {
		return fail(err)
	}
	inFlight, err := parsed.FieldMaxInFlight()
	if err != nil {
		return fail(err)
	}
	o.pool = openPool(o.conf, o.limits, nil)
	return o, policy, inFlight, nil
}

// Connect finds out whether PostgreSQL answers. Benthos logs its error and calls it
// again, so after the first error it waits before the next one.
func (o *rawOutput) Connect(ctx context.Context) error {
	tries, wait := time.Now(), pause.NewGrowing(200*time.Millisecond, 5*time.Second)
	for {
		err := o.pool.ping(ctx)
		if err == nil {
			err = o.initial.run(ctx, o.pool)
		}
		if err == nil {
			o.failing = false
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if !o.failing || time.Since(tries) > pause.Reminder {
			o.failing = true
			return explain(err)
		}
		if err := pause.Sleep(ctx, wait.Next()); err != nil {
			return err
		}
	}
}

// WriteBatch runs the queries for each message.
func (o *rawOutput) WriteBatch(ctx context.Context, batch service.MessageBatch) error {
	if len(o.queries) > 1 {
		return o.writeTogether(ctx, batch)
	}
	return o.writeEach(ctx, batch)
}

// writeTogether writes a batch in one transaction.
func (o *rawOutput) writeTogether(ctx context.Context, batch service.MessageBatch) error {
	order := byPartition(batch)
	return o.write(ctx, true, func() error {
		return o.pool.inTransaction(ctx, func(conn *pgx.Conn) error {
			for _, i := range order {
				if err := o.runAll(ctx, conn, batch, i); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// writeEach writes message by message. A message that cannot be written does not hold
// the others.
//
// A BatchError is told apart by position, which Benthos loses where a batch was filtered
// or reordered. So it is used only where it says something: if no message was written,
// the whole batch failed.
func (o *rawOutput) writeEach(ctx context.Context, batch service.MessageBatch) error {
	var failed *service.BatchError
	var first error
	failures := 0
	for i := range batch {
		err := o.write(ctx, i == 0, func() error {
			return o.pool.use(ctx, func(conn *pgx.Conn) error { return o.runAll(ctx, conn, batch, i) })
		})
		if err == nil {
			continue
		}
		if err == service.ErrNotConnected || ctx.Err() != nil { //nolint:errorlint // it is not wrapped
			return err
		}
		if failures++; failures == 1 {
			first, failed = err, service.NewBatchError(batch, err)
		}
		failed = failed.Failed(i, err)
	}
	switch failures {
	case 0:
		return nil
	case len(batch):
		return first
	}
	return failed
}

// write repeats a write until the server takes or refuses it. While PostgreSQL is away it
// waits, so that nothing is written twice that is written already. If nothing is,
// Benthos may wait, which shows in its readiness.
func (o *rawOutput) write(ctx context.Context, nothingWritten bool, do func() error) error {
	waiter := o.waiting.Waiter()
	defer waiter.Stop()
	wait := pause.NewGrowing(100*time.Millisecond, 5*time.Second)
	for lost := 0; ; {
		err := repeated(ctx, do)
		if err == nil || ctx.Err() != nil || !ofServer(err) {
			if ctx.Err() == nil {
				waiter.Recovered()
			}
			return err
		}
		if ofConnection(err) {
			// A connection that was idle may have died long ago, and the next one does better.
			if lost++; lost == 1 && !connecting(err) {
				continue
			}
			if nothingWritten {
				return service.ErrNotConnected
			}
		}
		waiter.Trouble(err)
		if pause.Sleep(ctx, wait.Next()) != nil {
			return err
		}
	}
}

func (o *rawOutput) runAll(ctx context.Context, conn *pgx.Conn, batch service.MessageBatch, i int) error {
	for j := range o.queries {
		q := &o.queries[j]
		wanted, err := q.wanted(batch, i)
		if err != nil {
			return err
		}
		if !wanted {
			continue
		}
		text, args, err := q.statement(batch, i)
		if err != nil {
			return err
		}
		if _, err := run(ctx, conn, text, args); err != nil {
			return err
		}
		if o.anyWhen {
			return nil
		}
	}
	return nil
}

// byPartition orders the messages of a batch by their Kafka partition, so that those of
// one partition stay in their order, and transactions meet rows in the same order.
func byPartition(batch service.MessageBatch) []int {
	order, partitions := make([]int, len(batch)), make([]int, len(batch))
	for i, msg := range batch {
		order[i] = i
		if value, ok := msg.MetaGetMut("kafka_partition"); ok {
			partitions[i], _ = strconv.Atoi(fmt.Sprint(value))
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(partitions[a], partitions[b]) })
	return order
}

// Close gives up the connections.
func (o *rawOutput) Close(context.Context) error {
	o.waiting.Stop()
	return o.pool.close()
}
