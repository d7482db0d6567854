package plugin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/redpanda-data/benthos/v4/public/bloblang"
	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

const ( // pc: processor call
	pcFieldCallID       = "call_id"
	pcFieldInclude      = "include"
	pcFieldWait         = "wait"
	pcFieldWaitTimeout  = "wait_timeout"
	pcFieldPollInterval = "poll_interval"
	pcFieldCache        = "cache"
	pcFieldParallelism  = "parallelism"
)

func init() {
	service.MustRegisterBatchProcessor("happyrobot_call", processorCallSpec(), newCallProcessorFromParsed)
}

func processorCallSpec() *service.ConfigSpec {
	return service.NewConfigSpec().
		Summary("Enriches a message with its call: status, extraction, classification, and on request transcript, recording and logs.").
		Description(`
Messages keep their order. The calls of a batch are read side by side, and a call that several messages name is read once.

### What becomes of a message

The metadata `+"`happyrobot_outcome`"+` says how it went:

| Outcome | When | Then |
| --- | --- | --- |
| `+"`complete`"+` | everything asked for is there, or is not to be waited for (a call that nobody answered has no transcript) | `+"`result_map`"+` is applied |
| `+"`not_ready`"+` | the call is not over, or its transcript is not there yet | without `+"`wait`, `result_map`"+` is applied to what there is; with `+"`wait`"+`, the message fails after `+"`wait_timeout`"+` |
| `+"`not_found`"+` | the API does not know the call | the message fails |
| `+"`rejected`"+` | `+"`call_id`"+` is not an id (reason `+"`invalid_call_id`"+`), the API refuses the request (`+"`refused`"+`), or its answer cannot be read, even after it was asked for three times more (`+"`unreadable`"+`) | the message fails |

Other metadata: `+"`happyrobot_call_id`"+`; `+"`happyrobot_call_status`"+`, the call's status in the documented spelling, such as `+"`No answer`"+`, however the API writes it in `+"`this.status`"+`; and `+"`happyrobot_reason`"+` on failed messages. An outage or a refused key fails no message: reads are repeated, see `+"`retry`"+`.

An answer that names another call than the one asked for is unreadable: it is neither attached nor kept, and the same holds for a transcript whose `+"`call_id`"+` names another call, and for what `+"`cache`"+` holds. An answer without an id is taken for the call.

### The text of a transcript

`+"`transcript.text`"+` is what was said, one line a message, as `+"`user: Yes, go on.`"+` Only messages with the roles `+"`assistant` and `user`"+` are speech: prompts, results of tools and roles that the API does not document as speakers are left out, and stay in `+"`transcript.messages`"+`. Case and blanks of a role do not count. Where the messages give no line at all, the text is empty and `+"`transcript.text_note`"+` says why and names the roles found; the log reports it once, and the metric `+"`happyrobot_transcripts_without_text`"+` counts it.

The header values of webhooks, which the API embeds in calls, are removed.`).
		Categories("Integration").
		Fields(clientFields()...).
		Fields(
			service.NewInterpolatedStringField(pcFieldCallID).
				Description("The id of the call.").
				Example(`${! json("call_id") }`).
				Example(`${! meta("happyrobot_call_id") }`),
			includeField("What to read besides the call itself").
				Default([]any{partTranscript}),
			service.NewStringAnnotatedEnumField(pcFieldWait, map[string]string{
				waitNone:       "Take the call as it is.",
				waitFinished:   "Wait until the call is over.",
				waitTranscript: "Wait until the call is over and its transcript is there.",
			}).Description("What to wait for. Waiting holds the batch, so give the pipeline threads.").
				Default(waitNone),
			service.NewDurationField(pcFieldWaitTimeout).
				Description("The longest wait.").
				Default("30m"),
			service.NewDurationField(pcFieldPollInterval).
				Description("The time between two looks at a call that is waited for.").
				Default("10s"),
			service.NewStringField(pcFieldCache).
				Description("The label of a `cache` resource that keeps finished calls, so that each is read once. Recordings are never kept, since their URLs expire.").
				Default(""),
			service.NewIntField(pcFieldParallelism).
				Description("The most requests of a batch at the same time.").
				Default(16).
				LintRule(`root = if this < 1 { [ "`+"`parallelism`"+` must be at least 1" ] }`),
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
	p := &callProcessor{log: res.Logger(), outcomes: res.Metrics().NewCounter("happyrobot_call_lookups", "outcome")}
	var err error
	if p.client, err = clientFromParsed(conf, res); err != nil {
		return nil, err
	}
	if p.id, err = conf.FieldInterpolatedString(pcFieldCallID); err != nil {
		return nil, err
	}
	if p.resultMap, err = conf.FieldBloblang(fieldResultMap); err != nil {
		return nil, err
	}
	if p.parallelism, err = conf.FieldInt(pcFieldParallelism); err != nil {
		return nil, err
	}
	if p.parallelism < 1 {
		return nil, fmt.Errorf("%s: must be at least 1", pcFieldParallelism)
	}
	if p.lookup.api, err = p.client.client(); err != nil {
		return nil, err
	}
	if err := p.lookup.fromParsed(conf, res); err != nil {
		return nil, err
	}
	p.flights.running = map[string]*flight{}
	return p, nil
}

// callProcessor looks calls up and attaches them.
type callProcessor struct {
	client      clientConfig
	id          *service.InterpolatedString
	resultMap   *bloblang.Executor
	parallelism int
	lookup      callLookup
	flights     flights
	log         *service.Logger
	outcomes    *service.MetricCounter
}

// ProcessBatch enriches each message with its call.
func (p *callProcessor) ProcessBatch(ctx context.Context, batch service.MessageBatch) ([]service.MessageBatch, error) {
	ids := make([]string, len(batch))
	found := map[string]*enrichment{}
	interpolate := batch.InterpolationExecutor(p.id)
	for i, msg := range batch {
		id, err := interpolate.TryString(i)
		if err != nil {
			err = fmt.Errorf("%s: %s", pcFieldCallID, withoutValues(err))
		} else if err = happyrobot.ValidateID(id); err != nil {
			err = fmt.Errorf("%s: %w", pcFieldCallID, err)
		}
		if err != nil {
			p.finish(msg, "", &enrichment{outcome: lookupRejected, reason: "invalid_call_id", err: err})
			continue
		}
		ids[i], found[id] = id, nil
	}
	p.readAll(ctx, found)
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

// readAll fills in what is found under each id.
func (p *callProcessor) readAll(ctx context.Context, found map[string]*enrichment) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	slots := make(chan struct{}, p.parallelism)
	ids := make([]string, 0, len(found))
	for id := range found {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		wg.Go(func() {
			e := p.flights.do(ctx, id, func() *enrichment { return p.lookup.find(ctx, slots, id) })
			mu.Lock()
			found[id] = e
			mu.Unlock()
		})
	}
	wg.Wait()
}

// finish puts a lookup's end on a message.
func (p *callProcessor) finish(msg *service.Message, id string, e *enrichment) {
	p.outcomes.Incr(1, e.outcome)
	msg.MetaSetMut(metaOutcome, e.outcome)
	msg.MetaDelete(metaReason)
	msg.MetaDelete(metaCallID)
	if id != "" {
		msg.MetaSetMut(metaCallID, id)
	}
	if status := statusOf(e).Canonical(); status != "" {
		msg.MetaSetMut(metaStatus, string(status))
	} else if e.err == nil {
		msg.MetaDelete(metaStatus) // of another call, which the message came with
	}
	err := e.err
	if err == nil {
		err = overlay(msg, e.result, p.resultMap)
	} else {
		msg.MetaSetMut(metaReason, e.reason)
		err = fmt.Errorf("%s: %s: %w", e.outcome, e.reason, err)
	}
	if err != nil {
		msg.SetError(err)
	}
}

// Close ends no read: they end with ProcessBatch.
func (p *callProcessor) Close(context.Context) error {
	p.client.close()
	return nil
}

// flights lets batches that run side by side share the reading of a call.
type flights struct {
	mu      sync.Mutex
	running map[string]*flight
}

type flight struct {
	landed chan struct{}
	result *enrichment // nil when the reader was stopped
}

func (f *flights) do(ctx context.Context, id string, read func() *enrichment) *enrichment {
	for {
		f.mu.Lock()
		other := f.running[id]
		if other == nil {
			own := &flight{landed: make(chan struct{})}
			f.running[id] = own
			f.mu.Unlock()
			result := read()
			if ctx.Err() == nil {
				own.result = result
			}
			f.mu.Lock()
			delete(f.running, id)
			f.mu.Unlock()
			close(own.landed)
			return result
		}
		f.mu.Unlock()
		select {
		case <-other.landed:
			if other.result != nil {
				return other.result
			}
		case <-ctx.Done():
			return &enrichment{outcome: lookupRejected, err: errors.New("stopped")}
		}
	}
}
