package plugin

import (
	"encoding/json"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

const callsInputName = "happyrobot_calls"

const ( // ic: input calls
	icFieldCache          = "cache"
	icFieldStartFrom      = "start_from"
	icFieldEmit           = "emit"
	icFieldType           = "type"
	icFieldStatuses       = "statuses"
	icFieldUseCases       = "use_cases"
	icFieldCampaigns      = "campaigns"
	icFieldPollInterval   = "poll_interval"
	icFieldPageSize       = "page_size"
	icFieldMaxCallAge     = "max_call_age"
	icFieldListLag        = "list_lag"
	icFieldIncludeTimeout = "include_timeout"
)

// What happyrobot_calls emits.
const (
	emitFinished = "finished"
	emitChanges  = "changes"
)

func init() { service.MustRegisterInput(callsInputName, inputCallsSpec(), newCallsInputFromParsed) }

func inputCallsSpec() *service.ConfigSpec {
	return service.NewConfigSpec().
		Summary("Streams calls when they are over, once each, complete with extraction and classification, and on request transcript, recording and logs.").
		Description(description("input_happyrobot_calls")).
		Categories("Services").
		Fields(clientFields()...).
		Fields(
			service.NewStringField(icFieldCache).
				Description("The label of the `cache` resource that keeps the cursor: a durable one, such as `bbolt` on one machine or `redis`. Its key is `happyrobot_calls/` and the label of this input, or `default`.").
				LintRule(`root = if this.trim() == "" { [ "`+"`cache`"+` must name a cache resource" ] }`),
			startFromField("calls"),
			service.NewStringAnnotatedEnumField(icFieldEmit, map[string]string{
				emitFinished: "A message for each call, when it is over.",
				emitChanges:  "A message for each status that is observed, the last of them when the call is over. Statuses between two looks are not seen.",
			}).Description("What to emit.").
				Default(emitFinished),
			includeField("What to read besides the call itself, once it is over").
				Default([]any{}),
			service.NewStringEnumField(icFieldType, "", string(happyrobot.Inbound), string(happyrobot.Outbound)).
				Description("Only calls of this direction: `Inbound` or `Outbound`. Empty is both.").
				Default(""),
			service.NewStringListField(icFieldStatuses).
				Description("Emit only calls with one of these statuses, however the API spells them. Empty is all. A word that the API does not document, when listed here, counts as the end of a call.").
				Default([]any{}).
				Example([]any{string(happyrobot.StatusCompleted), string(happyrobot.StatusTransferred)}).
				LintRule(statusesLint()),
			service.NewStringListField(icFieldUseCases).
				Description("Only calls of the use cases with these ids. Empty is all.").
				Default([]any{}),
			service.NewStringListField(icFieldCampaigns).
				Description("Only calls of the campaigns with these ids. Empty is all.").
				Default([]any{}),
			service.NewDurationField(icFieldPollInterval).
				Description("The time from the end of one listing to the next.").
				Default("15s"),
			service.NewIntField(icFieldPageSize).
				Description("How many calls the first page asks for, from 1 to 1999. Pages overlap, so 1 asks for 2. While they come back full they grow, up to 1999 calls, whatever is set here: a long list then costs few requests, and calls created in the same second fit on one page. A larger page that fails is asked for again in this size, and pages of its size only after ten minutes.").
				Default(100).
				LintRule(`root = if this < 1 || this > 1999 { [ "`+"`page_size`"+` must be from 1 to 1999" ] }`),
			service.NewDurationField(icFieldMaxCallAge).
				Description("How long to wait for the end of a call, from its creation, or from when it is scheduled for. A call that is still open then is given up, with a warning.").
				Default("168h"),
			service.NewDurationField(icFieldListLag).
				Description("How long after its creation a call may be missing in lists; not documented by the API. Calls created in this time before the newest one are listed again each time.").
				Default("10m").
				Advanced(),
			service.NewDurationField(icFieldIncludeTimeout).
				Description("How long to wait for a transcript, or for anything else of `include` that cannot be read, after the call is seen to be over. Then the call is emitted without it, with the outcome `not_ready`.").
				Default("30m").
				Advanced(),
			service.NewAutoRetryNacksToggleField().
				Description("Whether messages that the output rejects are tried again until they are delivered. With `false` a rejected call is not lost either: it is read again, and emitted as it is then, after `poll_interval`."),
		).
		LintRule(`root = if this.emit.or("finished") == "finished" && this.statuses.or([]).type() == "array" && this.statuses.or([]).any(s -> ["scheduled","queued","initiated","ringing","inprogress","dialing","dialling","connected"].contains(s.string().lowercase().re_replace_all("[\\s_-]", ""))) { [ "`+"`statuses`"+` holds one that no finished call has; use `+"`emit: changes`"+` to see calls that are not over" ] }`).
		Example("Finished calls with what was said in them", "One row for each call, ready for a table. A second run begins where the first ended.", `
input:
  happyrobot_calls:
    api_key: ${HAPPYROBOT_API_KEY}
    cache: cursor
    start_from: 720h
    include: [ transcript ]

pipeline:
  processors:
    - mapping: |
        root.call_id = this.id
        root.lead_id = this.metadata.custom.lead_id | null
        root.status = @happyrobot_call_status | this.status
        root.duration = this.duration | null
        root.classification = this.classification.tag | null
        root.extraction = this.extraction | {}
        root.transcript = this.transcript.text | ""

output:
  file:
    path: ./call_outcomes.jsonl
    codec: lines

cache_resources:
  - label: cursor
    bbolt:
      path: ./state/cursor.db
`).
		Example("Every status of the outbound calls, as JSON lines", "", `
input:
  label: outbound_changes
  happyrobot_calls:
    api_key: ${HAPPYROBOT_API_KEY}
    cache: cursor
    emit: changes
    type: Outbound
    poll_interval: 5s

output:
  file:
    path: ./changes.jsonl
    codec: lines

cache_resources:
  - label: cursor
    bbolt:
      path: ./state/cursor.db
`)
}

// startFromField is where an input of calls or runs begins.
func startFromField(many string) *service.ConfigField {
	return service.NewStringField(icFieldStartFrom).
		Description("Where to begin when the cache holds no cursor yet: " + many + " created earlier are not emitted. A time back from now, such as `720h`, or a date, `2026-03-01` or `2026-03-01T08:00:00Z`.").
		Default("24h").
		Example("720h").
		Example("2026-03-01T00:00:00Z").
		LintRule(`root = if !this.re_match("^([0-9.]+(ns|us|µs|ms|s|m|h))+$") && !this.re_match("^0$") && !this.re_match("^[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt].+)?$") { [ "` + "`start_from`" + ` must be a time back such as 24h, or a date such as 2026-03-01T00:00:00Z" ] }`)
}

// statusesLint refuses known words in another case, which no call would ever have.
func statusesLint() string {
	known, err := json.Marshal(happyrobot.KnownStatuses())
	if err != nil {
		panic(err) // they are constants
	}
	return `let known = ` + string(known) + `
root = if this.type() == "string" && !$known.contains(this) && $known.map_each(s -> s.lowercase()).contains(this.lowercase()) {
  [ "` + "`statuses`" + `: the API writes %s as %s".format(this, $known.filter(s -> s.lowercase() == this.lowercase()).index(0)) ]
}`
}
