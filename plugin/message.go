package plugin

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"

	"github.com/redpanda-data/benthos/v4/public/bloblang"
	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/callfeed"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/dialer"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/phone"
)

// maxCallBytes bounds one call of a request. The API documents no limit, and a
// prompt's variables need far less.
const maxCallBytes = 256 << 10

// Reasons of calls that are rejected before the ledger or the API is asked.
const (
	reasonInvalidJSON  = "invalid_json"
	reasonMapping      = "mapping_failed"
	reasonDedupeKey    = "dedupe_key_failed"
	reasonMissingField = "missing_field"
	reasonInvalidField = "invalid_field"
	reasonInvalidDate  = "invalid_date"
	reasonTooLarge     = "too_large"
)

// callBuilder makes call requests of messages.
type callBuilder struct {
	mapping   *bloblang.Executor
	dedupeKey *dedupeKey // nil: the call itself is the key
	members   memberRules
	region    string      // of numbers that are not international
	numbers   phone.Rules // which numbers are called
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

// batchBuilder is a callBuilder at work on a batch.
type batchBuilder struct {
	*callBuilder
	batch   service.MessageBatch
	mapping *service.MessageBatchBloblangExecutor
	key     *batchKeys // nil: the call itself is the key
}

func (b *callBuilder) of(batch service.MessageBatch) batchBuilder {
	builder := batchBuilder{callBuilder: b, batch: batch, mapping: batch.BloblangExecutor(b.mapping)}
	if b.dedupeKey != nil {
		builder.key = b.dedupeKey.of(batch)
	}
	return builder
}

// build makes the call that a message asks for. Its errors name the field and the
// problem, never the value.
func (b batchBuilder) build(i int) (call dialer.Call, err error) {
	if err := b.members.admit(b.batch[i]); err != nil {
		return dialer.Call{}, err
	}
	defer func() { err = explainShape(b.batch[i], err) }()
	mapped, err := b.mapping.Query(i)
	if err != nil {
		if _, jsonErr := b.batch[i].AsStructured(); jsonErr != nil {
			return dialer.Call{}, badInput(reasonInvalidJSON, "the message is not JSON, which call_mapping needs")
		}
		return dialer.Call{}, badInput(reasonMapping, "call_mapping: %s", withoutValues(err))
	}
	if mapped == nil {
		return dialer.Call{}, badInput(reasonMapping, "call_mapping: deleted the message; filter messages before this component")
	}
	value, err := mapped.AsStructured()
	if err != nil {
		return dialer.Call{}, badInput(reasonInvalidJSON, "call_mapping: gave no JSON, but must give an object, the call request")
	}
	object, ok := value.(map[string]any)
	if !ok {
		return dialer.Call{}, badInput(reasonMapping, "call_mapping: must give an object, the call request")
	}
	var request happyrobot.OutboundCall
	if err := request.FromObject(object); err != nil {
		return dialer.Call{}, &inputError{reason: reasonInvalidField, err: err}
	}
	if err := b.members.apply(&request); err != nil {
		return dialer.Call{}, err
	}
	if err := b.check(&request); err != nil {
		return dialer.Call{}, err
	}
	key := ""
	if b.key != nil {
		if key, err = b.key.key(i); err != nil {
			return dialer.Call{}, err
		}
	}
	call, size, err := newCall(key, request)
	if err != nil {
		return dialer.Call{}, badInput(reasonMapping, "call_mapping: gave a value that JSON cannot hold")
	}
	if size > maxCallBytes {
		return dialer.Call{}, badInput(reasonTooLarge, "%s: the call is %d bytes as JSON, more than %d", largestMember(object), size, maxCallBytes)
	}
	return call, nil
}

// check validates a request and puts its number into E.164 form.
func (b *callBuilder) check(c *happyrobot.OutboundCall) error {
	ids := []struct {
		field, value string
		required     bool
	}{
		{"number_id", c.NumberID, true},
		{"use_case_id", c.UseCaseID, false},
		{"agent_id", c.AgentID, false},
		{"model_id", c.ModelID, false},
	}
	for _, id := range ids {
		if id.value == "" {
			if id.required {
				return badInput(reasonMissingField, "%s: is missing; set the field %s, or have call_mapping give it", id.field, id.field)
			}
			continue
		}
		if err := happyrobot.ValidateID(id.value); err != nil {
			return badInput(reasonInvalidField, "%s: %w", id.field, err)
		}
	}
	if c.PhoneNumber == "" {
		return badInput(reasonMissingField, "phone_number: is missing")
	}
	number, err := phone.Read(c.PhoneNumber, b.region)
	if err == nil {
		err = b.numbers.Check(number)
	}
	if err != nil {
		return badInput(string(phone.ReasonOf(err)), "phone_number: %w", err)
	}
	c.PhoneNumber = number.E164
	if c.ScheduledFor != "" {
		if c.ScheduledFor, err = checkDate(c.ScheduledFor); err != nil {
			return badInput(reasonInvalidDate, "scheduled_for: %w", err)
		}
	}
	if c.MaxDurationMins != nil && *c.MaxDurationMins < 1 {
		return badInput(reasonInvalidField, "max_duration_mins: must be at least 1")
	}
	b.members.warnOfValues(c)
	return nil
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

func largestMember(call map[string]any) (name string) {
	most := -1
	for member, value := range call {
		if b, err := json.Marshal(value); err == nil && len(b) > most {
			name, most = member, len(b)
		}
	}
	return name
}

// setDialMeta puts a dial's outcome on a message, unless it is undecided.
func setDialMeta(msg *service.Message, f fate) {
	if f.Outcome == "" {
		return
	}
	for _, meta := range [...]struct{ name, value string }{
		{metaOutcome, string(f.Outcome)}, {metaReason, f.Reason}, {metaCallID, f.CallID}, {metaDialRef, f.ref},
	} {
		if meta.value == "" {
			msg.MetaDelete(meta.name) // an earlier dial of this message may have set it
			continue
		}
		msg.MetaSetMut(meta.name, meta.value)
	}
	msg.MetaDelete(metaHTTPStatus)
	if f.HTTPStatus != 0 {
		msg.MetaSetMut(metaHTTPStatus, f.HTTPStatus)
	}
}

// dialResult is what result_map and receipts see of a dial:
// {outcome, dial_ref, call_id, reason, call}, the last three where they exist.
func dialResult(ref string, r dialer.Result) map[string]any {
	result := map[string]any{"outcome": string(r.Outcome), "dial_ref": ref}
	if r.CallID != "" {
		result["call_id"] = r.CallID
	}
	if r.Reason != "" {
		result["reason"] = r.Reason
	}
	if call, err := structured(r.Call); err == nil {
		result["call"] = call
	}
	return result
}

// callMessage is the message of a call that is streamed.
func callMessage(e *callfeed.Event) *service.Message {
	msg := service.NewMessage(e.Call.Raw)
	if e.Content != nil {
		msg.SetStructured(e.Content) // a refused event is made a message again
	}
	ref := e.Call.Metadata.CustomText(refMember)
	for name, value := range map[string]string{
		metaCallID:   e.Call.ID,
		metaStatus:   string(e.Call.Status.Canonical()),
		metaPrevious: string(e.Previous.Canonical()),
		metaOutcome:  e.Outcome,
		metaDialRef:  ref,
	} {
		if value != "" {
			msg.MetaSetMut(name, value)
		}
	}
	return msg
}

// structured decodes JSON as Benthos does: numbers stay exact.
func structured(raw json.RawMessage) (any, error) {
	if len(raw) == 0 {
		return nil, errors.New("no JSON")
	}
	return service.NewMessage(raw).AsStructuredMut()
}

// overlay maps a result into a message, as branch does.
func overlay(msg *service.Message, result any, mapping *bloblang.Executor) error {
	from := service.NewMessage(nil)
	from.SetStructured(result)
	// Mapped parts stay connected to their source: messages that share a result
	// must not share what they may change later.
	mapped, err := msg.BloblangMutateFrom(mapping, from.DeepCopy())
	if err != nil {
		return badInput(reasonMapping, "%s: %s", fieldResultMap, withoutValues(err))
	}
	if mapped == nil {
		return badInput(reasonMapping, "%s: must not delete the message", fieldResultMap)
	}
	return nil
}

// inputFailure is the result of a message that no call could be made of.
func inputFailure(err error) dialer.Result {
	return dialer.Fail(dialer.Rejected, reasonOf(err), err)
}

// reasonOf is the word for bad input.
func reasonOf(err error) string {
	var bad *inputError
	if errors.As(err, &bad) {
		return bad.reason
	}
	return reasonInvalidField
}
