// Package callsim simulates the HappyRobot v1 API, for tests and for trying things
// offline. It is hard on its clients: replies come in no order, a transcript comes
// later than the end of its call, requests are checked as a strict API would check
// them, and faults are injected on request. It keeps its own count of calls, which
// is what a test should believe.
//
// A Sim is an http.Handler that needs nothing else; Listen serves one on loopback, and
// cmd/callsim is a program around it. A test places calls through the API, arranges
// others with Arrive, injects faults, leaps ahead with Advance, waits with AwaitCalls,
// AwaitRequests or AwaitStruck, and compares with Calls and CallsBy. A test in another
// process does the same under /_sim/.
//
// The package shares no types with the client, so that a wrong JSON tag cannot hide. Its
// clocks, the rules of faults and what waits are in internal/rig, which the pretend
// platform in the folder platform stands on, too.
//
//	sim.go       options, the calls there are
//	server.go    routing, a loopback server
//	dial.go      placing calls, with every fault
//	fault.go     what can go wrong, and how often it did
//	life.go      what a call looks like as time passes
//	read.go      lists and calls with their parts
//	arrange.go   calls that come by themselves, with a chosen fate
//	webhook.go   telling others when calls change
//	await.go     waiting for what a client does
//	truth.go     ground truth: the calls and the requests there were
//	campaign.go  what concerns several calls at once: scheduled campaigns, the current page
//	annotate.go  notes, ratings and views of a call
//	setup.go     use cases, agents, numbers, the organization, in their simplest form
//	body.go      operations with an object for a body
//	control.go   /_sim/: faults and ground truth over HTTP
package callsim
