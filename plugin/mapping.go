package plugin

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/redpanda-data/benthos/v4/public/bloblang"
	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/words"
)

const fieldResultMap = "result_map"

func resultMapField(result string) *service.ConfigField {
	return service.NewBloblangField(fieldResultMap).
		Description("Puts the result into the message: `this` is the result, " + result + ", and `root` the message.").
		Default("root.call = this").
		Example("root.call_id = this.call_id")
}

// overlay maps a result into a message, as branch does.
func overlay(msg *service.Message, result any, mapping *bloblang.Executor) error {
	from := service.NewMessage(nil)
	from.SetStructured(result)
	// Mapped parts stay connected to their source: messages that share a result
	// must not share what they may change later.
	mapped, err := msg.BloblangMutateFrom(mapping, from.DeepCopy())
	if err != nil {
		return badInput(words.MappingFailed, "%s: %s", fieldResultMap, withoutValues(err))
	}
	if mapped == nil {
		return badInput(words.MappingFailed, "%s: must not delete the message", fieldResultMap)
	}
	return nil
}

// mappedObject is the object that a mapping makes of a message of a batch: what the field
// is for.
func mappedObject(msg *service.Message, mapping *service.MessageBatchBloblangExecutor, i int, field, makes string) (map[string]any, error) {
	mapped, err := mapping.Query(i)
	if err != nil {
		if _, jsonErr := msg.AsStructured(); jsonErr != nil {
			return nil, badInput(words.InvalidJSON, "the message is not JSON, which %s needs", field)
		}
		return nil, badInput(words.MappingFailed, "%s: %s", field, withoutValues(err))
	}
	if mapped == nil {
		return nil, badInput(words.MappingFailed, "%s: deleted the message; filter messages before this component", field)
	}
	value, err := mapped.AsStructured()
	if err != nil {
		return nil, badInput(words.InvalidJSON, "%s: gave no JSON, but must give an object, %s", field, makes)
	}
	object, ok := value.(map[string]any)
	if !ok {
		return nil, badInput(words.MappingFailed, "%s: must give an object, %s", field, makes)
	}
	return object, nil
}

// structured decodes JSON as Benthos does: numbers stay exact.
func structured(raw json.RawMessage) (any, error) {
	if len(raw) == 0 {
		return nil, errors.New("no JSON")
	}
	return service.NewMessage(raw).AsStructuredMut()
}

// inputError is bad input, with the word that goes into the metadata.
type inputError struct {
	reason string
	err    error
}

func (e *inputError) Error() string { return e.err.Error() }
func (e *inputError) Unwrap() error { return e.err }

func badInput(reason, format string, args ...any) error {
	return &inputError{reason: reason, err: fmt.Errorf(format, args...)}
}

// reasonOf is the word for bad input.
func reasonOf(err error) string {
	var bad *inputError
	if errors.As(err, &bad) {
		return bad.reason
	}
	return words.InvalidField
}

var (
	// quoted finds the values that Bloblang repeats in its errors.
	quoted = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
	// gotValue finds those behind the type that was found, as in "got number from field
	// `this.id` (1)": numbers without quotes, and texts whose own quotes are not escaped.
	gotValue = regexp.MustCompile(`(?s)(\bgot [^()"]*)\(.*\)`)
)

// withoutValues is an error's text without values of the message. Where it is not clear
// what is a value, more is masked.
func withoutValues(err error) string {
	text := gotValue.ReplaceAllString(err.Error(), "$1(value)")
	return happyrobot.Excerpt(quoted.ReplaceAllString(text, "(value)"))
}

// maskValues takes the texts of a message out of an error that another component
// wrote: it may repeat them without quotes.
func maskValues(text string, msg *service.Message) string {
	content, err := msg.AsStructured()
	if err != nil {
		return text
	}
	var values []string
	var collect func(any)
	collect = func(v any) {
		switch v := v.(type) {
		case string:
			if len(v) >= 3 && strings.Contains(text, v) { // shorter ones are parts of words
				values = append(values, v)
			}
		case []any:
			for _, item := range v {
				collect(item)
			}
		case map[string]any:
			for _, member := range v {
				collect(member)
			}
		}
	}
	collect(content)
	slices.SortFunc(values, func(a, b string) int { return len(b) - len(a) }) // a value may hold another
	for _, value := range values {
		text = strings.ReplaceAll(text, value, "(value)")
	}
	return text
}
