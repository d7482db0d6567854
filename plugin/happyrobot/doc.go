// Package happyrobot is a typed client of the HappyRobot v1 REST API: HTTP and
// JSON, nothing of Benthos.
//
// The API is known from stored documentation only, so the client reads
// leniently: unknown members and unknown words survive, the raw JSON is kept
// (without the secrets that the API embeds), and a member of unexpected shape
// does not lose the rest. It never repeats a request that places a call.
package happyrobot
