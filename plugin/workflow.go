package plugin

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot/platform"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/dialer"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/starter"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/words"
)

// runLists holds what the components of this process that start runs share, for each API,
// key and workflow, for as long as it lives.
type runLists struct {
	api      [32]byte
	workflow string
	hook     string // its URL; "" for the API. A list that proves something of one proves nothing of another
}

// runsShared is for the dialers and the starters of a workflow.
type runsShared struct {
	dials  dialer.Shared
	starts starter.Shared
}

func sharedRuns(c clientConfig, workflow, hook string) *runsShared {
	shared, _ := lists.LoadOrStore(runLists{c.api, workflow, hook}, &runsShared{})
	return shared.(*runsShared)
}

// newRunEngine makes the engine of a happyrobot_workflow.
func newRunEngine(conf *service.ParsedConfig, res *service.Resources) (*dialEngine, error) {
	log := res.Logger()
	e := newDialEngine(res, "happyrobot_workflow", ofRuns)
	hook, err := conf.FieldString(wfFieldHook, wfFieldHookURL)
	if err != nil {
		return nil, err
	}
	// The key comes first: who has set nothing yet is told of it.
	client, err := platformFromParsed(conf, res, e.pauses.gauge, hook == "")
	if err != nil {
		return nil, err
	}
	var w workflowConfig
	if err := w.fromParsed(conf, log); err != nil {
		return nil, err
	}
	payloads := &payloadBuilder{}
	if err := payloads.fromParsed(conf, w); err != nil {
		return nil, err
	}
	e.requests = payloads
	shared := sharedRuns(client, w.workflow, w.hookURL)
	clock := newClockReport(res, &shared.dials.Clock)
	client.options.OnDate = clock.sawDate

	opts, err := dialOptions(conf, client)
	if err != nil {
		return nil, err
	}
	opts.MaxCallsPerRequest = 1
	opts.LookAgain = (opts.Settle + 2) / 3 // three looks, the last at its end
	opts.Shared, opts.OnClock = &shared.dials, clock.report
	opts.OnPartialRefusal = func() {
		log.Warn("A trigger was refused, but its run was started. From now on, runs of a refused trigger are looked up for `settle`.")
	}
	starts, err := newStarter(w, client, opts, &shared.starts, log)
	if err != nil {
		return nil, err
	}
	api := starts.Careful(starter.CarefulReports{
		OtherWorkflow: func(why error) {
			log.Warnf("`hook` was not seen to start runs of `workflow`: %v. A run of unknown outcome is `held`.", why)
		},
		SameRun: func() {
			log.Warn("Two leads were answered with one run. The second is in doubt, and is `held`, since nobody knows whether the run reaches both. The trigger may put several leads into one run: its multi_event_behavior must not be group.")
		},
	})
	e.closes = append(e.closes, clock.close, client.close)
	if !client.keyed() {
		if w.maxBacklog > 0 {
			return nil, fmt.Errorf("%s: needs %s, with which the length of the queue is asked", wfFieldMaxBacklog, cfFieldAPIKey)
		}
		log.Warn("No `api_key` is set beside `hook`: a run of unknown outcome cannot be looked up, and its lead is `held` at once. Nothing is checked before the first run.")
		return e, e.openAt(w.hookHost(), conf, res, client, api, opts)
	}
	preflight := starts.NewPreflight(opts.Timeout, opts.Settle, log, e.pauses.notice(words.CauseSetup))
	if !opts.DryRun {
		opts.Guards = append(opts.Guards, preflight.Guard())
		if w.maxBacklog > 0 {
			opts.Guards = append(opts.Guards, starts.NewBacklog(w.maxBacklog, w.pollInterval))
		}
	}
	e.closes = append([]func(){preflight.Stop}, e.closes...)
	e.connect = func(ctx context.Context) error {
		preflight.Start()
		if opts.DryRun {
			return nil
		}
		return preflight.Ready(ctx)
	}
	e.ready = func(ctx context.Context) error {
		preflight.Start() // of a processor, which nobody connects
		if opts.DryRun {
			return nil
		}
		return preflight.First(ctx)
	}
	return e, e.openAt(w.hookHost(), conf, res, client, api, opts)
}

// openAt is open for runs that are started at a host of their own, "" for that of the API.
func (e *dialEngine) openAt(host string, conf *service.ParsedConfig, res *service.Resources, client clientConfig, api dialer.API, opts dialer.Options) error {
	if err := e.open(conf, res, client, api, opts); err != nil || host == "" {
		return err
	}
	e.pauses.waitFor(host, words.CauseSetup, words.CauseUnanswered, words.CauseRefusals)
	return nil
}

// newStarter makes what starts runs and finds them.
func newStarter(w workflowConfig, client clientConfig, opts dialer.Options, shared *starter.Shared, log pause.Logger) (*starter.Starter, error) {
	o := starter.Options{
		Workflow: w.workflow, Environment: w.environment, RefField: w.refField, Shared: shared, Hook: w.hookURL != "",
		InitialInterval: opts.InitialInterval, MaxInterval: opts.MaxInterval,
		OnSeveral: func(runs int) {
			log.Warnf("A trigger was answered with %d runs for one lead: all ids are in its receipt, and the ledger has the first. The workflow starts several runs, or its trigger groups leads.", runs)
		},
		OnNoColumn: func() {
			log.Warnf("A run is listed without its reference: add the payload's member `%s` as a column to the workflow's table of runs. Without it each run of the time in question is opened to find one of unknown outcome, which takes two requests a run.", w.refField)
		},
	}
	var err error
	if client.keyed() {
		if o.Reads, err = client.platformClient(); err != nil {
			return nil, err
		}
		if o.Asks, err = client.platformAsker(); err != nil {
			return nil, err
		}
	}
	if w.hookURL != "" {
		of := client.options
		of.APIKey, of.APIKeys = w.hookKey, nil
		hook, err := platform.NewHook(w.hookURL, platform.Options{Options: of})
		if err != nil {
			return nil, err
		}
		o.Start = hook.Trigger
		return starter.New(o), nil
	}
	triggers, err := platform.New(platform.Options{Options: client.options}) // the dialer waits for the rate limit
	if err != nil {
		return nil, err
	}
	o.Start = func(ctx context.Context, payload json.RawMessage) (platform.TriggerReply, error) {
		return triggers.Trigger(ctx, w.workflow, platform.Trigger{Payload: payload, Environment: w.environment})
	}
	return starter.New(o), nil
}
