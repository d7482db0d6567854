// Package redis adds the cache and the rate limit `redis` to Benthos, with the fields
// that Connect's have:
//
//	cache.go       the cache; records.go writes and reads its items, facts.go says what it is
//	rate_limit.go  the rate limit
//	client.go      what both connect with; answers.go notes lost answers
//	errors.go      what an error of Redis means, and what to do
package redis
