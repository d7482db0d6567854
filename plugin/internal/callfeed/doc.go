// Package callfeed turns the API's list of calls into events, one for each call
// that finished, behind a cursor that covers only what was acknowledged. It knows
// no Benthos types.
//
//	feed.go     what a feed is given, and what it offers: Open, Next, Close
//	item.go     what a feed knows of a call, and how it asks and speaks of it
//	calls.go    the calls of the v1 API as items; runs.go: the runs of the platform
//	event.go    a call that is emitted, until it is acknowledged or refused
//	loop.go     lists, looks and hands events out, in turns
//	pass.go     one reading of the list, page by page, without gaps
//	gaps.go     pages that do not show all of their places
//	paging.go   how large pages are; offsets.go makes an offset a numbered page
//	crowd.go    calls of one date for which no page has room
//	look.go     reading open calls by themselves; relist.go lists them together instead
//	parts.go    transcripts and the like, waited for within bounds
//	book.go     the calls that are known, open or done with, and what moves them;
//	            book_parts.go: while they wait for their parts; counts.go counts them
//	window.go   from when on calls are listed, what the book may forget by then, and what
//	            is known of the API's clock
//	judge.go    what an observed call asks for
//	state.go    what is saved, and its version
//	saver.go    saving it, and those who wait for that
//	replay.go   events that were refused
//	notices.go  what the log is told
//
// Three facts shape it. The API cannot be asked what changed, so calls that are
// not over are kept and looked at again. Pages are offsets, which move while
// calls appear and vanish. And nothing says how soon a call is listed.
//
// What must stay true: every call created since the start is either not listed
// yet, or done with (acknowledged, or not wanted), or open in the book. A state
// saved at any moment therefore loses nothing, in whatever order acks come; an
// event that is not acknowledged is one more open call.
//
// Words: a pass reads the list once. A look reads one open call by itself. A call is
// observed by either. It is out while it is being read or its event is neither
// acknowledged nor refused. It is put off when it must not be handed out before a
// moment. It is done with when nothing more will be emitted of it.
//
// One goroutine, the loop, lists and looks; it reads several calls at a time, and
// waits for all of them. Another one saves. Close ends both. Readers and
// acknowledgements come from outside. Nothing is logged, counted, asked or waited for
// while a lock is held.
package callfeed
