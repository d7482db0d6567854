// Package plugin adds the HappyRobot components to Benthos:
//
//	import _ "github.com/benthos-happyrobot/benthos-happyrobot/plugin"
//
//	fields.go            config that every component which calls the API shares
//	dial.go              config and engine of both dials
//	output_dial.go       place the call in each message
//	processor_dial.go    the same, mid-pipeline
//	processor_call.go    look a call up and attach it; call_lookup.go reads it
//	processor_request.go any other operation by name; request_args.go makes its arguments
//	input_webhook.go     call events over HTTP; webhook_handler.go answers, webhook_events.go delivers once
//	input_calls.go       calls that are over, behind a cursor; input_calls_spec.go describes it, cursor.go keeps the cursor
//	transcripts.go       what was said as text, for the three components that have transcripts
//	scanner_leads.go     a file of leads, one JSON object a line
//	message.go           the only place where a message becomes a call, or a call a message
//	message_shape.go     what to say of a message that is not one JSON object
//	call_members.go      which members a call may have; member_names.go knows the documented ones
//	dedupe_key.go        the key that names a lead; dedupe_key_lookups.go reads what it is made of, _words.go
//	                     and _numbers.go know the texts and the numbers that name none
//	dial_numbers.go      which numbers are called
//	cache_bbolt*.go      a durable local cache
//	cache.go             a Benthos cache as the store that the engines want
//	child_output.go      receipts and failures; dial_record.go makes them, pause_notice.go reports a wait
//	bloblang_*.go        parse_phone_number, parse_dial_error
//
// Imports point one way: plugin → internal/dialer → happyrobot, internal/ledger →
// internal/store; plugin → internal/callfeed → happyrobot. Only plugin knows Benthos;
// callsim is a pretend API for tests and trials.
package plugin
