package plugin

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/redpanda-data/benthos/v4/public/bloblang"
	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/words"
)

const pcFieldCallID = "call_id" // pc: processor call

func init() {
	service.MustRegisterBatchProcessor("happyrobot_call", processorCallSpec(), newCallProcessorFromParsed)
}

func processorCallSpec() *service.ConfigSpec {
	return service.NewConfigSpec().
		Summary("Enriches a message with its call: status, extraction, classification, and on request transcript, recording and logs.").
		Description(description("processor_happyrobot_call")).
		Categories("Integration").
		Fields(clientFields()...).
		Fields(
			service.NewInterpolatedStringField(pcFieldCallID).
				Description("The id of the call.").
				Example(`${! json("call_id") }`).
				Example(`${! meta("happyrobot_call_id") }`),
		).
		Fields(lookupFields()...).
		Fields(
			parallelismField(),
			resultMapField("the call as the API reports it, with `transcript` (as the API reports it, and `text`, what the speakers said as plain lines), `recording_url` and `logs` where they were asked for and exist"),
		).
		Example("Add outcome and transcript to CRM events", "", `
pipeline:
  processors:
    - happyrobot_call:
        api_key: ${HAPPYROBOT_API_KEY}
        call_id: ${! json("call_id") }
        wait: transcript
        result_map: |
          root.call.status = @happyrobot_call_status | this.status
          root.call.extraction = this.extraction
          root.call.transcript = this.transcript.text
`)
}

func newCallProcessorFromParsed(conf *service.ParsedConfig, res *service.Resources) (service.BatchProcessor, error) {
	p := &callProcessor{outcomes: fromZero(res.Metrics().NewCounter(words.MetricCallLookups, "outcome"), words.OutcomeNames("happyrobot_call")...)}
	var err error
	if p.client, err = clientFromParsed(conf, res, newPausedGauge(res, "happyrobot_call")); err != nil {
		return nil, err
	}
	if p.id, err = conf.FieldInterpolatedString(pcFieldCallID); err != nil {
		return nil, err
	}
	if p.resultMap, err = conf.FieldBloblang(fieldResultMap); err != nil {
		return nil, err
	}
	calls := &callLookup{}
	if calls.api, err = p.client.client(); err != nil {
		return nil, err
	}
	if err := calls.fromParsed(conf, res); err != nil {
		return nil, err
	}
	p.lookup.of = calls
	return p, p.lookup.fromParsed(conf, res, "call", waitNone, waitFinished, waitTranscript)
}

// callProcessor looks calls up and attaches them.
type callProcessor struct {
	client    clientConfig
	id        *service.InterpolatedString
	resultMap *bloblang.Executor
	lookup    lookup
	outcomes  *service.MetricCounter
}

// ProcessBatch enriches each message with its call.
func (p *callProcessor) ProcessBatch(ctx context.Context, batch service.MessageBatch) ([]service.MessageBatch, error) {
	ids := make([]string, len(batch))
	wanted := map[string]bool{}
	interpolate := batch.InterpolationExecutor(p.id)
	for i, msg := range batch {
		id, err := interpolate.TryString(i)
		if err != nil {
			err = fmt.Errorf("%s: %s", pcFieldCallID, withoutValues(err))
		} else if err = happyrobot.ValidateID(id); err != nil {
			err = fmt.Errorf("%s: %w", pcFieldCallID, err)
		}
		if err != nil {
			p.finish(msg, "", &enrichment{outcome: words.Rejected, reason: words.InvalidCallID, err: err})
			continue
		}
		ids[i], wanted[id] = id, true
	}
	found := p.lookup.findAll(ctx, slices.Sorted(maps.Keys(wanted)))
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	for i, msg := range batch {
		if ids[i] != "" {
			p.finish(msg, ids[i], found[ids[i]])
		}
	}
	return []service.MessageBatch{batch}, nil
}

// finish puts a lookup's end on a message.
func (p *callProcessor) finish(msg *service.Message, id string, e *enrichment) {
	p.outcomes.Incr(1, e.outcome)
	msg.MetaSetMut(words.MetaOutcome, e.outcome)
	msg.MetaDelete(words.MetaReason)
	msg.MetaDelete(words.MetaCallID)
	if id != "" {
		msg.MetaSetMut(words.MetaCallID, id)
	}
	if status := callStatus(e.result).Canonical(); status != "" {
		msg.MetaSetMut(words.MetaCallStatus, string(status))
	} else if e.err == nil {
		msg.MetaDelete(words.MetaCallStatus) // of another call, which the message came with
	}
	err := e.err
	if err == nil {
		err = overlay(msg, e.result.Data(), p.resultMap)
	} else {
		msg.MetaSetMut(words.MetaReason, e.reason)
		err = fmt.Errorf("%s: %s: %w", e.outcome, e.reason, err)
	}
	if err != nil {
		msg.SetError(err)
	}
}

// Close ends the reminders of trouble that lasts. Reads end with ProcessBatch.
func (p *callProcessor) Close(context.Context) error {
	p.lookup.close()
	p.client.close()
	return nil
}
