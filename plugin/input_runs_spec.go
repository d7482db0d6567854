package plugin

import (
	"github.com/redpanda-data/benthos/v4/public/service"
)

const runsInputName = "happyrobot_runs"

const ( // ir: input runs
	irFieldWorkflows    = "workflows"
	irFieldEnvironments = "environments"
	irFieldMaxRunAge    = "max_run_age"
)

// What happyrobot_runs emits.
const (
	emitRun     = "run"
	emitSession = "session"
)

// Bounds of page_size. Pages overlap and are numbered, so small ones could not be joined.
const (
	leastRunsPage = 20
	mostRunsPage  = 1999
)

func init() {
	service.MustRegisterBatchInput(runsInputName, inputRunsSpec(), newRunsInputFromParsed)
}

func inputRunsSpec() *service.ConfigSpec {
	return service.NewConfigSpec().
		Summary("Streams runs of the platform's workflows when they are over, once each, with their sessions, and on request transcript, recordings, named outputs and credits.").
		Description(description("input_happyrobot_runs")).
		Categories("Services").
		Fields(platformFields()...).
		Fields(
			service.NewStringListField(irFieldWorkflows).
				Description("The workflows, each by its UUID or its slug. Each has a cursor of its own.").
				Example([]any{"appointment-reminders"}).
				LintRule(`root = if this.type() == "array" && this.length() == 0 { [ "`+"`workflows`"+` must name at least one workflow" ] }`),
			service.NewStringField(icFieldCache).
				Description("The label of the `cache` resource that keeps the cursors: a durable one, such as `bbolt` on one machine or `redis`. A cursor's key is `happyrobot_runs/`, the label of this input, or `default`, and `/` with the workflow as it is written in `workflows`.").
				LintRule(`root = if this.trim() == "" { [ "`+"`cache`"+` must name a cache resource" ] }`),
			startFromField("runs"),
			service.NewStringAnnotatedEnumField(icFieldEmit, map[string]string{
				emitRun:     "A message for each run, when it is over.",
				emitSession: "A message for each session of a run, when the run is over: the run with this session alone. The sessions of a run are one batch, which is repeated whole if one of them is rejected. A run without a session gives none.",
				emitChanges: "A message for each status of a run that is observed, the last of them when it is over. Statuses between two looks are not seen.",
			}).Description("What to emit.").
				Default(emitRun),
			service.NewStringListField(irFieldEnvironments).
				Description("Only runs of these environments: `production`, `staging`, `development`. Empty is all. Runs that do not tell theirs are emitted. Test runs (`is_e2e_test`) never are.").
				Default([]any{"production"}),
		).
		Fields(runPartsFields()...).
		Fields(
			service.NewDurationField(icFieldPollInterval).
				Description("The time from the end of one listing to the next.").
				Default("15s"),
			service.NewIntField(icFieldPageSize).
				Description("How many runs the first page asks for, from 20 to 1999. While pages come back full they grow, up to 1999 runs. A larger page that fails is asked for again in this size, and pages of its size only after ten minutes. If the API gives fewer than it is asked for, no more are asked for from then on.").
				Default(100).
				LintRule(`root = if this < 20 || this > 1999 { [ "`+"`page_size`"+` must be from 20 to 1999" ] }`),
			service.NewDurationField(irFieldMaxRunAge).
				Description("How long to wait for the end of a run, from its creation; one that is `scheduled` is waited for longer. A run that is still open then is given up, with a warning.").
				Default("168h"),
			service.NewDurationField(icFieldListLag).
				Description("How long after its creation a run may be missing in lists; not documented by the API. Runs created in this time before the newest one are listed again each time.").
				Default("10m").
				Advanced(),
			service.NewDurationField(icFieldIncludeTimeout).
				Description("How long to wait, from the end of a run, for one of `outputs`, for what was said, or for anything else that the API does not know yet. Then the run is emitted without it, with the outcome `not_ready`. What cannot be read at all, as in an outage, is tried for 30 minutes, or for this time if it is longer. A node that a run did not come by has no output: such a run comes so much later.").
				Default("2m").
				Advanced(),
			service.NewAutoRetryNacksToggleField().
				Description("Whether messages that the output rejects are tried again until they are delivered. With `false` a rejected run is not lost either: it is read again, and emitted as it is then, after `poll_interval`."),
		).
		LintRule(outputsLint).
		Example("Finished runs with what was extracted", "One row for each run, ready for a table. A second start begins where the first ended.", `
input:
  happyrobot_runs:
    api_key: ${HAPPYROBOT_API_KEY}
    workflows: [ appointment-reminders ]
    cache: cursor
    start_from: 720h
    include: [ sessions, transcript, outputs ]
    outputs: [ AI Extract ]

pipeline:
  processors:
    - mapping: |
        root.run_id = this.id
        root.status = @happyrobot_run_status
        root.outcome = this.outcome | null
        root.called = this.sessions.index(-1).user_number | null
        root.extraction = this.outputs."AI Extract" | {}
        root.transcript = this.transcript.text | ""

output:
  file:
    path: ./run_outcomes.jsonl
    codec: lines

cache_resources:
  - label: cursor
    bbolt:
      path: ./state/cursor.db
`).
		Example("A message for each call of two workflows, as JSON lines", "", `
input:
  label: calls_made
  happyrobot_runs:
    api_key: ${HAPPYROBOT_API_KEY}
    cluster: eu
    workflows: [ appointment-reminders, check-in ]
    cache: cursor
    emit: session

output:
  file:
    path: ./calls.jsonl
    codec: lines

cache_resources:
  - label: cursor
    bbolt:
      path: ./state/cursor.db
`)
}
