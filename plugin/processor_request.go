package plugin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/redpanda-data/benthos/v4/public/bloblang"
	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/words"
)

const ( // pr: processor request
	prFieldOperation   = "operation"
	prFieldArgsMapping = "args_mapping"
	prFieldPath        = "path"
)

func init() {
	service.MustRegisterBatchProcessor("happyrobot_request", processorRequestSpec(), newRequestProcessorFromParsed)
}

func processorRequestSpec() *service.ConfigSpec {
	return service.NewConfigSpec().
		Summary("Calls any other operation of the API by its name: notes, ratings, use cases, agents, numbers, members, usage.").
		Description(description("processor_happyrobot_request")).
		Categories("Integration").
		Fields(clientFields()...).
		Fields(
			service.NewStringAnnotatedEnumField(prFieldOperation, requestOperations()).
				Description("The operation, by its id in the API's description, `resources/openapi/happyrobot-v1.openapi.yaml`, which also tells what it takes. Where it says that the path is a guess, only the operation's title is known: try it, and set `path` if need be.").
				LintRule(operationLint()),
			service.NewBloblangField(prFieldArgsMapping).
				Description("Makes the arguments of a message: an object with `path` (the parameters of the path, by name), `query` (values, or lists of values that are joined by commas; null is left out) and `body` (any JSON; null is none), as far as the operation takes them. A path parameter called `id` must be an id of 24 characters.").
				Default("root = {}").
				Example(`root.path.id = this.call_id
root.body = {"content": this.note}`).
				Example(`root.query.timeframe = "weekly"`),
			// A default of `root.call` would put agents and usage under the wrong name.
			service.NewBloblangField(fieldResultMap).
				Description("Puts the result into the message: `this` is the result, the API's answer as JSON, and `root` the message.").
				Default("root = this").
				Example("root.agents = this"),
			service.NewStringField(prFieldPath).
				Description("Another path for the operation, below `base_url`. Its method stays. Parameters stand in braces and are taken from `args_mapping`; those not called `id` need not be ids.").
				Default("").
				Example("/calls/{id}/call-logs").
				LintRule(`root = match {
  this == "" => [],
  this.lowercase().re_match("/dial(/|$)") => [ "`+"`path`"+` must not be a path that places calls; use happyrobot_dial" ],
  this.re_match("/\\.+(/|$)") || !this.re_match("^(/([A-Za-z0-9._~-]+|\\{[A-Za-z0-9_]+\\}))+$") => [ "`+"`path`"+` must be a path below base_url, such as /calls/{id}/logs" ],
}`),
		).
		Example("Write a note on each call", "", `
pipeline:
  processors:
    - happyrobot_request:
        api_key: ${HAPPYROBOT_API_KEY}
        operation: addNote
        args_mapping: |
          root.path.id = this.call_id
          root.body.content = this.note
        result_map: root.noted = true
`)
}

// requestOperations describes the operations that do not place calls.
func requestOperations() map[string]string {
	described := map[string]string{}
	for _, op := range happyrobot.Operations() {
		if op.PlacesCalls() {
			continue
		}
		described[op.ID] = fmt.Sprintf("`%s %s`. %s.", op.Method, op.Path, op.Summary)
		if op.Evidence == happyrobot.Inferred {
			described[op.ID] += " The path is a guess."
		}
	}
	return described
}

func operationLint() string {
	var known, dials []string
	for _, op := range happyrobot.Operations() {
		if op.PlacesCalls() {
			dials = append(dials, op.ID)
		} else {
			known = append(known, op.ID)
		}
	}
	list := func(ids []string) string { return `["` + strings.Join(ids, `","`) + `"]` }
	return `root = if ` + list(dials) + `.contains(this) {
  [ "` + "`operation`" + ` must not be %s, which would place calls past the ledger; use happyrobot_dial".format(this) ]
} else if !` + list(known) + `.contains(this) {
  [ "` + "`operation`" + `: the API has no operation %s".format(this.string()) ]
}`
}

func newRequestProcessorFromParsed(conf *service.ParsedConfig, res *service.Resources) (service.BatchProcessor, error) {
	p := &requestProcessor{outcomes: fromZero(res.Metrics().NewCounter(words.MetricRequestOutcomes, "outcome"), words.OutcomeNames("happyrobot_request")...)}
	var err error
	if p.client, err = clientFromParsed(conf, res, newPausedGauge(res, "happyrobot_request")); err != nil {
		return nil, err
	}
	if p.api, err = p.client.client(); err != nil {
		return nil, err
	}
	id, err := conf.FieldString(prFieldOperation)
	if err != nil {
		return nil, err
	}
	var known bool
	if p.operation, known = happyrobot.FindOperation(id); !known {
		return nil, fmt.Errorf("%s: the API has no operation %q", prFieldOperation, id)
	}
	if p.operation.PlacesCalls() {
		return nil, fmt.Errorf("%s: %s would place calls past the ledger; use happyrobot_dial", prFieldOperation, id)
	}
	path, err := conf.FieldString(prFieldPath)
	if err != nil {
		return nil, err
	}
	if path != "" {
		if p.operation, err = p.operation.At(path); err != nil {
			return nil, fmt.Errorf("%s: %w", prFieldPath, err)
		}
	}
	if p.argsMapping, err = conf.FieldBloblang(prFieldArgsMapping); err != nil {
		return nil, err
	}
	if p.resultMap, err = conf.FieldBloblang(fieldResultMap); err != nil {
		return nil, err
	}
	return p, nil
}

// requestProcessor calls one operation for each message.
type requestProcessor struct {
	client      clientConfig
	api         *happyrobot.Client
	operation   happyrobot.Operation
	argsMapping *bloblang.Executor
	resultMap   *bloblang.Executor
	outcomes    *service.MetricCounter
}

// ProcessBatch makes the request of each message. When the pipeline is stopped in
// between, the whole batch is given back to the input.
func (p *requestProcessor) ProcessBatch(ctx context.Context, batch service.MessageBatch) ([]service.MessageBatch, error) {
	mapping := batch.BloblangExecutor(p.argsMapping)
	for i, msg := range batch {
		args, err := requestArguments(p.operation, batch, mapping, i)
		if err != nil {
			p.fail(msg, words.Rejected, reasonOf(err), err)
			continue
		}
		answer, err := p.api.Do(ctx, p.operation, args)
		if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			return nil, ctx.Err()
		}
		if err = fromMapping(err); err != nil {
			outcome, reason := p.classify(err)
			p.fail(msg, outcome, reason, err)
			continue
		}
		p.complete(msg, answer)
	}
	return []service.MessageBatch{batch}, nil
}

func (p *requestProcessor) complete(msg *service.Message, answer []byte) {
	p.mark(msg, words.Complete, "", 0)
	var result any
	var err error
	if len(answer) > 0 {
		result, err = structured(answer)
	}
	if err == nil {
		err = overlay(msg, result, p.resultMap)
	}
	if err != nil {
		msg.SetError(err)
	}
}

// classify tells the outcome and the reason of a request that failed.
func (p *requestProcessor) classify(err error) (outcome, reason string) {
	class := happyrobot.ClassOf(err)
	unreadable := happyrobot.IsUnreadable(err)
	changes := p.operation.Method != http.MethodGet
	switch {
	case class == happyrobot.ClassOther:
		return words.Rejected, reasonOf(err)
	case class == happyrobot.ClassNotFound:
		return words.NotFound, words.NotFound
	case class == happyrobot.ClassUnknown && changes && unreadable:
		return words.Unknown, words.Unreadable
	case class == happyrobot.ClassUnknown && changes:
		return words.Unknown, words.Unanswered
	case unreadable:
		return words.Rejected, words.Unreadable
	case class == happyrobot.ClassRefused:
		return words.Rejected, words.Refused
	}
	return words.Rejected, words.GaveUp
}

func (p *requestProcessor) fail(msg *service.Message, outcome, reason string, err error) {
	status := 0
	var e *happyrobot.Error
	if errors.As(err, &e) {
		status = e.Status
	}
	p.mark(msg, outcome, reason, status)
	msg.SetError(fmt.Errorf("%s: %s: %w", outcome, reason, err))
}

// mark puts the outcome on a message, in place of an earlier component's.
func (p *requestProcessor) mark(msg *service.Message, outcome, reason string, status int) {
	p.outcomes.Incr(1, outcome)
	msg.MetaSetMut(words.MetaOutcome, outcome)
	msg.MetaDelete(words.MetaReason)
	msg.MetaDelete(words.MetaHTTPStatus)
	if reason != "" {
		msg.MetaSetMut(words.MetaReason, reason)
	}
	if status != 0 {
		msg.MetaSetMut(words.MetaHTTPStatus, status)
	}
}

// Close ends no request: they end within ProcessBatch.
func (p *requestProcessor) Close(context.Context) error {
	p.client.close()
	return nil
}
