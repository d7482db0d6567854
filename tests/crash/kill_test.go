package crash

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/tests/program"
	"github.com/benthos-happyrobot/benthos-happyrobot/tests/services"
)

func TestMain(m *testing.M) { program.Main(m) }

// setting reads a number from the environment.
func setting(t *testing.T, name string, unset uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return unset
	}
	n, err := strconv.ParseUint(text, 10, 64)
	require.NoError(t, err, "%s", name)
	return n
}

// newRand draws from CRASH_SEED, or from a seed of its own that it prints.
func newRand(t *testing.T) (rng *rand.Rand, seed uint64) {
	t.Helper()
	seed = setting(t, "CRASH_SEED", rand.Uint64())
	t.Logf("CRASH_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0)), seed
}

// runName names a run on brokers and in ledgers that outlive it.
func runName(t *testing.T, seed uint64) string {
	name := strings.NewReplacer("/", "-", ",", "", "_", "-").Replace(t.Name())
	return fmt.Sprintf("%s-%d-%d", name, seed, time.Now().UnixNano())
}

const latency = 60 * time.Millisecond

// faulty starts a simulator on which about one dial in ten goes wrong.
func faulty(t *testing.T, seed uint64) *program.Callsim {
	t.Helper()
	args := []string{"--seed", fmt.Sprint(seed | 1), "--latency", latency.String(), "--visibility", "200ms"}
	for _, fault := range []string{
		`{"kind":"refuse","status":429,"retry_after":"1","probability":0.02}`,
		`{"kind":"error_before","probability":0.01}`,
		`{"kind":"lose_answer","probability":0.03}`,
		`{"kind":"error_after","probability":0.02}`,
		`{"kind":"part","probability":0.02}`,
		`{"kind":"delay","delay":"300ms","probability":0.1}`,
		`{"kind":"error_before","operation":"listCalls","probability":0.05}`,
	} {
		args = append(args, "--fault", fault)
	}
	return program.StartCallsim(t, args...)
}

// faultCounts tells how often each fault struck.
func faultCounts(t *testing.T, sim *program.Callsim) string {
	t.Helper()
	var text []string
	for _, f := range sim.Faults(t) {
		text = append(text, fmt.Sprintf("%s%s %d of %d", f.Kind, f.Operation, f.Injected, f.Matched))
	}
	return strings.Join(text, ", ")
}

// dialTimeout is far above what an answer takes even on a busy machine, and short
// enough for the lease of a dead owner's claim, which it is part of.
const dialTimeout = 5 * time.Second

// pipeline are the arguments that run config/kafka_to_calls.yaml with short waits.
func pipeline(resources, onUnknown string, more ...string) []string {
	const dial = "output.happyrobot_dial."
	args := []string{"-r", "resources/" + resources,
		"-s", dial + "on_unknown=" + onUnknown, "-s", dial + "timeout=" + dialTimeout.String(),
		"-s", dial + "retry.initial_interval=100ms", "-s", dial + "retry.max_interval=1s",
		"-s", "input.redpanda.commit_period=200ms"}
	return append(append(args, more...), "config/kafka_to_calls.yaml")
}

// alongside lets a test run beside others, most of which wait for what a dead process left.
// Where there is a real broker they come one after the other, since some restart it.
func alongside(t *testing.T) {
	if os.Getenv("TEST_KAFKA_BROKERS") == "" {
		t.Parallel()
	}
}

// A process is killed again and again, and started again on what it left behind.
func TestEachLeadIsCalledOnceHoweverOftenTheProcessIsKilled(t *testing.T) {
	alongside(t)
	for _, broker := range []string{"kfake", "kafka"} {
		for _, ledger := range []string{"bbolt", "redis", "postgres"} {
			for _, onUnknown := range []string{"hold", "redial_absent"} {
				if broker == "kfake" && ledger != "bbolt" {
					continue // where there is a real database, there is a real broker
				}
				t.Run(broker+"/"+ledger+"/"+onUnknown, func(t *testing.T) {
					if onUnknown == "hold" {
						program.Long(t, "redial_absent is killed in the same way, and may double")
					}
					t.Parallel()
					underKills(t, broker, ledger, onUnknown)
				})
			}
		}
	}
}

func underKills(t *testing.T, broker, ledger, onUnknown string) {
	leads, kills := int(setting(t, "CRASH_LEADS", 240)), int(setting(t, "CRASH_KILLS", 3))
	if testing.Short() {
		leads, kills = 80, 1
	}
	rng, seed := newRand(t)
	var address string
	if broker == "kafka" {
		address = services.Kafka(t)
	} else {
		address = fakeKafka(t)
	}
	var env []string
	// A static member takes its own place in the group at once, where another would
	// wait until the dead one's session is over.
	args := []string{"-s", "input.redpanda.instance_id=dialer"}
	resources := "local.yaml"
	switch ledger {
	case "redis":
		resources, env = "redis.yaml", []string{"REDIS_URL=" + services.Redis(t)}
	case "postgres":
		resources, env = "postgres.yaml", []string{"POSTGRES_DSN=" + services.Postgres(t)}
	}
	if ledger != "bbolt" {
		// A dead owner's claims stand for a minute; the stream continues meanwhile.
		args = append(args, "-s", "output.happyrobot_dial.max_in_flight=400")
	}
	args = pipeline(resources, onUnknown, args...)

	// Each round brings new leads, on partitions of their own: what a dead process
	// left on the others may have to wait.
	const spread = 2
	s := newStream(t, address, runName(t, seed), spread*(kills+1))
	sim := faulty(t, seed)
	w := newWire(t, sim, nil)
	env = program.Settings(t, append(append(env, "HAPPYROBOT_BASE_URL="+w.URL), s.env()...)...)
	dialsARound := max(1, leads/(kills+1)/20) // at least: of max_calls_per_request each
	bring := func(round int) {
		p := int32(spread * round)
		s.produce(t, leads*round/(kills+1), leads*(round+1)/(kills+1), p, p+1)
	}

	began, struck := time.Now(), 0
	for round := range kills {
		bring(round)
		if round == 0 { // one for certain with a dial on its way
			w.hold()
		}
		p := program.StartPipeline(t, env, args...)
		switch what := rng.IntN(6); {
		case round == 0:
			w.awaitDials(t, p, 1)
		case broker == "kafka" && round == kills/2:
			w.awaitDials(t, p, 1)
			services.Restart(t, "kafka")
			linger(rng, 2*time.Second)
		case ledger != "bbolt" && round == kills/2+1:
			w.awaitDials(t, p, 1)
			services.Restart(t, ledger)
			linger(rng, 2*time.Second)
		case what == 0: // whatever it is doing then: starting, joining, looking up
			linger(rng, 2*time.Second)
		case what == 1: // shutting down
			w.awaitDials(t, p, 1)
			linger(rng, latency)
			p.Terminate()
			linger(rng, 2*latency)
		default:
			w.awaitDials(t, p, 1+rng.IntN(dialsARound))
			linger(rng, 2*latency)
		}
		if w.kill(t, p) {
			struck++
		}
		if round == 0 {
			w.release()
		}
	}
	bring(kills)
	p := program.StartPipeline(t, env, args...)
	s.awaitAll(t, 5*time.Minute)
	p.Stop(t)

	v := s.judge(sim.CallsByLead(t))
	t.Logf("%d leads, %d kills (%d with dials on their way), %v: %d called, %d doubled, %d lost, %d held. Faults: %s",
		v.leads, kills, struck, time.Since(began).Round(time.Second), v.called, v.doubled, v.lost, v.held, faultCounts(t, sim))
	v.assertKept(t)
	assert.Equal(t, leads, v.leads)
	assert.GreaterOrEqual(t, struck, max(1, kills/4), "kills must strike while dials are on their way")
	if onUnknown == "redial_absent" {
		assert.Equal(t, leads, v.called+v.held, "each lead is called, or held and told so")
		assert.LessOrEqual(t, v.held, leads/1000, "the list settles all doubts but those of leads that many kills strike")
	}
}
