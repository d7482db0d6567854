// Package sql adds what a pipeline needs of PostgreSQL to Benthos: the processor and the
// output sql_raw, with Connect's fields, and the cache postgres.
//
//	processor.go, output.go   the components sql_raw
//	cache.go                  the cache postgres; cache_table.go finds and makes its table, cache_write.go writes, cache_sweep.go deletes what has expired
//	fields.go                 fields that both sql_raw share; initial.go runs the statements of init_files and init_statement
//	queries.go                the queries of a config, and what they ask of a message
//	statement.go, values.go   runs one statement; arguments and results as text
//	pool.go, dsn.go           connections, and where they lead
//	errors.go                 what an error says, and what it is about
package sql
