// Package plugin adds the HappyRobot components to Benthos:
//
//	import _ "github.com/benthos-happyrobot/benthos-happyrobot/plugin"
//
// Components, each in a file of its own:
//
//	output_dial.go       place the call in each message; output_dial_ready.go shows a pause in /ready
//	processor_dial.go    the same, mid-pipeline; dial_calls.go is the config of both, dial_api.go the v1 API for the dialer,
//	                     dial_clock.go how its clock is reported
//	output_workflow.go   start the run of each message on the platform
//	processor_workflow.go the same, mid-pipeline; workflow.go makes what is behind both, workflow_fields.go is their config,
//	                     workflow_message.go makes payloads
//	processor_call.go    look a call up and attach it; call_lookup.go and call_parts.go read it,
//	                     lookup.go waits for it and keeps it
//	processor_run.go     look a run of the platform up and attach it; run_lookup.go and run_parts.go read it
//	processor_request.go any other operation by name; request_args.go makes its arguments
//	input_calls.go       calls that are over; input_calls_spec.go describes it, cursor.go keeps how far it came
//	input_runs.go        runs of the platform that are over; input_runs_spec.go describes it, run_message.go makes
//	                     its messages
//	input_webhook.go     call events over HTTP; event_message.go makes their messages
//	cache_bbolt.go       a durable local cache
//	scanner_leads.go     a file of leads, one JSON object a line
//	bloblang_*.go        parse_phone_number, parse_dial_error
//
// What they share:
//
//	fields.go            config of whatever calls the API; key_file.go reads a key that is replaced, secret.go any secret
//	fields_platform.go   the same of the platform
//	rate_limit.go        a rate limit resource that is waited for
//	dial.go              what becomes of the messages of whatever dials; dial_fields.go and dial_lead.go are its config,
//	                     dial_records.go its receipts, failures and metadata
//	message.go           all of the mapping between messages and calls; message_shape.go explains what is no object
//	mapping.go           what goes in and out of Bloblang
//	call_members.go      which members a call may have; member_names.go knows the documented ones
//	dedupe_key*.go       the key that names a lead; of what it is made, and what names none
//	dial_numbers.go      which numbers are called
//	ledger_open.go       the ledger that a config names
//	cache.go             a Benthos cache as a store; cache_watched.go the same for one that must be fit for its role
//	cache_facts.go       learns what a cache is, and that it was replaced; cache_roles.go says what must be known of it
//	child_output.go      receipts and failures; pause_notice.go reports a wait, and paused_gauge.go shows it
//	batcherror.go        an error for each message of a batch
//	transcripts.go       what was said as text
//	description.go       prose of docs/src, with the tables of words; answers_table.go, what the API's answers mean
//	stop.go              waits that end early when the process stops
//	metrics.go           counters that are there from the start
//
// Engines and what they stand on. None of them knows Benthos:
//
//	internal/dialer      what becomes of each dial
//	internal/starter     runs of a workflow for the dialer: starts them, and finds them
//	internal/ledger      its memory
//	internal/callfeed    calls that are over, each once
//	internal/webhook     the door for events: who may post, and each event once
//	internal/boltfile    the durable file
//	internal/phone       which number a text means
//	internal/words       every outcome, reason, metadata and metric name
//	internal/store       what a ledger and a cursor want of a cache
//	internal/pause       a pause that grows, a sleep, a notice
//	happyrobot           the client of v1, and what an answer of either API means
//	happyrobot/platform  the client of today's platform
//	callsim              a pretend API for tests and trials, which shares no types with the client
//	callsim/platform     the same for the platform API
//	callsim/internal/rig what both stand on: clocks, faults, counts, waiting
//
// Connectors for programs that are built without Connect. They register with the names and
// fields of Connect's, are imported one by one, and know neither this package nor each other:
//
//	connectors            tests of all of them together
//	connectors/kafka      input and output redpanda
//	connectors/redis      cache and rate limit redis
//	connectors/sql        processor and output sql_raw, cache postgres
//	connectors/prometheus metrics prometheus
//
// For tests alone:
//
//	internal/pages       the page of a component, from its spec
//
// Imports point one way: plugin → internal/dialer, callfeed, webhook, boltfile, phone →
// happyrobot, internal/ledger → internal/store, pause, words, and connectors/* → those three
// alone. Only programs and tests import connectors. arrows_test.go and depguard hold it.
package plugin
