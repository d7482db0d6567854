// Package dialer places outbound calls, each once, and says what became of it.
//
// A batch goes through rounds until every call in it is decided:
//
//	queue     which calls go next, and which wait for their time (queue.go)
//	guards    may these calls be placed now? (guard.go; asked in check.go)
//	leave     calls may be given back while they wait for the next two (leave.go)
//	brake     wait while every call is refused (brake.go)
//	gate      wait until the API may be asked at all (gate.go)
//	permits   wait for the limit of calls (permits.go)
//	claim     take each call in the ledger, as late as possible (round.go)
//	send      one request, then act on the class of its answer (send.go)
//	created   was this call created? The only place that says so (created.go)
//	doubt     a call in doubt, such as one whose claim a crash left (doubt.go)
//	match     which call of the reply is whose, by our own reference (match.go)
//	look up   find calls among those that the API lists (lookup.go)
//
// What these stand on:
//
//	dialer.go   the dialer, its options, and one Dial from its calls to their results
//	call.go     a call, its names, and what became of it
//	failure.go  a failure, and its text
//	api.go      what is wanted of an API
//	listing.go  one listing for all who look for calls
//	clock.go    how far the API's clock is off
//	tally.go    how many calls wait for what
//	bell.go     a lock that wakes those who wait for a change
//
// It knows an API in its own terms (api.go), the classes of the client's errors, and the
// ledger, and nothing of Benthos.
package dialer
