// Package happyrobot is a typed client of the HappyRobot v1 REST API: HTTP and
// JSON, nothing of Benthos.
//
// The API is known from stored documentation only, so the client reads
// leniently: unknown members and unknown words survive, the raw JSON is kept
// (without the secrets that the API embeds), and a member of unexpected shape
// does not lose the rest. It never repeats a request that places a call.
//
//	client.go       a client, one request, repeating
//	class.go        what an answer means; errors.go: an answer that is no success
//	outbound.go     a call to place; encode.go: as JSON; dial.go: placing; body.go: once
//	calls.go        reading and listing calls; page_size.go: how many at a time
//	status.go       their statuses
//	transcripts.go  what was said, recordings, logs; speech.go: who said it
//	events.go       webhooks; callbacks.go: those of a workflow's author
//	operations.go   every operation of v1 by name; operations_platform.go: those of the platform; do.go: calling one
//	refusals.go     operations and paths that need a ledger
//	request.go      requests of another API, for package platform
//	redact.go       secrets in replies; excerpt.go: secrets in errors
//
// An error of a method that makes requests is an *Error, possibly wrapped, when the API
// could not be asked or did not answer as it should: see ClassOf. Any other error is an
// argument that is not as it must be, such as a FieldError, or the cause of a context
// that ended. Errors hold no key, no number and nothing else of what was sent.
//
// Page names, such as dial/create-batched-outbound-calls, are those of the v1
// documentation. Where it says nothing, the comments say so.
package happyrobot
