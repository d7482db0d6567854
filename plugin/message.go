package plugin

import (
	"encoding/json"
	"fmt"

	"github.com/redpanda-data/benthos/v4/public/bloblang"
	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/callfeed"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/dialer"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/words"
)

// callBuilder makes call requests of messages.
type callBuilder struct {
	leadRules
	mapping  *bloblang.Executor
	members  memberRules
	maxBytes int // of a call as JSON
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
	return b.leadRules.fromParsed(conf)
}

// batchBuilder is a callBuilder at work on a batch.
type batchBuilder struct {
	*callBuilder
	batch   service.MessageBatch
	mapping *service.MessageBatchBloblangExecutor
	key     func(i int) (string, error)
}

// of implements requestBuilder.
func (b *callBuilder) of(batch service.MessageBatch) func(i int) (dialer.Call, error) {
	return batchBuilder{callBuilder: b, batch: batch, mapping: batch.BloblangExecutor(b.mapping), key: b.keysOf(batch)}.build
}

// build makes the call that a message asks for. Its errors name the field and the
// problem, never the value.
func (b batchBuilder) build(i int) (call dialer.Call, err error) {
	if err := b.admit(b.batch[i]); err != nil {
		return dialer.Call{}, err
	}
	defer func() { err = explainShape(b.batch[i], cmFieldCallMapping, err) }()
	object, err := mappedObject(b.batch[i], b.mapping, i, cmFieldCallMapping, "the call request")
	if err != nil {
		return dialer.Call{}, err
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
	key, err := b.key(i)
	if err != nil {
		return dialer.Call{}, err
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
	var err error
	if c.PhoneNumber, err = b.e164("phone_number", c.PhoneNumber); err != nil {
		return err
	}
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
