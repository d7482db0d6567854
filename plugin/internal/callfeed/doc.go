// Package callfeed turns the API's list of calls into events, one for each call
// that finished, behind a cursor that covers only what was acknowledged. It knows
// no Benthos types.
//
//	feed.go   the loop: list, look at open calls, hand events out
//	pass.go   one listing, page by page, without gaps
//	book.go   the calls that are known: open, or done with
//	judge.go  what an observed call asks for
//	parts.go  transcripts and the like, waited for within bounds
//	state.go  what is saved, and its version
//	replay.go events that were refused
//	saver.go  saving it, and those who wait for that
//
// Three facts shape it. The API cannot be asked what changed, so calls that are
// not over are kept and looked at again. Pages are offsets, which move while
// calls appear and vanish. And nothing says how soon a call is listed.
//
// What must stay true: every call created since the start is either not listed
// yet, or done with (acknowledged, or not wanted), or open in the book. A state
// saved at any moment therefore loses nothing, in whatever order acks come; an
// event that is not acknowledged is one more open call.
package callfeed
