package sql

import (
	"errors"
	"fmt"

	"github.com/redpanda-data/benthos/v4/public/bloblang"
	"github.com/redpanda-data/benthos/v4/public/service"
)

// query is a statement of the config, and how its arguments come from a message.
type query struct {
	text     string
	dynamic  *service.InterpolatedString // in place of text
	args     *bloblang.Executor          // nil for none
	when     *bloblang.Executor          // nil for always; of outputs
	execOnly bool                        // of processors
}

// queriesFromParsed reads `query`, if it is there, and `queries` after it.
func queriesFromParsed(parsed *service.ParsedConfig) ([]query, error) {
	dynamic, err := parsed.FieldBool(srFieldDynamic)
	if err != nil {
		return nil, err
	}
	var confs []*service.ParsedConfig
	if parsed.Contains(srFieldQuery) {
		confs = append(confs, parsed)
	}
	if parsed.Contains(srFieldQueries) {
		more, err := parsed.FieldObjectList(srFieldQueries)
		if err != nil {
			return nil, err
		}
		confs = append(confs, more...)
	}
	if len(confs) == 0 {
		return nil, errors.New("either field query or field queries is required")
	}
	queries := make([]query, len(confs))
	for i, conf := range confs {
		q := &queries[i]
		if dynamic {
			q.dynamic, err = conf.FieldInterpolatedString(srFieldQuery)
		} else {
			q.text, err = conf.FieldString(srFieldQuery)
		}
		if err != nil {
			return nil, err
		}
		if conf.Contains(srFieldArgs) {
			if q.args, err = conf.FieldBloblang(srFieldArgs); err != nil {
				return nil, err
			}
		}
		if conf.Contains(srFieldWhen) {
			if q.when, err = conf.FieldBloblang(srFieldWhen); err != nil {
				return nil, err
			}
		}
		q.execOnly = i < len(confs)-1
		if conf.Contains(srFieldExecOnly) {
			if q.execOnly, err = conf.FieldBool(srFieldExecOnly); err != nil {
				return nil, err
			}
		}
	}
	return queries, nil
}

// statement is what a query says about message i of a batch.
func (q *query) statement(batch service.MessageBatch, i int) (text string, args []any, err error) {
	text = q.text
	if q.dynamic != nil {
		if text, err = batch.InterpolationExecutor(q.dynamic).TryString(i); err != nil {
			return "", nil, &messageError{fmt.Errorf("interpolating the query: %w", err)}
		}
	}
	if q.args == nil {
		return text, nil, nil
	}
	value, err := structured(batch, i, q.args, srFieldArgs)
	if err != nil {
		return "", nil, err
	}
	args, ok := value.([]any)
	if !ok {
		return "", nil, &messageError{fmt.Errorf("`%s` gave a value of type %T, and not an array", srFieldArgs, value)}
	}
	return text, args, nil
}

// wanted evaluates the condition of a query.
func (q *query) wanted(batch service.MessageBatch, i int) (bool, error) {
	if q.when == nil {
		return true, nil
	}
	value, err := structured(batch, i, q.when, srFieldWhen)
	if err != nil {
		return false, err
	}
	wanted, ok := value.(bool)
	if !ok {
		return false, &messageError{fmt.Errorf("`%s` gave a value of type %T, and neither true nor false", srFieldWhen, value)}
	}
	return wanted, nil
}

func structured(batch service.MessageBatch, i int, mapping *bloblang.Executor, field string) (any, error) {
	result, err := batch.BloblangExecutor(mapping).Query(i)
	if err != nil {
		return nil, &messageError{fmt.Errorf("`%s` failed: %w", field, err)}
	}
	if result == nil {
		return nil, &messageError{fmt.Errorf("`%s` deleted the message instead of giving a value", field)}
	}
	value, err := result.AsStructured()
	if err != nil {
		return nil, &messageError{fmt.Errorf("`%s` gave no structured value", field)}
	}
	return value, nil
}
