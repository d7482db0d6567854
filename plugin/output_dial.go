package plugin

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/dialer"
)

const ( // od: output dial
	odFieldBatching = "batching"
	odFieldReceipts = "receipts"
)

const defaultBatchPeriod = "1s"

func init() {
	service.MustRegisterBatchOutput("happyrobot_dial", outputDialSpec(), newDialOutputFromParsed)
}

func outputDialSpec() *service.ConfigSpec {
	return service.NewConfigSpec().
		Summary("Places one phone call per message, and never a second one.").
		Description(dialDescription+`

### Failed messages

Catch them with a `+"`fallback`"+` output, which receives the failed messages alone. It hands on copies without the metadata above; the same words stand in its metadata `+"`fallback_error`, as `outcome: reason: details`"+`.

### Receipts

With `+"`receipts`"+`, every accepted or duplicate call is written to a child output before the message is acknowledged, as `+"`{outcome, dial_ref, call_id, call, lead}`"+`: `+"`call`"+` is the created call as the API tells it (absent for a duplicate), `+"`lead`"+` the message. A receipt is written at least once.`).
		Categories("Services").
		Fields(clientFields()...).
		Fields(dialFields()...).
		Fields(numberFields()...).
		Fields(
			service.NewOutputField(odFieldReceipts).
				Description("Receives one message per accepted or duplicate call.").
				Optional(),
			service.NewOutputMaxInFlightField().
				Description("The most batches that are dialed at the same time.").
				Default(4),
			service.NewBatchPolicyField(odFieldBatching).
				Default(map[string]any{"count": 20, "byte_size": 0, "period": defaultBatchPeriod, "jitter": 0.0, "check": "", "processors": []any{}}),
		).
		Example("Call the leads of a topic", "Leads that cannot be called, or whose call cannot be told, go to a topic of their own. Nothing else does.", `
output:
  fallback:
    - happyrobot_dial:
        api_key: ${HAPPYROBOT_API_KEY}
        ledger: ledger
        dedupe_key: ${! json("id") }
        default_region: US
        call_mapping: |
          root.number_id = env("HAPPYROBOT_NUMBER_ID")
          root.phone_number = this.phone
          root.metadata.lead_id = this.id
    - file:
        path: ./failed.jsonl

cache_resources:
  - label: ledger
    bbolt:
      path: ./ledger.db
`).
		Example("Decide what a lead may ask for", "The config decides which number calls, with which use case, and for how long. A lead chooses who is called and what is said.", callExample)
}

func newDialOutputFromParsed(conf *service.ParsedConfig, res *service.Resources) (out service.BatchOutput, policy service.BatchPolicy, maxInFlight int, err error) {
	if policy, err = conf.FieldBatchPolicy(odFieldBatching); err != nil {
		return nil, policy, 0, err
	}
	if policy.Period == "" && policy.Count != 1 {
		// Somebody who sets only a count must not wait for ever for a full batch.
		policy.Period = defaultBatchPeriod
	}
	if maxInFlight, err = conf.FieldMaxInFlight(); err != nil {
		return nil, policy, 0, err
	}
	o := &dialOutput{log: res.Logger()}
	if o.engine, err = newDialEngine(conf, res, conf.Contains(odFieldReceipts)); err != nil {
		return nil, policy, 0, err
	}
	if conf.Contains(odFieldReceipts) {
		if o.receipts, err = conf.FieldOutput(odFieldReceipts); err != nil {
			return nil, policy, 0, err
		}
		o.startReceipts = sync.OnceValue(func() error {
			o.receiptsStarted.Store(true)
			return o.receipts.Prime()
		})
	}
	return o, policy, maxInFlight, nil
}

// dialOutput places the call in each message.
type dialOutput struct {
	engine   *dialEngine
	receipts *service.OwnedOutput // nil for none
	log      *service.Logger

	startReceipts   func() error // once
	receiptsStarted atomic.Bool
}

// Connect starts the receipts. The API is met with the first batch.
func (o *dialOutput) Connect(context.Context) error {
	if o.receipts == nil {
		return nil
	}
	if err := o.startReceipts(); err != nil {
		return fmt.Errorf("%s: starting the output: %w", odFieldReceipts, err)
	}
	return nil
}

// WriteBatch places the calls of a batch and reports each message's own fate.
func (o *dialOutput) WriteBatch(ctx context.Context, batch service.MessageBatch) error {
	fates, _ := o.engine.dial(ctx, batch) // undecided messages carry the error
	errs := make([]error, len(fates))
	var receipts service.MessageBatch
	var origin []int
	for i, f := range fates {
		errs[i] = f.Err
		if f.Err != nil || o.receipts != nil { // nobody sees the others again
			setDialMeta(batch[i], f)
		}
		if o.receipts != nil && (f.Outcome == dialer.Accepted || f.Outcome == dialer.Duplicate) {
			receipts, origin = append(receipts, receiptOf(batch[i], f)), append(origin, i)
		}
	}
	if err := o.writeReceipts(ctx, receipts); err != nil {
		for _, i := range origin {
			errs[i] = err // delivered again, it is a duplicate, and gets its receipt
		}
	}
	return batchError(batch, errs)
}

// receiptOf makes the receipt of a call, with the metadata of its message.
func receiptOf(msg *service.Message, f fate) *service.Message {
	receipt := msg.Copy()
	result := dialResult(f.ref, f.Result)
	if lead, err := msg.AsStructured(); err == nil {
		result["lead"] = lead
	}
	receipt.SetStructured(result)
	return receipt
}

// writeReceipts writes until all are written or ctx ends: the calls are placed,
// so failing their messages would only tell a lie.
func (o *dialOutput) writeReceipts(ctx context.Context, left service.MessageBatch) error {
	if len(left) == 0 {
		return nil
	}
	pause := backoff.NewExponentialBackOff(backoff.WithMaxElapsedTime(0))
	told := false
	for {
		index := left.Index()
		err := o.receipts.WriteBatch(ctx, left.Copy())
		if err == nil {
			return nil
		}
		left = failedOf(left, index, err)
		if !told {
			o.log.Warnf("Writing receipts fails and is tried again: %v", err)
			told = true
		}
		timer := time.NewTimer(pause.NextBackOff())
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// failedOf narrows a batch to the messages that an error names, or all of them.
func failedOf(batch service.MessageBatch, index *service.Indexer, err error) service.MessageBatch {
	var b *service.BatchError
	if !errors.As(err, &b) {
		return batch
	}
	failed := make([]bool, len(batch))
	b.WalkMessagesIndexedBy(index, func(i int, _ *service.Message, err error) bool {
		if i >= 0 && i < len(batch) && err != nil {
			failed[i] = true
		}
		return true
	})
	var rest service.MessageBatch
	for i, msg := range batch {
		if failed[i] {
			rest = append(rest, msg)
		}
	}
	if len(rest) == 0 {
		return batch
	}
	return rest
}

// Close closes the receipts. Closing an output that never started would wait for
// its end for ever, and the whole shutdown with it.
func (o *dialOutput) Close(ctx context.Context) error {
	if !o.receiptsStarted.Load() {
		return nil
	}
	return o.receipts.Close(ctx)
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
