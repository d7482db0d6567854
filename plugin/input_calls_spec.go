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

// maxPageSize is what the documentation of the API bounds a page by.
const maxPageSize = 1999

func init() { service.MustRegisterInput(callsInputName, inputCallsSpec(), newCallsInputFromParsed) }

func inputCallsSpec() *service.ConfigSpec {
	return service.NewConfigSpec().
		Summary("Streams calls when they are over, once each, complete with extraction and classification, and on request transcript, recording and logs.").
		Description(inputCallsDescription).
		Categories("Services").
		Fields(clientFields()...).
		Fields(
			service.NewStringField(icFieldCache).
				Description("The label of the `cache` resource that keeps the cursor: a durable one, such as `bbolt` on one machine or `redis`. Its key is `happyrobot_calls/` and the label of this input, or `default`.").
				LintRule(`root = if this.trim() == "" { [ "`+"`cache`"+` must name a cache resource" ] }`),
			service.NewStringField(icFieldStartFrom).
				Description("Where to begin when the cache holds no cursor yet: calls created earlier are not emitted. A time back from now, such as `720h`, or a date, `2026-03-01` or `2026-03-01T08:00:00Z`.").
				Default("24h").
				Example("720h").
				Example("2026-03-01T00:00:00Z").
				LintRule(`root = if !this.re_match("^([0-9.]+(ns|us|µs|ms|s|m|h))+$") && !this.re_match("^0$") && !this.re_match("^[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt].+)?$") { [ "`+"`start_from`"+` must be a time back such as 24h, or a date such as 2026-03-01T00:00:00Z" ] }`),
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
				Description("Calls to ask for in one request, up to 1999. Pages overlap by one call, so 1 asks for 2.").
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

const inputCallsDescription = `
A message is a call as the API reports it, with ` + "`transcript`" + ` (as the API reports it, and ` + "`text`" + `, what the speakers said as plain lines), ` + "`recording_url` and `logs`" + ` where they were asked for and exist. The header values of webhooks, which the API embeds in calls, are removed.

### What is promised

Every call created since ` + "`start_from`" + ` that ends is emitted, also hours after newer ones, and no call twice while the input runs. After a crash at most the messages that were not acknowledged come again: the cursor is saved after each acknowledgement, in whatever order they come, and covers nothing else.

The API cannot be asked what changed, its pages are offsets that move, and nobody says how soon a call is listed. So calls are listed from oldest to newest in overlapping pages, those of the last ` + "`list_lag`" + ` before the newest one again each time, and calls that are not over are kept and polled one by one, at intervals of a tenth of their age and at most half an hour, until ` + "`max_call_age`" + `. A call may take ` + "`list_lag`" + ` to appear in lists; one that takes longer may be missed. Scheduled calls wait for their time first. A call that the API no longer knows is given up after an hour, with a warning; if it was seen over before, it is emitted as it was then.

` + "`" + `transcript.text` + "`" + ` has the messages with the roles ` + "`assistant` and `user`" + `, without prompts and results of tools. Where they give no line, ` + "`transcript.text_note`" + ` says why and names the roles; so does the log, once.

A transcript is waited for, with growing pauses, when the call was a talk; see ` + "`include_timeout`" + `.

Statuses are open words. They are compared without case, blanks, hyphens and underscores, and ` + "`cancelled`" + ` is ` + "`Canceled`" + `; the message keeps what the API wrote. A call is over when its status is Transferred, Completed, AMD Terminated, Busy, No answer, Canceled, Failed, Ended, Missed or Abandoned. An unknown status is logged once, and the call is watched; if the status stays until ` + "`max_call_age`" + `, the call is emitted as ` + "`expired`" + `, since it may well be over.

### Metadata

| Name | Value |
| --- | --- |
| ` + "`happyrobot_call_id`" + ` | the call's id |
| ` + "`happyrobot_call_status`" + ` | its status in the documented spelling, such as ` + "`No answer`" + `; an undocumented word as it is. Compare this one, not ` + "`this.status`" + ` |
| ` + "`happyrobot_previous_status`" + ` | with ` + "`emit: changes`" + `, the status emitted before, if there was one, spelled likewise |
| ` + "`happyrobot_outcome`" + ` | ` + "`complete`" + `; ` + "`not_ready`" + ` when the call is not over, or something of ` + "`include`" + ` did not come in ` + "`include_timeout`" + `; or ` + "`expired`" + ` |
| ` + "`happyrobot_dial_ref`" + ` | the reference of ` + "`happyrobot_dial`" + `, on calls that it placed |

### Limits

Calls with the same time of creation may change places between two pages, as long as a page has room for all of them and one more: take a larger ` + "`page_size`" + ` where more calls than that begin at once.

At most 1,000 messages are unacknowledged at a time; while they are, nothing more is read. Batch no more than that in an output, or set a ` + "`period`" + `.

The cursor's value holds about 80 bytes for each open or unacknowledged call, and 45 for each call created in the last ` + "`list_lag`" + `. With 100,000 open calls no new ones are listed until some end. It is kept for 30 days after the last time the input ran.

One input owns a cursor. A second one on the same key, even in another process, takes it over, and the first stops with an error: label inputs that share a cache. Changing filters keeps the cursor; the new ones apply from then on. A cursor of a newer version is refused.

An outage or a refused key pauses the stream and fails no message: reads are repeated a few times, then with the next listing. The log reports it when it starts, every five minutes while it lasts, and when it ends. ` + "`retry.max_elapsed_time`" + ` has no effect here.

### Metrics

` + "`happyrobot_calls_emitted`" + ` (by outcome), ` + "`happyrobot_calls_dropped`" + ` (given up, by reason: ` + "`deleted`, `expired`" + `), ` + "`happyrobot_calls_watched`" + ` (open and unacknowledged calls), ` + "`happyrobot_calls_lag_seconds`" + ` (since the list was last read to its end; during a backfill, the age of the newest call that was read), ` + "`happyrobot_transcripts_without_text`" + `.`
