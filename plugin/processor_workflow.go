package plugin

import (
	"github.com/redpanda-data/benthos/v4/public/service"
)

func init() {
	service.MustRegisterBatchProcessor("happyrobot_workflow", processorWorkflowSpec(), newWorkflowProcessorFromParsed)
}

func processorWorkflowSpec() *service.ConfigSpec {
	return service.NewConfigSpec().
		Summary("Starts one run of a workflow per message on today's platform, never a second one, and continues with its id.").
		Description(description("happyrobot_workflow", "dial_refusals", "workflow_doubt", "dial_ledger", "workflow_contents", "processor_happyrobot_workflow")).
		Categories("Integration").
		Fields(platformFields()...).
		Fields(workflowFields()...).
		Fields(numberFields()...).
		Field(resultMapField("`{outcome, dial_ref, run_id, run_ids, run}`, where `run_ids` is there if the API named several and `run` is its answer (absent for a duplicate; in a dry run, the payload that would have been sent)")).
		Example("Start a run and continue", "Each message keeps its content and gains the run's id.", `
pipeline:
  processors:
    - happyrobot_workflow:
        api_key: ${HAPPYROBOT_API_KEY}
        workflow: "${HAPPYROBOT_WORKFLOW}"
        ledger: ledger
        dedupe_key: ${! this.id }
        max_rejects_in_a_row: 100
        phone_field: phone_number
        payload_mapping: root.phone_number = this.phone
        result_map: root.run_id = this.run_id

cache_resources:
  - label: ledger
    bbolt:
      path: ./ledger.db
`)
}

func newWorkflowProcessorFromParsed(conf *service.ParsedConfig, res *service.Resources) (service.BatchProcessor, error) {
	engine, err := newRunEngine(conf, res)
	if err != nil {
		return nil, err
	}
	return newDialProcessor(conf, engine)
}
