package crash

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/benthos-happyrobot/benthos-happyrobot/tests/program"
	"github.com/benthos-happyrobot/benthos-happyrobot/tests/services"
)

// onReal gives a test a topic with some partitions, a simulator and replicas on real
// Kafka and Redis.
func onReal(t *testing.T, partitions int, sim *program.Callsim, seed uint64) (*stream, *replicas) {
	t.Helper()
	s := newStream(t, services.Kafka(t), runName(t, seed), partitions)
	return s, newReplicas(t, s, sim, openShared(t, services.Redis(t), false))
}

// spread names the partitions from 0 to n-1.
func spread(n int) (all []int32) {
	for p := range n {
		all = append(all, int32(p))
	}
	return all
}

// batchOfAPartition makes one request of the ten leads that a test puts on a partition.
var batchOfAPartition = []string{"-s", "output.happyrobot_dial.batching.count=10"}

// A replica has dials on their way when half of its partitions are given to another.
// It finishes them, and commits what is finished, before it hands a partition over: the
// other one is given none of these leads.
func TestARevokedPartitionIsHandedOverWhenItsDialsAreDone(t *testing.T) {
	program.Long(t, "a consumer group waits for its members")
	_, seed := newRand(t)
	const partitions = 8
	s, r := onReal(t, partitions, program.StartCallsim(t, "--latency", "10ms"), seed)
	r.args = slices.Insert(r.args, len(r.args)-1, batchOfAPartition...)
	a := r.start(t)
	awaitMembers(t, s, 1)
	a.wire.hold()
	s.produce(t, 0, 80, spread(partitions)...)
	awaitInFlight(t, a, partitions)

	b := r.start(t)
	awaitJoining(t, s, 2)
	a.wire.release()
	s.awaitAll(t, time.Minute)
	awaitMembers(t, s, 2)
	s.produce(t, 80, 160, spread(partitions)...)
	s.awaitAll(t, time.Minute)
	a.Stop(t)
	b.Stop(t)

	v := s.judge(r.sim.CallsByLead(t))
	v.assertKept(t)
	assert.Equal(t, 160, v.called)
	assert.Zero(t, s.told("duplicate"), "what was finished is not given to the other one")
	begun, _, _ := b.wire.counts()
	assert.Positive(t, begun, "the other one took partitions over")
}

// The same, with an API that does not answer before the partitions must be handed over:
// the other one is given the leads while their calls are on the way, and calls none.
func TestARevokedPartitionIsHandedOverWhileItsDialsHang(t *testing.T) {
	program.Long(t, "a rebalance times out")
	_, seed := newRand(t)
	const partitions, leads = 8, 80
	s, r := onReal(t, partitions, program.StartCallsim(t, "--latency", "10ms"), seed)
	r.args = slices.Insert(r.args, len(r.args)-1, "-s", "output.happyrobot_dial.timeout=60s", "-s", "input.redpanda.rebalance_timeout=3s")
	r.args = slices.Insert(r.args, len(r.args)-1, batchOfAPartition...)
	a := r.start(t)
	awaitMembers(t, s, 1)
	a.wire.hold()
	s.produce(t, 0, leads, spread(partitions)...)
	awaitInFlight(t, a, partitions)

	b := r.start(t)
	// What the other one is given now is claimed, so it places calls of later leads only.
	require.Eventually(t, func() bool {
		return len(assigned(t, s)) == 2
	}, time.Minute, 50*time.Millisecond, "partitions are not handed over while dials hang")
	s.produce(t, leads, 2*leads, spread(partitions)...)
	require.Eventually(t, func() bool { begun, _, _ := b.wire.counts(); return begun > 0 }, time.Minute, 20*time.Millisecond)
	a.wire.release()
	s.awaitAll(t, 3*time.Minute)
	a.Stop(t)
	b.Stop(t)

	v := s.judge(r.sim.CallsByLead(t))
	v.assertKept(t)
	assert.Equal(t, 2*leads, v.called)
	assert.Positive(t, s.told("duplicate"), "the other one was given leads whose calls were on the way")
}

// Three replicas join and leave ten times while leads flow and one dial in ten fails.
func TestThreeReplicasJoinAndLeaveTenTimes(t *testing.T) {
	program.Long(t, "a consumer group waits for its members")
	rng, seed := newRand(t)
	const partitions, rounds = 12, 10
	leads := int(setting(t, "CRASH_LEADS", 600))
	s, r := onReal(t, partitions, faulty(t, seed), seed)
	for range 3 {
		r.start(t)
	}
	awaitMembers(t, s, 3)
	dialed := 0
	for round := range rounds {
		s.produce(t, leads*round/rounds, leads*(round+1)/rounds, spread(partitions)...)
		leaving := r.dialing(t)
		linger(rng, latency)
		r.remove(leaving)
		leaving.Stop(t)
		if begun, _, _ := leaving.wire.counts(); begun > 0 {
			dialed++
		}
		r.start(t)
	}
	s.awaitAll(t, 4*time.Minute)
	for _, one := range r.alive {
		one.Stop(t)
		if begun, _, _ := one.wire.counts(); begun > 0 {
			dialed++
		}
	}
	v := s.judge(r.sim.CallsByLead(t))
	t.Logf("%d leads, three replicas joined and left %d times, %d dialed: %d called, %d doubled, %d lost. Faults: %s",
		v.leads, rounds, dialed, v.called, v.doubled, v.lost, faultCounts(t, r.sim))
	v.assertKept(t)
	assert.Equal(t, leads, v.called, "each lead is called once")
	assert.GreaterOrEqual(t, dialed, 3)
}

// The broker is killed while a group of replicas is about to deal its partitions anew,
// with dials on their way.
func TestTheBrokerIsKilledDuringARebalance(t *testing.T) {
	program.Long(t, "a consumer group waits for its members")
	_, seed := newRand(t)
	const partitions, rounds = 6, 3
	leads := int(setting(t, "CRASH_LEADS", 240))
	s, r := onReal(t, partitions, faulty(t, seed), seed)
	r.start(t)
	r.start(t)
	awaitMembers(t, s, 2)
	for round := range rounds {
		s.produce(t, leads*round/rounds, leads*(round+1)/rounds, spread(partitions)...)
		r.dialing(t)
		r.start(t)
		awaitJoining(t, s, 3+round)
		services.Restart(t, "kafka")
	}
	s.awaitAll(t, 4*time.Minute)
	for _, one := range r.alive {
		one.Stop(t)
	}
	v := s.judge(r.sim.CallsByLead(t))
	t.Logf("%d leads, the broker was killed in %d rebalances: %d called, %d doubled, %d lost. Faults: %s",
		v.leads, rounds, v.called, v.doubled, v.lost, faultCounts(t, r.sim))
	v.assertKept(t)
	assert.Equal(t, leads, v.called, "each lead is called once")
}

// awaitInFlight waits until a replica has n dials on their way.
func awaitInFlight(t *testing.T, one *replica, n int) {
	t.Helper()
	require.Eventually(t, func() bool { _, inFlight, _ := one.wire.counts(); return inFlight >= n },
		time.Minute, time.Millisecond, "not all partitions have dials on their way")
}

// awaitJoining waits until the group knows n members, whether or not it has dealt the
// partitions anew.
func awaitJoining(t *testing.T, s *stream, n int) {
	t.Helper()
	require.Eventually(t, func() bool {
		groups, err := kadm.NewClient(s.client).DescribeGroups(t.Context(), s.run)
		return err == nil && len(groups[s.run].Members) >= n
	}, time.Minute, time.Millisecond, "the replica does not join")
}

// assigned is how many partitions each member of the group has, of those with any.
func assigned(t *testing.T, s *stream) (counts []int) {
	t.Helper()
	groups, err := kadm.NewClient(s.client).DescribeGroups(t.Context(), s.run)
	if err != nil || groups[s.run].State != "Stable" {
		return nil
	}
	for _, member := range groups[s.run].Members {
		n := 0
		if plan, ok := member.Assigned.AsConsumer(); ok {
			for _, topic := range plan.Topics {
				n += len(topic.Partitions)
			}
		}
		if n > 0 {
			counts = append(counts, n)
		}
	}
	return counts
}
