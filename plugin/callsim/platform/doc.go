// Package platform simulates the HappyRobot platform API (v2) and its hooks, for tests and
// for trying things offline. It is hard on its clients: a trigger's answer has any of its
// forms, a new run is listed late, a run is over before its last outputs are there, runs
// redial, most wait in line, and what the description does not know is refused. Faults are
// injected on request. It keeps its own count of runs, which is what a test should believe.
//
// A Sim is an http.Handler that needs nothing else; Listen serves one on loopback, and
// cmd/callsim is a program around it. A test starts runs through the API, arranges others
// with Arrive, decides fates with Decide, injects faults, leaps ahead with Advance, waits
// with AwaitRuns, AwaitRequests or AwaitStruck, and compares with Runs, RunsBy and
// SessionsBy. A test in another process does the same under /_sim/platform/. README.md in
// the folder above tells what is switched how.
//
// The package shares no types with the client, so that a wrong JSON tag cannot hide. It
// shares its machinery with the pretend v1 API, and nothing else.
//
//	options.go   what can be switched
//	sim.go       workflows, the runs there are
//	server.go    routing, a loopback server
//	answer.go    answers and refusals in all their forms
//	request.go   what a request may hold, and pages
//	trigger.go   starting runs through the API and hooks
//	fault.go     what can go wrong, and how often it did
//	life.go      what a run and its sessions look like as time passes
//	workflow.go  workflows, versions and their nodes
//	runs.go      lists and runs
//	sessions.go  sessions, messages, recordings
//	outputs.go   nodes that ran, and what they found
//	stream.go    a session's messages as they are said
//	contacts.go  sessions and contacts by number
//	account.go   the key, numbers, usage, the organization's database
//	legacy.go    the list of the platform's own v1
//	webhook.go   telling others when sessions change and runs end
//	arrange.go   runs that come by themselves; chosen fates
//	truth.go     ground truth: the runs and the requests there were
//	control.go   /_sim/platform/: faults and ground truth over HTTP
package platform
