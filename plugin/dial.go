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

const ( // df: dial fields, of the output and the processor
	dfFieldOnUnknown = "on_unknown"
	dfFieldSettle    = "settle"
	dfFieldRedials   = "max_redials"
	dfFieldMaxCalls  = "max_calls_per_request"
	dfFieldRefSalt   = "dial_ref_salt"
	dfFieldMaxReject = "max_rejects_in_a_row"
	dfFieldDryRun    = "dry_run"
	dfFieldCallLimit = "call_rate_limit"
)

func dialFields() []*service.ConfigField {
	return append(callFields(), []*service.ConfigField{
		service.NewStringField(dfFieldLedger).
			Description("The label of the `cache` resource that remembers what was dialed: `bbolt` for one process, `redis` or another shared cache with an atomic add for several. Empty keeps it in memory: after a restart, leads that are delivered again are called again.").
			Default(""),
		service.NewDurationField(dfFieldDedupeWindow).
			Description("How long a dial is remembered. It must be longer than `timeout` plus `settle` plus a minute. With `on_unknown: redial_absent` it must be longer than `timeout` plus `settle` × 2^`max_redials` plus a minute.").
			Default("168h"),
		service.NewStringAnnotatedEnumField(dfFieldOnUnknown, map[string]string{
			string(dialer.Hold):         "Fail the message with the reason `unknown`. No lead is ever called twice.",
			string(dialer.RedialAbsent): "Trust that a call which is not listed after `settle` was never placed, and dial again.",
		}).Description("What to do with a call that may have been placed, and that the API does not list.").
			Default(string(dialer.Hold)),
		service.NewDurationField(dfFieldSettle).
			Description("How long after a request a created call may take to be listed by the API. It doubles each time a lead is sent again.").
			Default("30s"),
		service.NewIntField(dfFieldRedials).
			Description("With `on_unknown: redial_absent`, how many times a lead may be sent again after a request left, across restarts. Beyond that the message is `held`. `0` never sends one again. Requests that the API answered with 5xx while it accepted no other call do not count.").
			Default(3).
			LintRule(`root = if this < 0 { [ "` + "`max_redials`" + ` must not be negative; 0 never sends a lead again" ] }`).
			Advanced(),
		service.NewIntField(dfFieldMaxCalls).
			Description("The most calls in one request. A larger batch is split.").
			Default(20).
			LintRule(`root = if this < 1 { [ "` + "`max_calls_per_request`" + ` must be at least 1" ] }`),
		service.NewStringField(dfFieldRefSalt).
			Description("A secret that keeps `dial_ref` from revealing the key of a lead. Without it `dial_ref` is a plain digest: if `dedupe_key` is a phone number, whoever sees `dial_ref` finds the number by trying them all. With it `dial_ref` is an HMAC. Use at least 16 random characters, the same for all processes that share the ledger. It changes only what the API is sent, and what logs and records show: leads in the ledger stay known when it is set, changed or removed, and calls in doubt are looked up by the reference that they were sent with.").
			Example("${HAPPYROBOT_DIAL_REF_SALT}").
			Secret().
			Default("").
			Advanced(),
		service.NewIntField(dfFieldMaxReject).
			Description("How many messages in a row may be rejected for what they or this config hold, before the stream pauses with the cause `refusals`: a wrong column or id would otherwise send a whole topic to the failures. Set more than the longest run of bad leads that is usual. `0` never pauses for rejected messages. See [When everything is refused](#when-everything-is-refused).").
			Default(0).
			Example(100).
			LintRule(`root = if this < 0 { [ "` + "`max_rejects_in_a_row`" + ` must be at least 1, or 0 for any number" ] }`),
		service.NewStringField(dfFieldCallLimit).
			Description("The label of a `rate_limit` resource that limits calls, where `rate_limit` limits requests. It is asked once for each call that is about to be placed, and not for calls that the ledger knows. A request holds only as many calls as it lets through at once: with one call per second, each request has one. Components that name the same resource share it. Empty is no limit.").
			Example("calls_per_second").
			LintRule(`root = if this.trim() != this { [ "` + "`call_rate_limit`" + ` must be the label of a rate_limit resource, without blanks around it" ] }`).
			Default(""),
		service.NewBoolField(dfFieldDryRun).
			Description("Check messages and log what would be dialed, but place no calls. The ledger is not touched.").
			Default(false),
	}...)
}

// dialEngine turns batches of messages into dial results.
type dialEngine struct {
	client   clientConfig
	calls    callBuilder
	dialer   *dialer.Dialer
	pauses   *pauses
	clock    *clockReport
	log      *service.Logger
	outcomes *service.MetricCounter
}

// newDialEngine makes the engine of a component. tells says whether anybody is
// told the created calls themselves.
func newDialEngine(conf *service.ParsedConfig, res *service.Resources, tells bool) (*dialEngine, error) {
	why := newPauses(res)
	client, err := clientFromParsed(conf, res, why.gauge)
	if err != nil {
		return nil, err
	}
	client.options.OmitRaw = !tells
	shared := sharedLists(client)
	clock := newClockReport(res, &shared.Clock)
	client.options.OnDate = clock.sawDate
	e := &dialEngine{
		client:   client,
		pauses:   why,
		clock:    clock,
		log:      res.Logger(),
		outcomes: fromZero(res.Metrics().NewCounter(words.MetricDialOutcomes, "outcome"), words.OutcomeNames("happyrobot_dial")...),
	}
	if err := e.calls.fromParsed(conf, res.Logger()); err != nil {
		return nil, err
	}
	if e.calls.refSalt, err = conf.FieldString(dfFieldRefSalt); err != nil {
		return nil, err
	}
	opts, err := dialOptions(conf, client, res)
	if err != nil {
		return nil, err
	}
	opts.Notice = func(why dialer.Cause) *pause.Notice { return e.pauses.notice(string(why)) }
	opts.LookUps = e.pauses.lookUps
	opts.Shared, opts.OnClock = shared, clock.report
	if client.limit != nil {
		client.limit.reportTo(e.pauses.own(words.CauseRateLimited))
	}
	if opts.Calls, err = callLimit(conf, res, e.pauses); err != nil {
		return nil, err
	}
	l, err := openLedger(conf, res, opts)
	if err != nil {
		return nil, err
	}
	posts, err := client.unlimited()
	if err != nil {
		return nil, err
	}
	reads, err := client.client()
	if err != nil {
		return nil, err
	}
	e.dialer = dialer.New(dialAPI{posts: posts, reads: reads}, l, opts)
	if label, err := conf.FieldString(dfFieldLedger); err != nil {
		return nil, err
	} else if label != "" {
		e.pauses.waitFor(fmt.Sprintf("cache %q", label), words.CauseLedger)
	}
	e.pauses.waitFor(client.options.BaseURL, words.CauseSetup, words.CauseRateLimited, words.CauseUnanswered, words.CauseRefusals)
	e.pauses.countLookUps(e.dialer.LookedFor)
	e.pauses.count(func(cause string) int { return e.dialer.Waiting(dialer.Cause(cause)) })
	return e, nil
}

// close ends what reports pauses and trouble with the API. No dial may run any more.
func (e *dialEngine) close() {
	e.pauses.close()
	e.clock.close()
	e.client.close()
}

// callLimit is the limit of calls that the config names, nil for none.
func callLimit(conf *service.ParsedConfig, res *service.Resources, why *pauses) (*dialer.CallLimit, error) {
	limit, err := rateLimitFromParsed(conf, res, dfFieldCallLimit)
	if err != nil || limit == nil {
		return nil, err
	}
	if requests, err := conf.FieldString(cfFieldRateLimit); err != nil {
		return nil, err
	} else if requests == limit.label {
		return nil, fmt.Errorf("%s: %q is the %s of requests already: a call would count twice, once with its request; use two resources", dfFieldCallLimit, requests, cfFieldRateLimit)
	}
	limit.reportTo(why.own(words.CauseCallRateLimit))
	return &dialer.CallLimit{Ask: limit.ask, Waits: limit.waits}, nil
}

func dialOptions(conf *service.ParsedConfig, client clientConfig, res *service.Resources) (o dialer.Options, err error) {
	if o.Settle, err = conf.FieldDuration(dfFieldSettle); err != nil {
		return o, err
	}
	if o.Settle < 0 {
		return o, fmt.Errorf("%s: must not be negative", dfFieldSettle)
	}
	if o.Window, err = positiveDuration(conf, dfFieldDedupeWindow); err != nil {
		return o, err
	}
	if o.MaxCallsPerRequest, err = conf.FieldInt(dfFieldMaxCalls); err != nil {
		return o, err
	}
	if o.MaxCallsPerRequest < 1 {
		return o, fmt.Errorf("%s: must be at least 1", dfFieldMaxCalls)
	}
	if o.MaxRejectsInARow, err = conf.FieldInt(dfFieldMaxReject); err != nil {
		return o, err
	}
	if o.MaxRejectsInARow < 0 {
		return o, fmt.Errorf("%s: must be at least 1, or 0 for any number", dfFieldMaxReject)
	}
	onUnknown, err := choice(conf, dfFieldOnUnknown, string(dialer.Hold), string(dialer.RedialAbsent))
	if err != nil {
		return o, err
	}
	o.OnUnknown = dialer.OnUnknown(onUnknown)
	if o.MaxRedials, err = conf.FieldInt(dfFieldRedials); err != nil {
		return o, err
	}
	if o.MaxRedials < 0 {
		return o, fmt.Errorf("%s: must not be negative", dfFieldRedials)
	}
	if o.DryRun, err = conf.FieldBool(dfFieldDryRun); err != nil {
		return o, err
	}
	o.Timeout = client.options.Timeout
	if open := o.LongestClaim(); o.Window <= open {
		sum := "timeout + " + dfFieldSettle
		if o.OnUnknown == dialer.RedialAbsent {
			sum += " × 2^" + dfFieldRedials
		}
		return o, fmt.Errorf("%s: %v is too short: a claim may stay open for %v (%s + 1m)", dfFieldDedupeWindow, o.Window, open, sum)
	}
	o.InitialInterval = client.options.Retry.InitialInterval
	o.MaxInterval = client.options.Retry.MaxInterval
	o.MaxElapsedTime = client.options.Retry.MaxElapsedTime
	if client.limit != nil {
		o.Wait, o.ListLimit = client.limit.wait, client.limit.label
	}

	log := res.Logger()
	o.OnEchoMissing = func() {
		log.Warn("The API answered a dial without our reference in metadata.custom.dial_ref. Calls that are not listed are held, also with `redial_absent`.")
	}
	o.OnPartialRefusal = func() {
		log.Warn("The API refused a request, but created some of its calls. From now on, calls of a refused request are looked up for `settle` before they are sent again.")
	}
	return o, nil
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
	calls := make([]dialer.Call, len(batch))
	builder := e.calls.of(batch)
	for i := range batch {
		call, err := builder.build(i)
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
		fates[i] = fate{cmp.Or(r.Ref, calls[i].Ref), r}
	}
	for i, f := range fates {
		if f.Outcome == "" {
			if err == nil {
				err = errors.New("the call was placed and could not be recorded before the shutdown")
			}
			fates[i].Err = fmt.Errorf("not decided before the shutdown: %w", err)
			continue
		}
		e.outcomes.Incr(1, string(f.Outcome))
	}
	return fates, err
}

// dryRunResult reports the call that would have been requested.
func (e *dialEngine) dryRunResult(call dialer.Call, r dialer.Result) dialer.Result {
	if r.Reason == "" {
		e.log.Infof("Dry run: a call with reference %s would be placed", call.Ref)
	} else {
		e.log.Infof("Dry run: a call with reference %s would fail (%s)", call.Ref, r.Reason)
	}
	r.Call = happyrobot.Redact(call.Body)
	return r
}
