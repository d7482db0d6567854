package sql_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/tests/services"
)

// stream runs a pipeline to whose input a test sends batches.
type stream struct {
	t    testing.TB
	send service.MessageBatchHandlerFunc
	log  *said

	mu  sync.Mutex
	out []service.MessageBatch
}

// start runs a stream; its output is the test's unless a component says so.
func start(t testing.TB, processor, output string) *stream {
	t.Helper()
	s := &stream{t: t, log: &said{}}
	builder := service.NewStreamBuilder()
	builder.SetLogger(slog.New(slog.NewTextHandler(s.log, nil)))
	builder.SetThreads(2)
	var err error
	s.send, err = builder.AddBatchProducerFunc()
	require.NoError(t, err)
	if processor != "" {
		require.NoError(t, builder.AddProcessorYAML(processor))
	}
	if output != "" {
		require.NoError(t, builder.AddOutputYAML(output))
	} else {
		require.NoError(t, builder.AddBatchConsumerFunc(func(_ context.Context, batch service.MessageBatch) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.out = append(s.out, batch)
			return nil
		}))
	}
	built, err := builder.Build()
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- built.Run(context.Background()) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		require.NoError(t, built.Stop(ctx))
		<-ended
	})
	return s
}

func messages(contents ...string) service.MessageBatch {
	batch := make(service.MessageBatch, len(contents))
	for i, content := range contents {
		batch[i] = service.NewMessage([]byte(content))
	}
	return batch
}

// through sends a batch and answers what came out.
func (s *stream) through(contents ...string) service.MessageBatch {
	s.t.Helper()
	require.NoError(s.t, s.send(s.t.Context(), messages(contents...)))
	s.mu.Lock()
	defer s.mu.Unlock()
	last := s.out[len(s.out)-1]
	require.Len(s.t, last, len(contents))
	return last
}

func content(t testing.TB, msg *service.Message) string {
	t.Helper()
	b, err := msg.AsBytes()
	require.NoError(t, err)
	return string(b)
}

// raw is a component sql_raw.
func raw(dsn, fields string) string {
	return "sql_raw:\n  driver: postgres\n  dsn: " + fmt.Sprintf("%q", dsn) + "\n  " + strings.ReplaceAll(strings.Trim(fields, "\n"), "\n", "\n  ") + "\n"
}

// testdata/libpq.jsonl is what the program before, with the driver lib/pq, read back of
// each value that it could write into each type of column. Whatever it could, works, and
// reads the same.
func TestValuesAreWrittenAndReadAsBefore(t *testing.T) {
	dsn := schema(t)
	types := map[string]string{"numeric2": "numeric(10,2)", "varchar3": "varchar(3)", "char4": "char(4)", "ts": "timestamp", "tstz": "timestamptz",
		"texta": "text[]", "inta": "int4[]", "jsonba": "jsonb[]", "byteaa": "bytea[]", "xmlt": "xml", "bit3": "bit(3)"}
	execute(t, dsn, "CREATE TYPE mood AS ENUM ('sad', 'ok')")
	file, err := os.Open("testdata/libpq.jsonl")
	require.NoError(t, err)
	defer file.Close()
	made := map[string]bool{}
	s := start(t, raw(dsn, `
unsafe_dynamic_query: true
query: INSERT INTO m_${! this.type } (v) VALUES ($1) RETURNING v
args_mapping: |
  let t = this
  root = [ match $t.kind {
    "time" => $t.value.ts_parse("2006-01-02T15:04:05.999999999Z07:00"),
    "bytes" => $t.value.bytes(),
    "hex" => $t.value.decode("hex"),
    "int" => $t.value.int64(),
    "float" => $t.value.float64(),
    "nan" => "NaN".float64(),
    _ => $t.value } ]
`), "")
	rows := 0
	for lines := bufio.NewScanner(file); lines.Scan(); rows++ {
		var row struct {
			Type, Kind  string
			Value, Read json.RawMessage
		}
		require.NoError(t, json.Unmarshal(lines.Bytes(), &row))
		if !made[row.Type] {
			made[row.Type] = true
			kind := types[row.Type]
			if kind == "" {
				kind = row.Type
			}
			execute(t, dsn, "CREATE TABLE m_"+row.Type+" (v "+kind+")")
		}
		if string(row.Value) == "[]" && (row.Type == "json" || row.Type == "jsonb") {
			row.Read = json.RawMessage(`"[]"`) // it became {}
		}
		out := s.through(lines.Text())[0]
		require.NoError(t, out.GetError(), lines.Text())
		var want bytes.Buffer
		require.NoError(t, json.Compact(&want, []byte(`[{"v":`+string(row.Read)+`}]`)))
		require.JSONEq(t, want.String(), content(t, out), lines.Text())
	}
	assert.Greater(t, rows, 600)
}

func TestRowsBecomeAnArrayOfObjects(t *testing.T) {
	dsn := schema(t)
	s := start(t, raw(dsn, `
query: SELECT n, n::text || $1 AS text, NULL AS nothing, n::numeric / 2 AS half, ARRAY[n] AS list, jsonb_build_object('n', n) AS doc FROM generate_series(1, this_many($2)) n
args_mapping: root = [ this.a, this.n ]
init_statement: CREATE FUNCTION this_many(n int) RETURNS int LANGUAGE sql AS 'SELECT n'
`), "")
	out := s.through(`{"a":"x","n":2}`, `{"a":"y","n":0}`, `{"a":"z","n":"1"}`)
	assert.JSONEq(t, `[{"n":1,"text":"1x","nothing":null,"half":"0.50000000000000000000","list":"{1}","doc":"{\"n\": 1}"},{"n":2,"text":"2x","nothing":null,"half":"1.00000000000000000000","list":"{2}","doc":"{\"n\": 2}"}]`, content(t, out[0]))
	assert.Equal(t, `[]`, content(t, out[1]))
	assert.JSONEq(t, `[{"n":1,"text":"1z","nothing":null,"half":"0.50000000000000000000","list":"{1}","doc":"{\"n\": 1}"}]`, content(t, out[2]))
}

func TestObjectsAndArraysAreArguments(t *testing.T) {
	s := start(t, raw(schema(t), `
query: SELECT $1::jsonb AS doc, $2::jsonb AS docs, $3::int[] AS numbers, $4::text[] AS texts
args_mapping: root = [ this.doc, this.docs, this.numbers, this.texts ]
`), "")
	out := s.through(`{"doc":{"a":1},"docs":[{"b":2}],"numbers":[1,2],"texts":["a\"b","c\\d",null,"{e}"]}`)
	assert.JSONEq(t, `[{"doc":"{\"a\": 1}","docs":"[{\"b\": 2}]","numbers":"{1,2}","texts":"{\"a\\\"b\",\"c\\\\d\",NULL,\"{e}\"}"}]`, content(t, out[0]))
}

func TestAFailureIsItsMessagesAloneAndQuotesNothing(t *testing.T) {
	dsn := schema(t)
	execute(t, dsn, "CREATE TABLE t (n int UNIQUE)")
	s := start(t, raw(with(t, dsn, "password", "sesame"), `
query: INSERT INTO t VALUES ($1) RETURNING n
args_mapping: root = if this.n == "throw" { throw("no") } else if this.n == "none" { [] } else { [ this.n ] }
`), "")
	out := s.through(`{"n":1}`, `{"n":"hunter2"}`, `{"n":1}`, `{"n":"throw"}`, `{"n":"none"}`, `{"n":[]}`, `{"n":2}`, `not json`)
	for i, want := range []string{"", "invalid input syntax for type integer", "duplicate key value violates unique constraint", "`args_mapping` failed", "there is no parameter $1", "invalid input syntax", "", "`args_mapping` failed"} {
		if want == "" {
			require.NoError(t, out[i].GetError())
			continue
		}
		require.ErrorContains(t, out[i].GetError(), want)
		assert.NotContains(t, out[i].GetError().Error(), "hunter2")
		assert.NotContains(t, out[i].GetError().Error(), "sesame")
	}
	assert.JSONEq(t, `{"n":"hunter2"}`, content(t, out[1]), "it stays as it was")
	assert.JSONEq(t, `[{"n":2}]`, content(t, out[6]))
}

// What is faulty in a query of the config is found by its place; its text may hold values.
func TestAFaultyQueryIsFoundByItsPlace(t *testing.T) {
	dsn := schema(t)
	execute(t, dsn, "CREATE TABLE t (n int)")
	for query, want := range map[string]string{
		"SELECT 1 FRM sesame":                             `at or near "…" in line 1 of the query, at character 14 (SQLSTATE 42601)`,
		"SELECT n\nFROM t\nWHERE 'ü€' = n AND\n sesame )": `at or near "…" in line 4 of the query, at character 9 (SQLSTATE 42601)`,
		"SELECT 1,\n  'ü' || m FROM t":                    `in line 2 of the query, at character 10 (SQLSTATE 42703)`,
		"INSERT INTO t\nVALUES ('sesame')":                `in line 2 of the query, at character 9 (SQLSTATE 22P02)`,
		"SELECT 1; SELECT 2;\n SELECT x":                  `in line 2 of the query, at character 9 (SQLSTATE 42703)`,
	} {
		s := start(t, raw(dsn, fmt.Sprintf("query: %q\n", query)), "")
		err := s.through("{}")[0].GetError()
		require.ErrorContains(t, err, want, query)
		assert.NotContains(t, err.Error(), "sesame", query)
	}
	s := start(t, raw(dsn, "query: |\n  SELECT n\n  FORM t WHERE n = $1\nargs_mapping: root = [ 1 ]\n"), "")
	require.ErrorContains(t, s.through("{}")[0].GetError(), "in line 2 of the query, at character 6 (SQLSTATE 42601)")
}

func TestSeveralQueriesAreOneTransactionForEachMessage(t *testing.T) {
	dsn := schema(t)
	execute(t, dsn, "CREATE TABLE a (n int); CREATE TABLE b (n int UNIQUE)")
	s := start(t, raw(dsn, `
query: INSERT INTO a VALUES ($1)
args_mapping: root = [ this.n ]
queries:
  - query: INSERT INTO b VALUES ($1) RETURNING n + 1 AS next
    args_mapping: root = [ this.n ]
    exec_only: false
  - query: SELECT $1::int * 10 AS tenfold
    args_mapping: root = [ this.index(0).next ]
`), "")
	out := s.through(`{"n":1}`, `{"n":1}`, `{"n":2}`)
	assert.JSONEq(t, `[{"tenfold":20}]`, content(t, out[0]), "the last query's arguments come of the rows before")
	require.ErrorContains(t, out[1].GetError(), "duplicate key")
	assert.JSONEq(t, `{"n":1}`, content(t, out[1]))
	assert.JSONEq(t, `[{"tenfold":30}]`, content(t, out[2]))
	assert.Equal(t, 2, ask[int](t, dsn, "SELECT count(*) FROM a"), "what failed is rolled back")
}

func TestExecOnlyLeavesTheMessage(t *testing.T) {
	dsn := schema(t)
	s := start(t, raw(dsn, `
query: CREATE TABLE one (n int); INSERT INTO one VALUES (1), (2)
exec_only: true
`), "")
	assert.Equal(t, `as it was`, content(t, s.through(`as it was`)[0]))
	assert.Equal(t, 2, ask[int](t, dsn, "SELECT count(*) FROM one"))
}

func TestInitialStatementsRunOnceAndMayFail(t *testing.T) {
	dsn := schema(t)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a.sql"), []byte("CREATE TABLE t (n int); INSERT INTO t VALUES (1)"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "b.sql"), []byte("SELECT nothing"), 0o600))
	p, proxied := through(t, dsn)
	p.refuse.Store(true)
	s := start(t, raw(proxied, "query: INSERT INTO t VALUES (3)\nexec_only: true\ninit_files: [ '"+dir+"/*.sql' ]\ninit_statement: INSERT INTO t VALUES (2)\n"), "")
	require.Error(t, s.through("x")[0].GetError())
	assert.Contains(t, s.log.all(), "wait for the first message")
	p.refuse.Store(false)
	for _, msg := range s.through("x", "x") {
		require.NoError(t, msg.GetError())
	}
	assert.Equal(t, "{1,2,3,3}", ask[string](t, dsn, "SELECT array_agg(n)::text FROM t"))
	assert.Equal(t, 1, strings.Count(s.log.all(), "b.sql failed"))
}

func TestAStatementThatMeetsAnotherIsRunAgain(t *testing.T) {
	dsn := schema(t)
	execute(t, dsn, "CREATE TABLE t (id text PRIMARY KEY, n int); INSERT INTO t VALUES ('a', 0), ('b', 0)")
	// Two transactions that lock the rows in another order, and read what the other writes.
	s := start(t, raw(with(t, dsn, "default_transaction_isolation", "serializable"), `
query: UPDATE t SET n = n + 1 WHERE id = $1
args_mapping: root = [ this.first ]
queries:
  - query: UPDATE t SET n = n + 1 WHERE id = $1 RETURNING n
    args_mapping: root = [ this.second ]
`), "")
	var wg sync.WaitGroup
	for _, lead := range []string{`{"first":"a","second":"b"}`, `{"first":"b","second":"a"}`} {
		wg.Go(func() {
			for range 50 {
				assert.NoError(t, s.send(context.Background(), messages(lead)))
			}
		})
	}
	wg.Wait()
	for _, batch := range s.out {
		require.NoError(t, batch[0].GetError())
	}
	assert.Equal(t, 200, ask[int](t, dsn, "SELECT sum(n) FROM t"))
}

func TestConnectionsThatDiedWithARestartFailNoMessages(t *testing.T) {
	dsn := schema(t)
	s := start(t, raw(dsn, "query: SELECT 1 AS n\n"), "")
	require.NoError(t, s.through("x")[0].GetError())
	services.Restart(t, "postgres")
	failed := 0
	for _, msg := range s.through(slicesOf("x", 20)...) {
		if msg.GetError() != nil {
			failed++
		}
	}
	assert.Zero(t, failed)
}

func TestALostConnectionMakesTheOthersSuspect(t *testing.T) {
	p, proxied := through(t, schema(t))
	s := start(t, raw(proxied, "query: SELECT pg_sleep($1)\nargs_mapping: root = [ this.s ]\nconn_max_idle: 5\n"), "")
	var wg sync.WaitGroup
	for range 2 { // a connection that is used for the second time was just asked
		for range 2 { // one for each thread
			wg.Go(func() { assert.NoError(t, s.send(context.Background(), messages(`{"s":0.2}`))) })
		}
		wg.Wait()
	}
	p.cut()
	failed := 0
	for range 6 {
		if s.through(`{"s":0}`)[0].GetError() != nil {
			failed++
		}
	}
	assert.LessOrEqual(t, failed, 1, "only the one that found out")
}

func slicesOf(text string, n int) []string { return strings.Fields(strings.Repeat(text+" ", n)) }

func TestWhileAwayMessagesFailAtOnceAndClearly(t *testing.T) {
	s := start(t, raw("postgres://me:sesame@127.0.0.1:1/db", "query: SELECT 1\n"), "")
	began := time.Now()
	for _, msg := range s.through(slicesOf("x", 50)...) {
		require.ErrorContains(t, msg.GetError(), "running the query: PostgreSQL cannot be reached at 127.0.0.1:1: connect: connection refused; check that it runs, and `dsn`")
	}
	assert.Less(t, time.Since(began), 5*time.Second)
}
