package plugin

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/redpanda-data/benthos/v4/public/bloblang"
	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/callfeed"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/dialer"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/phone"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/words"
)

// callBuilder makes call requests of messages.
type callBuilder struct {
	mapping   *bloblang.Executor
	dedupeKey *dedupeKey // nil: the call itself is the key
	refSalt   string     // dial_ref_salt
	members   memberRules
	maxBytes  int         // of a call as JSON
	region    string      // of numbers that are not international
	numbers   phone.Rules // which numbers are called
}

func (b *callBuilder) fromParsed(conf *service.ParsedConfig, log *service.Logger) (err error) {
	if err := b.members.fromParsed(conf, log); err != nil {
		return err
	}
	if b.maxBytes, err = conf.FieldInt(cmFieldMaxBytes); err != nil {
		return err
	}
	if b.maxBytes < 1 {
		return fmt.Errorf("%s: must be at least 1", cmFieldMaxBytes)
	}
	if b.mapping, err = b.members.callMapping(conf); err != nil {
		return err
	}
	key, err := conf.FieldString(cmFieldDedupeKey)
	if err != nil {
		return err
	}
	if key != "" {
		whole, err := conf.FieldInterpolatedString(cmFieldDedupeKey)
		if err != nil {
			return err
		}
		b.dedupeKey = newDedupeKey(key, whole)
	}
	b.region, b.numbers, err = numberRules(conf)
	return err
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
			return dialer.Call{}, badInput(words.InvalidJSON, "the message is not JSON, which call_mapping needs")
		}
		return dialer.Call{}, badInput(words.MappingFailed, "call_mapping: %s", withoutValues(err))
	}
	if mapped == nil {
		return dialer.Call{}, badInput(words.MappingFailed, "call_mapping: deleted the message; filter messages before this component")
	}
	value, err := mapped.AsStructured()
	if err != nil {
		return dialer.Call{}, badInput(words.InvalidJSON, "call_mapping: gave no JSON, but must give an object, the call request")
	}
	object, ok := value.(map[string]any)
	if !ok {
		return dialer.Call{}, badInput(words.MappingFailed, "call_mapping: must give an object, the call request")
	}
	var request happyrobot.OutboundCall
	if err := request.FromObject(object); err != nil {
		return dialer.Call{}, &inputError{reason: words.InvalidField, err: err}
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
	call, size, err := newCall(key, b.refSalt, request)
	if err != nil {
		return dialer.Call{}, badInput(words.MappingFailed, "call_mapping: gave a value that JSON cannot hold")
	}
	if size > b.maxBytes {
		return dialer.Call{}, badInput(words.TooLarge, "%s: the call is %d bytes as JSON, more than %s (%d)", largestMember(object), size, cmFieldMaxBytes, b.maxBytes)
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
				return badInput(words.MissingField, "%s: is missing; set the field %s, or have call_mapping give it", id.field, id.field)
			}
			continue
		}
		if err := happyrobot.ValidateID(id.value); err != nil {
			return badInput(words.InvalidField, "%s: %w", id.field, err)
		}
	}
	if c.PhoneNumber == "" {
		return badInput(words.MissingField, "phone_number: is missing")
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
			return badInput(words.InvalidDate, "scheduled_for: %w", err)
		}
	}
	if c.MaxDurationMins != nil && *c.MaxDurationMins < 1 {
		return badInput(words.InvalidField, "max_duration_mins: must be at least 1")
	}
	b.members.warnOfValues(c)
	return nil
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

// fate is what became of one message.
type fate struct {
	ref string
	dialer.Result
}

// inputFailure is the result of a message that no call could be made of.
func inputFailure(err error) dialer.Result {
	return dialer.Fail(dialer.Rejected, reasonOf(err), err)
}

// setDialMeta puts a dial's outcome on a message, unless it is undecided.
func setDialMeta(msg *service.Message, f fate) {
	if f.Outcome == "" {
		return
	}
	for _, meta := range [...]struct{ name, value string }{
		{words.MetaOutcome, string(f.Outcome)}, {words.MetaReason, f.Reason}, {words.MetaCallID, f.CallID}, {words.MetaDialRef, f.ref},
	} {
		if meta.value == "" {
			msg.MetaDelete(meta.name) // an earlier dial of this message may have set it
			continue
		}
		msg.MetaSetMut(meta.name, meta.value)
	}
	msg.MetaDelete(words.MetaHTTPStatus)
	if f.HTTPStatus != 0 {
		msg.MetaSetMut(words.MetaHTTPStatus, f.HTTPStatus)
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

// receiptOf makes the receipt of a message that counts as done:
// {outcome, dial_ref, call_id, call, lead}.
func receiptOf(msg *service.Message, f fate) *service.Message {
	return recordOf(msg, f, dialResult(f.ref, f.Result))
}

// failureOf makes the record of a message that failed: {outcome, reason, details,
// dial_ref, call_id, http_status, rule, next_allowed, lead}, without what is not known.
func failureOf(msg *service.Message, f fate) *service.Message {
	var failure *dialer.Error
	if !errors.As(f.Err, &failure) {
		failure = &dialer.Error{
			Outcome: f.Outcome, Reason: f.Reason, CallID: f.CallID, HTTPStatus: f.HTTPStatus,
			Rule: f.Rule, NextAllowed: f.NextAllowed, Err: f.Err,
		}
	}
	record := failureMembers(failure)
	if f.ref != "" {
		record["dial_ref"] = f.ref
	}
	return recordOf(msg, f, record)
}

// failureMembers is a failure as an object.
func failureMembers(e *dialer.Error) map[string]any {
	members := map[string]any{"outcome": string(e.Outcome), "reason": e.Reason, "details": e.Err.Error()}
	for name, value := range map[string]string{"call_id": e.CallID, "rule": e.Rule, "next_allowed": e.NextAllowed} {
		if value != "" {
			members[name] = value
		}
	}
	if e.HTTPStatus != 0 {
		members["http_status"] = int64(e.HTTPStatus)
	}
	return members
}

// recordOf makes a message of a record, with the message that it is of as its lead,
// and with that message's metadata besides the dial's.
func recordOf(msg *service.Message, f fate, record map[string]any) *service.Message {
	if lead, err := msg.AsStructured(); err == nil {
		record["lead"] = lead
	} else if text, err := msg.AsBytes(); err == nil {
		record["lead"] = string(text)
	}
	m := msg.Copy()
	m.SetStructured(record)
	setDialMeta(m, f)
	// An earlier processor may have failed on the message, but not on its record:
	// an output that refuses failed messages would refuse the record for ever.
	m.SetError(nil)
	return m
}

// callMessage is the message of a call that is streamed.
func callMessage(e *callfeed.Event) *service.Message {
	call, _ := e.Item.Object.(happyrobot.Call)
	msg := service.NewMessage(call.Raw)
	if e.Content != nil {
		msg.SetStructured(e.Content) // a refused event is made a message again
	}
	ref := call.Metadata.CustomText(refMember)
	for name, value := range map[string]string{
		words.MetaCallID:         call.ID,
		words.MetaCallStatus:     string(call.Status.Canonical()),
		words.MetaPreviousStatus: string(e.Previous.Canonical()),
		words.MetaOutcome:        e.Outcome,
		words.MetaDialRef:        ref,
	} {
		if value != "" {
			msg.MetaSetMut(name, value)
		}
	}
	return msg
}
