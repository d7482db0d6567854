// Package upgrade proves that an upgrade keeps the memory of the program before:
// a ledger that an earlier commit wrote is read by this one, and no lead in it is
// called a second time.
//
//	upgrade_test.go  the leads of the old ledger, played again
//	write_test.go    how the old ledger was written
//	redis_test.go    the same for a ledger in Redis, which another program's cache wrote
//	property_test.go generated leads, whose requests must be those of the old program
//	shipped_test.go  the shipped configs, whose ids moved from the mapping to fields
//	texts_test.go    the generator: numbers and ids as people and exports write them
//	old_test.go      how the old program read numbers, and wrote keys and requests
//	leads_test.go    testdata: the leads, and what the old program made of them
//	stream_test.go   a stream that dials leads
//	api_test.go      an API that takes any call
//
// Each config in testdata is a processor that dials. A play is a config with a
// region, such as json_id/DE, and the leads that name it; it has a bucket of the
// ledger for itself.
package upgrade
