// Package words has every word that the components give a message or a metric, with its
// meaning: outcomes, reasons, causes of a pause, names of metadata and of metrics. Users'
// configs, dashboards and tables depend on them, so a word that was released stays.
//
// A new word is a constant here and a row of the table below it, and no literal
// anywhere else; the tables of the documentation are made from these (tables.go).
package words

// Components that give words.
const (
	dial     = "happyrobot_dial"
	workflow = "happyrobot_workflow"
	call     = "happyrobot_call"
	request  = "happyrobot_request"
	calls    = "happyrobot_calls"
	webhook  = "happyrobot_webhook"
	run      = "happyrobot_run"
	runs     = "happyrobot_runs"
)

// Outcomes: how a message ended.
const (
	Accepted  = "accepted"
	Duplicate = "duplicate"
	Conflict  = "conflict"
	Rejected  = "rejected"
	Held      = "held"
	DryRun    = "dry_run"
	Complete  = "complete"
	NotReady  = "not_ready"
	NotFound  = "not_found"
	Unknown   = "unknown"
	Expired   = "expired"
)

// Outcome is an outcome of one component.
type Outcome struct {
	Component, Name string
	When            string // a message ends so
	Then            string // what becomes of it
}

// Outcomes of all components.
var Outcomes = []Outcome{
	{dial, Accepted, "the API has the call", "recorded in the ledger; the message counts as done"},
	{dial, Duplicate, "the ledger knows the call already", "no request; the message counts as done, and the same call id is handed on"},
	{dial, Conflict, "the key was used for a call with other contents", "no request; this message fails, with the id of the other call where it is known"},
	{dial, Rejected, "the message does not map to a valid call, or the API refuses this one call", "this message fails with a reason; its neighbours are called"},
	{dial, Held, "the call may have been placed, and cannot be found", "this message fails; with `on_unknown: redial_absent` a call that the API still does not list after `settle` is dialed again"},
	{dial, DryRun, "`dry_run` is set", "logged, never sent; the message counts as done, and its receipt or result has the call that would have been requested"},

	{workflow, Accepted, "the API has the run", "recorded in the ledger; the message counts as done"},
	{workflow, Duplicate, "the ledger knows the run already", "no request; the message counts as done, and the same run id is handed on"},
	{workflow, Conflict, "the key was used for a run with another payload, workflow or environment, or for a call of `happyrobot_dial`", "no request; this message fails, with the id of the other run or call where it is known"},
	{workflow, Rejected, "the message does not map to a payload that may be sent, or the API refuses this one", "this message fails with a reason; runs of its neighbours are started"},
	{workflow, Held, "the run may have been started, and cannot be found", "this message fails; with `on_unknown: redial_absent` a run that the API still does not list after `settle` is started again"},
	{workflow, DryRun, "`dry_run` is set", "logged, never sent; the message counts as done, and its receipt or result has the payload that would have been sent"},

	{call, Complete, "everything asked for is there, or is not to be waited for (a call that nobody answered has no transcript)", "`result_map` is applied"},
	{call, NotReady, "the call is not over, or its transcript is not there yet", "without `wait`, `result_map` is applied to what there is; with `wait`, the message fails after `wait_timeout`"},
	{call, NotFound, "the API does not know the call", "the message fails"},
	{call, Rejected, "`call_id` is not an id, the API refuses the request, or its answer is about another call or of another form, even after it was asked for three times more", "the message fails"},

	{request, Complete, "the API answered", "`result_map` is applied; the result of an empty answer is null"},
	{request, NotFound, "the API does not know the object, or the path", "the message fails"},
	{request, Rejected, "the arguments are no good, or the API refuses them", "the message fails"},
	{request, Unknown, "a request that changes something may have been processed, and no answer tells", "the message fails; look before it is sent again"},

	{calls, Complete, "the call is over, and all of `include` is there", "emitted"},
	{calls, NotReady, "the call is not over, or something of `include` did not come in `include_timeout`", "emitted without what is missing"},
	{calls, Expired, "after `max_call_age` the status is still a word that the API does not document", "emitted, since the call may well be over"},

	{run, Complete, "the run is over, and everything asked for is there", "`result_map` is applied"},
	{run, NotReady, "the run is not over, or something that was asked for is not there: one of `outputs`, or what was said in a session that was completed", "without `wait`, and when the run is over, `result_map` is applied to what there is; with `wait`, the message fails if the run is not over after `wait_timeout`"},
	{run, NotFound, "the API does not know the run or session, or the key may not see it", "the message fails"},
	{run, Rejected, "`run_id` or `session_id` is not an id, the API refuses the request, or its answer is about another run or of another form", "the message fails"},

	{runs, Complete, "the run is over, and all of `include` is there", "emitted"},
	{runs, NotReady, "the run is not over, or something of `include` did not come in `include_timeout`", "emitted without what is missing"},
	{runs, Expired, "after `max_run_age` the status is still a word that the API does not document", "emitted, since the run may well be over"},
}

// Reasons: why a message ended as it did. NotReady, NotFound, Unknown and Expired are
// reasons, too.
const (
	InvalidJSON          = "invalid_json"
	MappingFailed        = "mapping_failed"
	DedupeKeyFailed      = "dedupe_key_failed"
	MissingField         = "missing_field"
	InvalidField         = "invalid_field"
	UnknownMember        = "unknown_member"
	InvalidDate          = "invalid_date"
	TooLarge             = "too_large"
	ProcessingFailed     = "processing_failed"
	InvalidPhoneNumber   = "invalid_phone_number"
	AmbiguousPhoneNumber = "ambiguous_phone_number"
	EmergencyNumber      = "emergency_number"
	RegionNotAllowed     = "region_not_allowed"
	NumberTypeRefused    = "number_type_refused"
	InvalidCallID        = "invalid_call_id"
	InvalidRunID         = "invalid_run_id"
	DedupeConflict       = "dedupe_conflict"
	Refused              = "refused"
	RefusedByFirewall    = "refused_by_firewall"
	GaveUp               = "gave_up"
	NotLookedUp          = "not_looked_up"
	ClaimedElsewhere     = "claimed_elsewhere"
	Unanswered           = "unanswered"
	Unreadable           = "unreadable"
	Deleted              = "deleted"
)

// Reason is a reason of one outcome of one component.
type Reason struct {
	Component, Outcome, Name string
	Meaning                  string
}

// Reasons of all components.
var Reasons = []Reason{
	{dial, Rejected, InvalidJSON, "the message is not JSON, or `call_mapping` gave something else"},
	{dial, Rejected, MappingFailed, "`call_mapping` failed, deleted the message, or gave no object"},
	{dial, Rejected, DedupeKeyFailed, "`dedupe_key` failed, or a part of the key is missing or rounded"},
	{dial, Rejected, MissingField, "the call lacks a member that it must have"},
	{dial, Rejected, InvalidField, "a member of the call has a value that it must not have"},
	{dial, Rejected, UnknownMember, "the call has a member that the API does not document; see `extra_members`"},
	{dial, Rejected, InvalidDate, "`scheduled_for` is not a date and time with a zone"},
	{dial, Rejected, TooLarge, "the call is larger than `max_call_bytes`"},
	{dial, Rejected, ProcessingFailed, "an earlier processor failed on the message; see `dial_errored`"},
	{dial, Rejected, InvalidPhoneNumber, "the text is not a phone number, or no numbering plan has the number"},
	{dial, Rejected, AmbiguousPhoneNumber, "the text has two readings"},
	{dial, Rejected, EmergencyNumber, "it is an emergency number; those are never dialed"},
	{dial, Rejected, RegionNotAllowed, "the number belongs to no region that may be called; see `regions`"},
	{dial, Rejected, NumberTypeRefused, "numbers of this type are not called; see `refuse_types`"},
	{dial, Conflict, DedupeConflict, "the key was used for a call with other contents"},
	{dial, Rejected, Refused, "the API refused this call"},
	{dial, Rejected, GaveUp, "`retry.max_elapsed_time` passed before the call could be sent"},
	{dial, Held, Unknown, "a request left, and neither an answer nor, `settle` later, the list of calls shows the call"},
	{dial, Held, NotLookedUp, "a request left, no answer shows the call, and the list of calls could not be read before `retry.max_elapsed_time` passed"},
	{dial, Held, ClaimedElsewhere, "another process, or another batch of this one, may have placed the call, and did not say so before `retry.max_elapsed_time` passed"},
	{dial, Accepted, MappingFailed, "the call was placed, and `result_map` failed afterwards (processor only; also with `duplicate` and `dry_run`)"},

	{workflow, Rejected, InvalidJSON, "the message is not JSON, or `payload_mapping` gave something else"},
	{workflow, Rejected, MappingFailed, "`payload_mapping` failed, deleted the message, or gave no object"},
	{workflow, Rejected, DedupeKeyFailed, "`dedupe_key` failed, or a part of the key is missing or rounded"},
	{workflow, Rejected, MissingField, "the payload has no member `phone_field`, or an empty one"},
	{workflow, Rejected, InvalidField, "the member `phone_field` is no text, or there is no place for `ref_field`"},
	{workflow, Rejected, TooLarge, "the payload is 1 MB or larger"},
	{workflow, Rejected, ProcessingFailed, "an earlier processor failed on the message; see `dial_errored`"},
	{workflow, Rejected, InvalidPhoneNumber, "the text is not a phone number, or no numbering plan has the number"},
	{workflow, Rejected, AmbiguousPhoneNumber, "the text has two readings"},
	{workflow, Rejected, EmergencyNumber, "it is an emergency number; those are never dialed"},
	{workflow, Rejected, RegionNotAllowed, "the number belongs to no region that may be called; see `regions`"},
	{workflow, Rejected, NumberTypeRefused, "numbers of this type are not called; see `refuse_types`"},
	{workflow, Conflict, DedupeConflict, "the key was used for another payload, workflow or environment, or for a call"},
	{workflow, Rejected, Refused, "the API refused this payload"},
	{workflow, Rejected, RefusedByFirewall, "a firewall before the API refused what this payload holds, and lets the key pass otherwise"},
	{workflow, Rejected, GaveUp, "`retry.max_elapsed_time` passed before the run could be started"},
	{workflow, Held, Unknown, "a request left, and neither an answer nor, `settle` later, the list of runs shows the run; or a run that may be it cannot be opened"},
	{workflow, Held, NotLookedUp, "a request left, no answer shows the run, and runs cannot be listed: there is no key, the key may not list them, or `retry.max_elapsed_time` passed"},
	{workflow, Held, ClaimedElsewhere, "another process, or another batch of this one, may have started the run, and did not say so before `retry.max_elapsed_time` passed"},
	{workflow, Accepted, MappingFailed, "the run was started, and `result_map` failed afterwards (processor only; also with `duplicate` and `dry_run`)"},

	{call, NotReady, NotReady, "`wait_timeout` passed"},
	{call, NotFound, NotFound, "the API does not know the call"},
	{call, Rejected, InvalidCallID, "`call_id` failed, or is not an id"},
	{call, Rejected, Refused, "the API refuses the request, or `retry.max_elapsed_time` passed"},
	{call, Rejected, Unreadable, "the answer is about another call, or of another form; or `retry.max_elapsed_time` passed while answers were cut short or no JSON"},

	{run, NotReady, NotReady, "`wait_timeout` passed"},
	{run, NotFound, NotFound, "the API does not know the run or session, or the key may not see it"},
	{run, Rejected, InvalidRunID, "`run_id` or `session_id` failed, or is not an id"},
	{run, Rejected, Refused, "the API refuses the request, or `retry.max_elapsed_time` passed"},
	{run, Rejected, Unreadable, "the answer is about another run, or of another form; or `retry.max_elapsed_time` passed while answers were cut short or no JSON"},

	{request, Rejected, InvalidJSON, "the message is not JSON, which `args_mapping` needs"},
	{request, Rejected, MappingFailed, "`args_mapping` failed, deleted the message, or gave no object"},
	{request, Rejected, MissingField, "a parameter of the path is missing"},
	{request, Rejected, InvalidField, "an argument has a value that it must not have"},
	{request, Rejected, TooLarge, "the body is larger than a request can carry"},
	{request, Rejected, Refused, "the API refused the request"},
	{request, Rejected, Unreadable, "the answer to a question is of another form; or `retry.max_elapsed_time` passed while answers were cut short or no JSON"},
	{request, Rejected, GaveUp, "`retry.max_elapsed_time` passed, and nothing was changed"},
	{request, NotFound, NotFound, "the API does not know the object, or the path"},
	{request, Unknown, Unanswered, "the request may have left, and no answer came"},
	{request, Unknown, Unreadable, "the answer cannot be read"},
}

// Causes: what a component waits for while it is paused. Log lines have them in brackets,
// such as "Dialing paused (cause)".
const (
	CauseSetup            = "setup"
	CauseRateLimited      = "rate_limited"
	CauseUnanswered       = Unanswered
	CauseRefusals         = "refusals"
	CauseLedger           = "ledger"
	CauseClaimedElsewhere = ClaimedElsewhere
	CauseReceipts         = "receipts"
	CauseFailures         = "failures"
	CauseCallRateLimit    = "call_rate_limit"
	CauseBacklog          = "backlog"
)

// Cause is a cause for which some components pause.
type Cause struct {
	Components []string
	Name       string
	Meaning    string
}

// Causes of a pause. Only refusals fail messages: one for each try.
var Causes = []Cause{
	{[]string{workflow}, CauseSetup, "the API refuses the key, a URL is wrong, or the workflow cannot be started: it is unknown, not live, has another kind of trigger, or one that groups leads"},
	{[]string{dial, call, request, run}, CauseSetup, "the API refuses the key, or the URL is wrong"},
	{[]string{calls}, CauseSetup, "the API refuses the key or to list calls, or the URL is wrong"},
	{[]string{runs}, CauseSetup, "the API refuses the key or to list runs, does not know the workflow, or the URL is wrong"},
	{[]string{dial, workflow, call, request, calls, run, runs}, CauseRateLimited, "the API asks to slow down, or the account is used up; also: the rate limit in `rate_limit` has let no request through for over a minute, or cannot be asked"},
	{[]string{dial, workflow, call, request, calls, run, runs}, CauseUnanswered, "the API cannot be reached, or a request was not answered"},
	{[]string{dial, workflow}, CauseRefusals, "the API refuses every call, or every message is rejected: see `max_rejects_in_a_row`. Messages are tried one by one, and those that are refused again fail"},
	{[]string{dial, workflow}, CauseLedger, "the ledger cannot be read or written"},
	{[]string{calls, runs}, CauseLedger, "the cursor cannot be read or written"},
	{[]string{dial, workflow}, CauseClaimedElsewhere, "another process may be dialing the leads that wait"},
	{[]string{dial, workflow}, CauseReceipts, "the output `receipts` takes nothing"},
	{[]string{dial, workflow}, CauseFailures, "the output `failures` takes nothing"},
	{[]string{dial, workflow}, CauseCallRateLimit, "the rate limit of calls has let none through for over a minute, or cannot be asked"},
	{[]string{workflow}, CauseBacklog, "more than `max_backlog` runs wait to begin"},
	{[]string{calls}, CauseBacklog, "so many calls are open that no new ones are listed"},
	{[]string{runs}, CauseBacklog, "so many runs are open that no new ones are listed"},
}

// Names of metadata.
const (
	MetaOutcome        = "happyrobot_outcome"
	MetaReason         = "happyrobot_reason"
	MetaCallID         = "happyrobot_call_id"
	MetaHTTPStatus     = "happyrobot_http_status"
	MetaDialRef        = "happyrobot_dial_ref"
	MetaCallStatus     = "happyrobot_call_status"
	MetaPreviousStatus = "happyrobot_previous_status"
	MetaEventKind      = "happyrobot_event_kind"
	MetaEventType      = "happyrobot_event_type"
	MetaEventID        = "happyrobot_event_id"
	MetaRunID          = "happyrobot_run_id"
	MetaSessionID      = "happyrobot_session_id"
	MetaRunStatus      = "happyrobot_run_status"
)

// Meta is a name of metadata that one component sets.
type Meta struct{ Component, Name, Meaning string }

// Metadata of all components. What a message does not have is absent.
var Metadata = []Meta{
	{dial, MetaOutcome, "the outcome"},
	{dial, MetaReason, "the reason of a message that failed"},
	{dial, MetaCallID, "the call's id, where it is known"},
	{dial, MetaHTTPStatus, "the status of the answer that decided, of a message that failed"},
	{dial, MetaDialRef, "the reference of the call, which the API is given as `metadata.dial_ref`"},

	{workflow, MetaOutcome, "the outcome"},
	{workflow, MetaReason, "the reason of a message that failed"},
	{workflow, MetaRunID, "the run's id, where it is known; the first of several"},
	{workflow, MetaHTTPStatus, "the status of the answer that decided, of a message that failed"},
	{workflow, MetaDialRef, "the reference of the run, which its payload has in `ref_field`"},

	{call, MetaOutcome, "the outcome"},
	{call, MetaReason, "the reason of a message that failed"},
	{call, MetaCallID, "the call's id"},
	{call, MetaCallStatus, "the call's status in the documented spelling, such as `No answer`, however the API writes it in `this.status`"},

	{request, MetaOutcome, "the outcome"},
	{request, MetaReason, "the reason of a message that failed"},
	{request, MetaHTTPStatus, "the status of the answer with which a message failed"},

	{calls, MetaCallID, "the call's id"},
	{calls, MetaCallStatus, "its status in the documented spelling, such as `No answer`; an undocumented word as it is. Compare this one, not `this.status`"},
	{calls, MetaPreviousStatus, "with `emit: changes`, the status emitted before, if there was one, spelled likewise"},
	{calls, MetaOutcome, "the outcome"},
	{calls, MetaDialRef, "the reference of `happyrobot_dial`, on calls that it placed"},

	{run, MetaOutcome, "the outcome of the look-up; how the call went is `outcome` of the run"},
	{run, MetaReason, "the reason of a message that failed"},
	{run, MetaRunID, "the run's id"},
	{run, MetaSessionID, "the session's id, where the run was asked for by it"},
	{run, MetaRunStatus, "the run's status in the spelling of the platform, however `this.status` is written"},

	{runs, MetaRunID, "the run's id"},
	{runs, MetaSessionID, "the session's id, with `emit: session`"},
	{runs, MetaRunStatus, "the run's status in the spelling of the platform, such as `completed`; an undocumented word as it is. Compare this one, not `this.status`"},
	{runs, MetaPreviousStatus, "with `emit: changes`, the status emitted before, if there was one, spelled likewise"},
	{runs, MetaOutcome, "the outcome of reading the run; how the call went is `outcome` of the message"},

	{webhook, MetaEventKind, "`call_hook`, `cloudevent` or `callback`"},
	{webhook, MetaEventType, "the event's type, an open word; `start`, `end` and `session.status_changed` in this spelling, however the sender writes them. Compare this one, not `this.type`. Of a callback the word that its author put there, if any"},
	{webhook, MetaEventID, "the event's id, under which it is remembered"},
	{webhook, MetaCallStatus, "the status that the event reports: of a hook's call in the documented spelling, such as `No answer`; of a CloudEvent's session in the platform's words"},
	{webhook, MetaPreviousStatus, "the status before, of a CloudEvent"},
	{webhook, MetaCallID, "the call's id, of a hook"},
	{webhook, MetaRunID, "the run's id, of a CloudEvent and of a callback"},
	{webhook, MetaSessionID, "the session's id, of a CloudEvent, and of a callback that tells it"},
}

// Names of metrics.
const (
	MetricRequests               = "happyrobot_requests"
	MetricRequestLatency         = "happyrobot_request_latency_ns"
	MetricDialOutcomes           = "happyrobot_dial_outcomes"
	MetricPaused                 = "happyrobot_paused"
	MetricDialOnHold             = "happyrobot_dial_on_hold"
	MetricClockSkew              = "happyrobot_clock_skew_seconds"
	MetricCallLookups            = "happyrobot_call_lookups"
	MetricRequestOutcomes        = "happyrobot_request_outcomes"
	MetricCallsEmitted           = "happyrobot_calls_emitted"
	MetricCallsDropped           = "happyrobot_calls_dropped"
	MetricCallsWatched           = "happyrobot_calls_watched"
	MetricCallsLag               = "happyrobot_calls_lag_seconds"
	MetricRunLookups             = "happyrobot_run_lookups"
	MetricRunsEmitted            = "happyrobot_runs_emitted"
	MetricRunsDropped            = "happyrobot_runs_dropped"
	MetricRunsWatched            = "happyrobot_runs_watched"
	MetricRunsLag                = "happyrobot_runs_lag_seconds"
	MetricTranscriptsWithoutText = "happyrobot_transcripts_without_text"
	MetricWebhookRequests        = "happyrobot_webhook_requests"
)

// Kinds of metrics.
const (
	Counter = "counter"
	Gauge   = "gauge"
	Timer   = "timer"
)

// Metric is a metric of some components. The values of its labels come from a fixed list:
// no id, and no number of anybody.
type Metric struct {
	Components []string
	Name, Kind string
	Labels     []string
	Meaning    string
}

// Metrics of all components.
var Metrics = []Metric{
	{[]string{dial, workflow, call, request, calls, run, runs}, MetricRequests, Counter, []string{"operation", "status"}, "requests to the API by operation and HTTP status, 0 where no answer came"},
	{[]string{dial, workflow, call, request, calls, run, runs}, MetricRequestLatency, Timer, []string{"operation"}, "how long requests to the API took, in nanoseconds"},
	{[]string{dial, workflow}, MetricDialOutcomes, Counter, []string{"outcome"}, "messages by outcome"},
	{[]string{dial, workflow, call, request, calls, run, runs}, MetricPaused, Gauge, []string{"cause"}, "1 while the component is paused, by cause; there for each of its causes from the start"},
	{[]string{dial}, MetricDialOnHold, Gauge, nil, "the older name of `happyrobot_paused`, for the causes `setup`, `rate_limited` and `unanswered` together; it goes away with the next release"},
	{[]string{dial, workflow}, MetricClockSkew, Gauge, nil, "the API's clock less ours, in seconds, as its `Date` and the calls that it creates show it; 0 while nothing is known"},
	{[]string{call}, MetricCallLookups, Counter, []string{"outcome"}, "messages by outcome"},
	{[]string{request}, MetricRequestOutcomes, Counter, []string{"outcome"}, "messages by outcome"},
	{[]string{calls}, MetricCallsEmitted, Counter, []string{"outcome"}, "messages by outcome"},
	{[]string{calls}, MetricCallsDropped, Counter, []string{"reason"}, "calls that were given up: `deleted`, the API does not know the call any more; `expired`, it was not over after `max_call_age`"},
	{[]string{calls}, MetricCallsWatched, Gauge, nil, "open and unacknowledged calls"},
	{[]string{calls}, MetricCallsLag, Gauge, nil, "seconds since the list was last read to its end; during a backfill, the age of the newest call that was read"},
	{[]string{run}, MetricRunLookups, Counter, []string{"outcome"}, "messages by outcome"},
	{[]string{runs}, MetricRunsEmitted, Counter, []string{"outcome"}, "runs by outcome; each counts once, however many sessions it has"},
	{[]string{runs}, MetricRunsDropped, Counter, []string{"reason"}, "runs that were given up: `deleted`, the API does not know the run any more; `expired`, it was not over after `max_run_age`"},
	{[]string{runs}, MetricRunsWatched, Gauge, nil, "open and unacknowledged runs, of all workflows"},
	{[]string{runs}, MetricRunsLag, Gauge, nil, "seconds since the list was last read to its end, of the workflow that is furthest behind; during a backfill, the age of the newest run that was read"},
	{[]string{call, calls, webhook, run, runs}, MetricTranscriptsWithoutText, Counter, nil, "transcripts in which nobody says a line"},
	{[]string{webhook}, MetricWebhookRequests, Counter, []string{"result"}, "requests by answer: `taken`, `known`, `failed`, `late`, `busy`, `cache_failed`, `stopping`, `wrong_path`, `wrong_method`, `stranger`, `too_large`, `slow`, `cut`, `no_json`, `no_event`, `wrong_encoding`, `bad_encoding`"},
}
