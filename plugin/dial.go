package plugin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/dialer"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/words"
)

// requestBuilder makes what is asked for of the messages of a batch, by their index. Its
// errors name the field and the problem, never the value.
type requestBuilder interface {
	of(batch service.MessageBatch) (build func(i int) (dialer.Call, error))
}

// dialEngine turns batches of messages into dial results.
type dialEngine struct {
	unit     *dialUnit
	requests requestBuilder
	dialer   *dialer.Dialer
	pauses   *pauses
	log      *service.Logger
	outcomes *service.MetricCounter
	closes   []func() // in this order, after the pauses

	// connect makes ready what must be before the first message, and ready waits for that
	// where nobody connects; nil for nothing.
	connect, ready func(context.Context) error
}

// newDialEngine begins the engine of a component; open makes it ready.
func newDialEngine(res *service.Resources, component string, unit *dialUnit) *dialEngine {
	return &dialEngine{
		unit:     unit,
		pauses:   newPauses(res, component, unit),
		log:      res.Logger(),
		outcomes: fromZero(res.Metrics().NewCounter(words.MetricDialOutcomes, "outcome"), words.OutcomeNames(component)...),
	}
}

// open makes the dialer. opts has what the component says of it.
func (e *dialEngine) open(conf *service.ParsedConfig, res *service.Resources, client clientConfig, api dialer.API, opts dialer.Options) (err error) {
	opts.Wording = e.unit.is
	opts.Notice = func(why dialer.Cause) *pause.Notice { return e.pauses.notice(string(why)) }
	opts.LookUps = e.pauses.lookUps
	if client.limit != nil {
		client.limit.reportTo(e.pauses.own(words.CauseRateLimited))
	}
	if opts.Calls, err = callLimit(conf, res, e.pauses); err != nil {
		return err
	}
	l, err := openLedger(conf, res, opts)
	if err != nil {
		return err
	}
	e.dialer = dialer.New(api, l, opts)
	if label, err := conf.FieldString(dfFieldLedger); err != nil {
		return err
	} else if label != "" {
		e.pauses.waitFor(fmt.Sprintf("cache %q", label), words.CauseLedger)
	}
	e.pauses.waitFor(client.options.BaseURL, words.CauseSetup, words.CauseRateLimited, words.CauseUnanswered, words.CauseRefusals, lookUps)
	e.pauses.countLookUps(e.dialer.LookedFor)
	e.pauses.count(func(cause string) int { return e.dialer.Waiting(dialer.Cause(cause)) })
	return nil
}

// close ends what reports pauses and trouble with the API. No dial may run any more.
func (e *dialEngine) close() {
	e.pauses.close()
	for _, end := range e.closes {
		end()
	}
}

// dial decides every message of a batch. The error is that of a context that
// ended; messages whose outcome is then empty are undecided, and safe to deliver
// again.
func (e *dialEngine) dial(ctx context.Context, batch service.MessageBatch) ([]fate, error) {
	return e.dialOn(ctx, batch, dialer.Terms{Began: time.Now()})
}

// dialOn is dial for a batch that may be given back: the error is then a *dialer.Paused.
func (e *dialEngine) dialOn(ctx context.Context, batch service.MessageBatch, terms dialer.Terms) ([]fate, error) {
	fates := make([]fate, len(batch))
	if e.ready != nil {
		if err := e.ready(ctx); err != nil {
			return fates, err
		}
	}
	calls := make([]dialer.Call, len(batch))
	build := e.requests.of(batch)
	for i := range batch {
		call, err := build(i)
		if err != nil {
			rejection := inputFailure(err)
			call = dialer.Call{Rejection: &rejection}
		}
		calls[i] = call
	}
	results, err := e.dialer.DialOn(ctx, calls, terms)
	for i, r := range results {
		if r.Outcome == dialer.DryRun {
			r = e.dryRunResult(calls[i], r)
		}
		fates[i] = fate{e.unit, cmp.Or(r.Ref, calls[i].Ref), e.unit.named(r)}
	}
	for i, f := range fates {
		if f.Outcome == "" {
			if err == nil {
				err = errors.New("the " + e.unit.is.Call + " was " + e.unit.is.Placed + " and could not be recorded before the shutdown")
			}
			fates[i].Err = fmt.Errorf("not decided before the shutdown: %w", err)
			continue
		}
		e.outcomes.Incr(1, string(f.Outcome))
	}
	return fates, err
}

// dryRunResult reports what would have been requested.
func (e *dialEngine) dryRunResult(call dialer.Call, r dialer.Result) dialer.Result {
	if r.Reason == "" {
		e.log.Infof("Dry run: a %s with reference %s would be %s", e.unit.is.Call, call.Ref, e.unit.is.Placed)
	} else {
		e.log.Infof("Dry run: a %s with reference %s would fail (%s)", e.unit.is.Call, call.Ref, r.Reason)
	}
	r.Call = happyrobot.Redact(call.Body)
	return r
}
