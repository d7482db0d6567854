package plugin

import (
	"context"
	"errors"
	"sync"

	"github.com/redpanda-data/benthos/v4/public/service"
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
		Description(dialDescription+`

### Failed messages

Set `+"`failures`"+`. Each failed message is written to this child output, with its metadata and the metadata above, as

`+"`{outcome, reason, details, dial_ref, call_id, http_status, rule, next_allowed, lead}`"+`

Members that are not known are absent. `+"`lead`"+` is the message as this output received it: as JSON, or else as text. A message counts as delivered once its record is written.

Never put a `+"`fallback`"+` around an output that has `+"`failures`"+`. At a shutdown, a batch with an undecided message is returned as an error for all of its messages, and the `+"`fallback`"+` would file them all.

Never let an input that acknowledges message by message stand above a `+"`split` or `group_by`, nor above a `switch`"+` output below a filter: a message can then be lost even with `+"`failures`"+`. It happens when the stream stops before all messages of a batch are decided. This output then returns one error for the whole batch. Benthos turns it into errors for single messages, and assigns those by place. So let batches reach this output whole, and let a case of the `+"`switch`"+` drop what a filter would.

Never put a processor that remembers messages above this output, such as `+"`dedupe`"+` or a `+"`cache`"+` that adds keys. After a crash the messages of a batch come again, and it would drop those that were not called yet. The ledger remembers what was called.

### Without failures

Never leave `+"`failures`"+` out below anything that changes a batch: a filter, `+"`split`, `group_by`, `archive`"+` or a sort, in `+"`pipeline`"+` or in the `+"`processors`"+` of an input or output. A failed message is then returned as an error, and Benthos finds the message of an error by its place in the batch. After such a change another message has that place. A `+"`fallback`"+` then files a lead that was called, and loses the failed one. An input delivers the wrong message again, and acknowledges the failed one.

Where nothing changes a batch, a `+"`fallback`"+` output can catch the error. Its second output finds the text in the metadata `+"`fallback_error`"+`, which `+"`parse_dial_error`"+` takes apart, and no other metadata of this component.

### Receipts

With `+"`receipts`"+`, a receipt of each message that counts as done is written to this child output before the message is acknowledged, as `+"`{outcome, dial_ref, call_id, call, lead}`"+`. `+"`outcome`"+` is `+"`accepted`, `duplicate` or `dry_run`"+`. `+"`call`"+` is the created call as the API reports it; it is absent for a duplicate, and in a dry run it is the call that would have been requested. `+"`lead`"+` is as above.

So with both outputs each message has one record: a receipt or an entry in `+"`failures`"+`. Both are written at least once. A crash, a shutdown while an output is down, or an error of the output can repeat a record; the repeated receipt then usually says `+"`duplicate`"+`.

While either output is down the stream waits, and the log says so: `+"`Dialing paused (failures): ...`"+`. A record that an output never accepts, such as one that is too large for Kafka, holds its batch: shorten it in the output's `+"`processors`"+`. A stop waits for the records as long as Benthos lets it, for three quarters of `+"`shutdown_timeout`"+`; the messages are then delivered again after the restart.`).
		Categories("Services").
		Fields(clientFields()...).
		Fields(dialFields()...).
		Fields(numberFields()...).
		Fields(
			service.NewOutputField(odFieldReceipts).
				Description("Receives a receipt of each message that counts as done: accepted, duplicate, or a dry run. "+childBatching).
				Optional(),
			service.NewOutputField(odFieldFailures).
				Description("Receives a record of each message that failed, which then counts as delivered. Without it, a failed message is returned as an error, which is safe only where nothing above this output changes a batch. A `switch` in it needs `strict_mode: true`, or a last case without `check`, as it drops what no case takes. "+childBatching).
				Optional(),
			service.NewOutputMaxInFlightField().
				Description("The most batches that are dialed at the same time.").
				Default(4),
			service.NewBatchPolicyField(odFieldBatching).
				Default(map[string]any{"count": 20, "byte_size": 0, "period": defaultBatchPeriod, "jitter": 0.0, "check": "", "processors": []any{}}).
				LintRule(`root = if this.processors.or([]).length() > 0 { [ "`+batchingProcessorsRefused+`" ] }`),
		).
		Example("Call the leads of a topic", "Leads that cannot be called, or whose call cannot be found, go to an output of their own. Nothing else does.", `
output:
  happyrobot_dial:
    api_key: ${HAPPYROBOT_API_KEY}
    ledger: ledger
    dedupe_key: ${! json("id") }
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
		Example("Decide what a lead may ask for", "The config decides which number calls, with which use case, and for how long. A lead chooses who is called and what is said.", callExample)
}

func newDialOutputFromParsed(conf *service.ParsedConfig, res *service.Resources) (out service.BatchOutput, policy service.BatchPolicy, maxInFlight int, err error) {
	if policy, err = dialBatchPolicy(conf); err != nil {
		return nil, policy, 0, err
	}
	if maxInFlight, err = conf.FieldMaxInFlight(); err != nil {
		return nil, policy, 0, err
	}
	o := &dialOutput{}
	if o.engine, err = newDialEngine(conf, res, conf.Contains(odFieldReceipts)); err != nil {
		return nil, policy, 0, err
	}
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
}

// Connect starts the child outputs. The API is met with the first batch.
func (o *dialOutput) Connect(context.Context) error {
	return errors.Join(o.receipts.connect(), o.failures.connect())
}

// WriteBatch places the calls of a batch and writes one record of each message. A
// failed message whose record is written counts as delivered: what Benthos makes of
// an error for one message of several depends on what changed the batch before.
func (o *dialOutput) WriteBatch(ctx context.Context, batch service.MessageBatch) error {
	fates, undecided := o.engine.dial(ctx, batch)
	if o.failures == nil {
		return o.returnFailures(ctx, batch, fates)
	}
	if undecided != nil {
		// The stream stops. The whole batch is delivered again, and whoever was
		// called is then a duplicate: one record each, later.
		return undecided
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

// writeRecords writes side by side: while one output is down the other has its
// records all the same. An error fails the whole batch.
func (o *dialOutput) writeRecords(ctx context.Context, receipts, failures service.MessageBatch) error {
	written := make(chan error, 1)
	go func() { written <- o.receipts.write(ctx, receipts) }()
	return errors.Join(o.failures.write(ctx, failures), <-written)
}

// returnFailures is WriteBatch without an output for failures: each message has an
// error of its own.
func (o *dialOutput) returnFailures(ctx context.Context, batch service.MessageBatch, fates []fate) error {
	errs := make([]error, len(fates)) // undecided messages carry one, too
	var receipts service.MessageBatch
	var origin []int
	for i, f := range fates {
		errs[i] = f.Err
		switch {
		case f.Err != nil:
			setDialMeta(batch[i], f)
		case o.receipts != nil:
			receipts, origin = append(receipts, receiptOf(batch[i], f)), append(origin, i)
		}
	}
	if err := o.receipts.write(ctx, receipts); err != nil {
		for _, i := range origin {
			errs[i] = err // delivered again, it is a duplicate, and gets its receipt
		}
	}
	return batchError(batch, errs)
}

// Close closes the child outputs.
func (o *dialOutput) Close(ctx context.Context) error {
	var both sync.WaitGroup
	for _, child := range []*childOutput{o.receipts, o.failures} {
		both.Go(func() { child.close(ctx) })
	}
	both.Wait()
	o.engine.close()
	return nil
}

// batchError reports each message's own error, or a plain nil. Messages without
// an error count as delivered.
func batchError(batch service.MessageBatch, errs []error) error {
	var all *service.BatchError
	for i, err := range errs {
		if err == nil {
			continue
		}
		if all == nil {
			all = service.NewBatchError(batch, err)
		}
		_ = all.Failed(i, &messageError{err: err, batch: all})
	}
	if all == nil {
		return nil
	}
	return all
}

// messageError is one message's error that also leads to its neighbours'. The
// batching of an output hands back one error for all messages that came in
// together; without the way to the others, a fallback would take the called
// neighbours of one bad lead for failed.
type messageError struct {
	err   error
	batch *service.BatchError
}

func (e *messageError) Error() string   { return e.err.Error() }
func (e *messageError) Unwrap() []error { return []error{e.err, e.batch} }
