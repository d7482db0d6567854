package plugin

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/dialer"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/ledger"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
)

const ( // df: dial fields, of the output and the processor
	dfFieldCallMapping  = "call_mapping"
	dfFieldDedupeKey    = "dedupe_key"
	dfFieldLedger       = "ledger"
	dfFieldDedupeWindow = "dedupe_window"
	dfFieldOnUnknown    = "on_unknown"
	dfFieldSettle       = "settle"
	dfFieldMaxCalls     = "max_calls_per_request"
	dfFieldDryRun       = "dry_run"
)

// Both dials tell the same story; the output adds acks, the processor results.
const dialDescription = `
Messages become calls in batches, with ` + "`POST /dial/outbound-batched`" + `. The API has no idempotency key, so this component keeps one: before each request it claims the lead in a ledger, and it looks a call of unknown outcome up among the calls that the API lists instead of repeating the request.

### What becomes of a message

Every message ends with one of these words in the metadata ` + "`happyrobot_outcome`" + `:

| Outcome | When | Then |
| --- | --- | --- |
| ` + "`accepted`" + ` | the API has the call | recorded in the ledger |
| ` + "`duplicate`" + ` | the ledger knows the call already | no request; the same call id is handed on |
| ` + "`rejected`" + ` | the message does not map to a valid call, or the API refuses this one call | this message fails; its neighbours are called |
| ` + "`held`" + ` | the call may have been placed, and the API still does not list it after ` + "`settle`" + ` | this message fails with the reason ` + "`unknown`" + ` |
| ` + "`dry_run`" + ` | ` + "`dry_run`" + ` is set | logged, never sent; the request is handed on as the call |

The error of a failed message reads ` + "`outcome: reason: details`" + `, followed by what else is known as ` + "`; call_id=… http_status=…`" + `. The Bloblang method ` + "`parse_dial_error`" + ` takes it apart. The metadata ` + "`happyrobot_reason`" + ` holds the reason. Other metadata: ` + "`happyrobot_call_id`, `happyrobot_http_status`, `happyrobot_dial_ref`" + `.

### When the API is in trouble

A refused key, an outage, or a full rate limit fails no message. Requests stop, the stream waits, and it resumes by itself: see ` + "`retry`" + `. The same holds for the ledger: no ledger, no call.

The log says when a pause begins, every five minutes while it lasts, and when it is over. The metric ` + "`happyrobot_paused`" + ` is 1 meanwhile, with the label ` + "`cause`" + `: ` + "`setup`, `rate_limited` or `unanswered`" + ` for the API, ` + "`ledger`, `receipts` or `failures`" + ` for what cannot be written, and ` + "`claimed_elsewhere`" + ` while another process may be dialing the same leads. ` + "`happyrobot_dial_on_hold`" + ` is its older name, for the API's three causes together; it goes away with the next release.

### Deterministic calls

A message that is delivered again must make the same call. Keep ` + "`now()`, `uuid_v4()`" + ` and the like out of ` + "`call_mapping`" + `, and set ` + "`dedupe_key`" + ` to something that names the lead. The same key with different contents is rejected with the reason ` + "`dedupe_conflict`" + `.` + membersDescription

func dialFields() []*service.ConfigField {
	return append(callFields(), []*service.ConfigField{
		service.NewStringField(dfFieldLedger).
			Description("The label of the `cache` resource that remembers what was dialed: `bbolt` for one process, `redis` or another shared cache with an atomic add for several. Empty keeps it in memory: after a restart, leads that are delivered again are called again.").
			Default(""),
		service.NewDurationField(dfFieldDedupeWindow).
			Description("How long a dial is remembered. It must be longer than `timeout` plus `settle` plus a minute.").
			Default("168h"),
		service.NewStringAnnotatedEnumField(dfFieldOnUnknown, map[string]string{
			string(dialer.Hold):         "Fail the message with the reason `unknown`. Nobody is ever called twice.",
			string(dialer.RedialAbsent): "Trust that a call which is not listed after `settle` was never placed, and dial again.",
		}).Description("What to do with a call that may have been placed, and that the API does not list.").
			Default(string(dialer.Hold)),
		service.NewDurationField(dfFieldSettle).
			Description("How long after a request a created call may take to be listed by the API.").
			Default("30s"),
		service.NewIntField(dfFieldMaxCalls).
			Description("The most calls in one request. A larger batch is split.").
			Default(20).
			LintRule(`root = if this < 1 { [ "` + "`max_calls_per_request`" + ` must be at least 1" ] }`),
		service.NewBoolField(dfFieldDryRun).
			Description("Check messages and log what would be dialed, but call nobody. The ledger is not touched.").
			Default(false),
	}...)
}

// dialEngine turns batches of messages into dial results.
type dialEngine struct {
	calls    callBuilder
	dialer   *dialer.Dialer
	pauses   *pauses
	log      *service.Logger
	outcomes *service.MetricCounter
}

// newDialEngine makes the engine of a component. tells says whether anybody is
// told the created calls themselves.
func newDialEngine(conf *service.ParsedConfig, res *service.Resources, tells bool) (*dialEngine, error) {
	client, err := clientFromParsed(conf, res)
	if err != nil {
		return nil, err
	}
	client.options.OmitRaw = !tells
	e := &dialEngine{
		pauses:   newPauses(res),
		log:      res.Logger(),
		outcomes: res.Metrics().NewCounter("happyrobot_dial_outcomes", "outcome"),
	}
	if err := e.calls.fromParsed(conf, res.Logger()); err != nil {
		return nil, err
	}
	opts, err := dialOptions(conf, client, res)
	if err != nil {
		return nil, err
	}
	opts.Notice = func(why dialer.Cause) *pause.Notice { return e.pauses.notice(string(why)) }
	opts.LookUps = e.pauses.lookUps
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
	return e, nil
}

// close ends what reports pauses.
func (e *dialEngine) close() { e.pauses.close() }

func (b *callBuilder) fromParsed(conf *service.ParsedConfig, log *service.Logger) (err error) {
	if err := b.members.fromParsed(conf, log); err != nil {
		return err
	}
	if b.mapping, err = b.members.callMapping(conf); err != nil {
		return err
	}
	key, err := conf.FieldString(dfFieldDedupeKey)
	if err != nil {
		return err
	}
	if key != "" {
		whole, err := conf.FieldInterpolatedString(dfFieldDedupeKey)
		if err != nil {
			return err
		}
		b.dedupeKey = newDedupeKey(key, whole)
	}
	b.region, b.numbers, err = numberRules(conf)
	return err
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
	onUnknown, err := choice(conf, dfFieldOnUnknown, string(dialer.Hold), string(dialer.RedialAbsent))
	if err != nil {
		return o, err
	}
	o.OnUnknown = dialer.OnUnknown(onUnknown)
	if o.DryRun, err = conf.FieldBool(dfFieldDryRun); err != nil {
		return o, err
	}
	o.Timeout = client.options.Timeout
	o.InitialInterval = client.options.Retry.InitialInterval
	o.MaxInterval = client.options.Retry.MaxInterval
	o.MaxElapsedTime = client.options.Retry.MaxElapsedTime
	o.Wait = client.wait

	log := res.Logger()
	o.OnEchoMissing = func() {
		log.Warn("The API answered a dial without our reference in metadata.custom.dial_ref. Calls with an unknown outcome cannot be looked up, and are held.")
	}
	o.OnPartialRefusal = func() {
		log.Warn("The API refused a request, but created some of its calls. From now on, calls of a refused request are looked up for `settle` before they are sent again.")
	}
	return o, nil
}

// openLedger opens the ledger that the config names.
func openLedger(conf *service.ParsedConfig, res *service.Resources, o dialer.Options) (*ledger.Ledger, error) {
	label, err := conf.FieldString(dfFieldLedger)
	if err != nil {
		return nil, err
	}
	log := res.Logger()
	opts := ledger.Options{
		Window: o.Window, Lease: o.Timeout + o.Settle,
		InitialInterval: o.InitialInterval, MaxInterval: o.MaxInterval,
		Notice: o.Notice(causeLedger),
	}
	var records store.Store
	switch {
	case label == "":
		records, opts.Exclusive = ledger.NewMemory(), true
		log.Warn("No `ledger` is set: what was dialed is remembered in memory only, and leads redelivered after a restart may be called again.")
	case !res.HasCache(label):
		return nil, fmt.Errorf("%s: no cache resource is labelled %q", dfFieldLedger, label)
	default:
		// Benthos opens a cache when it is first used: better a bad ledger stops
		// the start than the first lead.
		if err := res.AccessCache(context.Background(), label, func(service.Cache) {}); err != nil {
			return nil, fmt.Errorf("%s: opening cache %q: %w", dfFieldLedger, label, err)
		}
		records = cacheResource{res: res, label: label}
		single := singleProcessLedger{res: res, label: label}
		if _, err := single.cache(); err == nil {
			opts.Exclusive, opts.Batch = true, single
		}
	}
	l, err := ledger.New(records, opts)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dfFieldDedupeWindow, err)
	}
	return l, nil
}

// singleProcessCache is the key under which a cache that no other process can
// open at the same time says so, by its label: a ledger on it need not wait for the
// claims of others, and writes to it in batches. The value is a store.Batcher.
type singleProcessCache string

// singleProcessLedger looks the cache up for each write, since Benthos may swap a
// resource while the stream runs.
type singleProcessLedger struct {
	res   *service.Resources
	label string
}

func (l singleProcessLedger) cache() (store.Batcher, error) {
	found, _ := l.res.GetGeneric(singleProcessCache(l.label))
	cache, ok := found.(store.Batcher)
	if !ok {
		return nil, fmt.Errorf("cache %q does not write in batches", l.label)
	}
	return cache, nil
}

// AddAll implements store.Batcher.
func (l singleProcessLedger) AddAll(ctx context.Context, items []store.Item) []error {
	cache, err := l.cache()
	if err != nil {
		return slices.Repeat([]error{err}, len(items))
	}
	return cache.AddAll(ctx, items)
}

// SetAll implements store.Batcher.
func (l singleProcessLedger) SetAll(ctx context.Context, items []store.Item) error {
	cache, err := l.cache()
	if err != nil {
		return err
	}
	return cache.SetAll(ctx, items)
}

// fate is what became of one message.
type fate struct {
	ref string
	dialer.Result
}

// dial decides every message of a batch. The error is that of a context that
// ended; messages whose outcome is then empty are undecided, and safe to deliver
// again.
func (e *dialEngine) dial(ctx context.Context, batch service.MessageBatch) ([]fate, error) {
	fates := make([]fate, len(batch))
	calls := make([]dialer.Call, 0, len(batch))
	origin := make([]int, 0, len(batch)) // calls[j] came from batch[origin[j]]
	builder := e.calls.of(batch)
	for i := range batch {
		call, err := builder.build(i)
		if err != nil {
			fates[i].Result = inputFailure(err)
			continue
		}
		fates[i].ref = call.Ref
		calls, origin = append(calls, call), append(origin, i)
	}
	results, err := e.dialer.Dial(ctx, calls)
	for j, r := range results {
		if r.Outcome == dialer.DryRun {
			r = e.dryRunResult(calls[j], r)
		}
		fates[origin[j]].Result = r
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
