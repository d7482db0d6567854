package plugin

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/Jeffail/gabs/v2"
	"github.com/redpanda-data/benthos/v4/public/bloblang"
	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot/platform"
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
		Summary("Calls any other operation of either API by its name: notes, ratings, use cases, agents, numbers, members, usage; on the platform workflows, runs, sessions, recordings, contacts.").
		Description(description("processor_happyrobot_request")).
		Categories("Integration").
		LintRule(requestPathLint()).
		Fields(clientFieldsAt(service.NewStringField(cfFieldBaseURL).
			Description("Where the API is. Empty is that of the operation: `"+happyrobot.V1.BaseURL()+"` for those of v1, `"+happyrobot.Platform.BaseURL()+"` for those of the platform, `"+happyrobot.PlatformV1.BaseURL()+"` for `legacyListRuns`. Organizations in the EU set `https://platform.eu.happyrobot.ai/api/v2`. Point it at `callsim` to try a pipeline without calling anybody. The platform wants https, but on this machine: so does any operation at a host `platform.*` or `workflows.*`, or below `/api/v2`.").
			Default("").
			Example("https://platform.eu.happyrobot.ai/api/v2").
			LintRule(requestBaseURLLint()))...).
		Fields(
			service.NewStringAnnotatedEnumField(prFieldOperation, requestOperations()).
				Description("The operation, by its id in the description of its API, `resources/openapi/happyrobot-v1.openapi.yaml` or `resources/openapi/happyrobot-v2.openapi.yaml`, which also tells what it takes. No id is in both, so it also decides the base URL. Where it says that the path is a guess, only the operation's title is known: try it, and set `path` if need be.").
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
				Description("Another path for the operation, below `base_url`. Its method stays. Parameters stand in braces and are taken from `args_mapping`; those not called `id` need not be ids. Whatever the operation, a path that places calls, starts runs, reaches hooks or signals, or answers with a stream is refused, and a change of anything at the platform whose path does not end with cancel; what is filled in is checked for each message.").
				Default("").
				Example("/calls/{id}/call-logs").
				LintRule(`root = match {
  this == "" => [],
  this.re_match("/\\.+(/|$)") || !this.re_match("^(/([A-Za-z0-9._~-]+|\\{[A-Za-z0-9_]+\\}))+$") => [ "`+"`path`"+` must be a path below base_url, such as /calls/{id}/logs" ],
}`),
		).
		Example("Cancel the runs of people who opted out", "A run that is queued is never dialed; one that is running ends its call. `not_found` is a run that the key may not see, or that is long gone.", `
pipeline:
  processors:
    - happyrobot_request:
        api_key: ${HAPPYROBOT_API_KEY}
        operation: cancelRun
        args_mapping: root.path.run_id = this.run_id
        result_map: root.canceled = true
`).
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

// allOperations are those of both APIs.
func allOperations() []happyrobot.Operation {
	return append(happyrobot.Operations(), happyrobot.PlatformOperations()...)
}

// requestOperations describes the operations that are not refused.
func requestOperations() map[string]string {
	described := map[string]string{}
	for _, op := range allOperations() {
		if op.Refusal() != "" {
			continue
		}
		of := ""
		switch op.API {
		case happyrobot.Platform:
			of = " of the platform"
		case happyrobot.PlatformV1:
			of = " of the platform's own, deprecated v1, which wants the header `x-organization-id` (see `headers`)"
		}
		described[op.ID] = fmt.Sprintf("`%s %s`%s. %s.", op.Method, op.Path, of, op.Summary)
		if op.Evidence == happyrobot.Inferred {
			described[op.ID] += " The path is a guess."
		}
	}
	return described
}

func operationLint() string {
	var known []string
	refused := map[string]string{}
	for _, op := range allOperations() {
		if why := op.Refusal(); why != "" {
			refused[op.ID] = why
		} else {
			known = append(known, op.ID)
		}
	}
	return `let refused = ` + gabs.Wrap(refused).String() + `
root = if $refused.exists(this.string()) {
  [ "` + "`operation`" + ` must not be %s, which %s".format(this, $refused.get(this)) ]
} else if !` + gabs.Wrap(known).String() + `.contains(this) {
  [ "` + "`operation`" + `: neither API has an operation %s".format(this.string()) ]
}`
}

// refusedPathCases refuse the paths that the client refuses, with its reasons, as cases of
// a match. The path is the variable path, in lower case.
func refusedPathCases(field, must, changes string) string {
	var cases strings.Builder
	for _, r := range happyrobot.RefusedPaths() {
		when := fmt.Sprintf("$path.re_match(%q)", r.Pattern)
		if r.Unless != "" {
			when += fmt.Sprintf(" && !$path.re_match(%q)", r.Unless)
		}
		if r.Changes {
			when += " && " + changes
		}
		fmt.Fprintf(&cases, "  %s => [ %q ],\n", when, "`"+field+"` must not "+must+" that "+r.Why)
	}
	return cases.String()
}

// requestPathLint judges the path by the operation, too: what changes something may be
// sent to fewer.
func requestPathLint() string {
	var changes, ofPlatform []string
	for _, op := range allOperations() {
		if op.Changes() {
			changes = append(changes, op.ID)
			if op.API != happyrobot.V1 {
				ofPlatform = append(ofPlatform, op.ID)
			}
		}
	}
	return `let path = (this.path | "").string().lowercase()
let operation = (this.operation | "").string()
let host = (this.base_url | "").string().lowercase().re_replace_all("^[a-z]+://|[/?#:].*$", "")
let whole = (this.base_url | "").string().lowercase().re_replace_all("^[a-z]+://[^/]*|/*$", "") + $path
let there = ` + fmt.Sprintf("$host.re_match(%q) || $whole.re_match(%q)", happyrobot.PlatformHost, happyrobot.PlatformPath) + `
root = match {
` + refusedPathCases(prFieldPath, "be a path", gabs.Wrap(changes).String()+".contains($operation)") + `
  $path != "" && ` + gabs.Wrap(ofPlatform).String() + fmt.Sprintf(`.contains($operation) && !$path.re_match(%q) => [ %q ],
  $there && %s.contains($operation) && !%s.contains($operation) && !$path.re_match(%q) => [ %q ],
}`, happyrobot.CancelPath, "`"+prFieldPath+"` must end with cancel, as those of all known changes of the platform do",
		gabs.Wrap(changes).String(), gabs.Wrap(ofPlatform).String(), happyrobot.CancelPath,
		"`"+cfFieldBaseURL+"` is of the platform, so `"+prFieldPath+"` must end with cancel, as those of all its known changes do")
}

// requestBaseURLLint sees no more of the path than what stands in clear in the URL; the
// start sees the rest.
func requestBaseURLLint() string {
	return `let path = this.lowercase().re_replace_all("^[a-z]+://[^/]*|[?#].*$", "")
root = match {
` + refusedPathCases(cfFieldBaseURL, "end in a path", "false") + `}`
}

func newRequestProcessorFromParsed(conf *service.ParsedConfig, res *service.Resources) (service.BatchProcessor, error) {
	p := &requestProcessor{outcomes: fromZero(res.Metrics().NewCounter(words.MetricRequestOutcomes, "outcome"), words.OutcomeNames("happyrobot_request")...)}
	id, err := conf.FieldString(prFieldOperation)
	if err != nil {
		return nil, err
	}
	var known bool
	if p.operation, known = happyrobot.FindOperation(id); !known {
		return nil, fmt.Errorf("%s: neither API has an operation %q", prFieldOperation, id)
	}
	if why := p.operation.Refusal(); why != "" {
		return nil, fmt.Errorf("%s: %s %s", prFieldOperation, id, why)
	}
	if p.client, err = clientFromParsedAt(conf, res, newPausedGauge(res, "happyrobot_request"), p.operation.API.BaseURL()); err != nil {
		return nil, err
	}
	if err := p.operation.ValidateBaseURL(p.client.options.BaseURL); err != nil {
		return nil, fmt.Errorf("%s: %w", cfFieldBaseURL, err)
	}
	if p.api, err = p.client.client(); err != nil {
		return nil, err
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
	if err := p.operation.ValidatePlace(p.client.options.BaseURL); err != nil {
		return nil, fmt.Errorf("%s: %w", prFieldPath, err)
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
		if p.operation.API != happyrobot.V1 {
			answer = platform.Redact(answer)
		}
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
	changes := p.operation.Changes()
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
