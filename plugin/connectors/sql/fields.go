package sql

import (
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redpanda-data/benthos/v4/public/service"
)

const ( // sr: sql_raw
	srFieldDriver       = "driver"
	srFieldDSN          = "dsn"
	srFieldQuery        = "query"
	srFieldDynamic      = "unsafe_dynamic_query"
	srFieldArgs         = "args_mapping"
	srFieldExecOnly     = "exec_only"
	srFieldQueries      = "queries"
	srFieldWhen         = "when"
	srFieldInitFiles    = "init_files"
	srFieldInit         = "init_statement"
	srFieldMaxIdleTime  = "conn_max_idle_time"
	srFieldLifetime     = "conn_max_life_time"
	srFieldMaxIdle      = "conn_max_idle"
	srFieldMaxOpen      = "conn_max_open"
	srFieldBatching     = "batching"
	notHere             = "driver %s is not in this program; build with Connect, see https://github.com/benthos-happyrobot/benthos-happyrobot#build-with-connect"
	queryOrQueries      = "root = if !this.exists(\"query\") && this.queries.or([]).length() == 0 { [ \"either `query` or `queries` is required\" ] }"
	dsnExample          = "postgres://user:password@localhost:5432/database?sslmode=disable"
	argsExample         = `root = [ this.lead.id, this.phones.index(0) ]`
	argsMetaExample     = `root = [ meta("kafka_key"), content().string() ]`
	queryDescription    = "The statement to run, with `$1`, `$2` and so on in place of values. Without `args_mapping` it may be several statements, separated by semicolons."
	argsDescription     = "A Bloblang mapping that gives an array with one value for each placeholder of the query."
	durationDescription = ", as a duration such as `5m`."
)

func driverField() *service.ConfigField {
	return service.NewStringEnumField(srFieldDriver, "postgres", "pgx").
		Description("The database driver. Both names are the same driver, for PostgreSQL.").
		LintRule(`root = if !["postgres", "pgx"].contains(this) { [ "` + fmt.Sprintf(notHere, `%v`) + `".format(this) ] }`)
}

func dsnField() *service.ConfigField {
	return service.NewStringField(srFieldDSN).
		Description("The database to connect to, as a URL or as `key=value` pairs. Without `sslmode` it is `require`: write `sslmode=disable` for a server without TLS.").
		Example(dsnExample).
		Secret()
}

func queryField() *service.ConfigField {
	return service.NewStringField(srFieldQuery).Description(queryDescription)
}

func argsField() *service.ConfigField {
	return service.NewBloblangField(srFieldArgs).Description(argsDescription).Example(argsExample).Example(argsMetaExample).Optional()
}

func dynamicField() *service.ConfigField {
	return service.NewBoolField(srFieldDynamic).
		Description("Whether functions such as `${! metadata(\"table\") }` in a query are replaced for each message. What is replaced becomes part of the statement: a message that anybody may write can then run any statement.").
		Default(false).
		Advanced()
}

func connectionFields() []*service.ConfigField {
	return []*service.ConfigField{
		service.NewStringListField(srFieldInitFiles).
			Description("Files with statements to run once, with the first connection and before `init_statement`. Patterns such as `./init/*.sql` are allowed. They run again after each restart, so write statements that may be repeated. A statement that fails is logged, and the component works without it.").
			Example([]any{"./init/*.sql"}).
			Optional().
			Advanced(),
		service.NewStringField(srFieldInit).
			Description("Statements to run once, with the first connection. They run again after each restart, so write statements that may be repeated. A statement that fails is logged, and the component works without it.").
			Example("CREATE TABLE IF NOT EXISTS calls (\n  id text PRIMARY KEY,\n  status text\n);\n").
			Optional().
			Advanced(),
		service.NewDurationField(srFieldMaxIdleTime).
			Description("How long a connection may be idle before it is closed" + durationDescription + " Zero or empty keeps it.").
			Optional().
			Advanced(),
		service.NewDurationField(srFieldLifetime).
			Description("How old a connection may become before it is closed" + durationDescription + " Zero or empty keeps it.").
			Optional().
			Advanced(),
		service.NewIntField(srFieldMaxIdle).
			Description("How many idle connections are kept open. Zero keeps none.").
			Default(2).
			Optional().
			Advanced(),
		service.NewIntField(srFieldMaxOpen).
			Description("How many connections may be open at a time. Zero is no limit, which is the default.").
			Optional().
			Advanced(),
	}
}

func driverFromParsed(parsed *service.ParsedConfig) error {
	driver, err := parsed.FieldString(srFieldDriver)
	if err != nil {
		return err
	}
	if driver != "postgres" && driver != "pgx" {
		return fmt.Errorf("field %s: "+notHere, srFieldDriver, driver)
	}
	return nil
}

func dsnFromParsed(parsed *service.ParsedConfig) (*pgx.ConnConfig, error) {
	dsn, err := parsed.FieldString(srFieldDSN)
	if err != nil {
		return nil, err
	}
	conf, err := parseDSN(dsn)
	if err != nil {
		return nil, fmt.Errorf("field %s: %w", srFieldDSN, err)
	}
	return conf, nil
}

func limitsFromParsed(parsed *service.ParsedConfig) (limits poolLimits, err error) {
	if limits.maxIdle, err = parsed.FieldInt(srFieldMaxIdle); err != nil {
		return limits, err
	}
	if parsed.Contains(srFieldMaxOpen) {
		if limits.maxOpen, err = parsed.FieldInt(srFieldMaxOpen); err != nil {
			return limits, err
		}
	}
	for name, d := range map[string]*time.Duration{srFieldMaxIdleTime: &limits.maxIdleTime, srFieldLifetime: &limits.lifetime} {
		if !parsed.Contains(name) {
			continue
		}
		text, err := parsed.FieldString(name)
		if err != nil {
			return limits, err
		}
		if strings.TrimSpace(text) == "" {
			continue
		}
		if *d, err = parsed.FieldDuration(name); err != nil {
			return limits, err
		}
	}
	return limits, nil
}
