package platform

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"

	"github.com/tidwall/gjson"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

// Trigger is a run to start.
type Trigger struct {
	// Payload is a JSON object whose members become variables of the workflow. Which of
	// them is the number to call is the choice of the workflow's author.
	Payload     json.RawMessage
	Environment Environment // empty for Production

	// EnvironmentInQuery sends the environment in the query, too: one public client
	// reports that only this works, all other sources have it in the body.
	EnvironmentInQuery bool
}

// TriggerReply is what the API answers for a run that it queued. It means queued, not
// dialed.
type TriggerReply struct {
	// RunIDs are all that the answer names, each once, run_id first. More than one means
	// that the trigger groups events, or that the workflow starts several runs.
	RunIDs  []string
	Status  string
	Message string          // the API's own words, as they are
	Raw     json.RawMessage // secrets removed
}

// RunID is the run that was started.
func (r TriggerReply) RunID() string {
	if len(r.RunIDs) == 0 {
		return ""
	}
	return r.RunIDs[0]
}

var errNoRun = fmt.Errorf("%w: the answer names no run", happyrobot.ErrOtherForm)

// read reads an answer in either of its two forms. One without a run is an error.
func (r *TriggerReply) read(body []byte) error {
	*r = TriggerReply{}
	var alone string
	var queued []string
	err := members(body, func(name string, v gjson.Result) {
		switch name {
		case "run_id":
			alone = text(v)
		case "queued_run_ids":
			queued = nil
			if v.IsArray() {
				v.ForEach(func(_, id gjson.Result) bool {
					queued = append(queued, text(id))
					return true
				})
			} else {
				queued = []string{text(v)}
			}
		case "status":
			r.Status = text(v)
		case "message":
			r.Message = text(v)
		}
	})
	if err != nil {
		return err
	}
	r.Raw = kept(body)
	seen := map[string]bool{}
	for _, id := range append([]string{alone}, queued...) {
		if happyrobot.ValidateOpaqueID(id) == nil && !seen[id] {
			seen[id] = true
			r.RunIDs = append(r.RunIDs, id)
		}
	}
	if len(r.RunIDs) == 0 {
		return errNoRun
	}
	return nil
}

const opTriggerRun = "triggerRun"

// Trigger starts a run of a workflow, by UUID or slug, with one request, POST
// /workflows/{workflow_id}/runs, and never repeats it. An error of happyrobot.ClassUnknown
// means that a run may have been started: also an answer that names no run is such an
// error, and comes with what could be read of it. What a refusal with 404, or with 403 and
// a page, means is for SecondLook to say. The end of ctx cuts the request off, which leaves
// it unknown.
func (c *Client) Trigger(ctx context.Context, workflow string, run Trigger) (reply TriggerReply, err error) {
	if run.Environment == "" {
		run.Environment = Production
	}
	body, err := run.body()
	if err != nil {
		return TriggerReply{}, err
	}
	r := happyrobot.Request{Operation: operation(opTriggerRun), Path: map[string]string{"workflow_id": workflow}, Body: body, Read: reply.read}
	if run.EnvironmentInQuery {
		r.Query = url.Values{"environment": {string(run.Environment)}}
	}
	err = c.requester.Perform(ctx, r)
	return reply, err
}

// body is the payload in its envelope. The payload is sent as it is.
func (t Trigger) body() (json.RawMessage, error) {
	if err := checkPayload(t.Payload); err != nil {
		return nil, err
	}
	environment, err := json.Marshal(t.Environment)
	if err != nil {
		return nil, err
	}
	body := make([]byte, 0, len(t.Payload)+len(environment)+64)
	body = append(append(body, `{"payload":`...), t.Payload...)
	body = append(append(body, `,"environment":`...), environment...)
	return append(body, '}'), nil
}

// checkPayload refuses what would be read as something else, or tear the envelope.
func checkPayload(payload json.RawMessage) error {
	if valid(payload) != nil || !gjson.ParseBytes(payload).IsObject() {
		return &happyrobot.FieldError{Field: "payload", Problem: "must be a JSON object"}
	}
	return nil
}
