package plugin

import (
	"errors"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/dialer"
)

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
		failure = &dialer.Error{Outcome: f.Outcome, Reason: f.Reason, CallID: f.CallID, HTTPStatus: f.HTTPStatus, Err: f.Err}
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
