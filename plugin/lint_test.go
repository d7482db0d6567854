package plugin_test

import (
	"context"
	"strings"
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Every lint rule has a config that passes and one that fails. The linter is
// asked, since parsing a config does not lint it.
func TestLintRefusesMistakesByFieldName(t *testing.T) {
	t.Parallel()
	linter := service.NewEnvironment().NewComponentConfigLinter()
	lint := map[string]func([]byte) ([]service.Lint, error){
		"input": linter.LintInputYAML, "output": linter.LintOutputYAML, "processor": linter.LintProcessorYAML, "cache": linter.LintCacheYAML,
	}
	for _, tc := range []struct{ kind, good, bad, names string }{
		{"output", `happyrobot_dial: {api_key_file: /run/key}`, `happyrobot_dial: {api_key_path: /run/key}`, "api_key_path"},
		{"output", `happyrobot_dial: {api_key: k, default_region: US}`, `happyrobot_dial: {api_key: k, default_region: usa}`, "default_region"},
		{"output", `happyrobot_dial: {api_key: k, default_region: GB}`, `happyrobot_dial: {api_key: k, default_region: UK}`, "did you mean GB?"},
		{"output", `happyrobot_dial: {api_key: k, default_region: ""}`, `happyrobot_dial: {api_key: k, default_region: XX}`, "default_region"},
		{"output", `happyrobot_dial: {api_key: k, regions: [US, CA]}`, `happyrobot_dial: {api_key: k, regions: [US, UK]}`, "did you mean GB?"},
		{"output", `happyrobot_dial: {api_key: k, regions: ["*"]}`, `happyrobot_dial: {api_key: k, regions: [ca]}`, "regions"},
		{"processor", `happyrobot_dial: {api_key: k, regions: []}`, `happyrobot_dial: {api_key: k, regions: [EU]}`, "regions"},
		{"output", `happyrobot_dial: {api_key: k, numbers: possible}`, `happyrobot_dial: {api_key: k, numbers: any}`, "any"},
		{"output", `happyrobot_dial: {api_key: k, refuse_types: []}`, `happyrobot_dial: {api_key: k, refuse_types: [premium]}`, "refuse_types"},
		{"output", `happyrobot_dial: {api_key: k, refuse_types: [satellite, toll_free]}`, `happyrobot_dial: {api_key: k, refuse_types: [Satellite]}`, "refuse_types"},
		{"output", `happyrobot_dial: {api_key: k, on_unknown: hold}`, `happyrobot_dial: {api_key: k, on_unknown: guess}`, "guess"},
		{"output", `happyrobot_dial: {api_key: k, max_calls_per_request: 1}`, `happyrobot_dial: {api_key: k, max_calls_per_request: 0}`, "max_calls_per_request"},
		{"output", `happyrobot_dial: {api_key: k, max_rejects_in_a_row: 100}`, `happyrobot_dial: {api_key: k, max_rejects_in_a_row: -1}`, "max_rejects_in_a_row"},
		{"processor", `happyrobot_dial: {api_key: k, max_rejects_in_a_row: 0}`, `happyrobot_dial: {api_key: k, max_rejects_in_a_row: -100}`, "max_rejects_in_a_row"},
		{"output", `happyrobot_dial: {api_key: k, max_call_bytes: 1}`, `happyrobot_dial: {api_key: k, max_call_bytes: 0}`, "max_call_bytes"},
		{"output", `happyrobot_dial: {api_key: k, call_rate_limit: calls}`, `happyrobot_dial: {api_key: k, call_rate_limit: " calls"}`, "call_rate_limit"},
		{"output", `happyrobot_dial: {api_key: k, max_redials: 0}`, `happyrobot_dial: {api_key: k, max_redials: -1}`, "max_redials"},
		{"output", `happyrobot_dial: {api_key: k, headers: {X-authorization: v}}`, `happyrobot_dial: {api_key: k, headers: {X-Team: v, authorization: v}}`, "`headers`: authorization must not be set"},
		{"output", `happyrobot_dial: {api_key: k, headers: {X-HOST: v}}`, `happyrobot_dial: {api_key: k, headers: {X-Team: v, HOST: v}}`, "`headers`: HOST must not be set"},
		{"output", `happyrobot_dial: {api_key: k, headers: {X-Content-Type: v}}`, `happyrobot_dial: {api_key: k, headers: {X-Team: v, Content-Type: v}}`, "`headers`: Content-Type must not be set"},
		{"output", `happyrobot_dial: {api_key: k, headers: {X-content-encoding: v}}`, `happyrobot_dial: {api_key: k, headers: {X-Team: v, content-encoding: v}}`, "`headers`: content-encoding must not be set"},
		{"output", `happyrobot_dial: {api_key: k, headers: {X-Accept-Encoding: v}}`, `happyrobot_dial: {api_key: k, headers: {X-Team: v, Accept-Encoding: v}}`, "`headers`: Accept-Encoding must not be set"},
		{"output", `happyrobot_dial: {api_key: k, headers: {X-Team: v}}`, `happyrobot_dial: {api_key: k, headers: {X-Team: v, IDEMPOTENCY-KEY: v}}`, "`headers`: IDEMPOTENCY-KEY must not be set"},
		{"output", `happyrobot_dial: {api_key: k, headers: {X-Transfer-Encoding: v}}`, `happyrobot_dial: {api_key: k, headers: {X-Team: v, Transfer-Encoding: v}}`, "`headers`: Transfer-Encoding must not be set"},
		{"output", `happyrobot_dial: {api_key: k, number_id: éééééééééééééééééééééééé}`, `happyrobot_dial: {api_key: k, number_id: éééééééééééé}`, "number_id"},
		{"processor", `happyrobot_dial: {api_key: k, use_case_id: 64f0c0de00000000000000b1}`, `happyrobot_dial: {api_key: k, use_case_id: "64f0c0de000000000000/0b1"}`, "use_case_id"},
		{"output", `happyrobot_dial: {api_key: k, agent_id: 64f0c0de00000000000000b1}`, `happyrobot_dial: {api_key: k, agent_id: '64f0c0de000000000000\0b1'}`, "agent_id"},
		{"output", `happyrobot_dial: {api_key: k, agent_id: 64f0c0de00000000000000b1}`, `happyrobot_dial: {api_key: k, agent_id: "64f0c0de0000000000` + "\u200b" + `000b1"}`, "agent_id"},
		{"output", `happyrobot_dial: {api_key: k, call_mapping: "root = this"}`, `happyrobot_dial: {api_key: k, call_mapping: "root = ("}`, "expected query"},
		{"output", `happyrobot_dial: {api_key: k, settle: 1s}`, `happyrobot_dial: {api_key: k, settel: 1s}`, "settel"},
		{"output", `happyrobot_dial: {api_key: k, batching: {count: 5, processors: []}, failures: {drop: {}}}`, `happyrobot_dial: {api_key: k, batching: {count: 5, processors: [{mapping: root = this}]}}`, "batching.processors: not supported"},
		{"output", `happyrobot_workflow: {api_key: k, workflow: w, payload_mapping: root = this}`, `happyrobot_workflow: {api_key: k, workflow: w}`, "payload_mapping"},
		{"output", `happyrobot_workflow: {api_key: k, workflow: w, payload_mapping: root = this, cluster: eu}`, `happyrobot_workflow: {api_key: k, workflow: w, payload_mapping: root = this, cluster: asia}`, "asia"},
		{"output", `happyrobot_workflow: {api_key: k, workflow: 00000000-0000-7002-8000-000000000001, payload_mapping: root = this}`, `happyrobot_workflow: {api_key: k, workflow: "a b", payload_mapping: root = this}`, "`workflow`"},
		{"output", `happyrobot_workflow: {api_key: k, workflow: a_b.c, payload_mapping: root = this}`, `happyrobot_workflow: {api_key: k, workflow: a/b, payload_mapping: root = this}`, "`workflow`"},
		{"output", `happyrobot_workflow: {api_key: k, workflow: w, payload_mapping: root = this, environment: staging}`, `happyrobot_workflow: {api_key: k, workflow: w, payload_mapping: root = this, environment: test}`, "test"},
		{"output", `happyrobot_workflow: {api_key: k, workflow: w, payload_mapping: root = this, phone_field: contact.phone}`, `happyrobot_workflow: {api_key: k, workflow: w, payload_mapping: root = this, phone_field: contact..phone}`, "phone_field"},
		{"processor", `happyrobot_workflow: {api_key: k, workflow: w, payload_mapping: root = this, ref_field: meta.ref}`, `happyrobot_workflow: {api_key: k, workflow: w, payload_mapping: root = this, ref_field: ""}`, "ref_field"},
		{"output", `happyrobot_workflow: {api_key: k, workflow: w, payload_mapping: root = this, max_backlog: 0}`, `happyrobot_workflow: {api_key: k, workflow: w, payload_mapping: root = this, max_backlog: -1}`, "max_backlog"},
		{"output", `happyrobot_workflow: {workflow: w, payload_mapping: root = this, hook: {url: "https://workflows.platform.happyrobot.ai/hooks/s", key: k}}`, `happyrobot_workflow: {workflow: w, payload_mapping: root = this, hook: {uri: x}}`, "uri"},
		{"output", `happyrobot_workflow: {api_key: k, workflow: w, payload_mapping: root = this, settle: 1s}`, `happyrobot_workflow: {api_key: k, workflow: w, payload_mapping: root = this, number_id: 64f0c0de00000000000000c1}`, "number_id"},
		{"processor", `happyrobot_call: {api_key: k, call_id: x}`, `happyrobot_call: {api_key: k}`, "call_id"},
		{"processor", `happyrobot_call: {api_key: k, call_id: x, include: [logs]}`, `happyrobot_call: {api_key: k, call_id: x, include: [video]}`, "include"},
		{"processor", `happyrobot_call: {api_key: k, call_id: x, wait: finished}`, `happyrobot_call: {api_key: k, call_id: x, wait: ages}`, "ages"},
		{"processor", `happyrobot_call: {api_key: k, call_id: x, parallelism: 1}`, `happyrobot_call: {api_key: k, call_id: x, parallelism: 0}`, "parallelism"},
		{"processor", `happyrobot_request: {api_key: k, operation: getUsage}`, `happyrobot_request: {api_key: k}`, "operation"},
		{"processor", `happyrobot_request: {api_key: k, operation: getUsage}`, `happyrobot_request: {api_key: k, operation: getUseage}`, "getUseage"},
		{"processor", `happyrobot_request: {api_key: k, operation: getUsage}`, `happyrobot_request: {api_key: k, operation: getusage}`, "getusage"},
		{"processor", `happyrobot_request: {api_key: k, operation: exportCalls}`, `happyrobot_request: {api_key: k, operation: createOutboundCall}`, "happyrobot_dial"},
		{"processor", `happyrobot_request: {api_key: k, operation: exportCalls}`, `happyrobot_request: {api_key: k, operation: createOutboundCallsBatched}`, "happyrobot_dial"},
		{"processor", `happyrobot_request: {api_key: k, operation: exportCalls}`, `happyrobot_request: {api_key: k, operation: createScheduledCampaign}`, "happyrobot_dial"},
		{"processor", `happyrobot_request: {api_key: k, operation: getUsage, args_mapping: "root = {}"}`, `happyrobot_request: {api_key: k, operation: getUsage, args_mapping: "root = ("}`, "expected query"},
		{"processor", `happyrobot_request: {api_key: k, operation: getUsage, path: "/v2/usage/{org}"}`, `happyrobot_request: {api_key: k, operation: getUsage, path: usage}`, "path"},
		{"processor", `happyrobot_request: {api_key: k, operation: getUsage, path: /a..b}`, `happyrobot_request: {api_key: k, operation: getUsage, path: /a/../b}`, "path"},
		{"processor", `happyrobot_request: {api_key: k, operation: exportCalls, path: /calls/dialed}`, `happyrobot_request: {api_key: k, operation: exportCalls, path: /Dial/outbound}`, "happyrobot_dial"},
		{"processor", `happyrobot_request: {api_key: k, operation: listRuns}`, `happyrobot_request: {api_key: k, operation: triggerRun}`, "use happyrobot_workflow"},
		{"processor", `happyrobot_request: {api_key: k, operation: describeApiKey}`, `happyrobot_request: {api_key: k, operation: triggerHook, path: /runs}`, "use happyrobot_workflow"},
		{"processor", `happyrobot_request: {api_key: k, operation: cancelRun}`, `happyrobot_request: {api_key: k, operation: triggerHookInEnvironment}`, "use happyrobot_workflow"},
		{"processor", `happyrobot_request: {api_key: k, operation: legacyListRuns}`, `happyrobot_request: {api_key: k, operation: twinSql}`, "any SQL statement"},
		{"processor", `happyrobot_request: {api_key: k, operation: listSessionMessages}`, `happyrobot_request: {api_key: k, operation: streamSession}`, "listSessionMessages reads what was said"},
		{"processor", `happyrobot_request: {api_key: k, operation: getRun, path: "/workflows/{id}/runs"}`, `happyrobot_request: {api_key: k, operation: getRun, path: /Hooks/slug}`, "`path` must not be a path that would reach a hook"},
		{"processor", `happyrobot_request: {api_key: k, operation: getRun, path: /webhooks}`, `happyrobot_request: {api_key: k, operation: getRun, path: //hooks/slug}`, "path"},
		{"processor", `happyrobot_request: {api_key: k, operation: getRun, path: /hooked}`, `happyrobot_request: {api_key: k, operation: getRun, path: "/%68ooks/slug"}`, "path"},
		{"processor", `happyrobot_request: {api_key: k, operation: getRun, path: /hooked}`, `happyrobot_request: {api_key: k, operation: getRun, path: "/runs?to=/hooks/slug"}`, "path"},
		{"processor", `happyrobot_request: {api_key: k, operation: getRun, path: "/sessions/{id}/streamed/x"}`, `happyrobot_request: {api_key: k, operation: getRun, path: "/sessions/{id}/stream"}`, "a stream of events"},
		{"processor", `happyrobot_request: {api_key: k, operation: cancelRun, path: "/v3/runs/{id}/cancel"}`, `happyrobot_request: {api_key: k, operation: cancelRun, path: "/workflows/{id}/runs"}`, "would start runs"},
		{"processor", `happyrobot_request: {api_key: k, operation: cancelRun, path: "/workflows/{id}/cancel-runs"}`, `happyrobot_request: {api_key: k, operation: cancelRun, path: "/workflows/{id}/{what}"}`, "must end with cancel"},
		{"processor", `happyrobot_request: {api_key: k, operation: cancelRun}`, `happyrobot_request: {api_key: k, operation: cancelRun, path: /Signals}`, "send signals"},
		{"processor", `happyrobot_request: {api_key: k, operation: listRuns, path: /twin/tables}`, `happyrobot_request: {api_key: k, operation: exportCalls, path: /twin/SQL}`, "any SQL statement"},
		{"processor", `happyrobot_request: {api_key: k, operation: exportCalls, path: /calls/prune}`, `happyrobot_request: {api_key: k, operation: exportCalls, path: "/workflows/{id}/runs"}`, "would start runs"},
		{"processor", `happyrobot_request: {api_key: k, operation: exportCalls}`, `happyrobot_request: {api_key: k, operation: exportCalls, path: "/runs/{id}/restart"}`, "would start runs"},
		{"processor", `happyrobot_request: {api_key: k, operation: getRun, base_url: "https://platform.eu.happyrobot.ai/api/v2"}`, `happyrobot_request: {api_key: k, operation: getRun, base_url: "https://workflows.platform.happyrobot.ai/hooks"}`, "`base_url` must not end in a path that would reach a hook"},
		{"processor", `happyrobot_request: {api_key: k, operation: addNote, base_url: "https://app.happyrobot.ai/api/v1"}`, `happyrobot_request: {api_key: k, operation: addNote, base_url: "https://platform.happyrobot.ai/api/v2"}`, "must end with cancel"},
		{"processor", `happyrobot_request: {api_key: k, operation: addNote, base_url: "https://platform.happyrobot.ai/api/v2", path: "/runs/{run}/cancel"}`, `happyrobot_request: {api_key: k, operation: addNote, base_url: "https://workflows.platform.happyrobot.ai", path: "/workflows/{w}/test"}`, "must end with cancel"},
		{"processor", `happyrobot_request: {api_key: k, operation: getCall, base_url: "https://platform.happyrobot.ai/api/v2", path: "/workflows/{w}/test"}`, `happyrobot_request: {api_key: k, operation: addNote, base_url: "https://proxy.example.com/api", path: "/v2/{x}"}`, "must end with cancel"},
		{"processor", `happyrobot_request: {api_key: k, operation: exportCalls, base_url: "https://dial.example.com/api/v1"}`, `happyrobot_request: {api_key: k, operation: exportCalls, base_url: "https://app.happyrobot.ai/api/v1/dial"}`, "happyrobot_dial"},
		{"input", `happyrobot_webhook: {secrets: [s, "a b"]}`, `happyrobot_webhook: {secrets: [s, " a"]}`, "`secrets`"},
		{"input", `happyrobot_webhook: {secrets: [s]}`, `happyrobot_webhook: {secrets: [s, ""]}`, "`secrets`"},
		{"input", `happyrobot_webhook: {secret: "a b"}`, `happyrobot_webhook: {secret: " a"}`, "`secret`"},
		{"input", `happyrobot_webhook: {secret: s}`, `happyrobot_webhook: {secret: "ü"}`, "`secret`"},
		{"input", `happyrobot_webhook: {secret: s, secret_header: X-Secret}`, `happyrobot_webhook: {secret: s, secret_header: "X Secret"}`, "secret_header"},
		{"input", `happyrobot_webhook: {secret: s, path: /}`, `happyrobot_webhook: {secret: s, path: events}`, "path"},
		{"input", `happyrobot_webhook: {secret: s, path: /a/b}`, `happyrobot_webhook: {secret: s, path: "/a?b"}`, "path"},
		{"input", `happyrobot_webhook: {secret: s, run_id_path: data.run_id}`, `happyrobot_webhook: {secret: s, run_id_path: data..run_id}`, "run_id_path"},
		{"input", `happyrobot_webhook: {secret: s, run_id_path: ""}`, `happyrobot_webhook: {secret: s, run_id_path: "run id"}`, "run_id_path"},
		{"input", `happyrobot_webhook: {secret: s, max_body_bytes: 1}`, `happyrobot_webhook: {secret: s, max_body_bytes: 0}`, "max_body_bytes"},
		{"input", `happyrobot_webhook: {secret: s, max_in_flight: 1}`, `happyrobot_webhook: {secret: s, max_in_flight: 0}`, "max_in_flight"},
		{"input", `happyrobot_webhook: {secret: "s\n"}`, `happyrobot_webhook: {secret: "s\nt"}`, "`secret`"},
		{"input", `happyrobot_webhook: {secrets: ["s\r\n", t]}`, `happyrobot_webhook: {secrets: [s, "\n"]}`, "`secrets`"},
		{"input", `happyrobot_webhook: {secret: s, max_connections: 1}`, `happyrobot_webhook: {secret: s, max_connections: 0}`, "max_connections"},
		{"input", `happyrobot_webhook: {secret: s, tls: {cert_file: a, key_file: b}}`, `happyrobot_webhook: {secret: s, tls: {cert_file: a}}`, "tls"},
		{"input", `happyrobot_webhook: {secret: s, tls: {}}`, `happyrobot_webhook: {secret: s, tls: {key_file: a}}`, "tls"},
		{"input", `happyrobot_calls: {api_key: k, cache: c}`, `happyrobot_calls: {api_key: k}`, "cache"},
		{"input", `happyrobot_calls: {api_key: k, cache: c}`, `happyrobot_calls: {api_key: k, cache: ""}`, "cache"},
		{"input", `happyrobot_calls: {api_key: k, cache: c, start_from: 90m}`, `happyrobot_calls: {api_key: k, cache: c, start_from: yesterday}`, "start_from"},
		{"input", `happyrobot_calls: {api_key: k, cache: c, start_from: "2026-03-01"}`, `happyrobot_calls: {api_key: k, cache: c, start_from: -1h}`, "start_from"},
		{"input", `happyrobot_calls: {api_key: k, cache: c, start_from: "2026-03-01T00:00:00Z"}`, `happyrobot_calls: {api_key: k, cache: c, start_from: ""}`, "start_from"},
		{"input", `happyrobot_calls: {api_key: k, cache: c, emit: changes}`, `happyrobot_calls: {api_key: k, cache: c, emit: all}`, "all"},
		{"input", `happyrobot_calls: {api_key: k, cache: c, type: Inbound}`, `happyrobot_calls: {api_key: k, cache: c, type: sideways}`, "sideways"},
		{"input", `happyrobot_calls: {api_key: k, cache: c, include: [transcript]}`, `happyrobot_calls: {api_key: k, cache: c, include: [video]}`, "include"},
		{"input", `happyrobot_calls: {api_key: k, cache: c, page_size: 1999}`, `happyrobot_calls: {api_key: k, cache: c, page_size: 2000}`, "page_size"},
		{"input", `happyrobot_calls: {api_key: k, cache: c, page_size: 1}`, `happyrobot_calls: {api_key: k, cache: c, page_size: 0}`, "page_size"},
		{"input", `happyrobot_calls: {api_key: k, cache: c, statuses: [Completed, New word]}`, `happyrobot_calls: {api_key: k, cache: c, statuses: [Ringing]}`, "statuses"},
		{"input", `happyrobot_calls: {api_key: k, cache: c, emit: changes, statuses: [Ringing]}`, `happyrobot_calls: {api_key: k, cache: c, emit: finished, statuses: [In progress]}`, "statuses"},
		{"input", `happyrobot_calls: {api_key: k, cache: c, statuses: [No answer, New word]}`, `happyrobot_calls: {api_key: k, cache: c, statuses: [Busy, no Answer]}`, "No answer"},
		{"input", `happyrobot_calls: {api_key: k, cache: c, statuses: [no-answer, cancelled, Paused]}`, `happyrobot_calls: {api_key: k, cache: c, statuses: [in-progress]}`, "statuses"},
		{"input", `happyrobot_runs: {api_key: k, workflows: [w], cache: c}`, `happyrobot_runs: {api_key: k, workflows: [w]}`, "cache"},
		{"input", `happyrobot_runs: {api_key: k, workflows: [w], cache: c}`, `happyrobot_runs: {api_key: k, workflows: [w], cache: " "}`, "cache"},
		{"input", `happyrobot_runs: {api_key: k, workflows: [w], cache: c}`, `happyrobot_runs: {api_key: k, workflows: [], cache: c}`, "workflows"},
		{"input", `happyrobot_runs: {api_key: k, workflows: [w], cache: c, start_from: 90m}`, `happyrobot_runs: {api_key: k, workflows: [w], cache: c, start_from: yesterday}`, "start_from"},
		{"input", `happyrobot_runs: {api_key: k, workflows: [w], cache: c, emit: session}`, `happyrobot_runs: {api_key: k, workflows: [w], cache: c, emit: finished}`, "finished"},
		{"input", `happyrobot_runs: {api_key: k, workflows: [w], cache: c, cluster: eu}`, `happyrobot_runs: {api_key: k, workflows: [w], cache: c, cluster: mars}`, "mars"},
		{"input", `happyrobot_runs: {api_key: k, workflows: [w], cache: c, page_size: 20}`, `happyrobot_runs: {api_key: k, workflows: [w], cache: c, page_size: 19}`, "page_size"},
		{"input", `happyrobot_runs: {api_key: k, workflows: [w], cache: c, page_size: 1999}`, `happyrobot_runs: {api_key: k, workflows: [w], cache: c, page_size: 2000}`, "page_size"},
		{"input", `happyrobot_runs: {api_key: k, workflows: [w], cache: c, include: [credits, recordings]}`, `happyrobot_runs: {api_key: k, workflows: [w], cache: c, include: [logs]}`, "include"},
		{"input", `happyrobot_runs: {api_key: k, workflows: [w], cache: c, include: [outputs], outputs: [AI Extract]}`, `happyrobot_runs: {api_key: k, workflows: [w], cache: c, outputs: [AI Extract]}`, "`outputs` needs"},
		{"input", `happyrobot_runs: {api_key: k, workflows: [w], cache: c, include: [outputs], outputs: [AI Extract]}`, `happyrobot_runs: {api_key: k, workflows: [w], cache: c, include: [outputs]}`, "must name the nodes"},
		{"processor", `happyrobot_run: {api_key: k, run_id: x}`, `happyrobot_run: {api_key: k}`, "must be set"},
		{"processor", `happyrobot_run: {api_key: k, session_id: x}`, `happyrobot_run: {api_key: k, run_id: x, session_id: y}`, "only one of"},
		{"processor", `happyrobot_run: {api_key: k, run_id: x, wait: finished}`, `happyrobot_run: {api_key: k, run_id: x, wait: transcript}`, "transcript"},
		{"processor", `happyrobot_run: {api_key: k, run_id: x, include: [transcript]}`, `happyrobot_run: {api_key: k, run_id: x, include: [recording]}`, "include"},
		{"processor", `happyrobot_run: {api_key: k, run_id: x, include: [outputs], outputs: [a]}`, `happyrobot_run: {api_key: k, run_id: x, include: [transcript], outputs: [a]}`, "`outputs` needs"},
		{"processor", `happyrobot_run: {api_key: k, run_id: x, parallelism: 1}`, `happyrobot_run: {api_key: k, run_id: x, parallelism: 0}`, "parallelism"},
		{"cache", `bbolt: {path: a.db}`, `bbolt: {path: ""}`, "path"},
	} {
		t.Run(tc.bad, func(t *testing.T) {
			lints, err := lint[tc.kind]([]byte(tc.good))
			require.NoError(t, err)
			assert.Empty(t, lints)

			lints, err = lint[tc.kind]([]byte(tc.bad))
			require.NoError(t, err)
			require.NotEmpty(t, lints)
			var said []string
			for _, l := range lints {
				said = append(said, l.Error())
			}
			assert.Contains(t, strings.Join(said, "\n"), tc.names)
		})
	}
}

func TestExamplesLint(t *testing.T) {
	t.Parallel()
	env := service.NewEnvironment()
	linter := env.FullConfigSchema("", "").NewStreamConfigLinter().SetEnvVarLookupFunc(func(context.Context, string) (string, bool) { return "64f0c0de00000000000000c1", true })
	seen, dialing := map[string]int{}, 0
	for _, page := range componentPages(t, env) {
		data, err := page.view.TemplateData()
		require.NoError(t, err)
		seen[data.Name+" "+data.Type] = len(data.Examples)
		for _, e := range data.Examples {
			lints, err := linter.LintYAML([]byte(e.Config))
			require.NoError(t, err, e.Title)
			assert.Empty(t, lints, e.Title)

			// Without an output for them, a failed lead is lost behind a filter.
			if _, dial, dials := strings.Cut(e.Config, "\noutput:\n  happyrobot_dial:\n"); dials {
				assert.Contains(t, dial, "\n    failures:\n", "%s: %s", data.Name, e.Title)
				assert.Contains(t, dial, "\n    max_rejects_in_a_row: 100\n", "%s: %s", data.Name, e.Title)
				dialing++
			}
		}
	}
	assert.Equal(t, map[string]int{
		"happyrobot_dial output": 4, "happyrobot_dial processor": 1, "happyrobot_call processor": 1, "happyrobot_request processor": 2,
		"happyrobot_calls input": 2, "happyrobot_run processor": 1, "happyrobot_runs input": 2, "happyrobot_webhook input": 2, "happyrobot_workflow output": 2, "happyrobot_workflow processor": 1, "bbolt cache": 1, "happyrobot_leads scanner": 0,
	}, seen)
	assert.Equal(t, 5, dialing)
}

func TestStartRefusesInputMistakesByFieldName(t *testing.T) {
	t.Parallel()
	for config, names := range map[string]string{
		`happyrobot_calls: {api_key: k, cache: nowhere}`:                                "cache",
		`happyrobot_calls: {api_key: k, cache: c, rate_limit: nowhere}`:                 "rate_limit",
		`happyrobot_calls: {api_key: k, cache: c, start_from: 2026-99-99}`:              "start_from",
		`happyrobot_calls: {api_key: k, cache: c, start_from: -5m}`:                     "start_from",
		`happyrobot_calls: {api_key: k, cache: c, page_size: 0}`:                        "page_size",
		`happyrobot_calls: {api_key: k, cache: c, poll_interval: 0s}`:                   "poll_interval",
		`happyrobot_calls: {api_key: k, cache: c, max_call_age: -1s}`:                   "max_call_age",
		`happyrobot_calls: {api_key: k, cache: c, list_lag: 0s}`:                        "list_lag",
		`happyrobot_calls: {api_key: k, cache: c, include_timeout: 0s}`:                 "include_timeout",
		`happyrobot_calls: {api_key: k, cache: c, include: [video]}`:                    "include",
		`happyrobot_calls: {api_key: k, cache: c, statuses: [Ringing]}`:                 "statuses",
		`happyrobot_calls: {api_key: k, cache: c, statuses: [completed]}`:               `"Completed"`,
		`happyrobot_calls: {api_key: k, cache: c, statuses: [in-progress]}`:             "statuses",
		`happyrobot_calls: {api_key: k, cache: c, emit: all}`:                           "emit",
		`happyrobot_calls: {api_key: k, cache: c, type: sideways}`:                      "type",
		`happyrobot_calls: {api_key: k, cache: c, use_cases: ["a,b"]}`:                  "use_cases",
		`happyrobot_calls: {api_key: k, cache: c, use_cases: ["../usage"]}`:             "use_cases",
		`happyrobot_calls: {api_key: k, cache: c, campaigns: [""]}`:                     "campaigns",
		`happyrobot_calls: {api_key: k, cache: c, base_url: "https://u:p@example.com"}`: "base_url",

		`happyrobot_runs: {api_key: k, workflows: [w], cache: nowhere}`:                                "cache",
		`happyrobot_runs: {api_key: k, workflows: [], cache: c}`:                                       "workflows",
		`happyrobot_runs: {api_key: k, workflows: [a, a], cache: c}`:                                   "workflows",
		`happyrobot_runs: {api_key: k, workflows: ["a/b"], cache: c}`:                                  "workflows",
		`happyrobot_runs: {api_key: k, workflows: [w], cache: c, environments: [live]}`:                "environments",
		`happyrobot_runs: {api_key: k, workflows: [w], cache: c, page_size: 19}`:                       "page_size",
		`happyrobot_runs: {api_key: k, workflows: [w], cache: c, page_size: 2000}`:                     "page_size",
		`happyrobot_runs: {api_key: k, workflows: [w], cache: c, max_run_age: 0s}`:                     "max_run_age",
		`happyrobot_runs: {api_key: k, workflows: [w], cache: c, include: [logs]}`:                     "include",
		`happyrobot_runs: {api_key: k, workflows: [w], cache: c, include: [outputs]}`:                  "outputs",
		`happyrobot_runs: {api_key: k, workflows: [w], cache: c, outputs: [AI Extract]}`:               "outputs",
		`happyrobot_runs: {api_key: k, workflows: [w], cache: c, include: [outputs], outputs: [""]}`:   "outputs",
		`happyrobot_runs: {api_key: k, workflows: [w], cache: c, cluster: mars}`:                       "cluster",
		`happyrobot_runs: {api_key: k, workflows: [w], cache: c, base_url: "http://platform.example"}`: "base_url",
	} {
		t.Run(config, func(t *testing.T) {
			b := service.NewStreamBuilder()
			b.DisableLinting()
			require.NoError(t, b.AddCacheYAML("label: c\nmemory: {}"))
			require.NoError(t, b.AddInputYAML(config))
			require.NoError(t, b.AddOutputYAML(`drop: {}`))
			stream, err := b.Build()
			if err == nil {
				err = stream.Run(t.Context())
			}
			require.Error(t, err)
			assert.Contains(t, err.Error(), names)
		})
	}
}

// What no linter can know is refused at start, by the field's name.
func TestStartRefusesMistakesByFieldName(t *testing.T) {
	t.Parallel()
	for config, names := range map[string]string{
		`happyrobot_dial: {api_key: k, ledger: nowhere}`:                                     "ledger",
		`happyrobot_dial: {api_key: k, rate_limit: nowhere}`:                                 "rate_limit",
		`happyrobot_dial: {api_key: k, call_rate_limit: nowhere}`:                            `call_rate_limit: no rate_limit resource is labelled "nowhere"`,
		`happyrobot_dial: {api_key: "", ledger: ""}`:                                         "api_key: must not be empty, unless api_key_file is set",
		`happyrobot_dial: {ledger: ""}`:                                                      "api_key: must not be empty, unless api_key_file is set",
		`happyrobot_dial: {api_key: " "}`:                                                    "api_key: must not contain blanks",
		`happyrobot_dial: {api_key: k, api_key_file: /run/key}`:                              "api_key and api_key_file: only one of them may be set",
		`happyrobot_call: {api_key_file: /nowhere/key, call_id: x}`:                          `api_key_file: open /nowhere/key`,
		`happyrobot_dial: {api_key: k, base_url: "ftp://localhost"}`:                         "base_url",
		`happyrobot_dial: {api_key: k, timeout: 0s}`:                                         "timeout",
		`happyrobot_dial: {api_key: k, default_region: XX}`:                                  "default_region",
		`happyrobot_dial: {api_key: k, retry: {max_elapsed_time: -1s}}`:                      "max_elapsed_time: must not be negative",
		`happyrobot_dial: {api_key: k, max_rejects_in_a_row: -1}`:                            "max_rejects_in_a_row",
		`happyrobot_dial: {api_key: k, max_call_bytes: 0}`:                                   "max_call_bytes",
		`happyrobot_dial: {api_key: k, dedupe_window: 1m}`:                                   "dedupe_window",
		`happyrobot_call: {api_key: k, call_id: x, cache: nowhere}`:                          "cache",
		`happyrobot_call: {api_key: k, call_id: x, include: [], wait: transcript}`:           "include",
		`happyrobot_call: {api_key: k, call_id: x, poll_interval: -1s}`:                      "poll_interval",
		`happyrobot_call: {api_key: k, call_id: x, wait: ages}`:                              "wait",
		`happyrobot_dial: {api_key: k, on_unknown: guess}`:                                   "on_unknown",
		`happyrobot_run: {api_key: k}`:                                                       "run_id: must be set, or else session_id",
		`happyrobot_run: {api_key: k, run_id: x, session_id: y}`:                             "run_id and session_id: only one",
		`happyrobot_run: {api_key: k, run_id: x, wait: transcript}`:                          "wait",
		`happyrobot_run: {api_key: k, run_id: x, cache: nowhere}`:                            "cache",
		`happyrobot_run: {api_key: k, run_id: x, parallelism: 0}`:                            "parallelism",
		`happyrobot_run: {api_key: k, run_id: x, outputs: [a]}`:                              "outputs",
		`happyrobot_request: {api_key: k, operation: nothing}`:                               "operation",
		`happyrobot_request: {api_key: k, operation: createOutboundCall}`:                    "happyrobot_dial",
		`happyrobot_request: {api_key: k, operation: getUsage, path: /a/../b}`:               "path",
		`happyrobot_dial: {api_key: "\n"}`:                                                   "api_key: must not be empty",
		`happyrobot_dial: {api_key: k, headers: {host: a.example}}`:                          "headers: host must not be set",
		`happyrobot_call: {api_key: k, call_id: x, headers: {Accept-Encoding: gzip}}`:        "headers: Accept-Encoding must not be set",
		`happyrobot_request: {api_key: k, operation: getUsage, headers: {AUTHORIZATION: k}}`: "headers: AUTHORIZATION must not be set",
	} {
		t.Run(config, func(t *testing.T) {
			b := service.NewStreamBuilder()
			b.DisableLinting()
			require.NoError(t, b.AddInputYAML(`generate: {mapping: "root = {}", count: 1}`))
			require.NoError(t, b.AddOutputYAML(`drop: {}`))
			require.NoError(t, b.AddProcessorYAML(config))
			stream, err := b.Build()
			if err == nil {
				err = stream.Run(t.Context())
			}
			require.Error(t, err)
			assert.Contains(t, err.Error(), names)
		})
	}
}
