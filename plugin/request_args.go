package plugin

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/words"
)

// maxRequestBytes bounds the body of one request. The largest known one is a
// table of calls in Base64.
const maxRequestBytes = 4 << 20

// requestArguments makes the arguments that message i of a batch gives to an operation.
// Its errors name the field and the problem, never the value.
func requestArguments(op happyrobot.Operation, batch service.MessageBatch, mapping *service.MessageBatchBloblangExecutor, i int) (args happyrobot.Arguments, err error) {
	mapped, err := mapping.Query(i)
	if err != nil {
		if _, jsonErr := batch[i].AsStructured(); jsonErr != nil {
			return args, badInput(words.InvalidJSON, "the message is not JSON, which args_mapping needs")
		}
		return args, badInput(words.MappingFailed, "args_mapping: %s", withoutValues(err))
	}
	if mapped == nil {
		return args, badInput(words.MappingFailed, "args_mapping: deleted the message; filter messages before this component")
	}
	value, err := mapped.AsStructured()
	object, ok := value.(map[string]any)
	if err != nil || !ok {
		return args, badInput(words.MappingFailed, "args_mapping: must give an object with path, query and body")
	}
	for name := range object {
		if name != "path" && name != "query" && name != "body" {
			return args, badInput(words.InvalidField, "args_mapping: %s: is none of path, query and body", name)
		}
	}
	if args.Path, err = pathArguments(op, object["path"]); err != nil {
		return args, err
	}
	if args.Query, err = queryArguments(object["query"]); err != nil {
		return args, err
	}
	if body := object["body"]; body != nil {
		if args.Body, err = json.Marshal(body); err != nil {
			return args, badInput(words.InvalidField, "args_mapping: body: holds a value that JSON cannot")
		}
		if len(args.Body) > maxRequestBytes {
			return args, badInput(words.TooLarge, "args_mapping: body: is %d bytes as JSON, more than %d", len(args.Body), maxRequestBytes)
		}
	}
	return args, nil
}

func pathArguments(op happyrobot.Operation, given any) (map[string]string, error) {
	object, ok := given.(map[string]any)
	if !ok && given != nil {
		return nil, badInput(words.InvalidField, "args_mapping: path: must be an object")
	}
	for _, name := range op.PathParameters() {
		if v := object[name]; v == nil || v == "" {
			return nil, badInput(words.MissingField, "args_mapping: path.%s: is missing; %s needs it", name, op.ID)
		}
	}
	parameters := make(map[string]string, len(object))
	for name, value := range object {
		if value == nil {
			continue
		}
		if parameters[name], ok = scalar(value); !ok {
			return nil, badInput(words.InvalidField, "args_mapping: path.%s: must be text or a number", name)
		}
	}
	return parameters, nil
}

func queryArguments(given any) (url.Values, error) {
	object, ok := given.(map[string]any)
	if !ok && given != nil {
		return nil, badInput(words.InvalidField, "args_mapping: query: must be an object")
	}
	query := url.Values{}
	for name, value := range object {
		if value == nil {
			continue
		}
		list, ok := value.([]any)
		if !ok {
			list = []any{value}
		}
		texts := make([]string, len(list))
		for i, v := range list {
			if texts[i], ok = scalar(v); !ok {
				return nil, badInput(words.InvalidField, "args_mapping: query.%s: must be text, a number, a boolean, or a list of them", name)
			}
		}
		query.Set(name, strings.Join(texts, ",")) // how the API documents its lists
	}
	return query, nil
}

// scalar writes a simple value as the API reads it in a URL.
func scalar(value any) (string, bool) {
	switch v := value.(type) {
	case string:
		return v, true
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), true // %v would write 1e+06
	case json.Number, int64, int, uint64, bool:
		return fmt.Sprint(v), true
	}
	return "", false
}

// fromMapping puts the client's complaint about an argument into our words.
func fromMapping(err error) error {
	var f *happyrobot.FieldError
	if errors.As(err, &f) {
		return badInput(words.InvalidField, "args_mapping: %w", err)
	}
	return err
}
