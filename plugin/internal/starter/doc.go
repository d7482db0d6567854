// Package starter starts runs of one workflow on the platform, and finds those that it may
// have started: it is a dialer.API, one call a run.
//
//	starter.go    starts a run, and says what a refusal means and what to do about it
//	find.go       finds runs by the reference in their payload: among the columns of the list,
//	              else in what the trigger was given
//	open.go       reads what the trigger of a run was given
//	proof.go      what the answers and the list do not prove
//	reference.go  where a run shows the reference that it was started with
//	shared.go     what all who start runs of a workflow know together
//	preflight.go  what can be checked before the first run
//	backlog.go    waits while too many runs wait
//
// It stands on the platform's client and the dialer, and knows nothing of Benthos.
package starter
