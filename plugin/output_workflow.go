package plugin

import (
	"github.com/redpanda-data/benthos/v4/public/service"
)

func init() {
	service.MustRegisterBatchOutput("happyrobot_workflow", outputWorkflowSpec(), newWorkflowOutputFromParsed)
}

func outputWorkflowSpec() *service.ConfigSpec {
	return service.NewConfigSpec().
		Summary("Starts one run of a workflow per message on today's platform, and never a second one.").
		Description(description("happyrobot_workflow", "dial_refusals", "workflow_doubt", "dial_ledger", "workflow_contents", "output_happyrobot_workflow")).
		Categories("Services").
		Fields(platformFields()...).
		Fields(workflowFields()...).
		Fields(numberFields()...).
		Fields(dialOutputFields()...).
		Example("Start a run for each lead of a topic", "The workflow calls the number in `phone_number`. Leads for which no run can be started, or whose run cannot be found, go to an output of their own. Nothing else does.", `
output:
  happyrobot_workflow:
    api_key: ${HAPPYROBOT_API_KEY}
    cluster: us
    workflow: "${HAPPYROBOT_WORKFLOW}"
    environment: production
    ledger: ledger
    dedupe_key: ${! this.id }
    max_rejects_in_a_row: 100
    max_backlog: 200
    phone_field: phone_number
    default_region: US
    payload_mapping: |
      root.phone_number = this.phone
      root.customer_name = this.name
      root.lead_id = this.id
    receipts:
      file: { path: ./runs.jsonl }
    failures:
      file: { path: ./failed.jsonl }

cache_resources:
  - label: ledger
    bbolt:
      path: ./ledger.db
`).
		Example("Start runs through the URL of a trigger", "With `api_key` beside it, runs of unknown outcome are looked up all the same.", `
output:
  happyrobot_workflow:
    api_key: ${HAPPYROBOT_API_KEY}
    workflow: "${HAPPYROBOT_WORKFLOW}"
    hook:
      url: https://workflows.platform.happyrobot.ai/hooks/${HAPPYROBOT_HOOK}
      key: ${HAPPYROBOT_HOOK_KEY}
    ledger: ledger
    dedupe_key: ${! this.id }
    max_rejects_in_a_row: 100
    phone_field: phone_number
    payload_mapping: root.phone_number = this.phone
    failures:
      file: { path: ./failed.jsonl }

cache_resources:
  - label: ledger
    bbolt:
      path: ./ledger.db
`)
}

func newWorkflowOutputFromParsed(conf *service.ParsedConfig, res *service.Resources) (service.BatchOutput, service.BatchPolicy, int, error) {
	engine, err := newRunEngine(conf, res)
	if err != nil {
		return nil, service.BatchPolicy{}, 0, err
	}
	return newDialOutput(conf, res, engine)
}
