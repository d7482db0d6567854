package sql_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/tests/services"
)

const insert = "query: INSERT INTO t VALUES ($1)\nargs_mapping: root = [ this.n ]\n"

// fallback is an output that writes what another cannot write into the table failed.
func fallback(t *testing.T, dsn, output string) string {
	execute(t, dsn, "CREATE TABLE failed (lead text, why text)")
	second := raw(dsn, "query: INSERT INTO failed VALUES ($1, $2)\nargs_mapping: root = [ content().string(), meta(\"fallback_error\") ]\n")
	item := func(yaml string) string {
		return "  - " + strings.ReplaceAll(strings.TrimSpace(yaml), "\n", "\n    ") + "\n"
	}
	return "fallback:\n" + item(output) + item(second)
}

const failedLeads = "SELECT string_agg(lead, ' ' ORDER BY lead) FROM failed"

func TestAMessageThatCannotBeWrittenFailsAlone(t *testing.T) {
	dsn := schema(t)
	execute(t, dsn, "CREATE TABLE t (n int UNIQUE)")
	s := start(t, "", fallback(t, dsn, raw(dsn, insert)))
	require.NoError(t, s.send(t.Context(), messages(`{"n":1}`, `{"n":2}`)))
	require.NoError(t, s.send(t.Context(), messages(`{"n":3}`, `{"n":"hunter2"}`, `{"n":4}`, `{"n":1}`)))
	assert.Equal(t, "{1,2,3,4}", ask[string](t, dsn, "SELECT array_agg(n ORDER BY n)::text FROM t"))
	assert.Equal(t, `{"n":"hunter2"} {"n":1}`, ask[string](t, dsn, failedLeads))
	assert.NotContains(t, ask[string](t, dsn, "SELECT string_agg(why, ' ') FROM failed"), "hunter2")
}

// Benthos tells messages apart by position, which a filter changes.
func TestWhereNothingIsWrittenBehindAFilterNothingIsLost(t *testing.T) {
	dsn := schema(t)
	execute(t, dsn, "CREATE TABLE t (n int UNIQUE)")
	output := strings.TrimSpace(fallback(t, dsn, raw(dsn, insert+"processors:\n  - mapping: root = if this.n == 0 { deleted() }\n")))
	output = strings.Replace(output, "      processors:\n        - mapping: root = if this.n == 0 { deleted() }", "    processors:\n      - mapping: root = if this.n == 0 { deleted() }", 1)
	s := start(t, "", output)
	require.NoError(t, s.send(t.Context(), messages(`{"n":0}`, `{"n":"a"}`, `{"n":"b"}`)))
	assert.Contains(t, ask[string](t, dsn, failedLeads), `{"n":"a"} {"n":"b"}`)
}

func TestSeveralQueriesWriteABatchTogetherOrNotAtAll(t *testing.T) {
	dsn := schema(t)
	execute(t, dsn, "CREATE TABLE t (n int UNIQUE); CREATE TABLE log (n int)")
	s := start(t, "", fallback(t, dsn, raw(dsn, insert+"queries:\n  - query: INSERT INTO log VALUES ($1)\n    args_mapping: root = [ this.n ]\n")))
	require.NoError(t, s.send(t.Context(), messages(`{"n":1}`, `{"n":2}`)))
	require.NoError(t, s.send(t.Context(), messages(`{"n":3}`, `{"n":1}`)))
	assert.Equal(t, `{"n":1} {"n":3}`, ask[string](t, dsn, failedLeads), "the error is the whole batch's")
	assert.Equal(t, "{1,2}", ask[string](t, dsn, "SELECT array_agg(n ORDER BY n)::text FROM t"))
	assert.Equal(t, "{1,2}", ask[string](t, dsn, "SELECT array_agg(n ORDER BY n)::text FROM log"))
}

func TestTheFirstQueryThatIsMeantRuns(t *testing.T) {
	dsn := schema(t)
	execute(t, dsn, "CREATE TABLE t (id text PRIMARY KEY, n int)")
	s := start(t, "", raw(dsn, `
queries:
  - when: root = this.op == "delete"
    query: DELETE FROM t WHERE id = $1
    args_mapping: root = [ this.id ]
  - query: INSERT INTO t VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET n = excluded.n
    args_mapping: root = [ this.id, this.n ]
`))
	require.NoError(t, s.send(t.Context(), messages(`{"id":"a","n":1}`, `{"id":"b","n":2}`, `{"id":"a","op":"delete"}`, `{"id":"b","n":3}`)))
	assert.Equal(t, "b=3", ask[string](t, dsn, "SELECT string_agg(id || '=' || n, ',') FROM t"))

	alone := start(t, "", raw(dsn, "queries:\n  - when: root = this.n > 5\n    query: INSERT INTO t VALUES ($1, $2)\n    args_mapping: root = [ this.id, this.n ]\n"))
	require.NoError(t, alone.send(t.Context(), messages(`{"id":"c","n":1}`, `{"id":"d","n":6}`)))
	assert.Equal(t, "b=3,d=6", ask[string](t, dsn, "SELECT string_agg(id || '=' || n, ',' ORDER BY id) FROM t"))
	require.ErrorContains(t, alone.send(t.Context(), messages(`{"id":"c","n":"x"}`)), "`when` failed")
}

func TestMessagesOfOnePartitionKeepTheirOrder(t *testing.T) {
	dsn := schema(t)
	execute(t, dsn, "CREATE TABLE t (at serial, n int)")
	s := start(t, "", raw(dsn, "queries:\n  - query: SELECT 1\n  - query: INSERT INTO t (n) VALUES ($1)\n    args_mapping: root = [ this.n ]\n"))
	batch := messages(`{"n":1}`, `{"n":2}`, `{"n":3}`, `{"n":4}`)
	for i, partition := range []int{2, 1, 2, 1} {
		batch[i].MetaSetMut("kafka_partition", partition)
	}
	require.NoError(t, s.send(t.Context(), batch))
	assert.Equal(t, "{2,4,1,3}", ask[string](t, dsn, "SELECT array_agg(n ORDER BY at)::text FROM t"))
}

func TestWritesWaitForPostgreSQLAndNothingIsLost(t *testing.T) {
	dsn := schema(t)
	execute(t, dsn, "CREATE TABLE t (n int UNIQUE)")
	p, proxied := through(t, dsn)
	p.refuse.Store(true)
	s := start(t, "", raw(proxied, "query: INSERT INTO t VALUES ($1) ON CONFLICT DO NOTHING\nargs_mapping: root = [ this.n ]\nmax_in_flight: 4\n"))
	var wg sync.WaitGroup
	sent := 0
	send := func(n int) {
		for range n {
			batch := messages(fmt.Sprintf(`{"n":%d}`, sent), fmt.Sprintf(`{"n":%d}`, sent+1))
			sent += 2
			wg.Go(func() { assert.NoError(t, s.send(context.Background(), batch)) })
		}
	}
	send(20)
	require.Eventually(t, func() bool {
		return strings.Contains(s.log.all(), "the connection to PostgreSQL") || strings.Contains(s.log.all(), "cannot connect")
	}, time.Minute, 10*time.Millisecond)
	p.refuse.Store(false)
	wg.Wait()
	assert.Equal(t, sent, ask[int](t, dsn, "SELECT count(*) FROM t"))

	for range 5 {
		send(50)
		p.cut()
	}
	wg.Wait()
	services.Restart(t, "postgres")
	send(50)
	wg.Wait()
	assert.Equal(t, sent, ask[int](t, dsn, "SELECT count(*) FROM t"))
}

func TestAReadOnlyServerHoldsMessages(t *testing.T) {
	dsn := schema(t)
	execute(t, dsn, "CREATE TABLE t (n int)")
	name, own := role(t, dsn)
	execute(t, dsn, "GRANT INSERT ON t TO "+name)
	execute(t, dsn, "ALTER ROLE "+name+" SET default_transaction_read_only = on")
	s := start(t, "", raw(own, insert+"conn_max_idle: 0\n"))
	done := make(chan error, 1)
	go func() { done <- s.send(context.Background(), messages(`{"n":1}`)) }()
	require.Eventually(t, func() bool { return strings.Contains(s.log.all(), "PostgreSQL is read-only") }, time.Minute, 10*time.Millisecond)
	assert.Contains(t, s.log.all(), "Writing paused (PostgreSQL)")
	execute(t, dsn, "ALTER ROLE "+name+" SET default_transaction_read_only = off")
	require.NoError(t, <-done)
	assert.Contains(t, s.log.all(), "Writing resumed (PostgreSQL)")
}

func TestDeadlocksOfBatchesAreResolved(t *testing.T) {
	dsn := schema(t)
	execute(t, dsn, "CREATE TABLE t (id text PRIMARY KEY, n int); INSERT INTO t VALUES ('a', 0), ('b', 0)")
	s := start(t, "", raw(dsn, "queries:\n  - query: SELECT 1\n  - query: UPDATE t SET n = n + 1 WHERE id = $1\n    args_mapping: root = [ this.id ]\n"))
	var wg sync.WaitGroup
	for _, ids := range [][2]string{{"a", "b"}, {"b", "a"}} {
		wg.Go(func() {
			for range 20 {
				assert.NoError(t, s.send(context.Background(), messages(`{"id":"`+ids[0]+`"}`, `{"id":"`+ids[1]+`"}`)))
			}
		})
	}
	wg.Wait()
	assert.Equal(t, 80, ask[int](t, dsn, "SELECT sum(n) FROM t"))
}
