package plugin

import (
	"context"
	"errors"
	"sync"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/dialer"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
)

const ( // od: output dial
	odFieldBatching           = "batching"
	odFieldBatchingProcessors = "processors"
	odFieldReceipts           = "receipts"
	odFieldFailures           = "failures"
)

const (
	defaultBatchPeriod = "1s"

	// Of receipts and failures: their records come one batch at a time.
	childBatching = "If this output has a `batching` of its own, set its `period`: the stream waits until the records are written, so a batch that only a `count` or `byte_size` ends may never be written."

	// Said by the linter, and at start.
	batchingProcessorsRefused = "batching.processors: not supported, since Benthos assigns errors to messages by their places in the batch, which processors change: put these processors into `pipeline`, above the output"
)

func init() {
	service.MustRegisterBatchOutput("happyrobot_dial", outputDialSpec(), newDialOutputFromParsed)
}

func outputDialSpec() *service.ConfigSpec {
	return service.NewConfigSpec().
		Summary("Places one phone call per message, and never a second one.").
		Description(description("happyrobot_dial", "dial_refusals", "dial_doubt", "dial_ledger", "dial_contents", "output_happyrobot_dial")).
		Categories("Services").
		Fields(clientFields()...).
		Fields(callDialFields()...).
		Fields(numberFields()...).
		Fields(dialOutputFields()...).
		Example("Call the leads of a topic", "Leads that cannot be called, or whose call cannot be found, go to an output of their own. Nothing else does.", `
output:
  happyrobot_dial:
    api_key: ${HAPPYROBOT_API_KEY}
    ledger: ledger
    dedupe_key: ${! json("id") }
    max_rejects_in_a_row: 100
    default_region: US
    number_id: "${HAPPYROBOT_NUMBER_ID}"
    use_case_id: "${HAPPYROBOT_USE_CASE_ID:}"
    call_mapping: |
      root.phone_number = this.phone
      root.metadata.lead_id = this.id
    receipts:
      file: { path: ./calls.jsonl }
    failures:
      file: { path: ./failed.jsonl }

cache_resources:
  - label: ledger
    bbolt:
      path: ./ledger.db
`).
		Example("Limit how many calls begin", "`rate_limit` counts requests, each of which may carry many calls; `call_rate_limit` counts calls. Here one call begins per second, in a request of its own. Leads that were called already do not wait for it.", `
output:
  happyrobot_dial:
    api_key: ${HAPPYROBOT_API_KEY}
    ledger: ledger
    rate_limit: requests
    call_rate_limit: calls
    dedupe_key: ${! json("id") }
    max_rejects_in_a_row: 100
    number_id: "${HAPPYROBOT_NUMBER_ID}"
    call_mapping: root.phone_number = this.phone
    failures:
      file: { path: ./failed.jsonl }

rate_limit_resources:
  - label: requests
    local: { count: 10, interval: 1s }
  - label: calls
    local: { count: 1, interval: 1s }

cache_resources:
  - label: ledger
    bbolt:
      path: ./ledger.db
`).
		Example("Decide what a lead may ask for", "The config decides which number calls, with which use case, and for how long. A lead chooses who is called and what is said.", callExample).
		Example("Keep phone numbers out of references", "The key of a lead is a phone number, which a plain digest would not hide: the reference that the API and the records show is made with a secret.", `
output:
  happyrobot_dial:
    api_key_file: /run/secrets/happyrobot
    ledger: ledger
    dedupe_key: ${! this.campaign }/${! this.phone }
    dial_ref_salt: "${HAPPYROBOT_DIAL_REF_SALT}"
    max_rejects_in_a_row: 100
    default_region: US
    number_id: "${HAPPYROBOT_NUMBER_ID}"
    call_mapping: root.phone_number = this.phone
    failures:
      file: { path: ./failed.jsonl }

cache_resources:
  - label: ledger
    bbolt:
      path: ./ledger.db
`)
}

// dialOutputFields are what an output that dials has besides.
func dialOutputFields() []*service.ConfigField {
	return []*service.ConfigField{
		service.NewOutputField(odFieldReceipts).
			Description("Receives a receipt of each message that counts as done: accepted, duplicate, or a dry run. " + childBatching).
			Optional(),
		service.NewOutputField(odFieldFailures).
			Description("Receives a record of each message that failed, which then counts as delivered. Without it, a failed message is returned as an error, which is safe only where nothing above this output changes a batch. A `switch` in it needs `strict_mode: true`, or a last case without `check`, as it drops what no case takes. " + childBatching).
			Optional(),
		service.NewOutputMaxInFlightField().
			Description("The most batches that are dialed at the same time.").
			Default(4),
		service.NewBatchPolicyField(odFieldBatching).
			Default(map[string]any{"count": 20, "byte_size": 0, "period": defaultBatchPeriod, "jitter": 0.0, "check": "", "processors": []any{}}).
			LintRule(`root = if this.processors.or([]).length() > 0 { [ "` + batchingProcessorsRefused + `" ] }`),
	}
}

func newDialOutputFromParsed(conf *service.ParsedConfig, res *service.Resources) (service.BatchOutput, service.BatchPolicy, int, error) {
	engine, err := newCallEngine(conf, res, conf.Contains(odFieldReceipts))
	if err != nil {
		return nil, service.BatchPolicy{}, 0, err
	}
	return newDialOutput(conf, res, engine)
}

// newDialOutput makes an output of an engine.
func newDialOutput(conf *service.ParsedConfig, res *service.Resources, engine *dialEngine) (out service.BatchOutput, policy service.BatchPolicy, maxInFlight int, err error) {
	if policy, err = dialBatchPolicy(conf); err != nil {
		return nil, policy, 0, err
	}
	if maxInFlight, err = conf.FieldMaxInFlight(); err != nil {
		return nil, policy, 0, err
	}
	o := &dialOutput{engine: engine, stop: pause.OfOutput(res.Path())}
	if o.receipts, err = childOutputFromParsed(conf, res, odFieldReceipts, o.engine.pauses); err != nil {
		return nil, policy, 0, err
	}
	if o.failures, err = childOutputFromParsed(conf, res, odFieldFailures, o.engine.pauses); err != nil {
		return nil, policy, 0, err
	}
	if o.failures == nil {
		res.Logger().Warn("No `failures` output is set: a failed message is returned as an error, to a `fallback` around this output or to the input. " +
			"Behind a filter, or anything else that changes a batch, Benthos assigns that error to another message: the failed message may be acknowledged and lost.")
	}
	return o, policy, maxInFlight, nil
}

func dialBatchPolicy(conf *service.ParsedConfig) (service.BatchPolicy, error) {
	policy, err := conf.FieldBatchPolicy(odFieldBatching)
	if err != nil {
		return policy, err
	}
	processors, err := conf.FieldAnyList(odFieldBatching, odFieldBatchingProcessors)
	if err != nil {
		return policy, err
	}
	if len(processors) > 0 {
		return policy, errors.New(batchingProcessorsRefused)
	}
	if policy.Period == "" && policy.Count != 1 {
		// Somebody who sets only a count must not wait for ever for a full batch.
		policy.Period = defaultBatchPeriod
	}
	return policy, nil
}

// dialOutput places the call in each message.
type dialOutput struct {
	engine             *dialEngine
	receipts, failures *childOutput // nil for none
	stop               *pause.Stop
	ready              readiness
}

// Connect starts the child outputs. The API is met with the first batch. While that waits,
// Connect tells why.
func (o *dialOutput) Connect(ctx context.Context) error {
	if err := errors.Join(o.receipts.connect(), o.failures.connect()); err != nil {
		return err
	}
	if o.engine.connect != nil {
		if err := o.engine.connect(ctx); err != nil {
			return err
		}
	}
	return o.ready.tell()
}

// WriteBatch places the calls of a batch and writes one record of each message. A
// failed message whose record is written counts as delivered: what Benthos makes of
// an error for one message of several depends on what changed the batch before.
func (o *dialOutput) WriteBatch(ctx context.Context, batch service.MessageBatch) error {
	this, err := o.ready.begin(batch)
	if err != nil {
		return err
	}
	defer this.end()
	fates, undecided := o.dial(ctx, batch, this.terms())
	var paused *dialer.Paused
	if errors.As(undecided, &paused) {
		return service.ErrNotConnected // nothing else: it must not look like an error of the batch
	}
	if undecided != nil {
		// The stream stops. The whole batch is delivered again, and whoever was
		// called is then a duplicate: one record each, later. No error is for one
		// message: Benthos could take it for another's, and acknowledge this one.
		return undecided
	}
	if o.failures == nil {
		return o.returnFailures(ctx, batch, fates)
	}
	var receipts, failures service.MessageBatch
	for i, f := range fates {
		switch {
		case f.Err != nil:
			failures = append(failures, failureOf(batch[i], f))
		case o.receipts != nil:
			receipts = append(receipts, receiptOf(batch[i], f))
		}
	}
	return o.writeRecords(ctx, receipts, failures)
}

func (o *dialOutput) dial(ctx context.Context, batch service.MessageBatch, terms dialer.Terms) ([]fate, error) {
	ctx, cancel := o.stop.Bound(ctx)
	defer cancel()
	return o.engine.dialOn(ctx, batch, terms)
}

// writeRecords writes side by side: while one output is down the other has its
// records all the same. An error fails the whole batch.
func (o *dialOutput) writeRecords(ctx context.Context, receipts, failures service.MessageBatch) error {
	ctx, cancel := o.stop.Bound(ctx)
	defer cancel()
	written := make(chan error, 1)
	go func() { written <- o.receipts.write(ctx, receipts) }()
	return errors.Join(o.failures.write(ctx, failures), <-written)
}

// returnFailures is WriteBatch without an output for failures: each message has an
// error of its own.
func (o *dialOutput) returnFailures(ctx context.Context, batch service.MessageBatch, fates []fate) error {
	errs := make([]error, len(fates))
	var receipts service.MessageBatch
	for i, f := range fates {
		errs[i] = f.Err
		switch {
		case f.Err != nil:
			setDialMeta(batch[i], f)
		case o.receipts != nil:
			receipts = append(receipts, receiptOf(batch[i], f))
		}
	}
	ctx, cancel := o.stop.Bound(ctx)
	defer cancel()
	if err := o.receipts.write(ctx, receipts); err != nil {
		return err // of the whole batch: delivered again, it has duplicates, which get their receipts
	}
	return batchError(batch, errs)
}

// Close closes the child outputs, and then what reports their pauses.
func (o *dialOutput) Close(ctx context.Context) error {
	var both sync.WaitGroup
	for _, child := range []*childOutput{o.receipts, o.failures} {
		both.Go(func() { child.close(ctx) })
	}
	both.Wait()
	o.engine.close()
	return nil
}
