// Package ledger remembers what became of each dial, so that no lead is called
// twice. The API has no idempotency key; this is ours.
//
// A dial is known by its key, a digest of the lead's dedupe key. Its history is
// one record per attempt, under the keys "<key>", "<key>/2", "<key>/3" and so on:
//
//	claimed  a request is about to be sent, or was sent and its outcome never recorded
//	called   the API has the call; its id is in the record
//	held     sent, never answered, never found: its owner gave it up
//	void     claimed, and certainly no call came of it: never sent, or refused
//
// Two rules make this safe on any cache with an atomic Add:
//
//   - An attempt is begun by adding its record, so one process owns it, and only
//     the owner writes that record afterwards. (The one exception heals the
//     first record with the call id that a later attempt brought.)
//   - A record is removed only while nobody can have begun the next attempt, so
//     the history never has a hole.
package ledger
