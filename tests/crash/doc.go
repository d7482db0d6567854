// Package crash proves the promise of one call for each lead by killing the
// distribution, as a process of its own, at random moments. What callsim, another
// process, was asked to call is then compared with the leads.
//
//	kill_test.go     one process that is killed again and again
//	replicas_test.go two replicas on one consumer group and one ledger
//	rebalance_test.go replicas that hand partitions over with dials on their way
//	stream_test.go   the leads' topic, and what the pipeline told of each lead
//	wire_test.go     what is on its way to the API at a given moment
//
// CRASH_LEADS and CRASH_KILLS make the runs long, CRASH_SEED repeats one as far
// as the machine allows.
package crash
