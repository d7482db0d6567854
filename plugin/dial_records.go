package plugin

import (
	"errors"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/dialer"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/words"
)

// fate is what became of one message.
type fate struct {
	unit *dialUnit
	ref  string
	dialer.Result
}

// dialUnit is what a component makes of a lead: how it is called in errors, records and
// metadata.
type dialUnit struct {
	is              dialer.Wording
	id, ids, object string // members of a result
	meta            string // the metadata with its id
}

// Units.
var (
	ofCalls = &dialUnit{dialer.Wording{Call: "call", Placed: "placed", Dialed: "dialed"}, "call_id", "call_ids", "call", words.MetaCallID}
	ofRuns  = &dialUnit{dialer.Wording{Call: "run", Placed: "started", Dialed: "started"}, "run_id", "run_ids", "run", words.MetaRunID}
)

// named has the id in a failure called what it is.
func (u *dialUnit) named(r dialer.Result) dialer.Result {
	var failure *dialer.Error
	if errors.As(r.Err, &failure) {
		r.Err = u.renamed(*failure)
	}
	return r
}

func (u *dialUnit) renamed(failure dialer.Error) *dialer.Error {
	if u == ofRuns {
		failure.RunID, failure.CallID = failure.CallID, ""
	}
	return &failure
}

// failure is one that no dialer knows of: of a message whose dial went well, perhaps.
func (u *dialUnit) failure(r dialer.Result, reason string, why error) *dialer.Error {
	return u.renamed(dialer.Error{
		Outcome: r.Outcome, Reason: reason, CallID: r.CallID, HTTPStatus: r.HTTPStatus,
		Rule: r.Rule, NextAllowed: r.NextAllowed, Err: why,
	})
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
		{words.MetaOutcome, string(f.Outcome)}, {words.MetaReason, f.Reason}, {f.unit.meta, f.CallID}, {words.MetaDialRef, f.ref},
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

// result is what result_map and receipts see of a dial: {outcome, dial_ref, call_id,
// reason, call}, the last three where they exist, or those of a run.
func (f fate) result() map[string]any {
	result := map[string]any{"outcome": string(f.Outcome), "dial_ref": f.ref}
	if f.CallID != "" {
		result[f.unit.id] = f.CallID
	}
	if len(f.More) > 0 {
		all := []any{f.CallID}
		for _, id := range f.More {
			all = append(all, id)
		}
		result[f.unit.ids] = all
	}
	if f.Reason != "" {
		result["reason"] = f.Reason
	}
	if call, err := structured(f.Call); err == nil {
		result[f.unit.object] = call
	}
	return result
}

// receiptOf makes the receipt of a message that counts as done:
// {outcome, dial_ref, call_id, call, lead}, or those of a run.
func receiptOf(msg *service.Message, f fate) *service.Message {
	return recordOf(msg, f, f.result())
}

// failureOf makes the record of a message that failed: {outcome, reason, details,
// dial_ref, call_id or run_id, http_status, rule, next_allowed, lead}, without what is not known.
func failureOf(msg *service.Message, f fate) *service.Message {
	var failure *dialer.Error
	if !errors.As(f.Err, &failure) {
		failure = f.unit.failure(f.Result, f.Reason, f.Err)
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
	for name, value := range map[string]string{"call_id": e.CallID, "run_id": e.RunID, "rule": e.Rule, "next_allowed": e.NextAllowed} {
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
