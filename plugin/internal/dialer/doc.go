// Package dialer places outbound calls, each once, and says what became of it.
//
// A batch goes through rounds until every call in it is decided:
//
//	gate      wait until the API may be asked at all (gate.go)
//	claim     take each call in the ledger, as late as possible (round.go)
//	send      one request, then sort its answer into an outcome (send.go)
//	match     which created call is whose, by our own reference (match.go)
//	reconcile look unknown ones up among the calls the API lists (reconcile.go)
//
// It knows the API's client and the ledger, and nothing of Benthos.
package dialer
