package crash

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/tests/program"
	"github.com/benthos-happyrobot/benthos-happyrobot/tests/services"
)

// ledgerPrefix is that of resources/redis.yaml.
const ledgerPrefix = "happyrobot:ledger:"

// onEachBroker runs a test of replicas on fakes and on real services.
func onEachBroker(t *testing.T, test func(t *testing.T, broker string, shared *sharedLedger)) {
	t.Run("kfake and miniredis", func(t *testing.T) {
		t.Parallel()
		fake := miniredis.RunT(t)
		expireAsTimePasses(t, fake)
		test(t, fakeKafka(t), openShared(t, "redis://"+fake.Addr(), true))
	})
	t.Run("kafka and redis", func(t *testing.T) {
		t.Parallel()
		test(t, services.Kafka(t), openShared(t, services.Redis(t), false))
	})
}

// expireAsTimePasses lets keys of a Redis that has no clock of its own expire, the intervals
// of a rate limit above all, which would let nothing through after its first.
func expireAsTimePasses(t *testing.T, fake *miniredis.Miniredis) {
	ended := make(chan struct{})
	ticker := time.NewTicker(50 * time.Millisecond)
	go func() {
		defer close(ended)
		last := time.Now()
		for {
			select {
			case now := <-ticker.C:
				fake.FastForward(now.Sub(last))
				last = now
			case <-t.Context().Done():
				return
			}
		}
	}()
	t.Cleanup(func() {
		ticker.Stop()
		<-ended
	})
}

// sharedLedger is the Redis that the replicas share.
type sharedLedger struct {
	url    string
	client *redis.Client
	ours   bool // nobody else's claims are in it
}

func openShared(t *testing.T, url string, ours bool) *sharedLedger {
	t.Helper()
	opts, err := redis.ParseURL(url)
	require.NoError(t, err)
	opts.MaxRetries, opts.MaxRetryBackoff = 20, time.Second // another test may be restarting it
	l := &sharedLedger{url: url, client: redis.NewClient(opts), ours: ours}
	t.Cleanup(func() { l.client.Close() })
	return l
}

// replicas are processes with one consumer group and one ledger.
type replicas struct {
	stream *stream
	sim    *program.Callsim
	env    func(base string) []string
	args   []string
	before string      // the folder of an earlier commit with its program; "" is this one
	meet   *rendezvous // nil, or what their wires share
	alive  []*replica
}

// replica is one of them, with a wire of its own.
type replica struct {
	*program.Process
	wire *wire
}

func newReplicas(t *testing.T, s *stream, sim *program.Callsim, shared *sharedLedger) *replicas {
	t.Helper()
	return &replicas{
		stream: s, sim: sim,
		env: func(base string) []string {
			return program.Settings(t, append(s.env(), "REDIS_URL="+shared.url, "HAPPYROBOT_BASE_URL="+base)...)
		},
		args: pipeline("redis.yaml", "redial_absent",
			"-s", "input.redpanda.session_timeout=3s", "-s", "input.redpanda.heartbeat_interval=300ms", "-s", "input.redpanda.rebalance_timeout=5s",
			"-s", "output.happyrobot_dial.max_in_flight=100", "-s", "output.happyrobot_dial.max_calls_per_request=10"),
	}
}

func (r *replicas) start(t *testing.T) *replica {
	t.Helper()
	w := newWire(t, r.sim, r.meet)
	one := &replica{wire: w}
	if r.before == "" {
		one.Process = program.StartPipeline(t, r.env(w.URL), r.args...)
	} else {
		one.Process = program.StartAnother(t, r.before+"/benthos-happyrobot", r.env(w.URL), r.args...)
	}
	r.alive = append(r.alive, one)
	return one
}

// dialing waits until a replica has dials on their way.
func (r *replicas) dialing(t *testing.T) (one *replica) {
	t.Helper()
	require.Eventually(t, func() bool {
		for _, one = range r.alive {
			if _, inFlight, _ := one.wire.counts(); inFlight > 0 {
				return true
			}
		}
		return false
	}, 3*time.Minute, time.Millisecond, "no replica dials")
	return one
}

// remove takes a replica off the living.
func (r *replicas) remove(one *replica) {
	r.alive = slices.DeleteFunc(r.alive, func(other *replica) bool { return other == one })
}

// Each lead stands on two partitions, so that two replicas are given it at the
// same time, while replicas come, leave and are killed with calls in flight.
func TestReplicasCallEachLeadOnceThroughRebalancesAndKills(t *testing.T) {
	program.Long(t, "a consumer group waits for the dead")
	alongside(t)
	onEachBroker(t, func(t *testing.T, broker string, shared *sharedLedger) {
		leads, rounds := int(setting(t, "CRASH_LEADS", 240)), 4
		if setting(t, "CRASH_KILLS", 0) > 0 {
			rounds = 8
		}
		rng, seed := newRand(t)
		const spread = 4
		s := newStream(t, broker, runName(t, seed), spread*rounds)
		r := newReplicas(t, s, faulty(t, seed), shared)
		all := []*replica{r.start(t), r.start(t)}
		came, left, killed, struck := 0, 0, 0, 0
		for round := range rounds {
			from, to, p := leads*round/rounds, leads*(round+1)/rounds, int32(spread*round)
			s.produce(t, from, to, p, p+1)
			s.produce(t, from, to, p+2, p+3)
			event := round % 4
			if event == 1 && shared.ours {
				// The in-process broker was seen to stand still once, after a member left
				// in the middle of a rebalance: leaving is for the real one.
				event = 2
			}
			first := event >= 2 && killed == 0 // this kill strikes for certain
			if first {
				for _, one := range r.alive {
					one.wire.hold()
				}
			}
			one := r.dialing(t)
			if !first {
				linger(rng, latency)
			}
			switch event {
			case 0: // another comes, and the partitions are dealt anew
				all = append(all, r.start(t))
				came++
			case 1: // it leaves in good order
				r.remove(one)
				one.Stop(t)
				left++
			default: // it is killed and replaced
				if one.wire.kill(t, one.Process) {
					struck++
				}
				killed++
				if first {
					for _, one := range r.alive {
						one.wire.release()
					}
				}
				r.remove(one)
				all = append(all, r.start(t))
			}
			if !shared.ours && round >= rounds/2 {
				services.Restart(t, []string{"kafka", "redis"}[round%2])
			}
		}
		s.awaitAll(t, 4*time.Minute)
		for _, one := range r.alive {
			one.Stop(t)
		}
		v := s.judge(r.sim.CallsByLead(t))
		v.assertKept(t)
		assert.Equal(t, leads, v.called, "each lead is called once")
		dialed := 0
		for _, one := range all {
			if begun, _, _ := one.wire.counts(); begun > 0 {
				dialed++
			}
		}
		assert.GreaterOrEqual(t, dialed, 2, "one replica alone proves nothing")
		assert.Positive(t, struck, "kills must strike while dials are on their way")
		t.Logf("%d leads, each on two partitions; replicas: %d came, %d left, %d killed (%d with dials on their way), %d of %d dialed: %d called, %d doubled, %d lost. Faults: %s",
			v.leads, came+2, left, killed, struck, dialed, len(all), v.called, v.doubled, v.lost, faultCounts(t, r.sim))
	})
}

// Two replicas are given leads that a third claimed long ago; half of them it
// called before it died.
func TestOfTwoReplicasOneTakesOverAStaleClaim(t *testing.T) {
	program.Long(t, "a consumer group waits for its members")
	alongside(t)
	onEachBroker(t, func(t *testing.T, broker string, shared *sharedLedger) {
		const leads = 200
		_, seed := newRand(t)
		s := newStream(t, broker, runName(t, seed), 2)
		sim := program.StartCallsim(t, "--latency", "10ms")
		refs := claimAsTheDead(t, s, sim, shared, leads, func(int) time.Time { return time.Now().Add(-5 * time.Minute) })
		r := newReplicas(t, s, sim, shared)
		r.meet = &rendezvous{} // both look a claim up before either takes it over
		a, b := r.start(t), r.start(t)
		// Both must be in the group before there is anything to share.
		awaitMembers(t, s, 2)
		s.produce(t, 0, leads, 0)
		s.produce(t, 0, leads, 1)
		s.awaitAll(t, 4*time.Minute)
		a.Stop(t)
		b.Stop(t)

		v := s.judge(sim.CallsByLead(t))
		v.assertKept(t)
		assert.Equal(t, leads, v.called, "each lead is called once")
		for name, one := range map[string]*replica{"first": a, "second": b} {
			assert.Positive(t, one.wire.looked(), "the %s replica found the claims too, and looked them up", name)
		}
		for n, ref := range refs {
			attempts, err := shared.client.Exists(t.Context(), ledgerPrefix+ref, ledgerPrefix+ref+"/2", ledgerPrefix+ref+"/3").Result()
			require.NoError(t, err)
			assert.EqualValues(t, 2, attempts, "lead %d: one attempt by the dead, one by whoever took over", n)
		}
	})
}

// claimAsTheDead leaves claims of leads whose owner has died, and calls of every other one.
// It returns their references.
func claimAsTheDead(t *testing.T, s *stream, sim *program.Callsim, shared *sharedLedger, leads int, at func(n int) time.Time) (refs []string) {
	t.Helper()
	for n := range leads {
		refs = append(refs, dialRef(s.lead(n)))
		if n%2 == 0 {
			dialAsTheDead(t, sim, happyrobot.OutboundCall{
				NumberID: "64f0c0de00000000000000c1", PhoneNumber: fmt.Sprintf("+1212%07d", 2_000_000+n),
				Metadata: map[string]any{"lead_id": s.lead(n), "dial_ref": refs[n]},
			})
		}
	}
	// All at once, and last: claims that count from when they are seen are as old as one another.
	_, err := shared.client.Pipelined(t.Context(), func(pipe redis.Pipeliner) error {
		for n, ref := range refs {
			claim := fmt.Sprintf(`{"v":1,"state":"claimed","owner":"dead-1","at":%q}`, at(n).Format(time.RFC3339Nano))
			pipe.Set(t.Context(), ledgerPrefix+ref, claim, time.Hour)
		}
		return nil
	})
	require.NoError(t, err)
	return refs
}

// takenOver counts the claims that each process took over, by the process.
func takenOver(t *testing.T, shared *sharedLedger, refs []string) map[string]int {
	t.Helper()
	by := map[string]int{}
	for _, ref := range refs {
		text, err := shared.client.Get(t.Context(), ledgerPrefix+ref+"/2").Result()
		require.NoError(t, err, "no claim is left to the dead")
		var record struct{ Owner string }
		require.NoError(t, json.Unmarshal([]byte(text), &record))
		process, _, _ := strings.Cut(record.Owner, "-")
		by[process]++
	}
	return by
}

// dialRef is the name of a dedupe key in the ledger and at the API. It stays the
// same for ever, so it is written down here and not asked of the program.
func dialRef(dedupeKey string) string {
	sum := sha256.Sum256([]byte("key\x00" + dedupeKey))
	return hex.EncodeToString(sum[:16])
}

// dialAsTheDead places a call that its owner did not live to record.
func dialAsTheDead(t *testing.T, sim *program.Callsim, call happyrobot.OutboundCall) {
	t.Helper()
	body, err := json.Marshal([]happyrobot.OutboundCall{call})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, sim.BaseURL()+"/dial/outbound-batched", bytes.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer dead")
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	res.Body.Close()
	require.Equal(t, http.StatusOK, res.StatusCode)
}
