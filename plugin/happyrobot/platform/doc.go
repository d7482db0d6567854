// Package platform is a typed client of today's HappyRobot platform, API v2: workflows,
// runs and sessions. HTTP and JSON, nothing of Benthos. Package happyrobot is the client
// of the older generation, v1; both share how requests are made and what answers mean.
//
// The API is known from public material only, and nothing of it was tried against the live
// service. So the client reads leniently: a missing member, a number written as text, an
// unknown word or an odd item does not lose the rest, and the raw JSON is kept, without
// secrets. It never repeats a request that starts a run.
//
//	client.go    a client, and the base URLs; hook.go: the URL of a trigger
//	trigger.go   starting a run; second_look.go: what a refusal of it means
//	runs.go      runs, and canceling them; paging.go: lists in pages
//	sessions.go  calls and chats of a run, messages; speech.go: what was said
//	nodes.go     nodes and their outputs; reference.go: finding a reference in them
//	workflows.go workflows, versions, their nodes; account.go: key, credits, usage
//	words.go     statuses and environments, in any spelling
//	values.go    reading JSON leniently; redact.go: secrets in replies
//
// Errors are those of package happyrobot: happyrobot.ClassOf says what one means. They
// hold no key, no number, no URL with a signature and nothing else of what was sent.
//
// What the comments call the description is resources/openapi/happyrobot-v2.openapi.yaml,
// where every operation says how well it is known.
package platform
