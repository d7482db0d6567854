package crash

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/benthos-happyrobot/benthos-happyrobot/tests/program"
)

// In a rolling upgrade, a replica of an earlier commit and one of this are given the same
// thousand leads, which a third has claimed and half of which it has called. The earlier
// one finds the claims stale by their date, and this one by how long it has seen them.
//
//	make upgrade BEFORE=ad445d8
func TestAnOldAndANewReplicaContendForStaleClaims(t *testing.T) {
	before := os.Getenv("CRASH_BEFORE")
	if before == "" {
		t.Skip("CRASH_BEFORE is not set: the folder of an earlier commit, with its program; see make upgrade")
	}
	onEachBroker(t, func(t *testing.T, broker string, shared *sharedLedger) {
		const leads = 1000
		_, seed := newRand(t)
		s := newStream(t, broker, runName(t, seed), 2)
		sim := program.StartCallsim(t, "--latency", "10ms")
		now := newReplicas(t, s, sim, shared)
		// A partition's batches follow one another, and each waits for the lease of the dead:
		// all claims are in the first few.
		now.args = append([]string{"-s", "input.redpanda.max_yield_batch_bytes=1MB"}, now.args...)
		old := newReplicas(t, s, sim, shared)
		old.args = slices.Clone(now.args)
		old.before = before
		for i, arg := range old.args {
			if strings.HasPrefix(arg, "resources/") || strings.HasPrefix(arg, "config/") {
				old.args[i] = before + "/" + arg
			}
		}
		a, b := now.start(t), old.start(t)
		awaitMembers(t, s, 2)
		// By clocks that are behind or ahead, so that each version finds some stale first, and
		// both some at the same time. They are more ahead than behind: on a busy machine it
		// takes a while until claims are seen.
		refs := claimAsTheDead(t, s, sim, shared, leads, func(n int) time.Time { return time.Now().Add(time.Duration(n%81-20) * time.Second) })
		s.produce(t, 0, leads, 0)
		s.produce(t, 0, leads, 1)
		s.awaitAll(t, 8*time.Minute)
		a.Stop(t)
		b.Stop(t)

		v := s.judge(sim.CallsByLead(t))
		v.assertKept(t)
		assert.Equal(t, leads, v.called, "each lead is called once")
		placedNow, _, _ := a.wire.counts()
		placedOld, _, _ := b.wire.counts()
		assert.Positive(t, a.wire.looked(), "the new replica looked claims up")
		assert.Positive(t, b.wire.looked(), "the old one, too")
		by := takenOver(t, shared, refs)
		assert.Len(t, by, 2)
		for process, claims := range by {
			assert.Greater(t, claims, leads/10, "each replica takes a good part over, process %s, too", process)
		}
		t.Logf("%d claims: %d called, %d doubled, %d lost; taken over, by process: %v; requests that dial: %d by the new replica, %d by the old one", leads, v.called, v.doubled, v.lost, by, placedNow, placedOld)
	})
}
