package plugin

import (
	"context"

	"github.com/redpanda-data/benthos/v4/public/bloblang"
	"github.com/redpanda-data/benthos/v4/public/service"
)

func init() {
	service.MustRegisterBatchProcessor("happyrobot_dial", processorDialSpec(), newDialProcessorFromParsed)
}

func processorDialSpec() *service.ConfigSpec {
	return service.NewConfigSpec().
		Summary("Places one phone call per message, never a second one, and continues with the created call.").
		Description(description("happyrobot_dial", "dial_refusals", "dial_doubt", "dial_ledger", "dial_contents", "processor_happyrobot_dial")).
		Categories("Integration").
		Fields(clientFields()...).
		Fields(callDialFields()...).
		Fields(numberFields()...).
		Field(resultMapField("`{outcome, dial_ref, call_id, call}`, where `call` is the created call as the API reports it (absent for a duplicate; in a dry run, as it would have been requested)")).
		Example("Call and continue", "Each message keeps its content and gains the call's id.", `
pipeline:
  processors:
    - happyrobot_dial:
        api_key: ${HAPPYROBOT_API_KEY}
        ledger: ledger
        dedupe_key: ${! this.id }
        max_rejects_in_a_row: 100
        number_id: "${HAPPYROBOT_NUMBER_ID}"
        use_case_id: "${HAPPYROBOT_USE_CASE_ID:}"
        call_mapping: root.phone_number = this.phone
        result_map: root.call_id = this.call_id

cache_resources:
  - label: ledger
    bbolt:
      path: ./ledger.db
`)
}

func newDialProcessorFromParsed(conf *service.ParsedConfig, res *service.Resources) (service.BatchProcessor, error) {
	engine, err := newCallEngine(conf, res, true)
	if err != nil {
		return nil, err
	}
	return newDialProcessor(conf, engine)
}

// newDialProcessor makes a processor of an engine.
func newDialProcessor(conf *service.ParsedConfig, engine *dialEngine) (service.BatchProcessor, error) {
	resultMap, err := conf.FieldBloblang(fieldResultMap)
	if err != nil {
		return nil, err
	}
	return &dialProcessor{engine: engine, resultMap: resultMap}, nil
}

// dialProcessor places the call in each message, mid-pipeline.
type dialProcessor struct {
	engine    *dialEngine
	resultMap *bloblang.Executor
}

// ProcessBatch places the calls of a batch. When the pipeline is stopped with
// messages undecided, the whole batch is given back to the input.
func (p *dialProcessor) ProcessBatch(ctx context.Context, batch service.MessageBatch) ([]service.MessageBatch, error) {
	fates, err := p.engine.dial(ctx, batch)
	if err != nil {
		return nil, err
	}
	for i, f := range fates {
		setDialMeta(batch[i], f)
		if f.Err == nil {
			f.Err = p.apply(batch[i], f)
		}
		if f.Err != nil {
			batch[i].SetError(f.Err)
		}
	}
	return []service.MessageBatch{batch}, nil
}

// apply puts a dial's result into its message. An error still says that the call was
// placed, and which it is: whoever handles it must not take the lead for one to call.
func (p *dialProcessor) apply(msg *service.Message, f fate) error {
	err := overlay(msg, f.result(), p.resultMap)
	if err == nil {
		return nil
	}
	return f.unit.failure(f.Result, reasonOf(err), err)
}

// Close ends the notices. Calls are finished within ProcessBatch.
func (p *dialProcessor) Close(context.Context) error {
	p.engine.close()
	return nil
}
