// Package callsim pretends to be the HappyRobot v1 API: the test bed and the
// offline default of this project. It is hard on its clients: replies come in
// no order, transcripts come later than the end, and faults can be injected on
// request. It keeps its own count of calls as ground truth.
//
// It shares no types with the client, so that a wrong JSON tag cannot hide.
//
//	sim.go       options, the calls there are
//	server.go    routing, a loopback server
//	dial.go      placing calls, with every fault
//	fault.go     what can go wrong, and how often it did
//	life.go      what a call looks like as time passes
//	clock.go     the two times: the calendar and the simulated clock
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
