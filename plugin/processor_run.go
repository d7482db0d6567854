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

const runProcessorName = "happyrobot_run"

const ( // pn: processor run
	pnFieldRunID     = "run_id"
	pnFieldSessionID = "session_id"
)

func init() {
	service.MustRegisterBatchProcessor(runProcessorName, processorRunSpec(), newRunProcessorFromParsed)
}

func processorRunSpec() *service.ConfigSpec {
	return service.NewConfigSpec().
		Summary("Enriches a message with its run on the platform: outcome, sessions, and on request transcript, recordings, named outputs and credits.").
		Description(description("processor_happyrobot_run")).
		Categories("Integration").
		Fields(platformFields()...).
		Fields(
			service.NewInterpolatedStringField(pnFieldRunID).
				Description("The id of the run. Exactly one of `run_id` and `session_id` must be set.").
				Default("").
				Example(`${! json("run_id") }`).
				Example(`${! meta("happyrobot_run_id") }`),
			service.NewInterpolatedStringField(pnFieldSessionID).
				Description("The id of one of the run's sessions, in place of the run's. It costs a request more.").
				Default("").
				Example(`${! meta("happyrobot_session_id") }`),
		).
		Fields(runPartsFields()...).
		Fields(waitFields("run", map[string]string{
			waitNone:     "Take the run as it is.",
			waitFinished: "Wait until the run is over. The end of a session is not that of its run: nodes after the call come later.",
		})...).
		Fields(
			parallelismField(),
			service.NewBloblangField(fieldResultMap).
				Description("Puts the result into the message: `this` is the run as the API reports it, with `outcome`, `sessions`, `transcript`, `recordings`, `outputs` and `credits` where they were asked for and exist, and `root` the message.").
				Default("root.run = this").
				Example("root.outcome = this.outcome"),
		).
		LintRule(`root = match {
  this.run_id.or("") == "" && this.session_id.or("") == "" => [ "one of `+"`run_id` and `session_id`"+` must be set" ],
  this.run_id.or("") != "" && this.session_id.or("") != "" => [ "only one of `+"`run_id` and `session_id`"+` may be set" ],
  `+outputsLintCases+`
}`).
		Example("Add the outcome of its run to each webhook event", "`happyrobot_webhook` reports the end of a session. Its run is waited for, so that what was extracted after the call is there.", `
pipeline:
  threads: 16
  processors:
    - happyrobot_run:
        api_key: ${HAPPYROBOT_API_KEY}
        run_id: ${! meta("happyrobot_run_id") }
        include: [ sessions, transcript, outputs ]
        outputs: [ AI Extract ]
        wait: finished
        result_map: |
          root.run.outcome = this.outcome
          root.run.extraction = this.outputs."AI Extract"
          root.run.transcript = this.transcript.text
`)
}

func newRunProcessorFromParsed(conf *service.ParsedConfig, res *service.Resources) (service.BatchProcessor, error) {
	p := &runProcessor{outcomes: fromZero(res.Metrics().NewCounter(words.MetricRunLookups, "outcome"), words.OutcomeNames(runProcessorName)...)}
	var err error
	if p.client, err = platformFromParsed(conf, res, newPausedGauge(res, runProcessorName), true); err != nil {
		return nil, err
	}
	if p.id, p.bySession, err = p.idFromParsed(conf); err != nil {
		return nil, err
	}
	if p.resultMap, err = conf.FieldBloblang(fieldResultMap); err != nil {
		return nil, err
	}
	runs := &runLookup{}
	if runs.api, err = p.client.platformClient(); err != nil {
		return nil, err
	}
	if err := runs.fromParsed(conf, res); err != nil {
		return nil, err
	}
	p.runs.of = runs
	if err := p.runs.fromParsed(conf, res, "run", waitNone, waitFinished); err != nil {
		return nil, err
	}
	p.sessions = lookup{of: sessionLookup{runs.api}, wait: waitNone, parallelism: p.runs.parallelism, cache: p.runs.cache, trouble: p.runs.trouble}
	p.sessions.flights.running = map[string]*flight{}
	return p, nil
}

// idFromParsed reads which of the two ids a message has.
func (p *runProcessor) idFromParsed(conf *service.ParsedConfig) (id *service.InterpolatedString, bySession bool, err error) {
	run, err := conf.FieldString(pnFieldRunID)
	if err != nil {
		return nil, false, err
	}
	session, err := conf.FieldString(pnFieldSessionID)
	if err != nil {
		return nil, false, err
	}
	switch {
	case run == "" && session == "":
		return nil, false, fmt.Errorf("%s: must be set, or else %s", pnFieldRunID, pnFieldSessionID)
	case run != "" && session != "":
		return nil, false, fmt.Errorf("%s and %s: only one of them may be set", pnFieldRunID, pnFieldSessionID)
	}
	field := pnFieldRunID
	if session != "" {
		field, bySession = pnFieldSessionID, true
	}
	id, err = conf.FieldInterpolatedString(field)
	return id, bySession, err
}

// runProcessor looks runs up and attaches them.
type runProcessor struct {
	client    clientConfig
	id        *service.InterpolatedString
	bySession bool // id is a session's
	resultMap *bloblang.Executor
	runs      lookup
	sessions  lookup // which tells the runs of sessions
	outcomes  *service.MetricCounter
}

// wantedRun is what one message asks for.
type wantedRun struct {
	session, run string
	failed       *enrichment // nil while nothing is wrong
}

// ProcessBatch enriches each message with its run.
func (p *runProcessor) ProcessBatch(ctx context.Context, batch service.MessageBatch) ([]service.MessageBatch, error) {
	wanted := p.wantedBy(batch)
	if p.bySession {
		p.findRuns(ctx, wanted)
	}
	ids := map[string]bool{}
	for _, w := range wanted {
		if w.failed == nil {
			ids[w.run] = true
		}
	}
	found := p.runs.findAll(ctx, slices.Sorted(maps.Keys(ids)))
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	for i, msg := range batch {
		w, e := wanted[i], wanted[i].failed
		if e == nil {
			e = found[w.run]
		}
		p.finish(msg, w, e)
	}
	return []service.MessageBatch{batch}, nil
}

// wantedBy reads the id of each message.
func (p *runProcessor) wantedBy(batch service.MessageBatch) []wantedRun {
	field := pnFieldRunID
	if p.bySession {
		field = pnFieldSessionID
	}
	wanted := make([]wantedRun, len(batch))
	interpolate := batch.InterpolationExecutor(p.id)
	for i := range batch {
		id, err := interpolate.TryString(i)
		if err != nil {
			err = fmt.Errorf("%s: %s", field, withoutValues(err))
		} else if err = happyrobot.ValidateOpaqueID(id); err != nil {
			err = fmt.Errorf("%s: %w", field, err)
		}
		switch {
		case err != nil:
			wanted[i].failed = &enrichment{outcome: words.Rejected, reason: words.InvalidRunID, err: err}
		case p.bySession:
			wanted[i].session = id
		default:
			wanted[i].run = id
		}
	}
	return wanted
}

// findRuns finds the runs of sessions.
func (p *runProcessor) findRuns(ctx context.Context, wanted []wantedRun) {
	ids := map[string]bool{}
	for _, w := range wanted {
		if w.failed == nil {
			ids[w.session] = true
		}
	}
	found := p.sessions.findAll(ctx, slices.Sorted(maps.Keys(ids)))
	for i := range wanted {
		w := &wanted[i]
		if w.failed != nil {
			continue
		}
		if e := found[w.session]; e.err != nil {
			w.failed = e
		} else {
			w.run = runOf(e.result)
		}
	}
}

// finish puts a lookup's end on a message.
func (p *runProcessor) finish(msg *service.Message, w wantedRun, e *enrichment) {
	p.outcomes.Incr(1, e.outcome)
	for name, value := range map[string]string{
		words.MetaOutcome: e.outcome, words.MetaReason: "", words.MetaRunID: w.run, words.MetaSessionID: w.session,
		words.MetaRunStatus: string(runStatus(e.result).Canonical()),
	} {
		switch {
		case value != "":
			msg.MetaSetMut(name, value)
		case name != words.MetaSessionID: // of another run, which the message came with
			msg.MetaDelete(name)
		}
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
func (p *runProcessor) Close(context.Context) error {
	p.runs.close()
	p.client.close()
	return nil
}
